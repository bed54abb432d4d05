"""The forms of addresses: of what listens, of a page, of ClickHouse, of brokers. Pure."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

_LAST_PORT: Final = 65_535
_ADDRESS: Final = re.compile(
    r"(?:(?:\[(?P<six>[^\]]+)\]|(?P<host>[^\s:/@\[\]]+)):)?(?P<port>[0-9]{1,5})"
)
_PAGE: Final = re.compile(
    r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{1,5})?(?:/[a-z0-9_~-][a-z0-9._~-]*)*/?",
    re.IGNORECASE,
)
_BROKER: Final = re.compile(
    r"(?:(?:sasl_)?(?:plaintext|ssl)://)?"
    r"(?:\[(?P<six>[^\]]+)\]|[^\s:/@\[\]]+)(?::(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE,
)


def listening(text: str) -> tuple[str, int]:
    """Give host and port; `ValueError` where the text is neither both nor a port."""
    found = _ADDRESS.fullmatch(text)
    if not found or int(found["port"]) > _LAST_PORT:
        raise ValueError
    if found["six"]:
        return str(IPv6Address(found["six"])), int(found["port"])
    return found["host"] or "127.0.0.1", int(found["port"])


def is_listening(text: str) -> bool:
    """Tell whether a text is an address to listen at."""
    try:
        listening(text)
    except ValueError:
        return False
    return True


def is_page(url: str) -> bool:
    """Tell whether a text is the URL of a page."""
    try:
        return bool(_PAGE.fullmatch(url) and urlsplit(url).port != 0)
    except ValueError:
        return False


def is_clickhouse(text: str) -> bool:
    """Tell whether a text is the URL of a ClickHouse."""
    try:
        url = urlsplit(text)
        # A name that no resolver takes raises; an @ so late ends a password with a raw /, ? or #.
        return (
            url.scheme in ("clickhouse", "clickhouses")
            and bool(url.hostname and url.hostname.encode("idna"))
            and url.port != 0
            and "@" not in url.path + url.query + url.fragment
        )
    except ValueError:  # Its text would show a part of the password.
        return False


def are_brokers(text: str) -> bool:
    """Tell whether a text names brokers, as librdkafka takes them: it reads a wrong port as 0."""
    brokers = [each.strip() for each in text.split(",")]
    return any(brokers) and all(map(_is_broker, filter(None, brokers)))


def _is_broker(text: str) -> bool:
    found = _BROKER.fullmatch(text)
    if not found or not 1 <= int(found["port"] or _LAST_PORT) <= _LAST_PORT:
        return False
    try:
        return not found["six"] or bool(IPv6Address(found["six"]))
    except ValueError:
        return False
