"""What `geosteer plan` found, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from geosteer_loader.cli.text.formatting import columns, folded, size
from geosteer_loader.config.diff import line
from geosteer_loader.percent import percent
from geosteer_loader.publish.plan import UNITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geosteer_loader.publish.plan import Plan, TablePlan

MOVEMENTS = 5
"""Largest movements of each family that are shown."""

DIFFERENCES = 20
"""Differences of the configuration that are shown on a terminal."""

NODES = 4
"""Nodes that are shown with what they gain or lose."""

WHO = {"v4": "IPv4", "v6": "IPv6", "clients": "clients given"}


def text(plan: Plan, *, full: bool = False) -> str:
    """The whole plan; what is long is folded unless *full*."""
    parts = [_head(plan)]
    if plan.held:
        parts.append(click.style(f"held: {plan.held}; publish needs --release", fg="yellow"))
    parts += _tables(plan.tables, full=full)
    if plan.config:
        parts += ["", click.style("configuration", bold=True)]
        parts += folded([*map(line, plan.config)], DIFFERENCES, full=full)
    parts += _impact(plan, full=full)
    parts += refused(plan)
    parts += [click.style(f"warning: {entry}", fg="yellow") for entry in plan.warnings]
    return "\n".join(parts)


def refused(plan: Plan) -> list[str]:
    """What the guards say, a line each."""
    return [
        click.style(f"{entry['guard']}: {entry['finding']}; publish needs --force {entry['guard']}", fg="red")
        for entry in plan.refused
    ]


def _head(plan: Plan) -> str:
    now = f"generation {plan.generation} is published" if plan.generation else "nothing is published"
    if not plan.changed and not plan.objects:
        return f"{now}; nothing would change"
    what = ", ".join(plan.changed) or "repair"
    return f"{now}; to be published: {what}; {plan.objects} objects, {size(plan.bytes)} to write"


def _tables(tables: Mapping[str, TablePlan], *, full: bool) -> Iterator[str]:
    rows = [_row(name, suffix, table) for name, table in tables.items() for suffix in UNITS]
    if not rows:
        return
    yield ""
    yield columns(
        ("TABLE", "STATE", "RANGES", "PAGES", "NEW PAGES", "BYTES", "CHANGED", "SHARE"), rows, full=full
    )
    for name, table in tables.items():
        for suffix in UNITS:
            for movement in table.family(suffix).movements[: None if full else MOVEMENTS]:
                moved = f"{_number(movement['changed'])} {table.family(suffix).unit}"
                yield f"  {name}.{suffix}: {movement['from']} -> {movement['to']} {moved}"
            more = len(table.family(suffix).movements) - MOVEMENTS
            if more > 0 and not full:
                yield f"  {name}.{suffix}: ... {more} more (--full shows them)"


def _row(name: str, suffix: str, table: TablePlan) -> tuple[object, ...]:
    family = table.family(suffix)
    return (
        f"{name}.{suffix}", table.state, family.ranges, family.pages["after"], family.pages["new"],
        size(family.bytes), f"{_number(family.changed)} {family.unit}", percent(family.share, 2),
    )  # fmt: skip


def _impact(plan: Plan, *, full: bool) -> Iterator[str]:
    rows = [
        (
            *((service, percent(plan.moved[service], 2)) if not number else ("", "")),
            *_moved(part, shift, full=full),
        )
        for service, parts in plan.impact.items()
        for number, (part, shift) in enumerate(parts.items())
    ]
    rows += [(service, "gone", "", "", "", "", "") for service in plan.vanished["services"]]
    if not rows:
        return
    yield ""
    yield click.style("clients that would get another node, of those known to the tables", bold=True)
    yield columns(
        ("SERVICE", "MOVED", "CLIENTS", "ALL NODES UP", "NODES AS THEY ARE", "OF ALL ADDRESSES", "NODES"),
        rows,
        full=full,
    )


def _moved(part: str, shift: Mapping[str, Any], *, full: bool) -> tuple[object, ...]:
    up, now = shift["all_up"], shift["now"]
    whole = percent(up["share"], 2) if part in UNITS else ""
    known = "share_known" if part in UNITS else "share"
    gains = _gains(up["nodes"], full=full)
    return WHO[part], percent(up[known], 2), percent(now[known], 2), whole, gains


def _gains(nodes: Mapping[str, tuple[float, float]], *, full: bool) -> str:
    ordered = sorted(nodes.items(), key=lambda item: -abs(item[1][1] - item[1][0]))
    gains = [(name, percent(before, 2), percent(after, 2)) for name, (before, after) in ordered]
    shown = [f"{name} {before} -> {after}" for name, before, after in gains if before != after]
    if full or len(shown) <= NODES:
        return ", ".join(shown)
    return f"{', '.join(shown[:NODES])}, ..."


def _number(amount: float) -> str:
    if isinstance(amount, int) or amount >= 1000:
        return f"{amount:,.0f}"
    return f"{amount:.3g}"
