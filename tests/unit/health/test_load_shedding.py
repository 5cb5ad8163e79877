"""Giving clients away as a closed loop: loads are fed, shares follow, clients ask again when their answers end, loads change.

A node's clients ask the real director every TTL seconds, spread over time; every 10 s the loads that they make are fed, and
the shed of each node makes a step when the last one has shown its effect, as the feed does it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.decision.client import Client
from geosteer.decision.director import Director
from geosteer.decision.model import Model
from geosteer.decision.node_state import NodeState
from geosteer_loader.health import load_shedding
from support.long import LONG

if TYPE_CHECKING:
    from collections.abc import Mapping

TTL = 60
FEED = 10
CLIENTS = 600 if LONG else 300
"""Of the service: what each makes is a three-hundredth of the demand, far below the tenth that a shed may move."""
SETTLED = 15
"""Steps after which it has to be steady."""
STEPS = 45 if LONG else 30
DEMANDS = [round(0.5 + 0.1 * number, 2) for number in range(16)]
"""Of the first node's capacity: 0.5 to 2.0."""
CASES = [
    *((demand, "best") for demand in DEMANDS),
    *((demand, "weighted") for demand in DEMANDS[:: 1 if LONG else 4]),
    *((demand, "hash") for demand in DEMANDS[0 if LONG else 2 :: 1 if LONG else 4]),
]
"""How a client is chosen matters little for how many are given away: a few demands under the other policies."""


def nowhere(_table: str) -> tuple[str, int]:
    return "", 0


@dataclass
class Loop:
    """Nodes with capacities, clients of a service, and a feed."""

    capacity: Mapping[str, float]
    weights: Mapping[str, int]
    policy: str = "best"
    late: int = 0
    """Feeds by which loads arrive late."""
    history: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Node -> its load, in parts of its capacity, and its shed after each step that was due."""

    def __post_init__(self) -> None:
        nodes: dict[str, Any] = {name: {"a": [f"192.0.2.{at}"]} for at, name in enumerate(self.capacity, 1)}
        model = Model(
            {
                "format": 1,
                "nodes": nodes,
                "maps": {"m": {"order": [], "default": self.weights}},
                "services": {"www": {"map": "m", "policy": self.policy, "ttl": TTL}},
            }
        )
        self.director, self.service = Director(model), model.services["www"]
        self.states = {name: NodeState() for name in nodes}
        self.stepped = dict.fromkeys(nodes, 0.0)
        self.reported: list[dict[str, float]] = []
        self.asked = 0
        self.clients = [Client(32, (20 << 24) + number * 256, 24) for number in range(CLIENTS)]
        self.node_of: dict[Any, Any] = {}
        self.now = 0.0
        for number in range(CLIENTS):
            self.ask(number)

    def ask(self, number: int) -> None:
        """One client asks, and keeps the answer."""
        self.asked += 1
        ticket = self.asked * 0.6180339887 % 1  # evenly spread, as those of many more clients would be
        decision = self.director.decide(
            self.service, self.clients[number], nowhere, self.states, self.now, ticket
        )
        self.node_of[number] = decision.answer["A"][0].name

    def run(self, demand: float, steps: int) -> None:
        """So many settle times, with that much demand of all clients together."""
        for _ in range(steps * TTL // FEED):
            phase = int(self.now) // FEED % (TTL // FEED)
            for number in range(phase, CLIENTS, TTL // FEED):
                self.ask(number)
            self.now += FEED
            loads = dict.fromkeys(self.capacity, 0.0)
            for node in self.node_of.values():
                loads[node] += demand / CLIENTS
            self.reported.append({name: load / self.capacity[name] for name, load in loads.items()})
            self.feed(self.reported[max(len(self.reported) - 1 - self.late, 0)])

    def feed(self, loads: Mapping[str, float]) -> None:
        """What `geosteer feed` does with loads."""
        for name, load in loads.items():
            if load_shedding.due(self.stepped[name], TTL, self.now):
                before = self.states[name].shed
                after = load_shedding.step(before, load)
                self.history.setdefault(name, []).append((load, after))
                assert after <= before or load >= load_shedding.SOFT, "never below the soft limit"
                if after != before:
                    self.states[name].update({"state": "up", "shed": f"{after:g}"})
                    self.stepped[name] = self.now

    def sheds(self, node: str) -> list[float]:
        """The node's shed at the end of each settle time."""
        return [part for _, part in self.history[node]]


