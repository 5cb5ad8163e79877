"""A prober: makes the checks, keeps the counts, posts what follows; here one round, for cron."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from geosteer.errors import GeosteerError, StoreError
from geosteer_loader.health import schedule
from geosteer_loader.health.checks import plugin
from geosteer_loader.health.checks.run import Probes
from geosteer_loader.health.connectivity import Connectivity
from geosteer_loader.health.ledger import Ledger
from geosteer_loader.health.operator_log import TroubleLog
from geosteer_loader.health.watchlist import Watchlist
from geosteer_loader.health.writer_report import Post

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from geosteer_loader.health.exchange import Exchange
    from geosteer_loader.health.verdicts import Verdict
    from geosteer_loader.health.watchlist import Check, Subject
    from geosteer_loader.health.writer_report import PostResult

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)


class CutOff(GeosteerError):
    """The prober's own network is down: for now it cannot judge the nodes."""


class Prober:
    """Makes the checks of all nodes, keeps the counts, and posts what follows."""

    def __init__(
        self,
        exchange: Exchange,
        control: Sequence[str] = (),
        environ: Mapping[str, str] | os._Environ[str] | None = None,
        *,
        period: float = 0.0,
    ) -> None:
        """Args: control: targets that tell whether this prober's own network works; period: seconds between runs."""
        self._exchange = exchange
        self._period = period
        self._ledger = Ledger(period)
        self._probes = Probes(exchange.time, environ) if environ is not None else Probes(exchange.time)
        self._watched = Watchlist({}, ())
        self._redis = ThreadPoolExecutor(1, "redis")
        self._slots = asyncio.Semaphore(schedule.allowed())
        self._troubles = TroubleLog()
        self._connectivity = Connectivity(control, self._probes.answers)
        self._trusted_from = 0.0
        """Time of the loop; results of checks that began before do not count."""

    async def once(self) -> PostResult:
        """Make every check that is due, and post what follows.

        Raises: CutOff: the verdicts were withdrawn instead. StoreError: Redis failed, or nothing is published.
        """
        plugin.watch_children()
        await self._follow()
        now = self._exchange.time()
        due = [
            (node, check)
            for node, check in self._watched.checks()
            if schedule.overdue(check, self._ledger.last(node.name, check), self._period, now)
        ]
        await asyncio.gather(*(self._look(node, check) for node, check in due))
        if await self._doubts():
            await self._withdraw()
            raise CutOff(
                f"{self._exchange.name}: nearly all nodes failed at once, and so does "
                f"{', '.join(self._connectivity.control)}: this prober is cut off, and its verdicts are withdrawn"
            )
        posted = await self._call(
            self._exchange.post, self._watched, Post(verdicts=self._ledger.verdicts(), period=self._period)
        )
        self._troubles.troubles(posted)
        return posted

    async def _follow(self) -> None:
        """Check the nodes that are published now."""
        try:
            watched = await self._call(self._exchange.refresh)
        except GeosteerError as exc:
            if not self._watched.nodes:
                raise
            # Redis was emptied, or a newer geosteer published: go on with the nodes known up to now.
            self._troubles.trouble("document", str(exc))
            return
        self._troubles.over("document")
        if watched is None:
            return
        own: dict[str, Verdict] = await self._call(self._exchange.own)
        self._watched = watched
        self._ledger.follow(watched, own)

    async def _look(self, node: Subject, check: Check) -> bool:
        """Make one check; returns whether it changed this prober's verdict on the node."""
        async with self._slots:
            began = asyncio.get_running_loop().time()
            result = await self._probes.probe(node, check)
        self._troubles.result(node.name, check.label, result)
        if began < self._trusted_from:
            return False
        if self._connectivity.cut_off:
            self._connectivity.note(node.name, check.label, result)
            return False
        return self._ledger.note(node.name, check, result, self._exchange.time())

    async def _doubts(self) -> bool:
        """Whether this prober is cut off, as far as it sees, and so must not believe what it sees."""
        turned, good = self._ledger.turned(self._exchange.time())
        now = asyncio.get_running_loop().time()
        return await self._connectivity.doubts(turned, good, now, self._watched.round)

    async def _withdraw(self) -> None:
        """Take the failures of this round back, and let all verdicts expire now; no beat."""
        now = self._exchange.time()
        self._ledger.take_back(now)
        verdicts = self._ledger.verdicts()
        expired = {
            name: replace(verdict, expires=min(verdict.expires, now)) for name, verdict in verdicts.items()
        }
        try:
            # Judged by what was seen before, in case a part of it was posted already.
            await self._call(self._exchange.post, self._watched, Post(verdicts=expired, counted=verdicts))
            await self._call(self._exchange.resign, "withdrew its verdicts: it is cut off")
        except StoreError as exc:
            log.warning("%s; the verdicts will expire by themselves", exc)

    async def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Talk to Redis in its thread, so that probes go on meanwhile."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._redis, lambda: function(*args, **kwargs))
