"""Tests of a module that mostly wait, all at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    Scenario = Callable[..., None]

_SCENARIOS: dict[object, Scenario] = {}
"""By the tests that they were made."""


def waits(scenario: Scenario) -> Scenario:
    """Make a scenario a test, which the fixture `together` of its module starts with the others.

    It may be parametrized; all else that it takes is given by `run` of `Together`.
    """
    marks = getattr(scenario, "pytestmark", [])

    def test(**given: Any) -> None:
        given["together"].outcome(given["request"].node)

    names = ["request", "together", *_parametrized(marks)]
    parameters = [Parameter(name, Parameter.KEYWORD_ONLY) for name in names]
    own = {"pytestmark": marks, "__signature__": Signature(parameters)}
    vars(test).update(own)
    test.__name__ = scenario.__name__
    _SCENARIOS[test] = scenario
    return test


def _parametrized(marks: list[pytest.Mark]) -> Iterator[str]:
    for mark in marks:
        if mark.name == "parametrize":
            names = mark.args[0]
            yield from names.split(",") if isinstance(names, str) else names


class Together:
    """Runs in threads what those tests of a module wait for that are to run.

    `run` is given a scenario, which lacks only what `run` makes for it.
    """

    def __init__(
        self, request: pytest.FixtureRequest, run: Callable[[Scenario], None], at_once: int
    ) -> None:
        self._pool = ThreadPoolExecutor(at_once)
        self._outcomes = {
            each.nodeid: self._pool.submit(run, partial(scenario, **_parameters(each)))
            for each in request.session.items
            if each.path == request.path and (scenario := _scenario(each))
        }

    def outcome(self, test: pytest.Item) -> None:
        """Wait for the end of a test's scenario, and raise what it has raised."""
        self._outcomes[test.nodeid].result()

    def close(self) -> None:
        """Wait for the end of all."""
        self._pool.shutdown()


def call(scenario: Scenario, **made: object) -> None:
    """Let a scenario happen with those of the things made that it takes."""
    taken = signature(scenario).parameters.keys() & made.keys()
    scenario(**{name: made[name] for name in taken})


def _scenario(item: pytest.Item) -> Scenario | None:
    return _SCENARIOS.get(getattr(item, "function", None))


def _parameters(item: pytest.Item) -> dict[str, Any]:
    spec = getattr(item, "callspec", None)
    return dict(spec.params) if spec else {}
