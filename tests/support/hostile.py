"""A server that passes commands on to a real Redis, but for one that it answers as a test wants: an attacker."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

from support.relay import read_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Answer = bytes | Callable[[socket.socket], None]


class HostileServer:
    """Answers the command whose first word is *command* with `answer`; all others are Redis's to answer."""

    def __init__(self, folder: Path, target: Path, command: str = "", answer: Answer = b"") -> None:
        self.path = folder / "hostile"
        self.command, self.answer = command, answer
        self.answered = 0
        """How often it did."""
        self._target = target
        self._sockets: list[socket.socket] = []
        self.clients: list[socket.socket] = []
        """Connections of the worker, the latest last."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def push(self, data: bytes) -> None:
        """Send something on the latest connection that was not asked for."""
        with contextlib.suppress(OSError, IndexError):
            self.clients[-1].sendall(data)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._target))
                self._sockets += (client, server)
                self.clients.append(client)
                threading.Thread(target=self._requests, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        """One command after another, each with its reply, so that an answer of ours stands where it belongs."""
        pushes = threading.Thread(target=self._pass_back, args=(server, client), daemon=True)
        with contextlib.suppress(OSError, ValueError), client.makefile("rb") as stream:
            pushes.start()
            while command := read_command(stream):
                raw, words = command
                if words[0].decode() != self.command:
                    server.sendall(raw)
                    continue
                self.answered += 1
                threading.Event().wait(0.005)  # what was asked before is answered first
                if callable(self.answer):
                    self.answer(client)
                else:
                    client.sendall(self.answer)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _pass_back(server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data)
