"""How the page looks, in a real browser: on each screen, in each state, of readings made up."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from harness.browsing import overhear
from harness.page_proxy import PageProxy
from harness.processes import CLEAN, PATIENT_SECONDS, ROOT, eventually
from harness.readings import LARGE, SCRIPT, STATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

PATH: Final = "/domination"
AXE: Final = files("axe_playwright_python").joinpath("axe.min.js")
# Where a page has to be legible: on a phone, a laptop, a wall.
SCREENS: Final = ((390, 844, "dark"), (1280, 800, "light"), (3840, 2160, "dark"))
CHARTS: Final = 3
# What is seen in a state alone.
MARKS: Final = {
    "starting": ".health.wait",
    "idle": "text=No ratings arrive",
    "well": ".health.good",
    "behind": ".health.warn",
    "hostile": "text=reason_17",
}
SERVERS: Final = ("Kafka", "ClickHouse")


Box = dict[str, float]


class Shown(NamedTuple):
    """A page, and the process that serves it."""

    page: Page
    process: subprocess.Popen[str]
    url: str
    """The page's, behind its proxy."""
    asked: list[str]
    said: list[str]

    def show(self, state: str) -> None:
        """Show a state, and wait until the page has come to it."""
        assert self.process.stdin
        self.process.stdin.write(f"{state}\n")
        self.process.stdin.flush()
        for source in STATES[state](0):
            self.page.wait_for_selector(f"[data-source={source.name}][data-state='{source.state}']")
        self.page.wait_for_selector(MARKS.get(state, ".health.bad"))

    def on(self, width: int, height: int, mode: str) -> None:
        """Look at it on another screen, once its charts have text of that screen's size."""
        self.show("well")
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme="dark" if mode == "dark" else "light")

        def sized() -> bool:
            sizes = self.chart_texts()
            return len(sizes) >= 4 * CHARTS and all(
                abs(each - self.rem() * 0.8) < 1 for each in sizes
            )

        eventually(sized)

    def rem(self) -> float:
        size: str = self.page.evaluate("getComputedStyle(document.documentElement).fontSize")
        return float(size.removesuffix("px"))

    def chart_texts(self) -> list[float]:
        """Give the size of each text in a chart."""
        size = "all => all.map(each => parseFloat(getComputedStyle(each).fontSize))"
        found: list[float] = self.page.locator(".nicegui-echart svg text").evaluate_all(size)
        return found

    def chart_boxes(self) -> list[list[Box]]:
        """Give for each chart where it is, and where its texts are."""
        script = """all => all.map(svg => [svg, ...svg.querySelectorAll("text")].map(each => {
            const {x, y, width, height} = each.getBoundingClientRect();
            return {x, y, width, height};
        }))"""
        found: list[list[Box]] = self.page.locator(".nicegui-echart svg").evaluate_all(script)
        return found

    def colour(self, variable: str) -> str:
        """Give a colour of the page's, as browsers write it."""
        script = """name => {
            const probe = document.body.appendChild(document.createElement('i'));
            probe.style.color = `var(${name})`;
            const colour = getComputedStyle(probe).color;
            probe.remove();
            return colour;
        }"""
        found: str = self.page.evaluate(script, variable)
        return found

    def colour_of(self, selector: str) -> str:
        found: str = self.page.locator(selector).evaluate("each => getComputedStyle(each).color")
        return found