def lone(demand: float, policy: str, *, late: int = 0) -> Loop:
    """One small node and a large one that takes what it gives away; *demand* is what the small one would get."""
    even = policy != "best"
    loop = Loop({"small": 1.0, "large": 100.0}, {"small": 100, "large": 100 if even else 50}, policy, late)
    loop.run(demand * (2 if even else 1), STEPS)
    return loop


def spread_after(loop: Loop, node: str) -> float:
    """How far the shed still moves after it should have settled."""
    settled = loop.sheds(node)[SETTLED:]
    return max(settled) - min(settled)


@pytest.mark.no_cover
@pytest.mark.parametrize(("demand", "policy"), CASES)
def test_a_node_settles_within_15_steps_whatever_its_demand(demand: float, policy: str) -> None:
    loop = lone(demand, policy)
    assert spread_after(loop, "small") <= 0.1 + 1e-9
    loads = [load for load, _ in loop.history["small"][SETTLED:]]
    if demand <= 0.7:
        assert set(loop.sheds("small")) == {0.0}, "nothing is given away below the soft limit"
    if demand >= 1.0:
        assert all(load_shedding.SOFT - 0.1 <= load <= load_shedding.HARD for load in loads), (
            "neither idle nor overloaded"
        )
    assert set(loop.sheds("large")) == {0.0}


@pytest.mark.no_cover
@pytest.mark.parametrize("demand", [0.8, 1.1, 1.5, 2.0])
def test_loads_that_arrive_a_feed_late_do_not_make_it_swing(demand: float) -> None:
    loop = lone(demand, "best", late=1)
    assert spread_after(loop, "small") <= 0.1 + 1e-9


@pytest.mark.no_cover
def test_a_load_far_above_is_taken_off_quickly_and_one_that_is_gone_is_given_back() -> None:
    loop = lone(2.0, "best")
    over = [load > load_shedding.HARD for load, _ in loop.history["small"]]
    assert sum(over) <= 5
    loop.run(0.5, SETTLED)
    assert loop.sheds("small")[-1] == 0.0
    load, _ = loop.history["small"][-1]
    assert load == pytest.approx(0.5, abs=0.001)


@pytest.mark.no_cover
def test_a_surplus_that_overloads_the_next_node_moves_on_and_all_settle() -> None:
    loop = Loop({"first": 1.0, "second": 0.5, "third": 10.0}, {"first": 100, "second": 90, "third": 80})
    loop.run(2.0, STEPS)
    for node in ("first", "second"):
        assert spread_after(loop, node) <= 0.1 + 1e-9
        assert all(load <= load_shedding.HARD for load, _ in loop.history[node][SETTLED:])
    assert set(loop.sheds("third")) == {0.0}


def test_clients_that_were_given_away_stay_away_while_the_shed_stays() -> None:
    loop = lone(1.5, "best")
    before = dict(loop.node_of)
    steady = loop.states["small"].shed
    for number in range(CLIENTS):
        loop.ask(number)
    assert loop.states["small"].shed == steady
    assert loop.node_of == before


def test_more_shed_moves_more_of_the_same_clients() -> None:
    loop = lone(0.5, "best")
    away: set[int] = set()
    for part in (0.0, 0.05, 0.2, 0.35, 0.6, 1.0):
        loop.states["small"].update({"state": "up", "shed": f"{part:g}"})
        for number in range(CLIENTS):
            loop.ask(number)
        now = {number for number, node in loop.node_of.items() if node == "large"}
        assert away <= now
        assert len(now) / CLIENTS == pytest.approx(part, abs=0.06)
        away = now
    assert len(away) == CLIENTS
