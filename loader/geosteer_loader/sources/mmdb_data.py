"""The data section of an MMDB file: what the search tree points to. No I/O.

The reader written in C ends the process when a map of a damaged file has a key that is not text. Here everything is checked,
and what pointers share is decoded once.
Source: the MaxMind DB format specification, "Output Data Section".
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import mmap

DEPTH = 32
"""Levels of maps and lists; real records have five."""

GAP = 16
"""Zero bytes between search tree and data; pointers of the tree count them, too."""

_SLACK = 1 << 16
_POINTER, _TEXT, _DOUBLE, _BYTES, _MAP, _INT32, _ARRAY, _BOOLEAN, _FLOAT = 1, 2, 3, 4, 7, 8, 11, 14, 15
_UNSIGNED = {5: 2, 6: 4, 9: 8, 10: 16}
"""Type -> bytes at most."""
_POINTER_BASE = (0, 2048, 526336, 0)
_SIZE_BASE = {29: 29, 30: 285, 31: 65821}
_CORRUPT = "the data section is corrupt"


class DataSection:
    """Decodes records by their offset."""

    def __init__(self, data: bytes | mmap.mmap, start: int, end: int) -> None:
        """Args: start, end: of the section in *data*."""
        self._data = data
        self._start = start
        self._end = end
        self._shared: dict[int, Any] = {}  # offset that a pointer names -> what is there
        self._left = 8 * (end - start) + _SLACK  # values: each is decoded about once in a real file

    def digest(self) -> str:
        """Of all that records are decoded from, in hexadecimal digits."""
        with memoryview(self._data) as whole:
            return blake2b(whole[self._start : self._end], digest_size=32).hexdigest()

    def record(self, offset: int) -> Any:
        """What lies at *offset* of the section: dictionaries, lists, text and numbers; shared parts are the same objects.

        Raises: ValueError: damaged, nested too deeply, or built to take for ever.
        """
        try:
            return self._value(self._start + offset, 0)[0]
        except (IndexError, struct.error) as exc:
            raise ValueError(f"{_CORRUPT}: cut off") from exc

    def _value(self, at: int, depth: int) -> tuple[Any, int]:
        """A value and where the next begins."""
        self._left -= 1
        if not self._start <= at < self._end or depth > DEPTH or self._left < 0:
            raise ValueError(
                f"{_CORRUPT}: {'a pointer out of it' if depth <= DEPTH else 'nested too deeply'}"
            )
        data = self._data
        control = data[at]
        kind, size, at = control >> 5, control & 31, at + 1
        if kind == _POINTER:
            return self._pointed(control, at, depth)
        if not kind:
            kind, at = data[at] + 7, at + 1
        if size >= 29:
            more = size - 28
            size, at = _SIZE_BASE[size] + int.from_bytes(data[at : at + more], "big"), at + more
        if kind == _BOOLEAN:
            if size > 1:
                raise ValueError(f"{_CORRUPT}: a boolean of {size}")
            return bool(size), at
        if size > self._end - at:
            raise ValueError(f"{_CORRUPT}: cut off")
        if kind == _MAP:
            return self._map(at, size, depth + 1)
        if kind == _ARRAY:
            values = []
            for _ in range(size):
                value, at = self._value(at, depth + 1)
                values.append(value)
            return values, at
        return _scalar(kind, data[at : at + size]), at + size

    def _map(self, at: int, size: int, depth: int) -> tuple[dict[str, Any], int]:
        fields = {}
        for _ in range(size):
            key, at = self._value(at, depth)
            if not isinstance(key, str):
                raise ValueError(f"{_CORRUPT}: the key of a map is not text")
            fields[key], at = self._value(at, depth)
        return fields, at

    def _pointed(self, control: int, at: int, depth: int) -> tuple[Any, int]:
        size = control >> 3 & 3
        high = control & 7 if size < 3 else 0
        low = int.from_bytes(self._data[at : at + size + 1], "big")
        offset = (high << 8 * (size + 1) | low) + _POINTER_BASE[size]
        if offset not in self._shared:
            target = self._start + offset
            if target < self._end and self._data[target] >> 5 == _POINTER:
                raise ValueError(f"{_CORRUPT}: a pointer to a pointer")
            self._shared[offset] = self._value(target, depth + 1)[0]
        return self._shared[offset], at + size + 1


def _scalar(kind: int, raw: bytes) -> str | bytes | float | int:
    if kind == _TEXT:
        return raw.decode()
    if kind in _UNSIGNED and len(raw) <= _UNSIGNED[kind]:
        return int.from_bytes(raw, "big")
    if kind == _DOUBLE:
        return float(struct.unpack(">d", raw)[0])
    if kind == _FLOAT:
        return float(struct.unpack(">f", raw)[0])
    if kind == _INT32 and len(raw) <= 4:
        return int.from_bytes(raw, "big", signed=len(raw) == 4)
    if kind == _BYTES:
        return raw
    raise ValueError(f"{_CORRUPT}: unknown type {kind}, or one of {len(raw)} bytes")
