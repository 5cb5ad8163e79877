"""Who serves whom, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from geosteer_loader.cli.text.formatting import columns, terminal_width
from geosteer_loader.config.values import printable
from geosteer_loader.percent import percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geosteer_loader.query.who import MeasuredTimes, PartShare, Who

COUNTRIES = 20
"""Countries of each part that are shown on a terminal."""
NODES = 4
"""Nodes of a country that are shown."""
TITLE = {"v4": "IPv4, addresses", "v6": "IPv6, /48s", "clients": "clients given"}


def text(found: Who, *, full: bool = False) -> str:
    """Nodes and countries of each part; what is long is folded on a terminal unless *full*."""
    head = f"{found.service}: map {found.map}, policy {found.policy}, generation {found.generation}, nodes as of {found.time}"
    parts = [line for part, share in found.parts.items() for line in _part(TITLE[part], share, full=full)]
    return "\n".join([printable(head), *(parts or ["no clients are known"])])


def _part(title: str, part: PartShare, *, full: bool) -> Iterator[str]:
    yield ""
    yield click.style(f"{title}: {amount(part.clients)}", bold=True)
    yield columns(
        ("NODE", "SHARE"),
        [(printable(node), percent(share, 2)) for node, share in part.nodes.items()],
        full=full,
    )
    if part.times is not None:
        yield f"round trip: {_times(part.times)} ms, for {percent(part.times.share)} of the clients"
    yield ""
    whole = full or terminal_width() is None
    shown = part.countries if whole else part.countries[:COUNTRIES]
    rows = [
        (
            printable(line.country) or "-",
            amount(line.clients),
            percent(line.share, 2),
            *((_times(line.times) if line.times is not None else "-",) if part.times is not None else ()),
            _nodes(line.nodes, full=whole),
        )
        for line in shown
    ]
    measured = ("MS (BEST)",) if part.times is not None else ()
    yield columns(("COUNTRY", "CLIENTS", "SHARE", *measured, "NODES"), rows, full=full)
    if len(shown) < len(part.countries):
        yield f"... {len(part.countries) - len(shown)} more (--full shows them)"


def _times(times: MeasuredTimes) -> str:
    """Milliseconds that clients have, and in parentheses those that they could have."""
    return f"{times.got_ms:.0f} ({times.best_ms:.0f})"


def _nodes(nodes: Mapping[str, float], *, full: bool) -> str:
    shown = list(nodes.items())[: None if full else NODES]
    text = ", ".join(f"{printable(node)} {percent(share)}" for node, share in shown)
    return text + ", ..." * (len(shown) < len(nodes)) if nodes else "none"


def amount(count: float) -> str:
    """A number of clients."""
    return f"{count:,.0f}" if count >= 1000 or count == int(count) else f"{count:.3g}"
