"""A prober at work: makes the checks, keeps the counts, posts what follows; here one round, for cron."""

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
from geosteer_loader.health.ledger import Ledger
from geosteer_loader.health.mass_failure import doubtful
from geosteer_loader.health.operator_log import TroubleLog
from geosteer_loader.health.watchlist import Watchlist
from geosteer_loader.health.writer_report import Post

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from geosteer_loader.health.exchange import Board
    from geosteer_loader.health.verdicts import Verdict
    from geosteer_loader.health.watchlist import Check, Subject
    from geosteer_loader.health.writer_report import Posted

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

CONTROL = 2.0
"""Seconds that a control target has to answer."""
RESOLVERS = 64
"""Threads for resolving names: one whose servers are dead keeps a thread for up to half a minute."""


class CutOff(GeosteerError):
    """The prober's own network is down: it has no say on the nodes for now."""


class Prober:
    """Makes the checks of all nodes, keeps the counts, and posts what follows."""

    def __init__(
        self,
        board: Board,
        control: Sequence[str] = (),
        environ: Mapping[str, str] | os._Environ[str] | None = None,
        *,
        period: float = 0.0,
    ) -> None:
        """Args: control: targets that tell whether this prober's own network works; period: seconds between runs."""
        self._board = board
        self._control = tuple(control)
        self._period = period
        self._ledger = Ledger(period)
        self._probes = Probes(board.time, environ) if environ is not None else Probes(board.time)
        self._watched = Watchlist({}, ())
        self._redis = ThreadPoolExecutor(1, "redis")
        self._slots = asyncio.Semaphore(schedule.allowed())
        self._troubles = TroubleLog()
        self._cut_off = False
        self._trusted_from = 0.0
        self._control_good_until = 0.0

    async def once(self) -> Posted:
        """Make every check that is due, and post what follows.

        Raises: CutOff: the verdicts were withdrawn instead. StoreError: Redis failed, or nothing is published.
        """
        self._prepare_loop()
        await self._follow()
        now = self._board.time()
        due = [
            (node, check)
            for node, check in self._watched.checks()
            if schedule.overdue(check, self._ledger.last(node.name, check), self._period, now)
        ]
        await asyncio.gather(*(self._look(node, check) for node, check in due))
        if not await self._trustworthy():
            await self._withdraw()
            raise CutOff(
                f"{self._board.name}: nearly all nodes failed at once, and so does {', '.join(self._control)}: "
                "this prober is cut off, and its verdicts are withdrawn"
            )
        posted = await self._call(
            self._board.post, self._watched, Post(verdicts=self._ledger.verdicts(), period=self._period)
        )
        self._troubles.troubles(posted)
        return posted

    async def _follow(self) -> None:
        """Watch over what is published now."""
        try:
            watched = await self._call(self._board.refresh)
        except GeosteerError as exc:
            if not self._watched.nodes:
                raise
            # Emptied, or of a newer geosteer: what was watched over up to now still wants to be.
            self._troubles.trouble("document", str(exc))
            return
        self._troubles.over("document")
        if watched is None:
            return
        own: dict[str, Verdict] = await self._call(self._board.own)
        self._watched = watched
        self._ledger.follow(watched, own)

    async def _look(self, node: Subject, check: Check) -> bool:
        """Make one check; whether it changed this prober's verdict on the node."""
        async with self._slots:
            began = asyncio.get_running_loop().time()
            result = await self._probes.probe(node, check)
        self._troubles.result(node.name, check.label, result)
        if self._cut_off or began < self._trusted_from:
            return False
        return self._ledger.note(node.name, check, result, self._board.time())

    async def _trustworthy(self) -> bool:
        """Whether this prober may believe what it sees."""
        if not self._control:
            return True
        loop = asyncio.get_running_loop()
        doubt = self._cut_off or doubtful(*self._ledger.turned(self._board.time()))
        if not doubt or loop.time() < self._control_good_until:
            return True
        answers = await asyncio.gather(*(self._probes.answers(one, CONTROL) for one in self._control))
        if any(answers):
            self._control_good_until = loop.time() + self._watched.round
        return any(answers)

    async def _withdraw(self) -> None:
        """Take the failures of this round back, and let all verdicts expire now; no beat."""
        now = self._board.time()
        self._ledger.take_back(now)
        verdicts = self._ledger.verdicts()
        expired = {name: replace(one, expires=min(one.expires, now)) for name, one in verdicts.items()}
        try:
            # Judged by what was seen before, in case a part of it was posted already.
            await self._call(self._board.post, self._watched, Post(verdicts=expired, counted=verdicts))
            await self._call(self._board.resign)
        except StoreError as exc:
            log.warning("%s; the verdicts will expire by themselves", exc)

    async def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Talk to Redis in its thread, so that probes go on meanwhile."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._redis, lambda: function(*args, **kwargs))

    def _prepare_loop(self) -> None:
        plugin.watch_children()
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(RESOLVERS, "resolve"))
