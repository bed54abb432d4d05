"""Text of others, made fit to be shown: a record may hold anything, a terminal obeys much of it."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Write each character that shows nothing, or moves what is shown, as an escape: `\x1b`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def shortened(text: str, most: int) -> str:
    """Cut a text that is longer than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def printable_lines(text: str) -> str:
    """Write the lines of a traceback as `printable` does, each behind a space.

    So none of them can pass for a line of a log.
    """
    return "\n".join(" " + printable(line) for line in text.split("\n"))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
