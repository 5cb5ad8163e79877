"""What is said of one link of the chain."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How a link is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and somebody should look at it."""
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """It could not be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One finding."""

    link: str
    """What was looked at, for example `redis memory`."""
    state: State
    what: str
    """How it is."""
    why: str = ""
    """What follows from that, or why it has to be so."""
    cure: str = ""
    """The command that mends it."""

    def to_json(self) -> dict[str, Any]:
        """As `geosteer doctor --json` lists it: the fields above."""
        return asdict(self)


def good(link: str, what: str) -> Link:
    """It is as it should be."""
    return Link(link=link, state=State.OK, what=what)


def wrong(link: str, what: str, cure: str, why: str = "") -> Link:
    """It is not, and this mends it."""
    return Link(link=link, state=State.WRONG, what=what, why=why, cure=cure)


def warning(link: str, what: str, cure: str, why: str = "") -> Link:
    """It works, but."""
    return Link(link=link, state=State.WARNING, what=what, why=why, cure=cure)


def unknown(link: str, what: str, cure: str = "") -> Link:
    """It could not be looked at; *cure* is how it can."""
    return Link(link=link, state=State.UNKNOWN, what=what, cure=cure)
