"""What the environment gives us: our own variables, each with the text of its file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from domination import secret
from domination.errors import DominationError, Exit
from domination.service_links import service_links

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "DOMINATION_"
KAFKA: Final = "KAFKA_"
"""Begins, after the prefix, the names of librdkafka's properties."""
_TESTS: Final = "TEST_"
_FILE: Final = "_FILE"
OWN_FILES: Final = frozenset(
    {
        "sasl.oauthbearer.assertion.file",
        "sasl.oauthbearer.assertion.jwt.template.file",
        "sasl.oauthbearer.assertion.private.key.file",
    }
)
"""The properties of librdkafka whose own names end in .file: they name what it reads itself."""


def own_of(environment: Mapping[str, str] | None) -> dict[str, str]:
    """Give what is meant for us: all but the tests' own variables, and those of Services.

    None: of the environment of this process.
    """
    own = {
        name: text
        for name, text in (os.environ if environment is None else environment).items()
        if name.startswith(PREFIX) and not name.startswith(PREFIX + _TESTS)
    }
    links = service_links(own)
    return {name: text for name, text in own.items() if name not in links}


def with_files(environment: Mapping[str, str]) -> dict[str, str]:
    """Put the content of its file in the place of each NAME_FILE; all of it is text then."""
    values = dict(environment)
    for name, path in environment.items():
        if not name.endswith(_FILE) or property_of(name) in OWN_FILES:
            continue
        setting = name.removesuffix(_FILE)
        if setting in environment:
            raise DominationError(Exit.SETTING, f"{name} and {setting} are both set: unset one")
        del values[name]
        values[setting] = _content(name, path)
    for name, value in values.items():
        if not secret.is_utf8(name + value):
            raise DominationError(Exit.SETTING, f"{name} is not UTF-8")
    return values


def _content(name: str, path: str) -> str:
    try:
        return secret.read(path)
    except secret.UnreadableError as why:
        raise DominationError(Exit.SETTING, f"{name}: cannot read {path}: {why}") from None


def property_of(name: str) -> str:
    """Give librdkafka's name of a property: DOMINATION_KAFKA_LINGER_MS is linger.ms."""
    return name.removeprefix(PREFIX + KAFKA).lower().replace("_", ".")
