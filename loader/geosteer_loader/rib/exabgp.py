"""Lines that ExaBGP 4 and 5 write for a program with `encoder json` (receive: parsed, update; neighbor-changes).

ExaBGP 4 tells the ASes of sets apart from the path, without their place: they count as the end of it, where an aggregating
router puts a set (RFC 4271, 9.2.2.2). ExaBGP 5 keeps the order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer_loader.rib.as_paths import (
    CONFEDERATION_SEQUENCE,
    SEQUENCE,
    SET,
    path_of,
)
from geosteer_loader.rib.messages import (
    FAMILIES,
    FAULTS,
    EndOfRib,
    LinesLost,
    Misread,
    Routes,
    State,
    path_id,
    peer_name,
    prefix_number,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.rib.messages import Message, Route
    from geosteer_loader.sources.bgp_routes import AsPath

UNICAST = {f"{name} unicast": bits for name, bits in FAMILIES.items()}
ELEMENTS = {"as-sequence": SEQUENCE, "as-set": SET}
"""Names of segments in ExaBGP 5 -> type; it calls those of confederations sequences, too."""
MOST_PEERS = 1000
"""Whose counters are remembered."""


class ExabgpLines:
    """Reads them one after the other; knows of each peer how many there were."""

    settles = False
    """End-of-RIB tells when a session is loaded."""

    def __init__(self) -> None:
        self._counters: dict[str, int] = {}

    def begin(self) -> list[Message]:
        """A new connection: what was said until now may be followed by anything."""
        return []

    def read(self, document: Any) -> list[Message]:
        """The messages of one line.

        Raises: ValueError, KeyError, TypeError, AttributeError: malformed. Misread: a part of it is.
        """
        if "neighbor" not in document:  # that ExaBGP shuts down
            return []
        neighbor = document["neighbor"]
        peer = peer_name(neighbor["address"]["peer"])
        messages = [*self._counted(peer, document.get("counter"))]
        try:
            if document["type"] == "state":
                state = neighbor["state"]
                if state in {"up", "down"}:  # "connected" is said of refused connections, too
                    why = str(neighbor.get("reason", ""))[:200]
                    messages.append(State(peer=peer, up=state == "up", why=why))
            elif document["type"] == "update":
                messages += _message(peer, neighbor)
        except Misread as exc:
            raise Misread(exc, [*messages, *exc.messages]) from exc
        except FAULTS as exc:  # nobody knows what it said of which routes
            lost = LinesLost(peer=peer, why="a line about it is malformed")
            raise Misread(exc, [*messages, lost]) from exc
        return messages

    def _counted(self, peer: str, counter: object) -> Iterator[Message]:
        """Each line of a peer has the number after the one before (of a program that started anew: 1)."""
        if type(counter) is not int:
            return
        before = self._counters.get(peer)
        if before is not None and counter != before + 1:
            yield LinesLost(peer=peer, why=f"line {counter} follows line {before}")
        if before is None and len(self._counters) >= MOST_PEERS:
            self._counters.clear()
        self._counters[peer] = counter


def _message(peer: str, neighbor: dict[str, Any]) -> list[Message]:
    """Raises: Misread: the path is malformed. ValueError, KeyError, TypeError, AttributeError: anything else is."""
    message = neighbor["message"]
    if "eor" in message:
        bits = UNICAST.get(f"{message['eor']['afi']} {message['eor']['safi']}")
        return [EndOfRib(peer=peer, bits=bits)] if bits else []
    update = message["update"]
    messages: list[Message] = [
        _routes(peer, UNICAST[family], nlri, None)
        for family, nlri in update.get("withdraw", {}).items()
        if family in UNICAST
    ]
    announced = {
        family: nlri for family, nlri in update.get("announce", {}).items() if family in UNICAST and nlri
    }
    if not announced:
        return messages
    path, fault = None, None
    try:
        path = _path(update.get("attribute", {}), neighbor["asn"]["peer"])
    except FAULTS as exc:
        fault = exc
    for family, by_next_hop in announced.items():
        messages += [_routes(peer, UNICAST[family], nlri, path) for nlri in by_next_hop.values()]
    if fault is not None:
        raise Misread(fault, messages)
    return messages


def _routes(peer: str, bits: int, listed: list[Any], path: AsPath | None) -> Routes:
    routes: list[Route] = []
    for entry in listed:
        if isinstance(entry, str):  # with exabgp.api.compact
            family, number = prefix_number(entry)
            routes.append((number, None))
        else:
            family, number = prefix_number(entry["nlri"])
            routes.append((number, path_id(entry.get("path-information"))))
        if family != bits:
            raise ValueError(f"a prefix of the other family: {entry!r}"[:100])
    return Routes(peer=peer, bits=bits, routes=routes, path=path)


def _path(attributes: dict[str, Any], peer_as: object) -> AsPath:
    if type(peer_as) is not int or not 0 <= peer_as <= 0xFFFFFFFF:
        raise ValueError("a peer without an AS number")
    told = attributes.get("as-path", [])
    segments: list[tuple[int, list[object]]] = []
    if isinstance(told, dict):  # ExaBGP 5
        ordered = [told[place] for place in sorted(told, key=int)]
        segments += [(ELEMENTS[segment["element"]], list(segment["value"])) for segment in ordered]
    else:
        if told:
            segments.append((SEQUENCE, list(told)))
        if attributes.get("confederation-path") or attributes.get("confederation-set"):
            segments.insert(0, (CONFEDERATION_SEQUENCE, []))
        if attributes.get("as-set"):
            segments.append((SET, list(attributes["as-set"])))
    return path_of(segments, peer_as)
