"""The routes that sessions hold, as bytes that outlive the service. No I/O.

| part | what |
|---|---|
| `MAGIC` | names the format, and its version |
| 16 bytes | BLAKE2b of all that follows: a file that is cut off, or is something else, is none |
| the rest, compressed | a line of JSON (streams, sessions, counts), paths as text, then arrays of each session and family |

Arrays: prefixes and places of their paths, of routes without identifier; the same, and identifiers, of those with one.
"""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from geosteer_loader.rib.as_paths import own, path_of_steps
from geosteer_loader.rib.messages import FAMILIES
from geosteer_loader.rib.routes import SessionRoutes
from geosteer_loader.rib.session import MOST_PREFIXES
from geosteer_loader.sources.bgpdump import parse_steps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer_loader.rib.routes import Held
    from geosteer_loader.sources.bgp_routes import AsPath

MAGIC = b"geosteer routes 1\n"
MOST_BYTES = 256 << 20
"""Of a file; ten sessions of a full table have some 60 MB."""
MOST_PLAIN = 1 << 30
"""Of its content; the same have 200 MB."""
MOST_SESSIONS = 4096
WIDTH = {32: 8, 128: 17}
"""Address bits -> bytes of a prefix's number."""

END_OF_TIME = 253402300800.0
"""The year 10000, seconds since 1970."""

_DIGEST = 16
_SWAP = sys.byteorder == "big"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSession:
    """One session as it was."""

    stream: str
    format: str
    peer: str
    lost_at: float | None
    """Since when it was away, by the time of its stream; None: it was there."""
    routes: SessionRoutes


def encode(sessions: Iterable[KeptSession], now: float, elapsed: float) -> list[bytes]:
    """The content that `sealed` makes a file of, in pieces. Raises: ValueError: it is larger than what is read again.

    The routes must not change meanwhile; it takes half a second for a million. Args: now: seconds since 1970; elapsed: what
    is added to the times of sessions to have such.
    """
    places: dict[int, int] = {}
    paths: list[str] = []
    entries: list[dict[str, object]] = []
    arrays: list[bytes] = []

    def place(path: AsPath) -> int:
        found = places.get(id(path))
        if found is None:
            found = places[id(path)] = len(paths)
            paths.append(path.text or f"={path.origin}")
        return found

    for session in sessions:
        counts = {}
        for name, bits in FAMILIES.items():
            numbers, chosen, identifiers = _Numbers(bits), array("I"), array("I")
            for number, path in session.routes.plain(bits):
                numbers.append(number)
                chosen.append(place(path))
            arrays += [numbers.bytes(), _bytes(chosen)]
            numbers, others = _Numbers(bits), array("I")
            for number, identifier, path in session.routes.identified(bits):
                numbers.append(number)
                others.append(place(path))
                identifiers.append(identifier)
            arrays += [numbers.bytes(), _bytes(others), _bytes(identifiers)]
            counts[name] = [len(chosen), len(others)]
        entries.append(
            {
                "stream": session.stream,
                "format": session.format,
                "peer": session.peer,
                "lost": None if session.lost_at is None else session.lost_at + elapsed,
                "routes": counts,
            }
        )
    text = "\n".join(paths).encode()
    head = json.dumps({"at": now, "paths": len(text), "sessions": entries}).encode() + b"\n"
    if len(head) + len(text) + sum(map(len, arrays)) > MOST_PLAIN:
        raise ValueError(f"the routes take more than {MOST_PLAIN >> 20} MiB")
    return [head, text, *arrays]


def sealed(pieces: list[bytes]) -> bytes:
    """The file. Raises: ValueError: it is larger than what is read again."""
    packer = zlib.compressobj(1)
    body = b"".join([*map(packer.compress, pieces), packer.flush()])
    if len(body) > MOST_BYTES - 100:
        raise ValueError(f"the routes take more than {MOST_BYTES >> 20} MiB")
    return b"".join((MAGIC, blake2b(body, digest_size=_DIGEST).digest(), body))


def decode(content: bytes, elapsed: float) -> tuple[float, list[KeptSession]]:
    """When they were kept (seconds since 1970), and the sessions. Args: elapsed: as for `encode`.

    Raises: ValueError: not such a file, or not all of it.
    """
    start = len(MAGIC) + _DIGEST
    if not content.startswith(MAGIC):
        raise ValueError("not a file of routes, or of another version")
    body = memoryview(content)[start:]
    if blake2b(body, digest_size=_DIGEST).digest() != content[len(MAGIC) : start]:
        raise ValueError("damaged, or cut off")
    try:
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(body, MOST_PLAIN)
        if not unpacker.eof:
            raise ValueError("too large, or cut off")
        return _decoded(plain, elapsed)
    except (
        zlib.error,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RecursionError,
        OverflowError,
    ) as exc:
        raise ValueError(f"malformed: {exc}"[:200]) from exc


