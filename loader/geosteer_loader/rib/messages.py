"""What a line of a stream says, whichever program wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from geosteer_loader.sources.prefix import parse_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.sources.bgp_routes import AsPath

    Message: TypeAlias = "Routes | EndOfRib | State | LinesLost"

Route = tuple[int, int | None]
"""A prefix as a number, `first address << 8 | length`, and its path identifier (RFC 7911), None without ADD-PATH."""

FAMILIES = {"ipv4": 32, "ipv6": 128}
"""Name of a family -> address bits."""

MOST_PATH_IDS = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """Routes of one family that are announced, or withdrawn."""

    peer: str
    bits: int
    routes: Sequence[Route]
    path: AsPath | None
    """None: withdrawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndOfRib:
    """All routes of a family were sent (RFC 4724, 2)."""

    peer: str
    bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A session came up, or went down."""

    peer: str
    up: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesLost:
    """Lines about a peer are missing in front of this one: what its session holds is unknown from here on."""

    peer: str
    why: str


FAULTS = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)
"""What reading something malformed raises."""


class Misread(ValueError):
    """A line of which something is malformed; what it says all the same is to be taken.

    A route whose path cannot be read is withdrawn (RFC 7606, 2, "treat-as-withdraw"): the one before it is gone in any case.
    """

    def __init__(self, fault: Exception, messages: Sequence[Message]) -> None:
        super().__init__(
            f"lacks {fault}" if isinstance(fault, KeyError) else str(fault) or type(fault).__name__
        )
        self.messages = messages


def prefix_number(text: object) -> tuple[int, int]:
    """Address bits and number of a prefix such as `192.0.2.0/24`; host bits are masked off.

    Raises: ValueError: not a prefix.
    """
    address, slash, size = _text(text).partition("/")
    if not (slash and size.isascii() and size.isdigit() and len(size) <= 3):
        raise ValueError(f"not a prefix: {_shown(text)}")
    return number_of(address, int(size))


def number_of(address: str, length: int) -> tuple[int, int]:
    """The same of an address and a length. Raises: ValueError: not a prefix."""
    bits, start = parse_address(address)
    if not 0 <= length <= bits:
        raise ValueError(f"prefix length out of range, 0 to {bits}: {length}")
    host = bits - length
    return bits, start >> host << host << 8 | length


def peer_name(address: object) -> str:
    """A peer's address as sessions are named by it. Raises: ValueError: not an address."""
    text = _text(address)
    parse_address(text)
    return text.lower()


def noted_peer(name: object) -> str:
    """A peer's name as a file of an earlier run has it. Raises: ValueError: not one."""
    if not isinstance(name, str) or not 0 < len(name) <= 64 or not name.isprintable():
        raise ValueError(f"not a peer: {_shown(name)}")
    return name


def in_one_line(text: str) -> str:
    """What somebody else wrote, as a log, the journal and a terminal can take it: control characters are escaped."""
    return text if text.isprintable() else repr(text)[1:-1]


def path_id(value: object) -> int | None:
    """A path identifier, as a number or in the form of an IPv4 address. Raises: ValueError: neither."""
    if value is None:
        return None
    if isinstance(value, str):
        bits, number = parse_address(value)
        if bits == 32:
            return number
    elif isinstance(value, int) and 0 <= value < MOST_PATH_IDS:
        return int(value)
    raise ValueError(f"not a path identifier: {_shown(value)}")


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 64:
        raise ValueError(f"not an address: {_shown(value)}")
    return value


def _shown(value: object) -> str:
    return repr(value)[:60]
