"""A prober as a service: every check at its own interval, and what changes is posted at once."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from geosteer.errors import GeosteerError, StoreError
from geosteer_loader.health import schedule
from geosteer_loader.health.checks import plugin
from geosteer_loader.health.prober import Prober
from geosteer_loader.health.writer_report import Post

if TYPE_CHECKING:
    from geosteer_loader.health.watchlist import Check, Subject
    from geosteer_loader.health.writer_report import PostResult

log = logging.getLogger(__name__)

GATHER = 0.005
"""Seconds in which changes are gathered before they are written together."""
RETRY = 1.0
"""Seconds after which a write that failed is tried again."""


class Service(Prober):
    """A prober that goes on until it is stopped."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As for `Prober`."""
        super().__init__(*args, **kwargs)
        self._wake = asyncio.Event()
        self._stopping = False
        self._stopped = asyncio.Event()
        self._rest_until = 0.0
        self._tasks: dict[tuple[str, str], tuple[Subject, Check, asyncio.Task[None]]] = {}
        self._dirty: set[str] = set()
        self._checked: set[str] | None = None
        """Nodes checked since all verdicts were last posted; None: all are to be posted."""

    async def watch(self) -> None:
        """Make every check at its own interval until `stop` is called; what changes is posted at once.

        Nothing that Redis does ends it.
        """
        plugin.watch_children()
        loop = asyncio.get_running_loop()
        round_at, again_at, started = loop.time(), None, False
        while not self._stopping:
            await self._sleep_until(round_at if again_at is None else min(round_at, again_at))
            if self._stopping:
                break
            full = loop.time() >= round_at
            try:
                if full:
                    before = self._watched
                    await self._follow()
                    if self._watched is not before:
                        checks = sum(1 for _ in self._watched.checks())
                        log.info(
                            "%s: %d nodes, %d checks", self._exchange.name, len(self._watched.nodes), checks
                        )
                    self._start_tasks()
                    missed = max(loop.time() - round_at, 0.0) // self._watched.round
                if started:  # before that there are no results
                    again = await self._post(full=full)
                    again_at = (
                        None if again is None else loop.time() + max(again - self._exchange.time(), 0.01)
                    )
                started = True
                self._troubles.over("redis")
            except GeosteerError as exc:
                self._troubles.trouble("redis", str(exc))
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
        if self._connectivity.cut_off and not (full and await self._returns()):
            return None
        if await self._doubts():
            self._dirty.clear()
            self._trusted_from = loop.time()
            log.warning(
                "nearly all nodes failed at once, and so does %s: cut off, verdicts are withdrawn",
                ", ".join(self._connectivity.control),
            )
            await self._withdraw()
            return None
        await asyncio.sleep(max(GATHER, self._rest_until - loop.time()))
        dirty, self._dirty = self._dirty, set()
        write: set[str] | None = dirty
        if full:
            write, self._checked = self._checked, set()
        post = Post(
            verdicts=self._ledger.verdicts(),
            write=write,
            period=self._watched.round if full else None,
        )
        try:
            posted, used = await self._call(self._timed_post, post)
        except BaseException:
            self._dirty |= dirty
            self._checked = None
            raise
        if not full:  # while everything changes, half of the processor's time is for the probes
            self._rest_until = loop.time() + used
        self._troubles.posted(posted)
        self._troubles.troubles(posted)
        return posted.judgement.again

    async def _returns(self) -> bool:
        """Whether this prober is no longer cut off: what it sees counts again from here on."""
        now = asyncio.get_running_loop().time()
        proof = await self._connectivity.returns(self._ledger.good(), now)
        if proof is None:
            return False
        self._checked = None
        self._trusted_from = now
        log.warning("no longer cut off, %s answered: verdicts count from here on", proof)
        return True

    def _timed_post(self, post: Post) -> tuple[PostResult, float]:
        """The outcome, and the seconds of processor time that it took."""
        began = time.thread_time()
        return self._exchange.post(self._watched, post), time.thread_time() - began

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
        for key, (*made_for, task) in list(self._tasks.items()):
            if wanted.get(key) != tuple(made_for):
                task.cancel()
                del self._tasks[key]
        new = [pair for key, pair in wanted.items() if key not in self._tasks]
        for number, (node, check) in enumerate(new):
            task = asyncio.create_task(self._keep(node, check, number / len(new)))
            self._tasks[node.name, check.label] = node, check, task

    async def _keep(self, node: Subject, check: Check, position: float) -> None:
        loop = asyncio.get_running_loop()
        last = self._ledger.last(node.name, check)
        # The ledger counts in the primary's time, the loop in its own.
        ago = None if last is None else loop.time() - max(self._exchange.time() - last, 0.0)
        due, after = schedule.first(check, ago, position, loop.time())
        while True:
            await asyncio.sleep(due - loop.time())
            changed = await self._look(node, check)
            if self._checked is not None:
                self._checked.add(node.name)
            if changed:
                self._dirty.add(node.name)
                self._wake.set()
            due = after if after > loop.time() else schedule.following(check, after, loop.time())
            after = due + check.interval

    async def _leave(self) -> None:
        for *_, task in self._tasks.values():
            task.cancel()
        try:
            if self._tasks and not self._connectivity.cut_off:
                last = Post(verdicts=self._ledger.verdicts())
                await self._call(self._exchange.post, self._watched, last)
            await self._call(self._exchange.resign, "was stopped")
        except StoreError as exc:
            self._troubles.trouble("redis", str(exc))
        finally:
            self._redis.shutdown(wait=False)
