"""What is known of sessions from one run to the next: how many prefixes each had, and since when it is away. As JSON text.

The routes themselves are not kept: those of an hour ago are no routes. What is published stays until the sessions are whole
again, and this tells what "whole" is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from geosteer_loader.rib.messages import FAMILIES, noted_peer
from geosteer_loader.rib.session import MOST_PREFIXES, Phase
from geosteer_loader.rib.stream import MOST_SESSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.rib.stream import Stream

    Saved = dict[str, dict[str, tuple[dict[int, int], float | None]]]
    """Stream -> peer -> prefixes by address bits, and since when it is away (None: it is not)."""

VERSION = 1
MOST_BYTES = 1 << 20
MOST_STREAMS = 64


def text(streams: Mapping[str, Stream], elapsed: float) -> str:
    """The state of all streams. Args: elapsed: what is added to their time to have seconds since 1970."""
    document: dict[str, object] = {"version": VERSION}
    document["streams"] = {
        name: {
            peer: {
                "prefixes": {family: session.figures().get(bits, 0) for family, bits in FAMILIES.items()},
                "lost": None if session.lost_at is None else round(session.lost_at + elapsed),
            }
            for peer, session in stream.sessions.items()
            if session.phase is not Phase.WAITING or session.before
        }
        for name, stream in streams.items()
    }
    return json.dumps(document, indent=1) + "\n"


def read(content: str, elapsed: float) -> Saved:
    """The same from such a text, which anybody may have written; times are handed in as for `text`.

    Raises: ValueError: it is not one.
    """
    try:
        document = json.loads(content[:MOST_BYTES])
        if document["version"] != VERSION:
            raise ValueError(f"version {str(document['version'])[:20]} is not known")
        saved: Saved = {}
        for name, peers in list(document["streams"].items())[:MOST_STREAMS]:
            saved[name] = {
                noted_peer(peer): (
                    {bits: _count(told["prefixes"][family]) for family, bits in FAMILIES.items()},
                    None if told["lost"] is None else float(told["lost"]) - elapsed,
                )
                for peer, told in list(peers.items())[:MOST_SESSIONS]
            }
    except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as exc:
        raise ValueError(f"malformed: {exc}") from exc
    return saved


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MOST_PREFIXES:
        raise ValueError(f"not a number of prefixes: {str(value)[:20]}")
    return value
