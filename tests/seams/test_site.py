"""The documentation's site: each link leads somewhere, and no page asks another host."""

from __future__ import annotations

import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urldefrag
from urllib.request import urlopen

import pages
import pytest

from conftest import need
from harness.processes import CLEAN, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

MKDOCS: Final = ROOT / ".release" / "docs" / "bin" / "mkdocs"
PATIENT_MS: Final = 120_000
FOUND: Final = """() => [
    [...document.querySelectorAll('[id]')].map(each => each.id),
    [...document.links].map(each => each.href),
]"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Build the site and serve it; give its address."""
    need("MkDocs", None if MKDOCS.exists() else "make docs-site installs it")
    gathered, site = (tmp_path_factory.mktemp(name) for name in ("pages", "site"))
    pages.gather(gathered, source="")
    subprocess.run(
        [MKDOCS, "build", "--strict", "--site-dir", site],
        cwd=ROOT,
        env={**CLEAN, "DOCS_PAGES": str(gathered), "NO_MKDOCS_2_WARNING": "1"},
        check=True,
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(address: str, chromium: Browser) -> Iterator[Page]:
    """Give a browser's page; in the end it must have asked the site alone, and missed nothing."""
    wrong: list[str] = []
    context = chromium.new_context()
    context.set_default_timeout(PATIENT_MS)
    opened = context.new_page()

    def asked(url: str) -> None:
        if not url.startswith(address):
            wrong.append(f"asked for {url}")

    def answered(status: int, url: str) -> None:
        if status >= 400:
            wrong.append(f"{status} {url}")

    opened.on("request", lambda request: asked(request.url))
    opened.on("response", lambda response: answered(response.status, response.url))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    yield opened
    context.close()
    assert wrong == []


def test_each_link_of_the_site_leads_to_a_page_and_to_a_place_on_it(
    address: str, page: Page
) -> None:
    places: dict[str, set[str]] = {}
    wanted, left = set[tuple[str, str]](), {address}
    while left:
        url = left.pop()
        page.goto(url)
        ids, links = page.evaluate(FOUND)
        places[url] = {"", *ids}
        for target, place in (urldefrag(link) for link in links if link.startswith(address)):
            wanted.add((target, place))
            left |= {target} - places.keys()
    assert [each for each in sorted(wanted) if each[1] not in places[each[0]]] == []
    named = {name.removesuffix(".md").replace("index", "") for name, _ in pages.pages()}
    assert {url.removeprefix(address).rstrip("/") for url in places} == named


def test_the_search_finds_a_page(address: str, page: Page) -> None:
    page.goto(address)
    page.click(".md-search__input")
    page.keyboard.type("DominationStandsStill")
    page.wait_for_selector(".md-search-result__link[href*='operate/']")


def test_the_api_has_each_name_that_a_program_imports(address: str) -> None:
    with urlopen(f"{address}api/") as answer:
        page = answer.read().decode()
    change = (ROOT / "docs" / "change.md").read_text()
    told = [line[4:] for line in pages.api(change).splitlines() if line.startswith("::: ")]
    assert len(told) > 20
    assert [name for name in told if f'id="{name}"' not in page] == []


@pytest.mark.parametrize(
    ("folder", "link", "leads"),
    [
        ("docs", "[a](how.md#the-two-ends)", "[a](how.md#the-two-ends)"),
        ("docs", "[a](../SECURITY.md#threat-model)", "[a](security.md#threat-model)"),
        ("docs", "[`a.py`](../domination/a.py)", "[`a.py`](source/domination/a.py)"),
        ("docs", "![a](images/a.svg)", "![a](images/a.svg)"),
        (".", "[a](docs/how.md)", "[a](how.md)"),
        (".", "![a](docs/images/a.png)", "![a](images/a.png)"),
        (".", "[a](LICENSE)", "[a](source/LICENSE)"),
        (".", "[a](https://a.example) [b](#here)", "[a](https://a.example) [b](#here)"),
    ],
)
def test_a_link_leads_to_a_page_of_the_site_or_to_the_source(
    folder: str, link: str, leads: str
) -> None:
    where: Path = ROOT / folder
    assert pages.linked(link, where, "source/") == leads


def test_without_a_source_a_link_to_it_is_plain_text() -> None:
    assert pages.linked("[the license](LICENSE)", ROOT, "") == "the license"
