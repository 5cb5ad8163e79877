"""Rows of table `rtt`: times best first, then the nodes that fail there, which no client gets while another serves."""

from __future__ import annotations

from geosteer.decision import policy
from geosteer.decision.model import Model
from geosteer.decision.records import lengths_of
from geosteer_loader.rtt.memory import Record
from geosteer_loader.rtt.routes import Routes
from geosteer_loader.rtt.window import Held, rows, times_text

AS, NET = ("system", "3320/DE/32"), ("network", f"32/{0xC0000200}")


def test_nodes_that_fail_come_last_with_how_often():
    times = {"fra1": 12, "ams1": 15, "par1": 20}
    assert times_text(times, {"fra1": 0.31}) == "ams1=15 par1=20 fra1=10031"
    assert times_text(times, {"ams1": 0.001, "gone": 1.0}) == "fra1=12 par1=20 gone=10100 ams1=10001"
    many = {f"n{number}": number + 1 for number in range(16)}
    assert len(times_text(many, {f"x{number}": 0.5 for number in range(20)}).split()) == 16


def test_a_mark_of_an_as_is_on_all_that_it_announces_and_that_of_a_network_on_itself():
    routes = Routes(32)
    routes.add(0xC0000000, 16, 3320)
    held = {AS: Held(Record({"fra1": 10, "ams1": 20}), 0.0), NET: Held(Record({"fra1": 11, "par1": 30}), 0.0)}
    failing = {AS: {"fra1": 0.5}, NET: {"par1": 0.9}}
    told = {
        length: record
        for _, _, length, record in rows(
            held, {32: routes}, lambda *_: "DE", lambda place: failing.get(place, {})
        )
    }
    assert told == {16: "ams1=20 fra1=10050", 24: "par1=10090 fra1=10050"}


def test_a_node_that_fails_is_given_only_where_no_other_can_be():
    model = Model(
        {
            "format": 1,
            "nodes": {
                name: {"a": ["192.0.2.1"], "location": [50, at]} for at, name in enumerate(("a", "b", "c"))
            },
            "maps": {"m": {"default": {"a": 100, "b": 100, "c": 100}}},
            "services": {"s": {"map": "m", "policy": "latency"}},
            "continents": {},
        }
    )
    service = model.services["s"]
    every = [policy.Candidate(node, 100, 1.0) for node in model.nodes.values()]

    def order(record, candidates=every):
        groups = policy.latency(service, candidates, "192.0.2.0/24", lengths_of(record), lambda: (50.0, 0.0))
        return [[candidate.node.name for candidate in group] for group in groups]

    assert order("a=10031 b=40") == [["b"], ["c"], ["a"]]
    assert order("a=10031")[-1] == ["a"], "without any time the others rank by distance"
    assert order("a=10031", every[:1]) == [["a"]]
    assert sorted(order("a=10031 b=10050", every[:2])[0]) == ["a", "b"], "where all fail, they are equals"
