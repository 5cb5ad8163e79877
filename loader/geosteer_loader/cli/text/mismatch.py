"""What `geosteer mismatch` found, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.cli.text.formatting import columns
from geosteer_loader.percent import percent

if TYPE_CHECKING:
    from geosteer_loader.query.mismatch import Mismatch


def text(found: Mismatch) -> str:
    """The whole result."""
    clients = f"{found.pairs} pairs, {found.clients:g} clients"
    regions = f"another region of the map: {percent(found.region_share)}"
    lines = [
        f"{found.service} {found.type}, policy {found.policy}: {clients}",
        f"another node than by their own address: {percent(found.differ_share)} ({regions})",
    ]
    if found.unknown:
        lines.append(f"left out: {found.unknown:g} more clients of whom only a network of length 0 is known")
    if found.mean_extra_km is None:
        lines.append("extra distance unknown: no table tells where clients are, or nodes have no location")
    else:
        spread = ", ".join(f"{name} {value}" for name, value in found.extra_km.items())
        lines.append(
            f"extra distance: mean {found.mean_extra_km:.0f} km over {percent(found.located_share)} of clients "
            f"({spread})"
        )
    if found.resolvers:
        rows = [
            (
                one.resolver,
                f"{one.clients:g}",
                percent(one.differ_share),
                _kilometres(one.mean_extra_km),
            )
            for one in found.resolvers
        ]
        lines += ["", columns(("RESOLVER", "CLIENTS", "OTHER NODE", "EXTRA KM"), rows)]
    return "\n".join(lines)


def _kilometres(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
