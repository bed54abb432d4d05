"""HumanRatings: a seeded stream of humans and their ratings. Pure."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final
from uuid import UUID

import orjson

from domination.ratings import Rating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

RATINGS: Final = range(101)


def human_ratings(seed: int | None = None, ratings: range = RATINGS) -> Iterator[Rating]:
    """Rate humans without end; one seed, the same humans. Unique ids are UUIDs, version 4."""
    chance = random.Random(seed)  # noqa: S311 - nothing depends on its secrecy
    while True:
        yield Rating(chance.choice(ratings), str(UUID(int=chance.getrandbits(128), version=4)))


def encode(human: Rating) -> bytes:
    """Write a rating as the input topic holds it."""
    return orjson.dumps({"rating": human.rating, "unique_id": human.unique_id})


def encoded(
    humans: Iterable[Rating], bad: float = 0.0, seed: int | None = None
) -> Iterator[tuple[str, bytes]]:
    """Give each human's key and value; a share of `bad`, from 0 to 1, is broken in some way."""
    chance = random.Random(seed)  # noqa: S311 - nothing depends on its secrecy
    for human in humans:
        write = chance.choice(_BREAKS) if chance.random() < bad else encode
        yield human.unique_id, write(human)


_BREAKS: Final[tuple[Callable[[Rating], bytes], ...]] = (
    lambda human: encode(human)[:-9],
    lambda human: human.unique_id.encode(),
    lambda human: orjson.dumps({"unique_id": human.unique_id}),
    lambda human: orjson.dumps({"rating": human.rating}),
    lambda human: orjson.dumps({"rating": str(human.rating), "unique_id": human.unique_id}),
    lambda human: orjson.dumps({"rating": human.rating + 0.5, "unique_id": human.unique_id}),
)
