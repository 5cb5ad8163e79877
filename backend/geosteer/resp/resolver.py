"""A host name being resolved in a thread of its own, since the system's resolver blocks; imported only for host names."""

from __future__ import annotations

import _thread
import os

from geosteer.cmodules import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from geosteer.resp.url import Place


class Lookup:
    """One name on its way: `fd` can be read from when it has arrived."""

    __slots__ = ("_found", "done", "fd")

    def __init__(self, host: str, port: int) -> None:
        """Raises: OSError: no file descriptor or no thread is left for it."""
        self._found: list[Place] = []
        self.done: list[bool] = []
        """Not empty: the thread has ended."""
        self.fd, end = os.pipe()
        try:
            _thread.start_new_thread(_resolve, (host, port, self._found, self.done, end))
        except RuntimeError as exc:
            os.close(self.fd)
            os.close(end)
            raise OSError(str(exc)) from exc

    def result(self) -> list[Place]:
        """The addresses, in the system's order of preference; none: there is no such name. Ends the lookup."""
        self.drop()
        return list(dict.fromkeys(self._found))

    def drop(self) -> None:
        """Nobody waits for it any more; the thread ends by itself."""
        os.close(self.fd)


def _resolve(host: str, port: int, places: list[Place], done: list[bool], end: int) -> None:
    try:
        places += [
            (str(where[0]), port) for *_, where in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        ]
    except (OSError, ValueError):
        return
    finally:
        done.append(True)
        os.close(end)
