"""Draws what was measured: `docs/images/*.png` and `.svg`, from `benchmarks/results/*.json`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import orjson
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Callable

_RESULTS: Final = Path(__file__).parent / "results"
_IMAGES: Final = Path(__file__).parent.parent / "docs" / "images"
_OURS, _OTHERS, _LIMIT = "#b5179e", "#4a5568", "#a0aec0"
_COLOURS: Final = (_LIMIT, _OURS, "#1d4ed8", "#0891b2", "#64748b")


def _colour(name: str, guarantee: str) -> str:
    if name == "Domination":
        return _OURS
    return _LIMIT if guarantee == "none" else _OTHERS


def throughput(told: dict[str, Any]) -> Any:
    """Draw a bar for each contestant: its median, and the lowest and highest of its rounds."""
    rows = {name: each for name, each in told["contestants"].items() if each["median"]}
    order = sorted(rows, key=lambda name: rows[name]["median"]["rate"])
    figure, axes = plt.subplots(figsize=(9, 0.42 * len(order) + 1.3))
    for place, name in enumerate(order):
        median, guarantee = rows[name]["median"], rows[name]["guarantee"]
        around = [
            [median["rate"] - median["slowest"]],
            [median["fastest"] - median["rate"]],
        ]
        axes.barh(place, median["rate"], color=_colour(name, guarantee), xerr=around, ecolor="#999")
        text = f" {median['rate']:,.0f}"
        axes.annotate(
            text, (median["fastest"], place), xytext=(4, 0), textcoords="offset points", va="center"
        )
    names = []
    for name in order:
        guarantee = rows[name]["guarantee"].replace("none", "no guarantee")
        names.append(name if name.endswith(guarantee) else f"{name} ({guarantee})")
    axes.set_yticks(range(len(order)), names)
    axes.set_xlim(0, 1.15 * max(rows[name]["median"]["fastest"] for name in order))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:,.0f}k")
    axes.set_xlabel(
        f"records a second; {told['records']:,} ratings, {told['partitions']} partitions, "
        f"median of {told['rounds']} rounds, {told['machine']['cores']} cores"
    )
    return figure


def latency(told: dict[str, Any]) -> Any:
    """Draw a panel for each percentile: milliseconds over rates."""
    names = ("p50", "p99", "p99.9")
    figure, panels = plt.subplots(1, len(names), figsize=(11, 3.6), sharey=True)
    for axes, percentile in zip(panels, names, strict=True):
        for colour, (name, rows) in zip(_COLOURS, told["milliseconds"].items(), strict=False):
            rates = [row["rate"] for row in rows]
            values = [row["milliseconds"][percentile] for row in rows]
            axes.plot(rates, values, marker="o", color=colour, label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(percentile)
        axes.set_xlabel("records a second")
        axes.grid(visible=True, which="major", color="#ddd")
    panels[0].set_ylabel("ms, rating sent to shadow read")
    panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


_PLOTS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "throughput": throughput,
    "latency": latency,
}


def main() -> None:
    """Draw every plot that there are results for."""
    mpl.use("agg")
    mpl.rcParams |= {
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "domination",  # The same figures, the same file.
        "font.size": 10,
    }
    _IMAGES.mkdir(parents=True, exist_ok=True)
    for name, draw in _PLOTS.items():
        results = _RESULTS / f"{name}.json"
        if results.exists():
            figure = draw(orjson.loads(results.read_bytes()))
            figure.savefig(_IMAGES / f"{name}.png", dpi=160)
            figure.savefig(_IMAGES / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
