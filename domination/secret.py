"""Secrets among the settings: files that have them, and what is shown in their place."""

from __future__ import annotations

import os
import re
import stat
from typing import Final
from urllib.parse import unquote_plus

HIDDEN: Final = "********"
_LARGEST_BYTES: Final = 1 << 20
"""As large as a Secret of Kubernetes may be."""
_WORDS: Final = ("pass", "secret", "token", "private", ".key.pem", "oauthbearer.config")
"""A property of librdkafka with one of these in its name has a secret."""
# Of ClickHouse's driver. Whatever else a URL asks for may be a secret, keypass among it.
_SHOWN: Final = frozenset(
    {
        *("alt_hosts", "ca_certs", "certfile", "check_hostname", "ciphers", "client_name"),
        *("client_revision", "compress_block_size", "compression", "connect_timeout", "keyfile"),
        *("round_robin", "secure", "send_receive_timeout", "server_hostname", "ssl_version"),
        *("settings_is_important", "sync_request_timeout", "tcp_keepalive", "use_numpy", "verify"),
    }
)
# A URL may hold line ends, which count for nothing.
_PASSWORD: Final = re.compile(r"(://[^:]*:).*(@)", re.DOTALL)
_PARAMETER: Final = re.compile(r"([?&])([^=&#?]*)=([^&#]*)", re.DOTALL)


class UnreadableError(Exception):
    """A file gives no value; the text says why, and shows nothing of it."""


def property_shown(name: str, value: str) -> str:
    """Give what may be seen of the value of a setting, or of one of librdkafka's properties."""
    return HIDDEN if value and any(word in name for word in _WORDS) else url_shown(value)


def url_shown(text: str) -> str:
    """Give a URL without its password and without what its query may keep secret.

    Any other text comes back as it is.
    """
    if "://" not in text:
        return text
    return _PARAMETER.sub(_parameter, _PASSWORD.sub(rf"\1{HIDDEN}\2", text))


def _parameter(found: re.Match[str]) -> str:
    start, name, value = found.groups()
    return f"{start}{name}={value if unquote_plus(name) in _SHOWN else HIDDEN}"


def read(path: str) -> str:
    """Read a value from a regular file, or a link to one, without its last line end.

    A pipe might never answer, and a device never end. Raises `UnreadableError`.
    """
    try:
        # Not to wait for who writes to a pipe, nor to take a terminal for one's own.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            content = _content(file)
        finally:
            os.close(file)
    except (OSError, ValueError) as error:
        raise UnreadableError(getattr(error, "strerror", None) or "it is not a path") from None
    return _text(content).removesuffix("\n")


def _content(file: int) -> bytes:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise UnreadableError("it is not a regular file")
    content = b""
    while piece := os.read(file, _LARGEST_BYTES):
        content += piece
        if len(content) > _LARGEST_BYTES:
            raise UnreadableError("it is larger than 1 MiB")
    return content


def is_utf8(text: str) -> bool:
    """Tell whether a text of the environment can go to libraries: C ends the process on others."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:  # Its text would show a part of the content.
        text = "\0"
    if "\0" in text:
        raise UnreadableError("it is not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")
