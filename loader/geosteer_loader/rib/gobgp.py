"""Lines of `gobgp monitor global rib -j --current`: the new best route of each prefix that has another one.

GoBGP tells neither the state of its sessions nor End-of-RIB here: all is one session, that of the connection, and it is loaded
when the number of its routes has settled. `monitor adj-in` cannot be used: it says nothing of a session that is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer_loader.rib.as_paths import path_of
from geosteer_loader.rib.messages import FAULTS, Misread, Routes, State, prefix_number

if TYPE_CHECKING:
    from geosteer_loader.rib.messages import Message
    from geosteer_loader.sources.bgp_routes import AsPath

PEER = "gobgp"
AS_PATH = 2
OTHERS = frozenset({"rd", "labels"})
"""What routes of VPNs and labelled ones have beside a prefix: they are of other tables."""
NO_AS = 0
"""What an empty path means: a route of GoBGP's own, which a dump tells as one of AS 0."""


class GobgpLines:
    """Reads them."""

    settles = True
    """Nothing tells when a session is loaded."""

    def begin(self) -> list[Message]:
        """A new connection is a new session."""
        return [State(peer=PEER, up=True)]

    def read(self, document: Any) -> list[Message]:
        """The messages of one line. Raises: ValueError: malformed. Misread: some of its routes are; the others count."""
        if not isinstance(document, list):
            raise ValueError("not a list of routes")
        messages: list[Message] = []
        fault: Exception | None = None
        for entry in document:
            try:
                nlri = entry["nlri"]
                if "prefix" not in nlri or not OTHERS.isdisjoint(nlri):
                    continue
                bits, number = prefix_number(nlri["prefix"])
            except FAULTS as exc:
                fault = exc
                continue
            path = None
            try:
                path = None if entry.get("withdrawal") else _path(entry["attrs"])
            except FAULTS as exc:
                fault = exc
            messages.append(Routes(peer=PEER, bits=bits, routes=[(number, None)], path=path))
        if fault is not None:
            raise Misread(fault, messages)
        return messages


def _path(attributes: list[Any]) -> AsPath:
    for attribute in attributes:
        if attribute["type"] == AS_PATH:
            segments = [
                (segment["segment_type"], list(segment["asns"]))
                for segment in attribute.get("as_paths") or ()
            ]
            return path_of(segments, NO_AS)
    return path_of([], NO_AS)
