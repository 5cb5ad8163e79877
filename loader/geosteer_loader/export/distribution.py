"""What a decision comes to where a hash of the client's network settles it: each answer, and how many clients get it.

The same rules as `geosteer.decision.director`, over all networks at once. A node's draw for its share and its place among
equals are independent of each other and between nodes, so that the parts can be added up exactly.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from geosteer.decision import policy
from geosteer.decision.client import Client
from geosteer.decision.director import ASK_STATES, GIVE_DRAINED, IGNORE_ALL, IGNORE_DRAINS, IGNORE_PROBES
from geosteer.decision.node_state import NodeState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from geosteer.decision.director import Director
    from geosteer.decision.model import Entries, Node, Service

    Look = Callable[[str], tuple[str, int]]
    Chances = dict[Node, float]

_UNKNOWN = NodeState()
_SOMEBODY = Client(32, 0, 24)


def place(record: str) -> tuple[float, float] | None:
    """Latitude and longitude of a `geo` record, where it has them."""
    parts = record.split(" ")
    return (float(parts[1]), float(parts[2])) if len(parts) == 3 else None


def lengths(record: str) -> dict[str, int]:
    """Vantage point -> AS-path length of a `path` record, `lon=3 ams=4`."""
    parts = (part.partition("=") for part in record.split(" "))
    return {name: int(length) for name, _, length in parts if length.isdigit()}


class Walk:
    """The ways that clients of one kind of network take through the layers of a service's map."""

    def __init__(
        self,
        director: Director,
        service: Service,
        records: Mapping[str, str],
        states: Mapping[str, NodeState],
        now: float,
    ) -> None:
        """Args: records: table -> what it says of them, "" on a miss; now: seconds since 1970."""
        self._director = director
        self._service = service
        self._records = records
        self._states = states
        self._now = now

    def named(self) -> Iterator[tuple[str, Entries]]:
        """The layers of the map that name them, each with its key, `default` last."""
        for layer, table, entries in self._service.map.layers:
            for key in self._director.keys(layer, self._records.get(table, "")):
                if key in entries:
                    yield f"{layer} {key}", entries[key]
                    break
        yield "default", self._service.map.default

    def settled(self) -> dict[str, tuple[Node, ...]] | None:
        """Record type -> nodes, best first, where all of them get the same; None where a hash or a draw settles it."""

        def look(table: str) -> tuple[str, int]:
            return self._records.get(table, ""), 1

        decision = self._director.decide(self._service, _SOMEBODY, look, self._states, self._now)
        return None if decision.split else decision.answer

    def chances(self, kind: str) -> Chances:
        """Each node that some of them get as the first of their answer -> the part of them that do; empty: refused."""
        found = self._through(kind, ASK_STATES) or self._through(kind, GIVE_DRAINED)
        if not found and self._service.map.all_down != "none":
            levels = (IGNORE_PROBES, IGNORE_DRAINS, IGNORE_ALL)
            found = next((some for ignore in levels if (some := self._through(kind, ignore))), {})
        return found

    def ranking(self, serving: Callable[[Node], bool] = lambda _: True) -> list[list[policy.Candidate]]:
        """Groups of equals, best first, as they are tried one after the other: layer by layer, then all that are left.

        Weights decide, shares don't. *serving* says which nodes count, where the policy compares them with each other.
        """
        groups: list[list[policy.Candidate]] = []
        seen: set[str] = set()
        for _, entries in (*self.named(), ("any", self._service.map.everyone)):
            found = [policy.Candidate(node, weight, 1.0) for node, weight in entries if weight > 0]
            here = [candidate for candidate in found if serving(candidate.node)]
            for group in self._groups(here) if here else []:
                fresh = [candidate for candidate in group if candidate.node.name not in seen]
                seen.update(candidate.node.name for candidate in fresh)
                if fresh:
                    groups.append(fresh)
        return groups

    # ------------------------------------------------------------------ the rules of `geosteer.decision.director`

    def _through(self, kind: str, ignore: int) -> Chances:
        chances: Chances = {}
        met: list[list[policy.Candidate]] = []
        left = 1.0
        for _, entries in self.named():
            left = self._try(self._serving(entries, kind, ignore), chances, met, left)
            if left <= 0:
                return chances
        if not met:
            left = self._try(self._serving(self._service.map.everyone, kind, ignore), chances, met, left)
        if met and left > 0:
            self._to_highest(chances, met, left)
        return chances

    def _try(
        self,
        candidates: Sequence[policy.Candidate],
        chances: Chances,
        met: list[list[policy.Candidate]],
        left: float,
    ) -> float:
        """Give *left* of the clients to candidates of one layer; the part whom none of them keeps."""
        if candidates and self._service.policy in {"weighted", "hash"}:
            total = sum(candidate.weight * candidate.share for candidate in candidates)
            for candidate in candidates:
                _add(chances, candidate.node, left * candidate.weight * candidate.share / total)
            return 0.0
        for group in self._groups(candidates) if candidates else []:
            before = {candidate.node.name for some in met for candidate in some}
            # A node that did not keep a client in one layer draws the same again in the next.
            fresh = [candidate for candidate in group if candidate.node.name not in before]
            for candidate in fresh:
                others = [other.share for other in fresh if other is not candidate]
                _add(chances, candidate.node, left * candidate.share * _first(others))
            met.append(group)
            left *= prod(1 - candidate.share for candidate in fresh)
            if left <= 0:
                return 0.0
        return left

    @staticmethod
    def _to_highest(chances: Chances, met: Sequence[Sequence[policy.Candidate]], left: float) -> None:
        """Those whom nobody keeps go to the highest share; of equals, to the one that their hash puts first."""
        highest = max(candidate.share for group in met for candidate in group)
        tops = [[one for one in group if one.share == highest] for group in met]
        first = next(group for group in tops if group)
        for candidate in first:
            _add(chances, candidate.node, left / len(first))

    def _groups(self, candidates: Sequence[policy.Candidate]) -> list[list[policy.Candidate]]:
        if len(candidates) > 1 and self._service.policy == "nearest":
            where = place(self._records.get("geo", ""))
            return policy.nearest(candidates, "", where, self._service.near_km)
        if len(candidates) > 1 and self._service.policy == "path":
            return policy.path(candidates, "", lengths(self._records.get("path", "")))
        if self._service.policy in {"weighted", "hash"}:
            return [list(candidates)]
        return policy.best(candidates, "")

    def _serving(self, entries: Entries, kind: str, ignore: int) -> list[policy.Candidate]:
        found = []
        for node, weight in entries:
            share = self._share(node, ignore) if weight > 0 and node.has(kind) else 0.0
            if share > 0:
                found.append(policy.Candidate(node, weight, share))
        return found

    def _share(self, node: Node, ignore: int) -> float:
        if ignore == IGNORE_ALL:
            return 1.0
        state = self._states.get(node.name, _UNKNOWN)
        override = state.forced(self._now)
        if override and override.state == "down":
            return 0.0
        if ignore >= IGNORE_PROBES:
            share = override.percent / 100 if override else 1.0
            return 1.0 if share <= 0 and ignore == IGNORE_DRAINS else share
        if not (override and override.state == "up"):
            assumed_down = state.state == "unknown" and node.assume == "down"
            if state.state == "down" or assumed_down:
                return 0.0
        share = state.share(self._now, node.ramp)
        return 1.0 if share <= 0 and ignore == GIVE_DRAINED else share


def _first(others: Sequence[float]) -> float:
    """How likely it is that none of the equals keep a client who come before one, in an order that is all chance.

    That is the integral of the product of (1 - t x share) over t from 0 to 1, t being the place in the order.
    """
    powers = [1.0]
    for share in others:
        longer = [*powers, 0.0]
        for at, value in enumerate(powers):
            longer[at + 1] -= value * share
        powers = longer
    return sum(value / (at + 1) for at, value in enumerate(powers))


def _add(chances: Chances, node: Node, part: float) -> None:
    if part > 0:
        chances[node] = chances.get(node, 0.0) + part
