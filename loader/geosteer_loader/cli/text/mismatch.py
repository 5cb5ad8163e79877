"""What `geosteer mismatch` found, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.cli.text.formatting import columns
from geosteer_loader.percent import percent

if TYPE_CHECKING:
    from geosteer_loader.query.mismatch import Mismatch


def text(result: Mismatch) -> str:
    """The whole result."""
    clients = f"{result.pairs} pairs, {result.clients:g} clients"
    regions = f"another region of the map: {percent(result.region_share)}"
    lines = [
        f"{result.service} {result.type}, policy {result.policy}: {clients}",
        f"another node than by their own address: {percent(result.differ_share)} ({regions})",
    ]
    if result.unknown:
        lines.append(f"left out: {result.unknown:g} more clients of whom only a network of length 0 is known")
    if result.mean_extra_km is None:
        lines.append("extra distance unknown: no table tells where clients are, or nodes have no location")
    else:
        spread = ", ".join(f"{name} {value}" for name, value in result.extra_km.items())
        lines.append(
            f"extra distance: mean {result.mean_extra_km:.0f} km over {percent(result.located_share)} of clients "
            f"({spread})"
        )
    if result.resolvers:
        rows = [
            (
                resolver.resolver,
                f"{resolver.clients:g}",
                percent(resolver.differ_share),
                _kilometres(resolver.mean_extra_km),
            )
            for resolver in result.resolvers
        ]
        lines += ["", columns(("RESOLVER", "CLIENTS", "OTHER NODE", "EXTRA KM"), rows)]
    return "\n".join(lines)


def _kilometres(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
