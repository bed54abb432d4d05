"""Gathers the pages of the documentation's site in one folder: `python docs/pages.py FOLDER`.

They are the pages of docs/ and of the root, and the API. A link to another file leads to the
source, if DOCS_SOURCE_URL says where that can be read (with a slash at the end).
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent
OF_THE_ROOT: Final = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""The pages of the root, each with its name on the site."""
_LINK: Final = re.compile(r"(!?)\[([^\[\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
_IMPORTS: Final = re.compile(r"^\| `(domination[\w.]+)` \| (.*) \|$", re.MULTILINE)


def pages(source: str = "") -> Iterator[tuple[str, str]]:
    """Give each page of the site, its name and its text."""
    for name, site in OF_THE_ROOT.items():
        yield site, linked((ROOT / name).read_text(), ROOT, source)
    for page in sorted((ROOT / "docs").glob("*.md")):
        yield page.name, linked(page.read_text(), page.parent, source)
    yield "api.md", api((ROOT / "docs" / "change.md").read_text())


def linked(text: str, folder: Path, source: str) -> str:
    """Let each link of a page in this folder lead to a page of the site, or to the source."""

    def lead(found: re.Match[str]) -> str:
        picture, words, path, heading = found.groups("")
        target = (folder / path).resolve().relative_to(ROOT).as_posix()
        if target in OF_THE_ROOT:
            return f"[{words}]({OF_THE_ROOT[target]}{heading})"
        if picture or target.endswith(".md"):
            return f"{picture}[{words}]({target.removeprefix('docs/')}{heading})"
        return f"[{words}]({source}{target})" if source else words

    return _LINK.sub(lead, text)


def api(change: str) -> str:
    """Write the page of the API: each name of the table of imports, by its module."""
    lines = [
        "# API",
        "The public names of the library. [Use it as a library](change.md) explains how they fit.",
    ]
    for module, names in _IMPORTS.findall(change):
        lines.append(f"## `{module}`")
        lines.extend(f"::: {module}.{name}" for name in re.findall(r"`(\w+)`", names))
    return "\n\n".join(lines)


def gather(folder: Path, source: str) -> None:
    """Write the pages and the pictures into a folder, in place of what it has."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs" / "images", folder / "images")
    for name, text in pages(source):
        (folder / name).write_text(text)


if __name__ == "__main__":
    gather(Path(sys.argv[1]), os.environ.get("DOCS_SOURCE_URL", ""))
