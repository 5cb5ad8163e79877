"""Whether a prober may believe what it sees: when nearly all nodes fail at once, its own network may be what failed.

| state | becomes | when |
|---|---|---|
| connected | cut off | nearly all nodes turn bad within a round, and no control target answers |
| cut off | connected | a control target answers, or nodes answer that answered before |
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from geosteer_loader.health.mass_failure import doubtful

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from geosteer_loader.health.checks.result import Result

CONTROL = 2.0
"""Seconds that a control target has to answer."""
ROUNDS = 2
"""Rounds after which the nodes that answered are counted against those that did not: these take longer to notice."""


class Connectivity:
    """What a prober knows of its own network."""

    def __init__(self, control: Sequence[str], answers: Callable[[str, float], Awaitable[bool]]) -> None:
        """Args: control: control targets; without any the prober never doubts itself; answers: asks one, for some seconds."""
        self.control = tuple(control)
        self.cut_off = False
        self._answers = answers
        self._trusted_until = 0.0
        self._proof_from = 0.0
        self._seen: dict[str, dict[str, bool]] = {}
        """While cut off: node -> check -> whether its last result was good."""

    def note(self, node: str, check: str, result: Result) -> None:
        """Take in a result while cut off: it does not count for the node, but for the way there."""
        if result.good is not None:
            self._seen.setdefault(node, {})[check] = result.good

    async def doubts(self, turned: int, good: int, now: float, round_: float) -> bool:
        """Whether the prober has to take itself for cut off, while it is connected.

        Args: turned: nodes that turned bad within the last round; good: nodes that did not; now: any clock, seconds;
            round_: seconds of a round, for which a control target that answers dispels all doubt.
        """
        if not self.control or not doubtful(turned, good) or now < self._trusted_until:
            return False
        if await self._control_answers():
            self._trusted_until = now + round_
            return False
        self._seen.clear()
        self._proof_from = now + ROUNDS * round_
        self.cut_off = True
        return True

    async def returns(self, expected: Collection[str], now: float) -> str | None:
        """The evidence that a prober that was cut off is connected again; None: there is none.

        Args: expected: nodes that were good before.
        """
        nodes = {node for node, checks in self._seen.items() if all(checks.values())}
        missing = self._seen.keys() & {*expected} - nodes
        if now >= self._proof_from and nodes and not doubtful(len(missing), len(nodes)):
            proof = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
        elif await self._control_answers():
            proof = ", ".join(self.control)
        else:
            return None
        self.cut_off = False
        return proof

    async def _control_answers(self) -> bool:
        return any(await asyncio.gather(*(self._answers(target, CONTROL) for target in self.control)))
