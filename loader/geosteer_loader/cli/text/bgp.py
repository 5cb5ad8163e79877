"""What `geosteer bgp` found, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from geosteer_loader.cli.text.formatting import columns

if TYPE_CHECKING:
    from geosteer_loader.query.bgp import Told


def text(told: Told) -> str:
    """What `geosteer bgp` shows."""
    lines = [
        f"published {table}: {cell['prefix']} {cell['record'] or '-'}"
        for table, cell in told.published.items()
    ]
    if told.roas is not None:
        lines.append(f"rpki: {told.roas['vrps']} ROAs of {told.roas['built']}")
        if told.roas["trouble"]:
            lines.append(click.style(str(told.roas["trouble"]), fg="yellow"))
    lines += [click.style(note, fg="yellow") for note in told.notes]
    rows = [
        (
            route.table if route.vantage is None else f"{route.table} {route.vantage}",
            route.prefix,
            route.path if route.path is not None else " ".join(f"AS{asn}" for asn in route.origins),
            (route.peer or "-") + (f" ({route.session})" if route.session not in {None, "current"} else ""),
            route.rpki or "-",
            click.style(route.why, fg="green") if route.counts else route.why,
        )
        for route in told.routes
    ]
    if not rows:
        return "\n".join([*lines, f"{told.address}: no source has a route to it"])
    return "\n".join([*lines, "", columns(("TABLE", "PREFIX", "PATH", "FROM", "RPKI", "WHY"), rows)])
