"""A relay in front of Redis that dies at a chosen command: what a kill at that moment leaves behind."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


class Relay:
    """Passes commands on one by one; after *limit* of them every connection is cut, and none is accepted.

    With *lose_reply* the last command is carried out and only its reply is lost, else it never arrives.
    """

    def __init__(
        self, folder: Path, target: Path, limit: int | None = None, lose_reply: bool = False
    ) -> None:
        self.path = folder / "relay"
        self.path.unlink(missing_ok=True)
        self.commands: list[list[bytes]] = []
        """All that arrived."""
        self._target = target
        self._limit = limit
        self._lose_reply = lose_reply
        self._sockets: list[socket.socket] = []
        self._turn = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    @property
    def cut(self) -> bool:
        return self._limit is not None and len(self.commands) >= self._limit

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._target))
                self._sockets += (client, server)
                threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
                threading.Thread(target=self._replies, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), client.makefile("rb") as stream:
            while command := read_command(stream):
                with self._turn:
                    if self.cut:
                        return
                    self.commands.append(command[1])
                    if not self.cut:
                        server.sendall(command[0])
                        continue
                    if self._lose_reply:
                        server.sendall(command[0])
                        threading.Event().wait(
                            0.01
                        )  # Redis takes what arrived, also from a closed connection
                    self._close()
                    return

    def _replies(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                if self.cut:
                    return
                client.sendall(data)

    def _close(self) -> None:
        # shutdown, since closing does not wake a thread that waits in accept or recv
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def read_command(stream: object) -> tuple[bytes, list[bytes]] | None:
    """One RESP array of bulk strings: as it came, and its words; None at the end."""
    line = stream.readline()  # type: ignore[attr-defined]
    if not line:
        return None
    raw, words = line, []
    for _ in range(int(line[1:])):
        size = stream.readline()  # type: ignore[attr-defined]
        word = stream.read(int(size[1:]) + 2)  # type: ignore[attr-defined]
        raw += size + word
        words.append(word[:-2])
    return raw, words
