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
from typing import TYPE_CHECKING, Any, cast

from geosteer_loader.rib.as_paths import MOST_ASES, own, path_of_steps
from geosteer_loader.rib.messages import FAMILIES, noted_peer
from geosteer_loader.rib.session import MOST_PREFIXES
from geosteer_loader.sources.bgpdump import parse_steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from geosteer_loader.rib.routes import Held
    from geosteer_loader.sources.bgp_routes import AsPath

MAGIC = b"geosteer routes 1\n"
MOST_BYTES = 256 << 20
"""Of a file; ten sessions of a full table have some 60 MB."""
MOST_PLAIN = 1 << 30
"""Of its content; the same have 200 MB."""
MOST_SESSIONS = 4096
CHUNK = 10_000
"""Prefixes that are looked at without giving others a chance to run."""
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
    held: Mapping[int, tuple[list[int], list[Held]]]
    """Address bits -> prefixes, and what is held of each."""


def encode(sessions: Iterable[KeptSession], now: float, elapsed: float) -> list[bytes]:
    """The content that `sealed` makes a file of, in pieces. Raises: ValueError: it is larger than what is read again.

    Args: now: seconds since 1970; elapsed: what is added to the times of sessions to have such.
    """
    paths = _Paths()
    entries: list[dict[str, object]] = []
    arrays: list[bytes] = []
    for session in sessions:
        counts = {}
        for name, bits in FAMILIES.items():
            numbers, held = session.held[bits]
            plain, identified, identifiers = _Routes(bits), _Routes(bits), array("I")
            for low in range(0, len(numbers), CHUNK):
                some, theirs = numbers[low : low + CHUNK], held[low : low + CHUNK]
                if tuple in set(map(type, theirs)):
                    flat = [
                        (number, *pair)
                        for number, each in zip(some, theirs, strict=True)
                        if isinstance(each, tuple)
                        for pair in each
                    ]
                    identified.add(
                        [number for number, _, _ in flat], paths.places([path for _, _, path in flat])
                    )
                    identifiers.extend([identifier for _, identifier, _ in flat])
                    rest = [pair for pair in zip(some, theirs, strict=True) if not isinstance(pair[1], tuple)]
                    some, theirs = [number for number, _ in rest], [path for _, path in rest]
                plain.add(some, paths.places(cast("list[AsPath]", theirs)))
            arrays += [*plain.pieces(), *identified.pieces(), _bytes(identifiers)]
            counts[name] = [len(plain.paths), len(identified.paths)]
        entries.append(
            {
                "stream": session.stream,
                "format": session.format,
                "peer": session.peer,
                "lost": None if session.lost_at is None else session.lost_at + elapsed,
                "routes": counts,
            }
        )
    text = "\n".join(paths.texts).encode()
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
            peer=noted_peer(told["peer"]),
            lost_at=None if told["lost"] is None else _time(told["lost"]) - elapsed,
            held={bits: reader.family(bits, *told["routes"][name]) for name, bits in FAMILIES.items()},
        )
        for told in head["sessions"]
    ]  # fmt: skip
    reader.end()
    return _time(head["at"]), sessions


class _Arrays:
    """Reads the arrays one after the other."""

    def __init__(self, plain: bytes, at: int, paths: list[AsPath]) -> None:
        self._plain, self._at, self._paths = plain, at, paths

    def family(self, bits: int, plain: object, several: object) -> tuple[list[int], list[Held]]:
        """The routes of one session and family, given how many there are."""
        count = _count(plain, MOST_PREFIXES)
        numbers: list[int] = self._numbers(bits, count)
        held: list[Held] = [*self._taken(count)]
        count = _count(several, 1 << 28)
        by_prefix: dict[int, list[tuple[int, AsPath]]] = {}
        identified, paths = self._numbers(bits, count), self._taken(count)
        for number, path, identifier in zip(identified, paths, self._words(count), strict=True):
            by_prefix.setdefault(number, []).append((identifier, path))
        numbers += by_prefix
        held += map(tuple, by_prefix.values())
        return numbers, held

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
        masks = [(1 << (bits - length)) - 1 for length in range(bits + 1)]
        try:
            wrong = any(number >> 8 & masks[number & 255] for number in numbers)
        except IndexError:
            wrong = True
        if wrong or max(numbers, default=0) >> (bits + 8):
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
    if line.startswith("="):
        return own(_count(int(line[1:]), 0xFFFFFFFF))
    if line.isascii() and line.replace(" ", "").isdigit():  # without a set, as nearly all are
        numbers = [int(word) for word in line.split(" ")]
        if len(numbers) > MOST_ASES or max(numbers) > 0xFFFFFFFF:
            raise ValueError("not an AS path")
        return path_of_steps(tuple([(number,) for number in numbers]))
    return path_of_steps(tuple(parse_steps(line)))


class _Paths:
    """Paths in the order in which they are first met."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._places: dict[int, int] = {}

    def places(self, paths: list[AsPath]) -> Iterator[int]:
        """The place of each path, by its identity: equal ones are mostly one object, and all of them live on meanwhile."""
        ids = list(map(id, paths))
        for key, path in dict(zip(ids, paths, strict=True)).items():
            if key not in self._places:
                self._places[key] = len(self.texts)
                self.texts.append(path.text or f"={path.origin}")
        return map(self._places.__getitem__, ids)


class _Routes:
    """Numbers of prefixes and places of paths, in little room."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._short, self._long = array("Q"), bytearray()
        self.paths = array("I")

    def add(self, numbers: list[int], paths: Iterator[int]) -> None:
        if self._bits == 32:
            self._short.extend(numbers)
        else:
            self._long += b"".join([number.to_bytes(WIDTH[128], "big") for number in numbers])
        self.paths.extend(paths)

    def pieces(self) -> list[bytes]:
        return [_bytes(self._short) if self._bits == 32 else bytes(self._long), _bytes(self.paths)]


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
