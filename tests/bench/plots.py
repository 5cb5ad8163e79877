"""Plots of a run, as PNG."""

from __future__ import annotations

from array import array
from statistics import median
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from .table import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .budgets import Budget
    from .report import Section

OURS, THEIRS = "#c2410c", "#64748b"
LONGEST = 3
"""How many times a bar is shown at most, where one is missed by far."""
DOTS = 6000
"""Samples of a timeline that are drawn."""


def draw(sections: Sequence[Section], budgets: Sequence[Budget], folder: Path) -> Iterator[Path]:
    """Draw what was found into *folder*, one file a section and one of all budgets; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = {
        "dns": _dns, "worker": _worker, "table": _table, "freshness": _freshness, "http": _http, "functions": _functions,
    }  # fmt: skip
    figures = {
        section.name: _publish(section.series) if section.series else plots[section.name](section.data)
        for section in sections
        if section.series or section.name in plots
    }
    if any(budget.value is not None and budget.bar.must for budget in budgets):
        figures["budgets"] = _budgets(budgets)
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=120)
        plt.close(figure)
        yield path


def _bars(
    axes: Axes, values: Mapping[str, tuple[float, float, float]], title: str, unit: str, log: bool = False
) -> None:
    """Horizontal bars: median, with the least and the greatest as a line."""
    names = list(values)[::-1]
    middle = [values[name][0] for name in names]
    spread = [
        [values[name][0] - values[name][1] for name in names],
        [values[name][2] - values[name][0] for name in names],
    ]
    colours = [OURS if name.startswith("geosteer") else THEIRS for name in names]
    axes.barh(names, middle, xerr=spread, color=colours, error_kw={"elinewidth": 1, "ecolor": "#0f172a"})
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(unit, fontsize=9)
    for at, name in enumerate(names):
        value, high = values[name][0], values[name][2]
        text = f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
        axes.annotate(text, (high, at), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    highest = max(high for _, _, high in values.values())
    if log:
        axes.set_xscale("log")
        axes.set_xlim(min(low for _, low, _ in values.values()) / 2, highest * 4)
    else:
        axes.set_xlim(0, highest * 1.2)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _of(results: list[dict[str, Any]], key: str) -> tuple[float, float, float]:
    values = [float(result[key]) for result in results]
    return median(values), min(values), max(values)


def _dns(data: Mapping[str, Any]) -> Figure:
    figure, axes = plt.subplots(2, 2, figsize=(12, 7), layout="constrained")
    for place, clients in zip(axes[0], ("wide", "hot"), strict=True):
        values = {name: _of(results, "qps") for name, results in data[clients].items()}
        _bars(place, values, f"answers a second, client set {clients}", "answers/s (logarithmic)", log=True)
    cpu = {name: _of(results, "cpu") for name, results in data["wide"].items()}
    _bars(axes[1][0], cpu, "processor time, all processes", "us/question (logarithmic)", log=True)
    memory = {name: (value, value, value) for name, value in data["memory"].items()}
    _bars(axes[1][1], memory, "memory of all processes (PSS)", "MiB (logarithmic)", log=True)
    return figure


def _worker(data: Mapping[str, Any]) -> Figure:
    figure, axes = plt.subplots(1, 3, figsize=(14, 3.4), layout="constrained")
    _bars(
        axes[0],
        {name: _of(results, "cpu") for name, results in data["questions"]["wide"].items()},
        "processor time for a question, wide",
        "us",
    )
    starts = {
        name: tuple(value / 1000 for value in _of(results, "first"))
        for name, results in data["starts"].items()
    }
    _bars(axes[1], starts, "start to first answer", "ms (logarithmic)", log=True)  # type: ignore[arg-type]
    after = {name: _of(results, "pss") for name, results in data["all clients"].items()}
    _bars(axes[2], after, "eight workers, every client has asked each", "MiB (PSS)")
    return figure


def _table(data: Mapping[str, Any]) -> Figure:
    figure, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
    for layout, colour in (("geosteer", OURS), ("zset", THEIRS), ("hash", "#0f766e")):
        cities = [found[layout][0] for name, found in data.items() if name.startswith("city")]
        ranges = [city["ranges"] for city in cities]
        # the plain layouts write all of it, whatever changed
        written = [
            next((change["entries"] for change in city["changes"].values()), city["entries"])
            for city in cities
        ]
        for place, values in zip(axes, ([city["memory"] for city in cities], written), strict=True):
            place.plot(
                ranges, values, "o--" if layout == "hash" else "o-", color=colour, label=LABELS[layout]
            )
    for place, title in zip(
        axes, ("bytes in Redis, city tables", "entries written when 100 ranges change"), strict=True
    ):
        place.set_xscale("log")
        place.set_yscale("log")
        place.set_xlabel("ranges", fontsize=9)
        place.set_title(title, fontsize=10)
        place.legend(fontsize=8)
        place.grid(alpha=0.3)
    return figure


def _freshness(data: Mapping[str, Any]) -> Figure:
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for label, kinds in data.items():
        values = sorted(value for found in kinds.values() for value in found)
        share = [(at + 1) / len(values) for at in range(len(values))]
        count, _, way = label.partition(" ")
        axes.plot(values, share, "-" if way == "direct" else "--", label=f"{count} workers, {way}")
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds from the write to the changed answer", fontsize=9)
    axes.set_ylabel("share of workers", fontsize=9)
    axes.axvline(5, color="#0f172a", linewidth=0.8, linestyle=":")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure


def _http(data: Mapping[str, Any]) -> Figure:
    figure, axes = plt.subplots(1, 2, figsize=(12, 2.6), layout="constrained")
    rates = {name: _of(results, "qps") for name, results in data["wide"].items()}
    _bars(axes[0], rates, "redirects a second, one process", "redirects/s")
    memory = {name: (value, value, value) for name, value in data["memory"].items()}
    _bars(axes[1], memory, "memory (PSS)", "MiB")
    return figure


def _functions(data: Mapping[str, Any]) -> Figure:
    figure, axes = plt.subplots(1, 2, figsize=(12, 2.8), layout="constrained")
    for place, key, title in zip(
        axes, ("p50", "server"), ("a call, median", "of that in Redis, mean"), strict=True
    ):
        _bars(place, {name: _of(results, key) for name, results in data["calls"].items()}, title, "us")
    return figure


def _publish(phases: Mapping[str, bytes]) -> Figure:
    figure, axes = plt.subplots(
        len(phases), 1, figsize=(10, 1.7 * len(phases)), layout="constrained", sharex=True, sharey=True
    )
    for place, (name, raw) in zip(axes, phases.items(), strict=True):
        samples = array("f", raw)
        step = max(1, len(samples) // 2 // DOTS)
        place.plot(
            samples[:: 2 * step],
            [value / 1000 for value in samples[1 :: 2 * step]],
            ".",
            markersize=1.5,
            color=OURS,
        )
        place.set_yscale("log")
        place.set_title(name, fontsize=9, loc="left")
        place.grid(alpha=0.3)
        place.tick_params(labelsize=8)
    axes[-1].set_xlabel("seconds", fontsize=9)
    figure.supylabel("latency, ms", fontsize=9)
    return figure


def _budgets(budgets: Sequence[Budget]) -> Figure:
    """How much of each bar is used up: 1 is the bar itself, less is better."""
    rows = []
    for one in budgets:
        must, value = one.bar.must, one.value
        if value is not None and must:
            used = must / value if one.bar.at_least and value else value / must
            label = (
                f"{value:.3g}, must be {'at least' if one.bar.at_least else 'at most'} {must:g}{one.bar.unit}"
            )
            rows.append((one.bar.name, used, "#15803d" if one.meets(must) else "#b91c1c", label))
    names, parts, colours, labels = zip(*reversed(rows), strict=True)
    figure, axes = plt.subplots(figsize=(11, 0.3 * len(rows) + 1.2), layout="constrained")
    shown = [min(used, LONGEST) for used in parts]
    axes.barh(names, shown, color=colours)
    for at, (used, label) in enumerate(zip(shown, labels, strict=True)):
        axes.annotate(
            label,
            (used, at),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
    axes.set_xlim(0, max(*parts, 1) * 1.35)
    axes.margins(y=0.01)
    axes.set_title(f"budgets: green is within the bar (cut off at {LONGEST} times)", fontsize=10, loc="left")
    axes.axvline(1, color="#0f172a", linewidth=1)
    axes.set_xlabel("part of the bar that is used up", fontsize=9)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
