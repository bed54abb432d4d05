"""The variables that Kubernetes puts into a pod for each Service of its namespace. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOST: Final = "_SERVICE_HOST"
_PORT: Final = "_SERVICE_PORT"
_URL: Final = re.compile(r"(tcp|udp|sctp)://.*", re.DOTALL)
# What follows the name of a Service; the second and third part are its port's name and number.
_FORM: Final = re.compile(
    r"_SERVICE_HOST|_SERVICE_PORT(_\w+)?|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?"
)


def service_links(environment: Mapping[str, str]) -> set[str]:
    """Name the variables of Services: of X they are X_SERVICE_HOST, X_PORT_9092_TCP and so on.

    Kubernetes always sets X_SERVICE_HOST and X_SERVICE_PORT, both; X_PORT is a URL. Whatever only
    looks like one of them is none.
    """
    hosts = {name.removesuffix(_HOST) for name in environment if name.endswith(_HOST)}
    services = {name for name in hosts if name + _PORT in environment}
    return {
        name
        for name, value in environment.items()
        for service in services
        if name.startswith(service) and _is_link(name.removeprefix(service), value)
    }


def _is_link(end: str, value: str) -> bool:
    return bool(_FORM.fullmatch(end)) and (end != "_PORT" or bool(_URL.fullmatch(value)))