@pytest.fixture(scope="module")
def shown(chromium: Browser) -> Iterator[Shown]:
    """Open the page behind a proxy, with nothing on it yet; it asks and says nothing amiss."""
    proxy = PageProxy(("127.0.0.1", 0), PATH)
    url = f"http://monitor.localhost:{proxy.port}{PATH}/"
    process = subprocess.Popen(
        (sys.executable, "-m", "harness.shown_page", url),
        cwd=ROOT,
        env=CLEAN | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    port = int(process.stdout.readline().rpartition(":")[2])
    proxy.server = ("127.0.0.1", port)
    page = chromium.new_context().new_page()
    asked, said = overhear(page)
    page.set_default_timeout(PATIENT_SECONDS * 1000)
    page.goto(url)
    yield Shown(page, process, url, asked, said)
    page.context.close()
    process.stdin.close()
    process.stdout.close()
    assert process.wait(PATIENT_SECONDS) == 0
    proxy.close()


def seen(page: Page) -> list[str]:
    """Give the headings of the cards that are seen."""
    return page.locator("h2:visible").all_inner_texts()


def test_what_is_not_known_is_not_drawn(shown: Shown) -> None:
    shown.show("starting")
    assert seen(shown.page) == []
    assert shown.page.inner_text(".health strong") == "Starting"
    shown.show("idle")
    assert seen(shown.page) == ["Lag", "Dead letters", "Humans"]
    unseen = "table:visible, .nicegui-echart:visible, [data-figure=broken]"
    assert shown.page.locator(unseen).count() == 0
    assert "unknown" not in shown.page.inner_text("body").lower()


def test_behind_a_proxy_it_loads_all_it_needs_from_its_own_url(shown: Shown) -> None:
    shown.show("well")
    shown.page.wait_for_selector(".nicegui-echart svg text")
    own = (shown.url, shown.url.replace("http:", "ws:"), "data:")
    assert [url for url in shown.asked if not url.startswith(own)] == []
    assert any("echart" in url for url in shown.asked)
    assert shown.said == []


@pytest.mark.parametrize(("width", "height", "mode"), SCREENS)
def test_it_is_legible_on_every_screen_and_follows_the_light(
    shown: Shown, width: int, height: int, mode: str
) -> None:
    for state in ("hostile", "no Kafka"):
        shown.on(width, height, mode)
        shown.show(state)
        page = shown.page
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert shown.rem() >= max(15, height / 80)
        boxes = shown.chart_boxes()
        assert len(boxes) == CHARTS
        for chart, *texts in boxes:
            assert overlaps(texts) == []
            assert [each for each in texts if not within(each, chart)] == []
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(map(int, re.findall(r"\d+", ground)))
        assert brightness > 600 if mode == "light" else brightness < 100


def overlaps(boxes: list[Box]) -> list[tuple[Box, Box]]:
    """Give the pairs of boxes that cover one another."""
    return [
        (one, other)
        for number, one in enumerate(boxes)
        for other in boxes[:number]
        if all(
            one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
            for start, size in (("x", "width"), ("y", "height"))
        )
    ]


def within(inner: Box, outer: Box) -> bool:
    """Tell whether a box is in another one, to a pixel."""
    return all(
        outer[start] - 1 <= inner[start]
        and inner[start] + inner[size] <= outer[start] + outer[size] + 1
        for start, size in (("x", "width"), ("y", "height"))
    )


@pytest.mark.parametrize(
    ("state", "screen"),
    [
        ("behind", (1280, 800, "light")),
        ("hostile", (390, 844, "dark")),
        ("no Kafka", (1280, 800, "dark")),
        ("no ClickHouse", (390, 844, "light")),
    ],
)
def test_axe_finds_nothing(shown: Shown, state: str, screen: tuple[int, int, str]) -> None:
    shown.on(*screen)
    shown.show(state)
    shown.page.evaluate(AXE.read_text())
    found = shown.page.evaluate("axe.run()")
    assert len(found["passes"]) > 10
    assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
    # Each chart has a name for those who hear it.
    assert shown.page.locator("[role=img][aria-label]").count() == CHARTS


def brightness_of(colour: str) -> float:
    """Give the relative luminance of `#rrggbb`, as WCAG has it."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_each_colour_of_text_can_be_read_on_each_ground(mode: int) -> None:
    style = (ROOT / "domination" / "monitor" / "page.css").read_text()
    colours = dict(re.findall(r"--(\w+): (#\w{6});", style.split(":root {")[1 + mode]))
    for text in ("ink", "dim", "good", "warn", "bad"):
        for ground in ("ground", "card"):
            dark, light = sorted(brightness_of(colours[each]) for each in (text, ground))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_a_name_that_is_a_script_is_shown_and_not_run(shown: Shown) -> None:
    shown.show("hostile")
    assert SCRIPT in shown.page.locator(".latest code").all_inner_texts()
    assert SCRIPT in shown.page.locator(".letters code").all_inner_texts()
    assert {"{{ 7 * 7 }}", "&lt;b&gt;"} <= {*shown.page.locator(".latest code").all_inner_texts()}
    assert shown.page.locator("main img").count() == 0
    assert shown.said == []


@pytest.mark.parametrize("gone", SERVERS)
def test_a_server_that_is_down_is_told_once_and_what_the_other_told_is_not_dimmed(
    shown: Shown, gone: str
) -> None:
    shown.on(*SCREENS[1])
    shown.show(f"no {gone}")
    page = shown.page
    assert page.inner_text(".health strong") == "Down"
    page.wait_for_selector(f".no-{gone.lower()}")
    assert page.locator(".source[data-state=down]").count() == 1
    red = "colour => [...document.querySelectorAll('main *')].filter(each => colour === "
    red += "getComputedStyle(each).color || colour === getComputedStyle(each).borderTopColor)"
    told = page.evaluate(f"{red}.map(each => each.className)", shown.colour("--bad"))
    assert set(told) <= {"", "source"}
    assert len(told) == 2
    ink = {"Kafka": "lag", "ClickHouse": "humans"}
    for name in SERVERS:
        figure = shown.colour_of(f"[data-figure={ink[name]}]")
        assert figure == shown.colour("--dim" if name == gone else "--ink")
    assert (
        page.locator(".nicegui-echart").evaluate_all(
            "all => all.map(each => getComputedStyle(each).opacity)"
        )
        == ["1"] * CHARTS
    )


def test_a_large_lag_has_a_longer_bar_than_a_small_one_and_another_colour(shown: Shown) -> None:
    shown.show("behind")
    bars = shown.page.locator(".bars").first.locator("li")
    shares = bars.locator("i").evaluate_all("all => all.map(each => parseFloat(each.style.width))")
    lags = [int(each.replace(",", "")) for each in bars.locator(".number").all_inner_texts()]
    by_lag = dict(zip(lags, shares, strict=True))
    assert by_lag.keys() == {5, LARGE}
    assert 0 < by_lag[5] * 4 < by_lag[LARGE] < 100
    coloured = shown.page.locator(".bars li.large .number").all_inner_texts()
    assert coloured == [f"{LARGE:,}"] * lags.count(LARGE)
    assert shown.colour_of(".figure.large strong") == shown.colour("--warn")
