"""What has to be there before a worker starts, and what Kafka's errors do not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domination.kafka.cluster import Cluster
from domination.kafka.faults import (
    FaultError,
    MissingError,
    RefusedError,
    UnavailableError,
    no_right,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domination.kafka.client import Connection

_LOOK_SECONDS: Final = 2.0


class KafkaPreflight:
    """A `Preflight` that looks at the topics; `needed` has what is to be done with each."""

    def __init__(self, connection: Connection, needed: Mapping[str, str]) -> None:
        self._connection = connection
        self._needed = needed
        self._cluster: Cluster | None = None

    def require(self, timeout: float) -> None:
        """Raise a `FaultError` where topics are missing or nobody answers."""
        # One client for all tries: with TLS a connection may take longer than a call.
        self._cluster = self._cluster or Cluster(self._connection)
        self._cluster.timeout = timeout
        found = self._cluster.require(self._needed)
        # The topics are told by the brokers that it is given; their own addresses may be others.
        read = next(iter(found))
        self._cluster.reach_leaders(read, found[read])
        self._cluster = None

    def unreachable(self) -> UnavailableError | None:
        """Say which broker does not answer, if one does not, within some seconds."""
        try:
            Cluster(self._connection, _LOOK_SECONDS).reach(next(iter(self._needed)))
        except UnavailableError as error:
            return error
        except FaultError:
            return None
        return None

    def named(self, fault: FaultError) -> FaultError:
        """Name the topics or the rights that an error does not tell, if the cluster tells them."""
        if isinstance(fault, MissingError) and not fault.topics:
            missing = Cluster(self._connection).missing(self._needed)
            return MissingError(missing, fault.doing) if missing else fault
        if isinstance(fault, RefusedError) and not fault.named:
            lacking = Cluster(self._connection).lacking(self._needed)
            right = " and ".join(lacking) or f"use one of the topics {', '.join(self._needed)}"
            return no_right(fault.doing, right)
        return fault
