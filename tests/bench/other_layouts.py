"""Publishes a table the plain way: as one sorted set of ranges, or one hash of prefixes, for each family.

Run as a program: `other_layouts.py LAYOUT SOCKET TABLE FORMAT FILE`. Reads the file as geosteer's loader does, writes a
new key, in commands of many members that are sent ahead of their replies, and renames it over the old one. Prints JSON:
how many entries and ranges.

- `zset`: score 0, member = first address + record; `ZREVRANGEBYLEX key [address\\xff - LIMIT 0 1` finds an address.
- `hash`: prefix in binary -> record; a client asks for all lengths that occur.
"""

from __future__ import annotations

import json
import socket
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hiredis

from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.report import Report
from geosteer_loader.tables.flatten import flatten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from geosteer_loader.tables.ranges import Ranges

BATCH = 500
AHEAD = 20
"""Commands sent before the reply to the first of them is read."""


def zset(ranges: Ranges) -> Iterator[bytes | str]:
    """Arguments of ZADD: score, member, ..."""
    size = ranges.bits // 8
    for start, record in zip(ranges.starts, ranges.records, strict=True):
        yield "0"
        yield start.to_bytes(size, "big") + record.encode()


def hashed(ranges: Ranges) -> Iterator[bytes | str]:
    """Arguments of HSET: field, value, ..."""
    size = ranges.bits // 8
    for low, high, record in ranges.spans():
        at = low
        while record and at < high:
            free = min((at & -at).bit_length() - 1 if at else ranges.bits, (high - at).bit_length() - 1)
            yield at.to_bytes(size, "big") + bytes([ranges.bits - free])
            yield record
            at += 1 << free


class Server:
    """A connection that sends ahead."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._reader = hiredis.Reader()
        self._waiting = 0

    def send(self, *command: bytes | str | int) -> None:
        """Send a command; its reply is read later."""
        self._socket.sendall(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub allows one word
        self._waiting += 1
        if self._waiting >= AHEAD:
            self.drain()

    def drain(self) -> Any:
        """Read all replies; the last one."""
        reply = None
        while self._waiting:
            reply = self._reader.gets()
            if reply is False:
                self._reader.feed(self._socket.recv(1 << 16))
                continue
            if isinstance(reply, hiredis.ReplyError):
                raise reply
            self._waiting -= 1
        return reply


def write(server: Server, key: str, command: str, arguments: Iterable[bytes | str]) -> int:
    """Write a new key and put it in the place of the old one; how many entries it has."""
    rest = iter(arguments)
    count = 0
    while part := list(islice(rest, 2 * BATCH)):
        server.send(command, key + ":new", *part)
        count += len(part) // 2
    server.send("RENAME", key + ":new", key)
    server.drain()
    return count


def main() -> None:
    """The program."""
    layout, path, table, kind, file = sys.argv[1:]
    found = flatten([open_source(table, kind, Path(file))], Report())
    server = Server(path)
    entries = 0
    for bits, ranges in found.items():
        arguments = zset(ranges) if layout == "zset" else hashed(ranges)
        entries += write(
            server, f"{layout}:{table}:{bits}", "ZADD" if layout == "zset" else "HSET", arguments
        )
    print(json.dumps({"entries": entries, "ranges": sum(len(ranges.starts) for ranges in found.values())}))


if __name__ == "__main__":
    main()
