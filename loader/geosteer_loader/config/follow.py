"""`[follow]`: what `geosteer follow` watches, and how long it waits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer_loader.config.live_sources import LONGEST, STDIN
from geosteer_loader.config.values import duration, flag, number, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geosteer_loader.config.section import Table
    from geosteer_loader.config.sources import SourceConfig

SOCKET = "follow.sock"
"""Name of the socket for questions, beside the one of the first stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """How the service follows the sources."""

    config: bool = True
    """Whether a change of geosteer.toml is published as well; if not, the published configuration stays as it is."""
    quiet: float = 5
    """Seconds without a change, after which changes are published."""
    ceiling: float = 60
    """Seconds after the first change at which it is published even if others go on."""
    settle: float = 10
    """Seconds for which a file must stay as it is, where this user may not ask the kernel who writes to it."""
    min_routes: float = 0.9
    """0..1: a dump with fewer of the prefixes of the one before, in either family, is taken for half a table."""
    fetch: float = 900
    """Seconds between two looks at sources that are URLs."""
    interval: float = 5
    """Seconds within which a change of a table that follows BGP sessions is to be published."""
    socket: Path | None = None
    """Where `geosteer bgp` asks for the routes of sessions; None: nowhere."""


def read_follow(table: Table, base: Path, sources: Mapping[str, Sequence[SourceConfig]]) -> Follow:
    """The service's settings. Args: base: where paths begin; sources: of all tables."""
    default = Follow()
    streams = [source.live.socket for each in sources.values() for source in each if source.live is not None]
    beside = next((socket.with_name(SOCKET) for socket in streams if socket != STDIN and socket.name), None)
    where = table.get("socket", text, None)
    socket = beside if where is None else Path(base / where).absolute()
    if socket is not None and len(os.fsencode(socket)) > LONGEST:
        if where is not None:
            table.add("socket", f"is longer than the {LONGEST} bytes that the system takes: {socket}")
        socket = None
    if socket in streams:
        table.add("socket", f"is the one of a stream: {socket}")
    follow = Follow(
        config=table.get("config", flag, default.config),
        quiet=table.get("quiet", duration(0), default.quiet),
        ceiling=table.get("ceiling", duration(0), default.ceiling),
        settle=table.get("settle", duration(0), default.settle),
        min_routes=table.get("min_routes", number(0, 1), default.min_routes),
        fetch=table.get("fetch", duration(1), default.fetch),
        interval=table.get("interval", duration(1), default.interval),
        socket=socket,
    )
    if follow.ceiling < follow.quiet:
        table.add("ceiling", "must not be less than quiet")
    table.finish()
    return follow
