"""Lines of OpenBMP's messages `unicast_prefix` and `peer` as JSON objects, as goBMP writes them (BMP, RFC 7854).

`{"action": "add", "peer_ip": "192.0.2.1", "prefix": "198.51.100.0", "prefix_len": 24, "as_path": [64500, 64501]}`; `del` takes
a route away. The path stands there or below `base_attrs`, as numbers or as text, with sets in braces. `up` and `down` with
`remote_ip` are a session's state. A route that comes without an `up` begins a session, too: a collector is asked when its
routers have long been up. End-of-RIB is not told by all: a session is loaded when the number of its routes has settled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer_loader.rib.as_paths import SEQUENCE, path_of, path_of_steps
from geosteer_loader.rib.messages import FAULTS, Misread, Routes, State, number_of, path_id, peer_name
from geosteer_loader.sources.bgpdump import parse_steps

if TYPE_CHECKING:
    from geosteer_loader.rib.messages import Message
    from geosteer_loader.sources.bgp_routes import AsPath

MOST_PEERS = 1000
LONGEST_PATH = 50_000
"""Characters."""


class OpenbmpLines:
    """Reads them."""

    settles = True
    """End-of-RIB cannot be relied on."""

    def __init__(self) -> None:
        self._up: set[str] = set()
        self._router: str | None = None

    def begin(self) -> list[Message]:
        """A new connection: every session begins with its first line."""
        self._up.clear()
        self._router = None
        return []

    def read(self, document: Any) -> list[Message]:
        """The messages of one line.

        Raises: ValueError, KeyError, TypeError, AttributeError: malformed. Misread: the path of its route is.
        """
        self._check_router(document)
        action = document["action"]
        if action in {"up", "down"}:
            peer = peer_name(document["remote_ip"])
            (self._up.add if action == "up" else self._up.discard)(peer)
            return [State(peer=peer, up=action == "up", why=str(document.get("error_text", ""))[:200])]
        if action not in {"add", "del"}:
            return []
        if document.get("is_eor"):
            return []
        peer = peer_name(document["peer_ip"])
        length = document["prefix_len"]
        if type(length) is not int:
            raise ValueError("a prefix length that is not a number")
        bits, number = number_of(str(document["prefix"])[:64].partition("/")[0], length)
        route = number, path_id(document.get("path_id") or None)
        path, fault = None, None
        try:
            path = _path(document) if action == "add" else None
        except FAULTS as exc:
            fault = exc
        messages: list[Message] = []
        if peer not in self._up:
            if len(self._up) >= MOST_PEERS:
                raise ValueError(f"more than {MOST_PEERS} peers")
            self._up.add(peer)
            messages.append(State(peer=peer, up=True))
        messages.append(Routes(peer=peer, bits=bits, routes=[route], path=path))
        if fault is not None:
            raise Misread(fault, messages)
        return messages

    def _check_router(self, document: dict[str, Any]) -> None:
        """Two routers may have a session with the same peer, and know other routes of it: a stream is of one.

        Raises: ValueError: it is another one than before.
        """
        router = document.get("router_ip")
        if router is None:
            return
        if self._router is None:
            self._router = str(router)[:64]
        elif self._router != str(router)[:64]:
            raise ValueError(f"of router {str(router)[:64]}, in a stream of {self._router}")


def _path(document: dict[str, Any]) -> AsPath:
    told = document.get("as_path")
    if told is None:
        told = (document.get("base_attrs") or {}).get("as_path") or []
    if isinstance(told, str):
        if len(told) > LONGEST_PATH:
            raise ValueError(f"an AS path of more than {LONGEST_PATH} characters")
        if told.strip():
            return path_of_steps(tuple(parse_steps(told)))
        told = []
    peer_as = document.get("peer_asn", 0)
    return path_of([(SEQUENCE, list(told))] if told else [], peer_as if type(peer_as) is int else 0)
