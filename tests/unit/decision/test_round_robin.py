"""The round robin of last resort: exact proportions, no aliasing with the questions of dual-stack clients."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from geosteer.decision.model import Node
from geosteer.decision.round_robin import RoundRobin, last_resort


def server(name: str, weight: int = 1, **spec: Any) -> Node:
    return Node(name, {"well_connected": weight, "a": [f"192.0.2.{len(name)}"], **spec})


def dual(name: str, weight: int = 1) -> Node:
    return server(name, weight, aaaa=["2001:db8::1"], hostname=f"{name}.example.net")


def robin(*servers: Node, seed: int = 1) -> RoundRobin:
    dice = random.Random(seed)
    return RoundRobin(servers, dice.randrange)


def names(chosen: dict[str, Node]) -> dict[str, str]:
    return {kind: node.name for kind, node in chosen.items()}


def test_every_cycle_holds_each_server_in_exact_proportion_to_its_weight():
    turns = robin(dual("lon1", 30), dual("ams1", 20), dual("nyc1", 10))
    for _ in range(50):
        cycle = Counter(turns.next(("A",))["A"].name for _ in range(6))
        assert cycle == {"lon1": 3, "ams1": 2, "nyc1": 1}


def test_weights_are_divided_by_their_common_divisor_so_that_a_cycle_is_short():
    turns = robin(dual("lon1", 1000), dual("ams1", 1000))
    for _ in range(50):
        assert {turns.next(("A",))["A"].name for _ in range(2)} == {"lon1", "ams1"}


def test_the_order_of_a_cycle_is_a_fresh_one_each_time_and_all_orders_are_as_likely():
    turns = robin(dual("a"), dual("b"), dual("c"))
    orders = Counter("".join(turns.next(("A",))["A"].name for _ in range(3)) for _ in range(6000))
    assert len(orders) == 6
    assert all(abs(count - 1000) < 130 for count in orders.values())


def test_a_and_aaaa_come_from_the_same_slot():
    turns = robin(dual("lon1", 3), dual("ams1", 2))
    for _ in range(100):
        chosen = names(turns.next(("A", "AAAA")))
        assert chosen["A"] == chosen["AAAA"]


def test_questions_for_all_types_do_not_alias_with_the_cycle():
    """A resolver asks A, then AAAA, each a question of its own: either must see all servers alike."""
    turns = robin(dual("lon1"), dual("ams1"))
    first: Counter[Any] = Counter()
    second: Counter[Any] = Counter()
    for _ in range(2000):
        first[turns.next(("A", "AAAA"))["A"].name] += 1
        second[turns.next(("A", "AAAA"))["AAAA"].name] += 1
    assert all(abs(count - 1000) < 150 for counts in (first, second) for count in counts.values())


def test_a_server_that_lacks_a_type_is_stood_in_for_by_weight_and_gets_its_own_part_of_the_other():
    turns = robin(dual("both1", 1), dual("both3", 3), server("four", 4))
    fours: Counter[Any] = Counter()
    sixes: Counter[Any] = Counter()
    for _ in range(800):
        chosen = turns.next(("A", "AAAA"))
        fours[chosen["A"].name] += 1
        sixes[chosen["AAAA"].name] += 1
        assert chosen["A"] is chosen["AAAA"] or chosen["A"].name == "four"
    assert fours == {"both1": 100, "both3": 300, "four": 400}
    assert sixes == {"both1": 200, "both3": 600}


def test_a_type_that_no_server_has_is_left_out():
    assert names(robin(server("four")).next(("A", "AAAA"))) == {"A": "four"}
    assert robin(server("four")).next(("CNAME",)) == {}
    assert robin().next(("A",)) == {}


def test_only_servers_with_a_weight_take_part():
    turns = robin(dual("lon1"), dual("spare", 0), Node("plain", {"a": ["192.0.2.9"]}))
    assert {turns.next(("A",))["A"].name for _ in range(10)} == {"lon1"}


@pytest.mark.parametrize("weights", [(100_000, 1), (99_991, 99_989, 7), tuple(range(5000, 5030))])
def test_a_cycle_of_huge_weights_is_bounded_and_leaves_nobody_out(weights: tuple[int, ...]):
    servers = [dual(f"n{number}", weight) for number, weight in enumerate(weights)]
    turns = robin(*servers)
    counts = Counter(turns.next(("A",))["A"].name for _ in range(5000))
    assert set(counts) == {one.name for one in servers}
    for one in servers:
        expected = 5000 * one.well_connected / sum(weights)
        assert abs(counts[one.name] - expected) < 0.3 * expected + 5


def test_one_under_way_is_known_by_its_servers():
    turns = robin(dual("lon1", 3), dual("ams1", 2))
    assert turns.of([dual("lon1", 3), dual("ams1", 2), dual("spare", 0)])
    assert not turns.of([dual("lon1", 3)])
    assert not turns.of([dual("lon1", 3), dual("ams1", 1)])
    assert not turns.of([dual("lon1", 3), server("ams1", 2)])


def test_workers_with_different_dice_are_not_in_step():
    first, second = (
        robin(dual("a"), dual("b"), dual("c"), seed=1),
        robin(dual("a"), dual("b"), dual("c"), seed=2),
    )
    same = sum(names(first.next(("A",))) == names(second.next(("A",))) for _ in range(900))
    assert 200 < same < 400


def test_the_last_resort_is_the_well_connected_nodes_that_nobody_put_down():
    nodes = [dual("lon1", 3), dual("ams1", 2), dual("edge", 0)]
    spare = [dual("spare")]
    assert [one.name for one in last_resort(nodes, (), spare)] == ["lon1", "ams1"]
    assert [one.name for one in last_resort(nodes, {"lon1"}, spare)] == ["ams1"]
    assert [one.name for one in last_resort(nodes, {"lon1", "ams1"}, spare)] == ["spare"]
    assert [one.name for one in last_resort(nodes, {"lon1", "ams1"}, ())] == ["lon1", "ams1"]
    assert [one.name for one in last_resort((), (), spare)] == ["spare"]
    assert last_resort((), (), ()) == []
