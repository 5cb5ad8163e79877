"""What `geosteer follow` tells of the routes that its sessions have to an address: one JSON object on one line. No I/O.

`{"version": 1, "sessions": [{"stream": "/run/geosteer-follow/exabgp.sock", "peer": "192.0.2.1", "state": "current", "why": "",
"routes": [{"prefix": "5.0.0.0/16", "id": null, "path": "3356 174", "length": 2, "origin": 174, "origins": [174]}]}]}`
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from geosteer_loader.rib.messages import in_one_line, prefix_number
from geosteer_loader.rib.session import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.rib.stream import Stream
    from geosteer_loader.sources.bgp_routes import AsPath

VERSION = 1
MOST_ROUTES = 5000
"""Of an answer; ten sessions with ADD-PATH have some hundreds."""
LONGEST_PATH = 1000
"""Characters of a path that are told."""
MOST_BYTES = 16 << 20
"""Of an answer; 5,000 routes with the longest paths have 6 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteHeld:
    """One route that counts."""

    prefix: tuple[int, int, int]
    """Address bits, first address, length."""
    identifier: int | None
    """Of the path, with ADD-PATH."""
    path: str
    length: int
    origin: int | None
    """The last AS; None: an AS set."""
    origins: tuple[int, ...]
    """Public ASes that the route may come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHeld:
    """One session, and its routes to the address."""

    stream: str
    """The socket on which it arrives."""
    peer: str
    state: str
    """`waiting`, `loading`, `current` or `lost`."""
    why: str
    """Why none of its routes counts; "": they do."""
    routes: list[RouteHeld] = field(default_factory=list)


def answer(name: str, stream: Stream, bits: int, address: int, now: float) -> list[dict[str, Any]]:
    """The sessions of a stream as they are told. Args: name: the stream's; now: by the time that it is given."""
    told = []
    for peer, session in stream.sessions.items():
        held = session.counting
        routes = [_route(*each) for each in _covering(held.told, bits, address)][:MOST_ROUTES] if held else []
        why = "" if held else session.lacking(now)
        told.append(
            {"stream": name, "peer": peer, "state": session.phase.value, "why": why, "routes": routes}
        )
    return told


def encode(sessions: list[dict[str, Any]]) -> bytes:
    """The whole answer, cut to `MOST_ROUTES` routes."""
    left = MOST_ROUTES
    for session in sessions:
        session["routes"] = session["routes"][:left]
        left -= len(session["routes"])
    return json.dumps({"version": VERSION, "sessions": sessions}, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> list[SessionHeld]:
    """The sessions of an answer. Raises: ValueError: it is not one; or why the service has none, in words."""
    try:
        document = json.loads(line)
        if "error" in document:
            raise ValueError(in_one_line(str(document["error"])[:200]))
        if document["version"] != VERSION:
            raise ValueError(in_one_line(f"answer of version {str(document['version'])[:20]}"))
        return [_session(told) for told in document["sessions"]]
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as exc:
        raise ValueError(f"malformed answer: {exc}"[:200]) from exc


def _covering(told: Any, bits: int, address: int) -> Iterator[tuple[int, int, int | None, AsPath]]:
    for length in range(bits + 1):
        host = bits - length
        number = address >> host << host << 8 | length
        for identifier, path in told(bits, number):
            yield bits, number, identifier, path


def _route(bits: int, number: int, identifier: int | None, path: AsPath) -> dict[str, Any]:
    first: Any = (ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address)(number >> 8)
    return {
        "prefix": f"{first}/{number & 255}",
        "id": identifier,
        "path": path.text[:LONGEST_PATH],
        "length": path.length,
        "origin": path.origin,
        "origins": list(path.origins),
    }


def _session(told: Any) -> SessionHeld:
    routes = told["routes"]
    if len(routes) > MOST_ROUTES:
        raise ValueError(f"more than {MOST_ROUTES} routes")
    return SessionHeld(
        stream=str(told["stream"])[:LONGEST_PATH],
        peer=in_one_line(str(told["peer"])[:64]),
        state=Phase(told["state"]).value,
        why=in_one_line(str(told["why"])[:LONGEST_PATH]),
        routes=[_held(route) for route in routes],
    )


def _held(told: Any) -> RouteHeld:
    bits, number = prefix_number(told["prefix"])
    origin, identifier = told["origin"], told["id"]
    return RouteHeld(
        prefix=(bits, number >> 8, number & 255),
        identifier=None if identifier is None else int(identifier),
        path=in_one_line(str(told["path"])[:LONGEST_PATH]),
        length=int(told["length"]),
        origin=None if origin is None else int(origin),
        origins=tuple(int(asn) for asn in told["origins"]),
    )
