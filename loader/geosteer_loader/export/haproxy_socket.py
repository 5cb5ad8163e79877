"""Changes maps of a running HAProxy through its stats socket (management.txt, `prepare map`, `add map`, `commit map`)."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

from geosteer_loader.export.watch import ReloadFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SECONDS = 10
"""How long HAProxy may take for one answer."""
MOST = 8192
"""Bytes of entries in one command; HAProxy's buffers have 16 KiB unless set otherwise."""
ANSWER = 65536
"""Bytes of an answer at most."""


class MapSocket:
    """A stats socket of level admin."""

    def __init__(self, path: str, folder: Path) -> None:
        """Args: folder: where HAProxy has its maps from."""
        self._path = path
        self._folder = folder.absolute()

    def push(self, maps: Mapping[str, bytes | str]) -> None:
        """Give each map, by its file's name, its content: all are prepared first, then each is changed as a whole.

        Raises: ReloadFailed: HAProxy cannot be reached, or refuses; maps that were not committed are as they were.
        """
        ready = []
        for name, content in maps.items():
            path, text = self._folder / name, content if isinstance(content, str) else content.decode()
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

    def process(self) -> str:
        """Which process takes the commands: its number, and when it began (management.txt, `show info`).

        Raises: ReloadFailed: HAProxy cannot be reached.
        """
        return " ".join(re.findall(r"(?m)^(?:Pid|Start_time_sec): (\d+)", self._ask("show info")))

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
