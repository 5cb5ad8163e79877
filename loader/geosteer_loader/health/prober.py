"""A prober at work: one round from cron, or round after round as a service."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from geosteer.errors import GeosteerError, StoreError
from geosteer_loader.health import cadence, plugin
from geosteer_loader.health.board import Post
from geosteer_loader.health.cutoff import doubtful
from geosteer_loader.health.ledger import Ledger
from geosteer_loader.health.probes import Probes
from geosteer_loader.health.told import Told
from geosteer_loader.health.watchlist import Watchlist

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from geosteer_loader.health.board import Board, Posted
    from geosteer_loader.health.verdicts import Verdict
    from geosteer_loader.health.watchlist import Check, Subject

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

GATHER = 0.005
"""Seconds in which changes are gathered before they are written together."""
RETRY = 1.0
"""Seconds after which a write that failed is tried again."""
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
        self._slots = asyncio.Semaphore(cadence.allowed())
        self._told = Told()
        # as a service
        self._wake = asyncio.Event()
        self._stopping = False
        self._stopped = asyncio.Event()
        self._rest_until = 0.0
        self._tasks: dict[tuple[str, str], tuple[Check, asyncio.Task[None]]] = {}
        self._dirty: set[str] = set()
        self._cut_off = False
        self._trusted_from = 0.0
        self._control_good_until = 0.0

    # ------------------------------------------------------------------ once

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
            if cadence.overdue(check, self._ledger.last(node.name, check), self._period, now)
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
        self._told.troubles(posted)
        return posted

    # ------------------------------------------------------------------ as a service

    async def watch(self) -> None:
        """Make every check at its own interval until `stop` is called; what changes is posted at once.

        Nothing that Redis does ends it.
        """
        self._prepare_loop()
        loop = asyncio.get_running_loop()
        round_at, again_at = loop.time(), None
        while not self._stopping:
            await self._sleep_until(round_at if again_at is None else min(round_at, again_at))
            if self._stopping:
                break
            full = loop.time() >= round_at
            try:
                first = not self._tasks
                if full:
                    await self._follow()
                    self._start_tasks()
                    missed = max(loop.time() - round_at, 0.0) // self._watched.round
                if not first:  # else there is nothing to say yet
                    again = await self._post(full=full)
                    again_at = None if again is None else loop.time() + max(again - self._board.time(), 0.01)
                self._told.well("redis")
            except GeosteerError as exc:
                self._told.ill("redis", str(exc))
                await self._pause(min(RETRY, self._watched.round))
                self._wake.set()
                continue
            if full:
                round_at += self._watched.round * (1 + missed)
        await self._leave()

    def stop(self) -> None:
        """End `watch`; may be called from a signal handler of the loop."""
        self._stopping = True
        self._stopped.set()
        self._wake.set()

    async def _post(self, *, full: bool) -> float | None:
        """Post all verdicts, or those that changed; when to post again if nothing else happens."""
        loop = asyncio.get_running_loop()
        if self._cut_off and not full:
            return None
        if not await self._trustworthy():
            if not self._cut_off:
                self._cut_off = True
                log.warning(
                    "nearly all nodes failed at once, and so does %s: cut off, verdicts are withdrawn",
                    ", ".join(self._control),
                )
                await self._withdraw()
            return None
        if self._cut_off:
            self._cut_off = False
            self._trusted_from = loop.time()
            log.warning("%s answers again: verdicts count from here on", ", ".join(self._control))
        await asyncio.sleep(max(GATHER, self._rest_until - loop.time()))
        began = loop.time()
        dirty, self._dirty = self._dirty, set()
        said = Post(
            verdicts=self._ledger.verdicts(),
            write=None if full else dirty,
            period=self._watched.round if full else None,
        )
        try:
            posted = await self._call(self._board.post, self._watched, said)
        except BaseException:
            self._dirty |= dirty
            raise
        # While everything changes, half of the time is for the probes.
        self._rest_until = 2 * loop.time() - began
        self._told.posted(posted)
        self._told.troubles(posted)
        return posted.judgement.again

    async def _sleep_until(self, moment: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(max(moment, loop.time())):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            return

    def _start_tasks(self) -> None:
        """A task for each check, none for what is no longer configured."""
        wanted = {(node.name, check.label): (node, check) for node, check in self._watched.checks()}
        for key, (check, task) in list(self._tasks.items()):
            if key not in wanted or wanted[key][1] != check:
                task.cancel()
                del self._tasks[key]
        new = [pair for key, pair in wanted.items() if key not in self._tasks]
        for number, (node, check) in enumerate(new):
            task = asyncio.create_task(self._keep(node, check, number / len(new)))
            self._tasks[node.name, check.label] = check, task

    async def _keep(self, node: Subject, check: Check, position: float) -> None:
        loop = asyncio.get_running_loop()
        last = self._ledger.last(node.name, check)
        # The ledger counts in the primary's time, the loop in its own.
        ago = None if last is None else loop.time() - max(self._board.time() - last, 0.0)
        due, after = cadence.first(check, ago, position, loop.time())
        while True:
            await asyncio.sleep(due - loop.time())
            if await self._look(node, check):
                self._dirty.add(node.name)
                self._wake.set()
            due = after if after > loop.time() else cadence.following(check, after, loop.time())
            after = due + check.interval

    async def _leave(self) -> None:
        for _, task in self._tasks.values():
            task.cancel()
        try:
            if self._tasks and not self._cut_off:
                last = Post(verdicts=self._ledger.verdicts())
                await self._call(self._board.post, self._watched, last)
            await self._call(self._board.resign)
        except StoreError as exc:
            self._told.ill("redis", str(exc))
        finally:
            self._redis.shutdown(wait=False)

    # ------------------------------------------------------------------ both

    async def _follow(self) -> None:
        """Watch over what is published now."""
        try:
            watched = await self._call(self._board.refresh)
        except GeosteerError as exc:
            if not self._watched.nodes:
                raise
            # Emptied, or of a newer geosteer: what was watched over up to now still wants to be.
            self._told.ill("document", str(exc))
            return
        self._told.well("document")
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
        self._told.result(node.name, check.label, result)
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
        self._dirty.clear()
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