def _decoded(plain: bytes, elapsed: float) -> tuple[float, list[KeptSession]]:
    head = json.loads(plain[: plain.index(b"\n")])
    at = plain.index(b"\n") + 1
    size = _count(head["paths"], len(plain) - at)
    paths = [_path(line) for line in plain[at : at + size].decode().split("\n")] if size else []
    if len(head["sessions"]) > MOST_SESSIONS:
        raise ValueError("too many sessions")
    reader = _Arrays(plain, at + size, paths)
    sessions = [
        KeptSession(
            stream=str(told["stream"]),
            format=str(told["format"]),
            peer=str(told["peer"])[:64],
            lost_at=None if told["lost"] is None else _time(told["lost"]) - elapsed,
            routes=SessionRoutes({bits: reader.family(bits, *told["routes"][name]) for name, bits in FAMILIES.items()}),
        )
        for told in head["sessions"]
    ]  # fmt: skip
    reader.end()
    return _time(head["at"]), sessions


class _Arrays:
    """Reads the arrays one after the other."""

    def __init__(self, plain: bytes, at: int, paths: list[AsPath]) -> None:
        self._plain, self._at, self._paths = plain, at, paths

    def family(self, bits: int, plain: object, several: object) -> dict[int, Held]:
        """The routes of one session and family, given how many there are."""
        count = _count(plain, MOST_PREFIXES)
        held: dict[int, Held] = dict(zip(self._numbers(bits, count), self._taken(count), strict=True))
        count = _count(several, 1 << 28)
        by_prefix: dict[int, list[tuple[int, AsPath]]] = {}
        numbers, paths = self._numbers(bits, count), self._taken(count)
        for number, path, identifier in zip(numbers, paths, self._words(count), strict=True):
            by_prefix.setdefault(number, []).append((identifier, path))
        held.update({number: tuple(pairs) for number, pairs in by_prefix.items()})
        return held

    def end(self) -> None:
        """Raises: ValueError: there is more."""
        if self._at != len(self._plain):
            raise ValueError("has more bytes than it says")

    def _numbers(self, bits: int, count: int) -> list[int]:
        piece, width = self._piece(WIDTH[bits] * count), WIDTH[bits]
        if bits == 32:
            numbers = _array("Q", piece).tolist()
        else:
            numbers = [int.from_bytes(piece[low : low + width], "big") for low in range(0, len(piece), width)]
        for number in numbers:
            length = number & 255
            if length > bits or number >> (bits + 8) or (number >> 8) & ((1 << (bits - length)) - 1):
                raise ValueError("not a prefix")
        return numbers

    def _taken(self, count: int) -> list[AsPath]:
        return [self._paths[place] for place in self._words(count)]

    def _words(self, count: int) -> list[int]:
        return _array("I", self._piece(4 * count)).tolist()

    def _piece(self, size: int) -> bytes:
        piece = self._plain[self._at : self._at + size]
        if len(piece) != size:
            raise ValueError("has fewer bytes than it says")
        self._at += size
        return piece


def _path(line: str) -> AsPath:
    return (
        own(_count(int(line[1:]), 0xFFFFFFFF))
        if line.startswith("=")
        else path_of_steps(tuple(parse_steps(line)))
    )


class _Numbers:
    """Collects numbers of prefixes, in little room."""

    def __init__(self, bits: int) -> None:
        self._width = WIDTH[bits]
        self._short, self._long = array("Q"), bytearray()
        self._is_short = bits == 32

    def append(self, number: int) -> None:
        if self._is_short:
            self._short.append(number)
        else:
            self._long += number.to_bytes(self._width, "big")

    def bytes(self) -> bytes:
        return _bytes(self._short) if self._is_short else bytes(self._long)


def _bytes(values: array[int]) -> bytes:
    if _SWAP:
        values.byteswap()
    return values.tobytes()


def _array(code: str, piece: bytes) -> array[int]:
    values: array[int] = array(code)
    values.frombytes(piece)
    if _SWAP:
        values.byteswap()
    return values


def _time(value: Any) -> float:
    time = float(value)
    if not 0 <= time < END_OF_TIME:
        raise ValueError("not a time")
    return time


def _count(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError("not a count")
    return value
