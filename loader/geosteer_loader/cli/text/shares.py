"""A plan as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from geosteer_loader.cli.text.formatting import columns
from geosteer_loader.percent import percent
from geosteer_loader.shares.weights import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.shares.node_loss import Closing
    from geosteer_loader.shares.planner import Result

BAR = 20
"""Characters of a full bar."""


def text(result: Result) -> str:
    """What `geosteer shares` shows."""
    cost = f"{result.mean_cost:.1f}" if result.unit == "hops" else f"{result.mean_cost:.0f}"
    room = f"planned up to {percent(result.fill)} of it: {_amount(result.room)}"
    parts = [
        f"demand {_amount(result.demand)}, capacity {_amount(result.capacity)}, {room}",
        f"mean {result.by} {cost} {result.unit}",
    ]
    if result.shortfall:
        parts.append(click.style(infeasible(result), fg="red"))
    unit = result.unit.upper()
    parts += ["", columns(("REGION", "DEMAND", "NODE", "SHARE", unit), _regions(result))]
    rows = [
        (
            node.node,
            _amount(node.capacity),
            _amount(node.load),
            _used(node.utilisation),
            _bar(node.utilisation),
        )
        for node in result.nodes
    ]
    parts += ["", columns(("NODE", "CAPACITY", "LOAD", "UTILISATION", ""), rows)]
    if result.closings:
        header = ("CLOSED", "MOVES", "FULLEST THEN", "UTILISATION", "OVERLOAD", "NEW PLAN")
        parts += ["", columns(header, [_closing(node, result.unit) for node in result.closings])]
    if lines := placement(result):
        parts += ["", "for a service of policy nearest on a map of these nodes, one of:", *lines]
    return "\n".join(parts)


def placement(result: Result) -> list[str]:
    """Settings with which a service of policy `nearest` comes to about the same; none where it needs none."""
    settings: list[tuple[str, Mapping[str, float]]] = [
        ("max_share", result.max_share),
        ("bias", result.bias or {}),
    ]
    return [
        f"{name} = {{ {', '.join(f'{quoted(node)} = {value:g}' for node, value in given.items())} }}"
        for name, given in settings
        if given
    ]


def infeasible(result: Result) -> str:
    """What there is no room for, in words."""
    lacking = sorted(
        ((served.unserved, served.region) for served in result.regions if served.unserved), reverse=True
    )
    most = ", ".join(f"{region} {_amount(amount)}" for amount, region in lacking[:5])
    more = f" and {len(lacking) - 5} more regions" if len(lacking) > 5 else ""
    return (
        f"infeasible: planned up to {percent(result.fill)} of its capacity, no node has room for "
        f"{_amount(result.shortfall)} of a demand of {_amount(result.demand)}; left over: {most}{more}"
    )


def _regions(result: Result) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for region in result.regions:
        name, demand = region.region, _amount(region.demand)
        for part in region.nodes:
            cost = f"{part['cost']:.1f}" if result.unit == "hops" else f"{part['cost']:.0f}"
            rows.append((name, demand, part["node"], percent(part["share"]), cost))
            name = demand = ""
        if region.unserved:
            share = percent(region.unserved / region.demand)
            rows.append((name, demand, click.style("no node", fg="red"), share, ""))
    return rows


def _closing(closing: Closing, unit: str) -> tuple[object, ...]:
    anew = (
        click.style(f"short of {_amount(closing.shortfall)}", fg="red")
        if closing.shortfall
        else f"fits, {closing.mean_cost:.1f} {unit}"
    )
    over = click.style(_amount(closing.over), fg="red") if closing.over > 0 else ""
    return (
        closing.node,
        _amount(closing.moved),
        closing.fullest or "none left",
        _used(closing.utilisation),
        over,
        anew,
    )


def _used(part: float) -> str:
    return click.style(percent(part), fg="red" if part > 1 else "yellow" if part > 0.9 else None)


def _bar(part: float) -> str:
    return "#" * round(min(part, 1.5) * BAR)


def _amount(value: float) -> str:
    """A number with four significant digits at least, without an exponent."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
