"""What is told of a session in Redis, a field of the hash `session` each: `STREAM PEER` -> JSON. No I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geosteer_loader.rib.messages import FAMILIES
from geosteer_loader.rib.session import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.rib.session import Session

MOST_SESSIONS = 256
"""That are read."""
LONGEST = 1000
"""Characters of a field's value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One session."""

    state: str
    """`waiting`, `loading`, `current` or `lost`."""
    prefixes: Mapping[str, int]
    """Family (`ipv4`) -> prefixes that it has, or had when it was current last."""
    losses: int
    """How often it was lost since the service started."""
    at: str
    """When this was written, ISO 8601 UTC."""


def encode(session: Session, at: str) -> str:
    """The value of a session's field."""
    told = {
        "state": session.phase.value,
        "prefixes": {family: session.figures().get(bits, 0) for family, bits in FAMILIES.items()},
        "losses": session.losses,
        "at": at,
    }
    return json.dumps(told, separators=(",", ":"))


def decode(fields: Mapping[str, str]) -> dict[tuple[str, str], Figures]:
    """(stream, peer) -> what is told; fields that are damaged, or too many, are left out."""
    figures: dict[tuple[str, str], Figures] = {}
    for name, text in list(fields.items())[:MOST_SESSIONS]:
        stream, _, peer = name.rpartition(" ")
        try:
            told = json.loads(text[:LONGEST])
            prefixes = {family: told["prefixes"][family] for family in FAMILIES}
            read = Figures(
                state=told["state"], prefixes=prefixes, losses=told["losses"], at=str(told["at"])[:40]
            )
            Phase(read.state)
        except (ValueError, LookupError, TypeError, RecursionError):
            continue
        if all(type(count) is int and 0 <= count < 1 << 53 for count in (*prefixes.values(), read.losses)):
            figures[stream, peer] = read
    return figures
