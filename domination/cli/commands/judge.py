"""`domination judge`."""

from __future__ import annotations

import click

from domination.cli.style import Command, say
from domination.shadow import judge_all


@click.command(
    "judge",
    cls=Command,
    context_settings={"ignore_unknown_options": True},
    examples=["domination judge 9 10 15", "domination judge -9"],
)
@click.argument("ratings", type=int, nargs=-1, required=True, metavar="RATING...")
def command(ratings: tuple[int, ...]) -> None:
    """Judge ratings; no broker needed."""
    for rating, shadow in zip(ratings, judge_all(ratings), strict=True):
        say(f"{rating} {shadow.label}")
