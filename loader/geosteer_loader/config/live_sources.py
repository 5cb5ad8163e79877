"""Sources that are streams of BGP updates: `format = "exabgp"`, `"gobgp"` or `"openbmp"` with a `socket`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer_loader.config.values import address, choice, duration, flag, number, text
from geosteer_loader.rib.messages import FAMILIES
from geosteer_loader.rib.stream import FORMATS

if TYPE_CHECKING:
    from geosteer_loader.config.section import Table

LIVE = tuple(FORMATS)
"""Formats of streams, of tables `bgp` and `path`."""
STDIN = Path("-")
"""Stands for the standard input of `geosteer follow`."""
LONGEST = 107
"""Bytes of a socket's path (unix(7))."""
DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConfig:
    """A stream, and what of it is wanted."""

    socket: Path
    """Where it arrives; `STDIN` for the standard input."""
    state: Path
    """The file that keeps from run to run how many prefixes sessions had."""
    peers: tuple[str, ...] = ()
    """Addresses of the sessions that count; empty: all of the stream."""
    families: tuple[str, ...] = tuple(FAMILIES)
    """Those whose End-of-RIB is waited for."""
    min_routes: float = 0.9
    """0..1: with fewer of the prefixes that it had before, a session that came back is not whole."""
    forget: float = DAY
    """Seconds after which the routes of a lost session count no longer."""
    reset: bool = False
    """Whether ExaBGP is told to begin a session anew of which lines were lost."""


def read_live(entry: Table, base: Path, state: Path) -> LiveConfig:
    """The settings of such a source. Args: base: where paths begin; state: the file for what is kept."""
    where = entry.require("socket", text, "")
    path = STDIN if where == "-" else Path(base / where).absolute()
    if len(os.fsencode(path)) > LONGEST:
        entry.add("socket", f"is longer than the {LONGEST} bytes that the system takes: {path}")
    default = LiveConfig(socket=path, state=state)
    live = LiveConfig(
        socket=path,
        state=state,
        peers=tuple(peer.lower() for _, peer in entry.each("peers", address())),
        families=tuple(name for _, name in entry.each("families", choice(*FAMILIES))) or default.families,
        min_routes=entry.get("min_routes", number(0, 1), default.min_routes),
        forget=entry.get("forget", duration(1), default.forget),
        reset=entry.get("reset", flag, default.reset),
    )
    for key in ("path", "member", "max_size"):
        if key in entry:
            entry.raw(key)
            entry.add(key, "is a setting of files: a stream has a socket")
    return live
