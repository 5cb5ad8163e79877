"""The first commands on every new connection (login, database, tracking), and the checks of hash replies."""

from __future__ import annotations

import hiredis

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from geosteer.keys import Keys
    from geosteer.resp.link import Link
    from geosteer.settings import Settings


class Handshake:
    """Logs in, selects the database and asks for pushes; remembers whether they are to be had."""

    __slots__ = ("_keys", "_say", "_settings", "pushes")

    def __init__(self, settings: Settings, keys: Keys, say: Callable[[str, str], None]) -> None:
        """Args: say: takes a topic and a line for the log."""
        self._settings, self._keys, self._say = settings, keys, say
        self.pushes = True
        """Changes are announced; else they are asked for."""

    def greet(self, link: Link) -> None:
        """Queue it; an error ends the connection: a Redis that refuses is as good as down."""
        settings, keys = self._settings, self._keys
        login = ("AUTH", settings.username or "default", settings.password) if settings.password else ()
        link.ask(("HELLO", 3, *login), lambda reply: self._hello(link, reply))
        if settings.address.database:
            link.ask(("SELECT", settings.address.database), lambda reply: accepted(link, reply))
        tracking = ["CLIENT", "TRACKING", "ON", "BCAST"]
        for prefix in (keys.current, keys.nodes, keys.beat, keys.override):
            tracking += ["PREFIX", prefix]
        link.ask(tracking, lambda reply: self._tracked(link, reply))

    def _hello(self, link: Link, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOPROTO"):
            self.pushes = False
        else:
            accepted(link, reply)

    def _tracked(self, link: Link, reply: Any) -> None:
        refused = isinstance(reply, hiredis.ReplyError)
        if refused and not str(reply).startswith(("NOAUTH", "NOPERM", "LOADING")):
            if self.pushes:
                self._say("push", f"{self._settings.address}: no pushes ({reply}); asking every second")
            self.pushes = False
        else:
            accepted(link, reply)


def accepted(link: Link, reply: Any) -> bool:
    """Whether a reply is not an error; an error ends the connection: a Redis that refuses is as good as down."""
    if isinstance(reply, hiredis.ReplyError):
        link.close(str(reply))
        return False
    return True


def hash_text(reply: Any) -> dict[str, str]:
    """A hash as text; what is not UTF-8 is marked, since it can match nothing.

    Raises: ValueError: it is not a hash of strings, so this is not a Redis.
    """
    if isinstance(reply, list):  # RESP2
        reply = dict(zip(reply[::2], reply[1::2], strict=True)) if all_bytes(reply) else None
    if not isinstance(reply, dict) or not all_bytes(reply) or not all_bytes(reply.values()):
        raise ValueError("the reply to HGETALL is not a hash")
    return {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in reply.items()}


def all_bytes(values: Any) -> bool:
    """Whether these are byte strings, and nothing else."""
    return all(type(value) is bytes for value in values)
