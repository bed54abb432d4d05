"""A producer that is not ours: it sends what Python's client cannot, and others can."""

from __future__ import annotations

import ctypes
from typing import Final

from confluent_kafka import cimpl

from harness.processes import PATIENT_SECONDS

# The symbols of the librdkafka that the client is linked with.
_LIBRDKAFKA: Final = ctypes.CDLL(cimpl.__file__)
for _name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
    getattr(_LIBRDKAFKA, _name).restype = ctypes.c_void_p
_PRODUCER: Final = 0
_COPY: Final = 2
_END, _TOPIC, _VALUE, _KEY, _FLAGS, _HEADERS = map(ctypes.c_int, (0, 1, 4, 5, 7, 10))


def send(
    bootstrap_servers: str, topic: str, value: bytes, key: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    """Send one record whose headers have any bytes for names, and wait until Kafka has it."""
    why = ctypes.create_string_buffer(512)
    config = ctypes.c_void_p(_LIBRDKAFKA.rd_kafka_conf_new())
    servers = bootstrap_servers.encode()
    _LIBRDKAFKA.rd_kafka_conf_set(config, b"bootstrap.servers", servers, why, len(why))
    producer = ctypes.c_void_p(_LIBRDKAFKA.rd_kafka_new(_PRODUCER, config, why, len(why)))
    assert producer.value, why.value
    own = ctypes.c_void_p(_LIBRDKAFKA.rd_kafka_headers_new(ctypes.c_size_t(len(headers))))
    for name, body in headers:
        _LIBRDKAFKA.rd_kafka_header_add(own, name, _size(name), body, _size(body))
    sent = _LIBRDKAFKA.rd_kafka_producev(
        *(producer, _TOPIC, topic.encode(), _HEADERS, own, _FLAGS, ctypes.c_int(_COPY)),
        *(_VALUE, value, _size(value), _KEY, key, _size(key), _END),
    )
    assert sent == 0
    assert _LIBRDKAFKA.rd_kafka_flush(producer, int(PATIENT_SECONDS * 1000)) == 0
    _LIBRDKAFKA.rd_kafka_destroy(producer)


def _size(body: bytes) -> ctypes.c_ssize_t:
    return ctypes.c_ssize_t(len(body))
