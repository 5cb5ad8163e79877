"""What workers on this host answer, seen with their settings, their user and their code; nothing is written."""

from __future__ import annotations

from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from geosteer import settings as worker_settings
from geosteer.counters.counters import Counters
from geosteer.decision.client import Client
from geosteer.decision.round_robin import last_resort
from geosteer.errors import StoreError
from geosteer.library.poll_loop import Pump
from geosteer.process import below
from geosteer.resp.url import shown
from geosteer.sync.lookups import NotReady
from geosteer.sync.tier import FALLBACK, Tier
from geosteer_loader.config.redis import RedisSettings
from geosteer_loader.query.context import Context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer.decision.model import Node
    from geosteer.settings import Settings

PATIENCE = 2.0
"""Seconds for which Redis may stay silent until it is told as not live: a worker that starts would answer without it then."""
FOUND = {"redis+sentinel", "redis+cluster"}
"""Schemes of which the server is asked for first."""
ATTEMPTS = 20
"""Times that a page is waited for, each for the worker's `timeout`."""


class Onlooker:
    """A worker that asks nothing of anybody but Redis, and leaves nothing behind."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.troubles: list[str] = []
        """What a worker would log, oldest first."""
        self.tier = Tier(
            settings, below, log=self.troubles.append, writes=False, counters=Counters("command")
        )

    def look(self, seconds: float = PATIENCE) -> None:
        """Follow Redis until what is published steers, or the time is over."""
        tier, pump = self.tier, Pump(self.tier, ())
        tier.start()
        end = monotonic() + seconds
        while not self.live and monotonic() < end:
            tier.due = min(tier.due, end)
            pump.arm()
            pump.handle(pump.poll())
        if tier.known is None:
            tier.load_last_good()

    @property
    def live(self) -> bool:
        """Whether it is steered by what is published."""
        return self.tier.name != FALLBACK

    @property
    def redis(self) -> str:
        """The server that it reads from, or tries to, as a URL without user and password."""
        address = self.settings.address
        return f"redis://{shown(self.tier.place)}" if address.scheme in FOUND else str(address)

    def servers(self) -> list[Node]:
        """Those of the round robin of last resort, as a worker without Redis has them."""
        known = self.tier.known
        nodes = known.model.nodes.values() if known is not None else ()
        return last_resort(nodes, self.tier.put_down(), self.settings.servers)

    def cell(self, table: str, bits: int, address: int) -> tuple[str, int]:
        """As `View.cell`. Raises: StoreError: Redis did not give a page in time."""
        client = Client(bits, address, bits)
        for attempt in range(ATTEMPTS):
            try:
                return self.tier.reach(client, (table,))(table)
            except NotReady as exc:
                if attempt == ATTEMPTS - 1:
                    raise StoreError(f"{self.redis}: {exc}: workers answer without it") from exc
        raise AssertionError

    def context(self) -> Context:
        """What decides about clients now. Raises: StoreError: nothing steers."""
        tier, generation = self.tier, self.tier.generation
        if generation is None or not self.live:
            raise StoreError(f"{self.redis}: not live: {self.trouble}")
        return Context(
            model=generation.model,
            cell=self.cell,
            states=tier.mirror.states,
            overrides=tier.mirror.overrides,
            loads={},
            now=tier.now(),
            generation=int(generation.number),
            tier=tier.name,
        )

    @property
    def trouble(self) -> str:
        """Why Redis is not live."""
        return "; ".join(dict.fromkeys(self.troubles)) or f"no answer within {PATIENCE:g} s"

    def connection(self) -> RedisSettings:
        """To the same server, as the same user, for commands that a worker never sends."""
        settings = self.settings
        # By the name that the settings have, which is the one in the server's certificate.
        url = settings.address.public
        if settings.address.scheme in FOUND:
            url = f"{self.redis}?db={settings.address.database}"
        tls: dict[str, Any] = {**settings.tls, "tls_strict": "tls_strict" in settings.tls}
        return RedisSettings(
            url=url,
            prefix=settings.prefix,
            username=settings.username or None,
            password=settings.password or None,
            **tls,
        )


@contextmanager
def watching(path: Path) -> Iterator[Onlooker]:
    """An onlooker with the settings of a worker's file, for a moment.

    Raises: ConfigError: no worker can use the file.
    """
    onlooker = Onlooker(worker_settings.load(str(path), copies=False))
    try:
        onlooker.look()
        yield onlooker
    finally:
        onlooker.tier.close()
