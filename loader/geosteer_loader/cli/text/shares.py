"""A plan as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from geosteer_loader.cli.text.formatting import columns
from geosteer_loader.percent import percent

if TYPE_CHECKING:
    from geosteer_loader.shares.node_loss import Closing
    from geosteer_loader.shares.planner import Result

BAR = 20
"""Characters of a full bar."""


def text(found: Result) -> str:
    """What `geosteer shares` shows."""
    cost = f"{found.mean_cost:.1f}" if found.unit == "hops" else f"{found.mean_cost:.0f}"
    room = f"planned up to {percent(found.fill)} of it: {_amount(found.room)}"
    parts = [
        f"demand {_amount(found.demand)}, capacity {_amount(found.capacity)}, {room}",
        f"mean {found.by} {cost} {found.unit}",
    ]
    if found.shortfall:
        parts.append(click.style(infeasible(found), fg="red"))
    unit = found.unit.upper()
    parts += ["", columns(("REGION", "DEMAND", "NODE", "SHARE", unit), _regions(found))]
    rows = [
        (
            one.node,
            _amount(one.capacity),
            _amount(one.load),
            _used(one.utilisation),
            _bar(one.utilisation),
        )
        for one in found.nodes
    ]
    parts += ["", columns(("NODE", "CAPACITY", "LOAD", "UTILISATION", ""), rows)]
    if found.closings:
        header = ("CLOSED", "MOVES", "FULLEST THEN", "UTILISATION", "OVERLOAD", "PLANNED ANEW")
        parts += ["", columns(header, [_closing(one, found.unit) for one in found.closings])]
    return "\n".join(parts)


def infeasible(found: Result) -> str:
    """What there is no room for, in words."""
    lacking = sorted(((one.unserved, one.region) for one in found.regions if one.unserved), reverse=True)
    most = ", ".join(f"{region} {_amount(amount)}" for amount, region in lacking[:5])
    more = f" and {len(lacking) - 5} more regions" if len(lacking) > 5 else ""
    return (
        f"infeasible: planned up to {percent(found.fill)} of its capacity, no node has room for "
        f"{_amount(found.shortfall)} of a demand of {_amount(found.demand)}; left over: {most}{more}"
    )


def _regions(found: Result) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for one in found.regions:
        name, demand = one.region, _amount(one.demand)
        for part in one.nodes:
            cost = f"{part['cost']:.1f}" if found.unit == "hops" else f"{part['cost']:.0f}"
            rows.append((name, demand, part["node"], percent(part["share"]), cost))
            name = demand = ""
        if one.unserved:
            share = percent(one.unserved / one.demand)
            rows.append((name, demand, click.style("nobody", fg="red"), share, ""))
    return rows


def _closing(one: Closing, unit: str) -> tuple[object, ...]:
    anew = (
        click.style(f"short of {_amount(one.shortfall)}", fg="red")
        if one.shortfall
        else f"fits, {one.mean_cost:.1f} {unit}"
    )
    over = click.style(_amount(one.over), fg="red") if one.over > 0 else ""
    return (
        one.node,
        _amount(one.moved),
        one.fullest or "none is left",
        _used(one.utilisation),
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
