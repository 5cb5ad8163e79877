"""The link to a primary that Sentinel names (https://redis.io/docs/latest/develop/reference/sentinel-clients/)."""

from __future__ import annotations

from geosteer.resp.link import Link
from geosteer.resp.url import parse_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from geosteer.resp.url import Place


class SentinelLink(Link):
    """Asks one sentinel after another for the primary, and accepts the answer once that server confirms its role."""

    __slots__ = ("_believed", "_sentinels")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sentinels: list[Place] = list(self._address.places)
        self._believed = True

    def connect(self) -> None:
        """Begin with the sentinel that was right the last time, or with the next one."""
        if not self._believed:
            self._sentinels.append(self._sentinels.pop(0))
        self._believed = False
        self._dial(self._sentinels, self._ask_for_primary)

    def leave(self, reason: str) -> None:
        """Give the primary up for that which another sentinel names."""
        self._believed = False
        self.close(reason)

    def _ask_for_primary(self) -> None:
        self.ask(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._address.name), self._take_primary)

    def _take_primary(self, reply: Any) -> None:
        if isinstance(reply, list):
            place = parse_place(reply[0].decode(), reply[1].decode())
            tried = [place for place in self._sentinels if place not in self._dialer.left]
            self._sentinels = [place for place in self._sentinels if place not in tried[:-1]] + tried[:-1]
            self._dial([place], self._enter)
        else:
            self._go_on(f"knows no {self._address.name}" if reply is None else str(reply))

    def _verify(self) -> None:
        # A sentinel that was cut off may name a server that is no longer the primary.
        self.ask(("ROLE",), self._take_role)

    def _take_role(self, reply: Any) -> None:
        if isinstance(reply, list) and reply[0] == b"master":
            self._believed = True
        else:
            what = reply[0].decode("utf-8", "replace") if isinstance(reply, list) else str(reply)
            self.close(f"named as the primary of {self._address.name}, but is not: {what}")
