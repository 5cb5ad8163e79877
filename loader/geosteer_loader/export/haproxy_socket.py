"""Changes maps of a running HAProxy through its stats socket (management.txt, `prepare map`, `add map`, `commit map`)."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

from geosteer_loader.export.watch import ReloadFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SECONDS = 10
"""How long HAProxy may take for one answer."""
MOST = 8192
"""Bytes of entries in one command; HAProxy's buffers have 16 KiB unless set otherwise."""
ANSWER = 65536
"""Bytes of an answer at most."""


class MapSocket:
    """A stats socket of level admin."""

    def __init__(self, path: str) -> None:
        self._path = path

    def replace(self, maps: Iterable[tuple[Path, str]]) -> None:
        """Give each map the content of its file: all are prepared first, then each is changed as a whole.

        Raises: ReloadFailed: HAProxy cannot be reached, or refuses; maps that were not committed are as they were.
        """
        ready = []
        for path, text in maps:
            found = re.search(r"version created: (\d+)", self._ask(f"prepare map {path}"))
            if found is None:
                raise ReloadFailed(f"{self._path}: {path}: HAProxy does not have this map")
            version = found[1]
            for part in _parts(text):
                said = self._ask(f"add map @{version} {path} <<\n{part}")
                if said:
                    raise ReloadFailed(f"{self._path}: {path}: {said[:200]}")
            ready.append((path, version))
        for path, version in ready:
            said = self._ask(f"commit map @{version} {path}")
            if said:
                raise ReloadFailed(f"{self._path}: {path}: {said[:200]}")

    def _ask(self, command: str) -> str:
        """The answer to one command, which has its own connection."""
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(SECONDS)
                link.connect(self._path)
                link.sendall(command.encode() + b"\n")
                answer = b""
                while part := link.recv(4096):
                    answer += part
                    if len(answer) > ANSWER:
                        raise ReloadFailed(f"{self._path}: endless answer")
        except OSError as exc:
            raise ReloadFailed(f"{self._path}: {exc.strerror or exc}") from exc
        return answer.decode(errors="replace").strip()


def _parts(text: str) -> Iterator[str]:
    """Whole lines of at most MOST bytes together."""
    lines: list[str] = []
    size = 0
    for line in text.splitlines(keepends=True):
        if size + len(line) > MOST:
            yield "".join(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield "".join(lines)
