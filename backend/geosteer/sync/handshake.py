"""What a worker says to Redis before anything else: who it is, which database, and that it wants to hear of changes."""

from __future__ import annotations

from hiredis import ReplyError

from geosteer.process import connection_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from geosteer.keys import Keys
    from geosteer.resp.link import Link
    from geosteer.settings import Settings


class Handshake:
    """Logs in, selects the database and asks for pushes; remembers whether they are to be had."""

    __slots__ = ("_front_end", "_keys", "_say", "_settings", "pushes")

    def __init__(
        self, settings: Settings, keys: Keys, say: Callable[[str, str], None], front_end: str
    ) -> None:
        """Args: say: takes a topic and a line for the log; front_end: a part of the connection's name."""
        self._settings, self._keys, self._say, self._front_end = settings, keys, say, front_end
        self.pushes = True
        """Changes are announced; else they are asked for."""

    def greet(self, link: Link) -> None:
        """Queue it; an error ends the connection: a Redis that refuses is as good as down."""
        settings, keys = self._settings, self._keys
        login = ("AUTH", settings.username or "default", settings.password) if settings.password else ()
        # needs no further right; CLIENT SETNAME would
        named = ("SETNAME", connection_name(self._front_end))
        link.ask(("HELLO", 3, *login, *named), lambda reply: self._hello(link, reply))
        if settings.address.database:
            link.ask(("SELECT", settings.address.database), link.accepts)
        tracking = ["CLIENT", "TRACKING", "ON", "BCAST"]
        for prefix in (keys.current, keys.nodes, keys.beat, keys.override):
            tracking += ["PREFIX", prefix]
        link.ask(tracking, lambda reply: self._tracked(link, reply))

    def _hello(self, link: Link, reply: Any) -> None:
        if isinstance(reply, ReplyError) and str(reply).startswith("NOPROTO"):
            self.pushes = False
        else:
            link.accepts(reply)

    def _tracked(self, link: Link, reply: Any) -> None:
        refused = isinstance(reply, ReplyError)
        if refused and not str(reply).startswith(("NOAUTH", "NOPERM", "LOADING")):
            if self.pushes:
                self._say("push", f"{self._settings.address}: no pushes ({reply}); asking every second")
            self.pushes = False
        else:
            link.accepts(reply)
