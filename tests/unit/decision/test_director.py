"""Decisions: layers in order, states and overrides, shares, scopes that hold, and how long an answer lasts."""

from __future__ import annotations

import ipaddress
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.decision import policy
from geosteer.decision.client import from_question, parse
from geosteer.decision.director import Director
from geosteer.decision.model import Model
from geosteer.decision.node_state import NodeState, Override
from geosteer.decision.shortlist import Shortlist, is_eligible
from geosteer.timestamps import format_time, parse_time
from support import tiny
from support.long import examples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer.decision.decision import Decision

RESOLVER = "198.51.100.53"
NOW = parse_time("2026-02-01T12:00:00Z")
NODES = {
    "lon1": {"a": ["192.0.2.1"], "aaaa": ["2001:db8::1"], "hostname": "lon1.example.net", "location": [51.51, -0.13]},
    "lon2": {"a": ["192.0.2.2"], "hostname": "lon2.example.net", "location": [51.4, -0.2]},
    "ams1": {"a": ["192.0.2.3"], "aaaa": ["2001:db8::3"], "hostname": "ams1.example.net", "location": [52.37, 4.9]},
    "nyc1": {"a": ["192.0.2.4"], "aaaa": ["2001:db8::4"], "hostname": "nyc1.example.net", "location": [40.71, -74.01]},
}  # fmt: skip
ORDER = ["networks", "asns", "subdivisions", "countries", "continents"]
CONTINENTS = {"GB": "EU", "NL": "EU", "FR": "EU", "US": "NA", "CA": "NA"}
LAYERED = {
    "networks": {"partner": {"lon2": 100}},
    "asns": {"AS10": {"ams1": 100}, "AS20": {"nyc1": 100}},
    "subdivisions": {"US-CA": {"lon1": 100}},
    "countries": {"GB": {"lon1": 100}, "US": {"nyc1": 100}},
    "continents": {"EU": {"ams1": 100}, "NA": {"nyc1": 100}},
    "default": {"nyc1": 100},
}


class World:
    """One service of one map, its tables, and what is known of the nodes."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        tables: Mapping[str, tiny.Entries] | None = None,
        nodes: Mapping[str, Any] = NODES,
        middles: Mapping[str, Any] | None = None,
        **service: Any,
    ) -> None:
        document = {
            "format": 1, "nodes": nodes, "maps": {"m": {"order": ORDER, **spec}},
            "services": {"www": {"map": "m", **service}}, "continents": CONTINENTS,
            "middles": middles,
        }  # fmt: skip
        model = Model(document)
        self.director, self.service = Director(model), model.services["www"]
        self.looker = tiny.looker(tables or {})
        self.states: dict[str, NodeState] = {}
        self.asked: list[str] = []

    def state(self, name: str, word: str = "up", **fields: str) -> World:
        self.states.setdefault(name, NodeState()).update({"state": word, **fields})
        return self

    def override(self, name: str, word: str, percent: float = 0, until: float | None = None) -> World:
        self.states.setdefault(name, NodeState()).override = Override(word, percent, until)
        return self

    def decide(
        self, subnet: str | None = None, *, now: float = NOW, ticket: float = 0.0, trace: bool = False
    ) -> Decision:
        """For a client network in text, or for nobody."""
        client = from_question(RESOLVER if subnet else "0.0.0.0", subnet)
        look = self.looker(client) if client else None

        def asking(table: str) -> tuple[str, int]:
            assert look is not None, "nobody is looked up"
            self.asked.append(table)
            return look(table)

        return self.director.decide(self.service, client, asking, self.states, now, ticket, trace=trace)

    def answer(self, subnet: str | None = None, **options: Any) -> dict[str, list[str]]:
        """Record type -> names of the nodes."""
        return named(self.decide(subnet, **options))


def named(decision: Decision) -> dict[str, list[str]]:
    return {kind: [node.name for node in nodes] for kind, nodes in decision.answer.items()}


def network(number: int) -> str:
    return str(ipaddress.ip_network((0x20000000 + number * 256, 24)))


# ---------------------------------------------------------------- layers

TABLES = {
    "nets": {"32.0.0.0/24": "partner"},
    "bgp": {
        "32.0.0.0/16": "AS10", "32.2.0.0/16": "AS30", "32.3.0.0/16": "AS30 AS20 AS10", "32.4.0.0/16": "AS0",
        "32.6.0.0/16": "AS0 AS20",
    },
    "geo": {
        "32.0.0.0/8": "GB", "33.0.0.0/8": "US-CA", "34.0.0.0/8": "US-NY 40.7 -74", "35.0.0.0/8": "FR", "36.0.0.0/8": "@EU",
        "37.0.0.0/8": "JP", "38.0.0.0/8": "@EU 50 10",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("client", "node", "layer"),
    [
        ("32.0.0.0/24", "lon2", "networks partner"),
        ("32.0.1.0/24", "ams1", "asns AS10"),
        ("32.2.0.0/24", "lon1", "countries GB"),
        ("32.3.0.0/24", "nyc1", "asns AS20"),
        ("32.4.0.0/24", "lon1", "countries GB"),
        ("32.6.0.0/24", "nyc1", "asns AS20"),
        ("32.5.0.0/24", "lon1", "countries GB"),
        ("33.0.0.0/24", "lon1", "subdivisions US-CA"),
        ("34.0.0.0/24", "nyc1", "countries US"),
        ("35.0.0.0/24", "ams1", "continents EU"),
        ("36.0.0.0/24", "ams1", "continents EU"),
        ("38.0.0.0/24", "ams1", "continents EU"),
        ("37.0.0.0/24", "nyc1", "default"),
        ("39.0.0.0/24", "nyc1", "default"),
        (None, "nyc1", "default"),
    ],
)
def test_the_first_layer_that_names_the_client_answers(client: str | None, node: str, layer: str):
    decision = World(LAYERED, TABLES).decide(client)
    assert named(decision)["A"] == [node]
    assert decision.layer["A"] == layer


def test_layers_are_asked_in_the_order_of_the_map_and_only_those_it_names():
    spec = {**LAYERED, "order": ["countries", "asns"]}
    world = World(spec, TABLES)
    assert world.decide("32.0.0.0/24").layer["A"] == "countries GB"
    assert world.decide("35.0.0.0/24").layer["A"] == "default"


def test_tables_are_asked_only_as_far_as_needed_and_once_for_both_families():
    world = World(LAYERED, TABLES)
    world.decide("32.0.0.0/24")
    assert world.asked == ["nets", "bgp"], "lon2 of the first layer has no AAAA"
    world = World({"countries": {"GB": {"ams1": 100}}, "default": {"nyc1": 100}}, TABLES)
    world.decide("32.0.0.0/24")
    assert world.asked == ["geo"]


def test_a_map_without_layers_asks_nothing():
    world = World({"default": {"nyc1": 100}}, TABLES)
    assert world.answer("32.0.0.0/24") == {"A": ["nyc1"], "AAAA": ["nyc1"]}
    assert world.asked == []


def test_a_country_that_is_also_a_continents_code_is_no_continent():
    world = World(
        {"continents": {"AF": {"lon1": 100}, "SA": {"lon2": 100}}, "default": {"nyc1": 100}},
        {"geo": {"32.0.0.0/8": "AF", "33.0.0.0/8": "@AF", "34.0.0.0/8": "SA"}},
    )
    layers = [world.decide(f"{net}.0.0.0/24").layer["A"] for net in (32, 33, 34)]
    assert layers == ["default", "continents AF", "default"]


def test_layers_are_walked_for_each_family_of_its_own():
    world = World({"countries": {"GB": {"lon2": 100}}, "default": {"ams1": 100}}, TABLES)
    decision = world.decide("32.2.0.0/24")
    assert named(decision) == {"A": ["lon2"], "AAAA": ["ams1"]}
    assert decision.layer == {"A": "countries GB", "AAAA": "default"}


def test_a_cname_is_one_choice_blind_to_the_family():
    world = World({"countries": {"GB": {"lon2": 100}}, "default": {"ams1": 100}}, TABLES, answer="cname")
    assert world.answer("32.2.0.0/24") == {"CNAME": ["lon2"]}


def test_a_service_has_the_types_that_some_node_of_its_map_can_be_chosen_for():
    assert World({"default": {"lon2": 100}}).answer() == {"A": ["lon2"]}
    assert World({"default": {"lon2": 100, "lon1": 1}}).answer() == {"A": ["lon2"], "AAAA": ["lon1"]}
    assert World({"default": {"lon2": 100, "lon1": 0}}).answer() == {"A": ["lon2"]}


# ---------------------------------------------------------------- states


def test_a_layer_without_a_serving_node_is_passed_over():
    world = World(LAYERED, TABLES).state("lon1", "down", reason="timed out")
    assert world.decide("32.2.0.0/24").layer["A"] == "continents EU"
    world.state("ams1", "down")
    assert world.decide("32.2.0.0/24").layer["A"] == "default"


def test_where_no_layer_of_the_client_has_one_any_node_of_the_map_may_answer():
    world = World(LAYERED, TABLES).state("lon1", "down").state("ams1", "down").state("nyc1", "down")
    decision = world.decide("32.2.0.0/24")
    assert decision.layer["A"] == "any"
    assert named(decision) == {"A": ["lon2"], "AAAA": ["lon1"]}, "for AAAA all are down: probes are ignored"
    assert decision.layer["AAAA"] == "countries GB"


def test_in_the_layer_any_a_node_has_its_highest_weight():
    spec = {
        "countries": {"US": {"lon1": 10, "ams1": 20}, "CA": {"lon1": 30}},
        "default": {"nyc1": 100},
    }
    world = World(spec, TABLES).state("nyc1", "down")
    assert world.answer("32.2.0.0/24")["A"] == ["lon1"]


def test_when_all_are_down_probes_are_ignored_but_overrides_and_zero_weights_are_not():
    world = World({"countries": {"GB": {"lon1": 100, "ams1": 0}}, "default": {"nyc1": 100}}, TABLES)
    for name in NODES:
        world.state(name, "down")
    assert world.decide("32.2.0.0/24").layer["A"] == "countries GB"
    world.override("lon1", "down")
    decision = world.decide("32.2.0.0/24")
    assert named(decision) == {"A": ["nyc1"], "AAAA": ["nyc1"]}
    assert decision.loud == ""


def test_a_drained_node_that_is_down_comes_before_one_that_an_operator_put_down():
    world = World({"countries": {"GB": {"lon1": 100, "ams1": 1}}, "default": {"nyc1": 100}}, TABLES)
    for name in NODES:
        world.state(name, "down").override(name, "down")
    world.override("ams1", "drain")
    decision = world.decide("32.2.0.0/24")
    assert named(decision)["A"] == ["ams1"]
    assert decision.loud == ""


def test_when_nothing_else_is_left_overrides_are_ignored_too_and_loudly():
    world = World({"countries": {"GB": {"lon1": 100, "ams1": 0}}, "default": {"nyc1": 100}}, TABLES)
    for name in NODES:
        world.state(name, "down").override(name, "down")
    decision = world.decide("32.2.0.0/24")
    assert named(decision) == {"A": ["lon1"], "AAAA": ["lon1"]}
    assert "map m" in decision.loud
    assert "overrides are ignored" in decision.loud
    assert not decision.refused


def test_a_map_that_says_none_refuses_when_all_are_down():
    spec = {"all_down": "none", "default": {"nyc1": 100}}
    decision = World(spec).state("nyc1", "down").decide("32.2.0.0/24")
    assert decision.refused
    assert not any(decision.answer.values())
    assert decision.loud == ""
    assert not World(spec).state("nyc1", "up").decide("32.2.0.0/24").refused


def test_a_map_that_says_none_refuses_when_one_of_its_types_has_nobody_left():
    world = World({"all_down": "none", "default": {"lon2": 100, "lon1": 1}}).state("lon1", "down")
    assert world.decide("32.2.0.0/24").refused


@pytest.mark.parametrize(
    ("state", "override", "serves"),
    [
        ("up", None, True), ("unknown", None, True), ("down", None, False),
        ("up", "down", False), ("down", "up", True), ("unknown", "up", True), ("down", "drain", False), ("up", "drain", False),
    ],
)  # fmt: skip
def test_whether_a_node_serves_is_its_state_and_the_operators_word(
    state: str, override: str | None, serves: bool
):
    world = World({"countries": {"GB": {"lon1": 100}}, "default": {"nyc1": 100}}, TABLES).state("lon1", state)
    if override:
        world.override("lon1", override, 100 if override == "up" else 0)
    assert (world.answer("32.2.0.0/24")["A"] == ["lon1"]) is serves


@pytest.mark.parametrize(("assume", "serves"), [("up", True), ("down", False), (None, True)])
def test_what_an_unknown_node_counts_as_can_be_said(assume: str | None, serves: bool):
    nodes = {**NODES, "lon1": {**NODES["lon1"], "assume": assume}}
    world = World({"countries": {"GB": {"lon1": 100}}, "default": {"nyc1": 100}}, TABLES, nodes)
    assert (world.answer("32.2.0.0/24")["A"] == ["lon1"]) is serves
    assert world.state("lon1", "up").answer("32.2.0.0/24")["A"] == ["lon1"]


def test_a_weight_of_0_is_never_chosen_be_it_the_maps_or_the_nodes():
    nodes = {**NODES, "lon1": {**NODES["lon1"], "weight": 0}}
    world = World({"countries": {"GB": {"lon1": 100, "lon2": 0}}, "default": {"nyc1": 1}}, TABLES, nodes)
    assert world.answer("32.2.0.0/24")["A"] == ["nyc1"]
    world.state("nyc1", "down").override("nyc1", "down")
    assert world.answer("32.2.0.0/24")["A"] == ["nyc1"], "not even as the last resort"


def test_a_nodes_weight_is_a_per_cent_of_the_maps():
    nodes = {**NODES, "lon1": {**NODES["lon1"], "weight": 10}}
    world = World({"default": {"lon1": 100, "lon2": 11}}, nodes=nodes)
    assert world.answer("32.2.0.0/24")["A"] == ["lon2"]


def test_the_candidates_met_are_told_with_the_reason_why_not():
    world = World(
        {"countries": {"GB": {"lon1": 100, "lon2": 50, "ams1": 0}}, "default": {"nyc1": 100}}, TABLES
    )
    world.state("lon1", "down", reason="timed out").override("lon2", "down")
    decision = world.decide("32.2.0.0/24", trace=True)
    met = [(one["type"], one["node"], one["excluded"]) for one in decision.trace]
    assert met[:4] == [
        ("A", "lon1", "down: timed out"), ("A", "lon2", "operator: down"), ("A", "ams1", "weight 0"), ("A", "nyc1", None),
    ]  # fmt: skip
    assert world.decide("32.2.0.0/24").trace == []


# ---------------------------------------------------------------- shares

PAIR = {
    "countries": {"GB": {"lon1": 100, "lon2": 50}},
    "continents": {"EU": {"ams1": 100}},
    "default": {"nyc1": 100},
}
GB = {"geo": {"32.0.0.0/8": "GB"}}
SWEEP = [network(number) for number in range(2000)]


def kept(node: str, share: float) -> set[str]:
    return {one for one in SWEEP if policy.unit(node, one)[0] < share}


def test_a_percent_moves_just_that_part_of_a_nodes_clients_to_the_next_best():
    world = World(PAIR, GB).override("lon1", "drain", 30)
    answers = {one: world.answer(one)["A"][0] for one in SWEEP}
    assert {one for one in SWEEP if answers[one] == "lon1"} == kept("lon1", 0.3)
    assert set(answers.values()) == {"lon1", "lon2"}
    assert abs(len(kept("lon1", 0.3)) - 600) < 80


def test_a_larger_share_keeps_all_that_a_smaller_one_keeps():
    previous: set[str] = set()
    for percent in (1, 10, 33, 60, 99, 100):
        world = World(PAIR, GB).override("lon1", "drain", percent)
        now = {one for one in SWEEP[:500] if world.answer(one)["A"] == ["lon1"]}
        assert previous <= now
        previous = now
    assert len(previous) == 500


def test_clients_that_one_layer_does_not_keep_go_on_to_the_next():
    world = World(PAIR, GB).state("lon1", shed="0.7").state("lon2", shed="0.5")
    first, second = kept("lon1", 0.3), kept("lon2", 0.5)
    for one in SWEEP[:500]:
        decision = world.decide(one)
        expected = "lon1" if one in first else "lon2" if one in second else "ams1"
        assert named(decision)["A"] == [expected]
        assert decision.layer["A"] == ("continents EU" if expected == "ams1" else "countries GB")


def test_a_client_that_nobody_keeps_goes_to_the_highest_share_met():
    world = World(PAIR, GB)
    for name, shed in (("lon1", "0.9"), ("lon2", "0.7"), ("ams1", "0.8"), ("nyc1", "0.95")):
        world.state(name, shed=shed)
    some = {
        one
        for name, share in (("lon1", 0.1), ("lon2", 0.3), ("ams1", 0.2), ("nyc1", 0.05))
        for one in kept(name, share)
    }
    assert 0 < len(some) < len(SWEEP)
    for one in SWEEP:
        answer = world.answer(one)["A"]
        assert len(answer) == 1
        assert answer == ["lon2"] or one in some


def test_a_full_node_that_sheds_all_is_passed_over_without_a_draw():
    world = World(PAIR, GB).state("lon1", shed="1")
    decision = world.decide(SWEEP[0])
    assert named(decision)["A"] == ["lon2"]
    assert not decision.split


# ---------------------------------------------------------------- policies


def test_several_answers_are_different_nodes_best_first_and_no_more_than_there_are():
    spec = {"default": {"lon1": 100, "lon2": 50, "ams1": 70}}
    for name in ("best", "weighted", "hash", "nearest", "path", "latency"):
        world = World(spec, GB, policy=name, max_answers=5)
        answer = world.answer(SWEEP[0], ticket=0.4)
        assert sorted(answer["A"]) == ["ams1", "lon1", "lon2"]
        assert sorted(answer["AAAA"]) == ["ams1", "lon1"]
        assert len(World(spec, GB, policy=name, max_answers=2).answer(SWEEP[0], ticket=0.4)["A"]) == 2
    assert World(spec, GB, max_answers=2).answer(SWEEP[0])["A"] == ["lon1", "ams1"]


@pytest.mark.parametrize(
    ("record", "node"),
    [
        ("GB 51.5 -0.1", "lon1"), ("FR 52 4", "ams1"),
        ("US-NY 41 -75", "nyc1"), ("@EU 52.3 5", "ams1"), ("GB", "nyc1"), ("GB 1 x", "nyc1"),
    ],
)  # fmt: skip
def test_nearest_goes_by_the_place_in_the_geo_record_and_without_one_by_weight(record: str, node: str):
    spec = {"default": {"lon1": 30, "ams1": 20, "nyc1": 100}}
    assert World(spec, {"geo": {"32.0.0.0/8": record}}, policy="nearest").answer(SWEEP[0])["A"] == [node]


@pytest.mark.parametrize(
    ("record", "node"),
    [
        ("GB", "lon1"), ("US-NY", "nyc1"), ("GB 91 0", "lon1"), ("GB 41 -75", "nyc1"), ("NL x y", "ams1"),
        ("@EU", "lon2"), ("JP", "lon2"), ("", "lon2"),
    ],
)  # fmt: skip
def test_the_middle_of_the_country_stands_in_for_a_place_and_a_continent_has_none(record: str, node: str):
    spec = {"default": {"lon1": 30, "ams1": 20, "nyc1": 10, "lon2": 100}}
    tables = {"geo": {"32.0.0.0/8": record}}
    nodes = {**NODES, "lon2": {**NODES["lon2"], "location": [-35, 149]}}
    middles = {"GB": [54, -2], "NL": [52, 5], "US": [39, -95]}
    world = World(spec, tables, nodes, middles=middles, policy="nearest")
    assert world.answer(SWEEP[0])["A"] == [node]
    placeless = World(spec, tables, nodes, middles=middles, policy="nearest", country_middle=False)
    assert placeless.answer(SWEEP[0])["A"] == ["nyc1" if record == "GB 41 -75" else "lon2"]
    assert World(spec, tables, nodes, middles=middles).answer(SWEEP[0])["A"] == ["lon2"], (
        "best asks for no place"
    )


def test_how_near_is_near_is_the_services_to_say():
    spec = {"default": {"lon1": 30, "ams1": 40}}
    tables = {"geo": {"32.0.0.0/8": "GB 51.5 -0.1"}}
    assert World(spec, tables, policy="nearest").answer(SWEEP[0])["A"] == ["lon1"]
    assert World(spec, tables, policy="nearest", near_km=400).answer(SWEEP[0])["A"] == ["ams1"]


@pytest.mark.parametrize(
    ("record", "node"),
    [
        ("lon1=3 ams1=4", "lon1"), ("lon1=5 ams1=4 nyc1=9", "ams1"),
        ("", "nyc1"), ("lon1=x ams1 =3", "nyc1"), ("lon1=3 ams1=3", "lon1"),
    ],
)  # fmt: skip
def test_path_goes_by_the_as_path_length_and_without_one_by_weight(record: str, node: str):
    spec = {"default": {"lon1": 30, "ams1": 20, "nyc1": 100}}
    assert World(spec, {"path": {"32.0.0.0/8": record}}, policy="path").answer(SWEEP[0])["A"] == [node]


@pytest.mark.parametrize(
    ("record", "nodes"),
    [
        ("lon1=90 ams1=20 nyc1=40", ["ams1", "nyc1", "lon1"]),
        # About as fast: by weight.
        ("lon1=12 ams1=10 nyc1=40", ["lon1", "ams1", "nyc1"]),
        ("lon1=13 ams1=10 nyc1=14", ["lon1", "ams1", "nyc1"]),
        ("lon1=210 ams1=200 nyc1=211", ["lon1", "ams1", "nyc1"]),
        # Without a time: last, by distance from the client in London.
        ("nyc1=80", ["nyc1", "lon1", "ams1"]),
        ("other=1 nyc1=80", ["nyc1", "lon1", "ams1"]),
        # Nothing known: as in nearest.
        ("", ["lon1", "ams1", "nyc1"]),
        ("lon1=x ams1 =3", ["lon1", "ams1", "nyc1"]),
    ],
)  # fmt: skip
def test_latency_goes_by_measured_times_then_by_distance(record: str, nodes: list[str]):
    spec = {"default": {"lon1": 30, "ams1": 20, "nyc1": 100}}
    tables = {"rtt": {"32.0.0.0/8": record}, "geo": {"32.0.0.0/8": "GB 51.5 -0.1"}}
    answer = World(spec, tables, policy="latency", max_answers=3).answer(SWEEP[0])
    assert answer["A"] == nodes


def test_times_count_as_equal_by_the_settings_of_the_service():
    spec = {"default": {"lon1": 30, "ams1": 20}}
    tables = {"rtt": {"32.0.0.0/8": "ams1=20 lon1=25"}}
    for ms, percent, node in ((3, 5, "ams1"), (5, 0, "lon1"), (0, 25, "lon1"), (4, 24, "ams1")):
        world = World(spec, tables, policy="latency", equal_ms=ms, equal_percent=percent)
        assert world.answer(SWEEP[0])["A"] == [node]


def test_latency_asks_for_a_place_only_where_a_time_is_missing():
    spec = {"default": {"lon1": 30, "ams1": 20}}
    tables = {
        "rtt": {"32.0.0.0/24": "ams1=20 lon1=25", "32.0.1.0/24": "ams1=20"},
        "geo": {"32.0.0.0/8": "GB"},
    }
    whole = World(spec, tables, policy="latency")
    assert whole.answer("32.0.0.0/24")["A"] == ["ams1"]
    assert whole.asked == ["rtt"]
    partly = World(spec, tables, policy="latency")
    assert partly.answer("32.0.1.0/24")["A"] == ["ams1"]
    assert partly.asked == ["rtt", "geo"]


def test_nobody_known_is_answered_by_default_whatever_the_policy():
    for name in ("best", "weighted", "hash", "nearest", "path", "latency"):
        world = World({**LAYERED, "default": {"lon1": 100, "nyc1": 1}}, TABLES, policy=name)
        decision = world.decide(None)
        assert (decision.layer["A"], decision.scope) == ("default", 1)
        assert world.asked == []


# ---------------------------------------------------------------- scope


@pytest.mark.parametrize(
    ("client", "scope"),
    [
        ("32.0.0.0/24", 24),  # networks: the /24 of the partner (its AAAA goes on to asns: /16)
        ("32.0.1.0/24", 24),  # nets says "not the partner" on the /24 only
        ("32.2.0.0/16", 16),
        ("33.0.0.0/8", 8),
        ("37.1.2.0/24", 8),
        ("39.0.0.0/24", 8),
        ("80.0.0.0/24", 3),  # 100.64.0.0/10 and 127.0.0.0/8 lie in 64.0.0.0/2
    ],
)
def test_the_scope_is_the_widest_prefix_on_which_all_consulted_tables_say_the_same(client: str, scope: int):
    assert World(LAYERED, TABLES).decide(client).scope == scope


def test_a_table_that_was_not_consulted_does_not_narrow_the_scope():
    tables = {"geo": {"32.0.0.0/8": "GB"}, "bgp": {"32.2.3.0/24": "AS10"}}
    spec = {
        "order": ["countries", "asns"],
        "countries": {"GB": {"lon1": 100}},
        "asns": {"AS10": {"ams1": 100}},
        "default": {"nyc1": 1},
    }
    world = World(spec, tables)
    assert world.decide("32.2.3.0/24").scope == 8
    world.state("lon1", "down")
    assert world.decide("32.2.3.0/24").scope == 24


def test_a_draw_or_a_hash_of_the_network_narrows_the_scope_to_24_or_48():
    equals = {"countries": {"GB": {"lon1": 100, "ams1": 100}}, "default": {"nyc1": 100}}
    tables = {"geo": {"32.0.0.0/8": "GB", "2400::/12": "GB"}}
    for name in ("best", "weighted", "hash", "nearest", "path", "latency"):
        world = World(equals, tables, policy=name)
        assert world.decide("32.0.0.0/24").scope == 24
        assert world.decide("32.0.0.0/8").scope == 24
        assert world.decide("2400::/32").scope == 48
        assert world.decide("33.0.0.0/24").scope == 8
    assert World(equals, {"geo": {"32.0.0.0/30": "GB"}}).decide("32.0.0.0/24").scope == 30


def test_a_scope_is_never_0_even_if_every_client_gets_the_same():
    world = World({"default": {"nyc1": 100}})
    assert [world.decide(client).scope for client in ("80.0.0.0/24", "2400::/32", None)] == [3, 6, 1]


def test_a_v4_client_in_an_ipv6_network_has_its_scope_shifted():
    assert World(LAYERED, TABLES).decide("::ffff:37.1.2.0/120").scope == 104
    assert World(LAYERED, TABLES).decide("2002:2501:0200::/40").scope == 24


# ---------------------------------------------------------------- time


def ramping(world: World, name: str, ago: float) -> World:
    return world.state(name, "up", before="down", since=format_time(NOW - ago))


def ramped(ramp: float = 600) -> dict[str, Any]:
    return {name: {**spec, "ramp": ramp} for name, spec in NODES.items()}


def test_an_answer_lasts_until_the_next_override_of_the_maps_nodes_ends():
    world = (
        World(PAIR, GB, ttl=60)
        .override("lon2", "down", until=NOW + 30)
        .override("nyc1", "down", until=NOW + 99)
    )
    decision = world.decide(SWEEP[0])
    assert decision.valid_until == NOW + 30
    assert decision.ttl == 30
    assert world.decide(SWEEP[0], now=NOW + 29.5).ttl == 1
    after = world.decide(SWEEP[0], now=NOW + 30)
    assert after.valid_until == NOW + 99
    assert after.ttl == 60
    assert world.decide(SWEEP[0], now=NOW + 99).valid_until is None


def test_an_override_ends_at_its_very_second():
    world = World(PAIR, GB).override("lon1", "down", until=NOW + 30)
    assert world.answer(SWEEP[0], now=NOW + 29.999)["A"] == ["lon2"]
    assert world.answer(SWEEP[0], now=NOW + 30)["A"] == ["lon1"]


def test_an_override_of_a_node_that_is_not_in_the_map_does_not_matter():
    assert (
        World({"default": {"lon1": 100}}).override("ams1", "down", until=NOW + 30).decide().valid_until
        is None
    )


def test_while_a_node_ramps_up_an_answer_lasts_until_the_client_is_the_nodes():
    world = ramping(World(PAIR, GB, ramped()), "lon1", 60)
    for one in SWEEP[:300]:
        decision = world.decide(one)
        draw = policy.unit("lon1", one)[0]
        if draw < 0.1:
            assert (named(decision)["A"], decision.valid_until) == (["lon1"], None)
        else:
            assert named(decision)["A"] == ["lon2"]
            assert decision.valid_until is not None
            assert decision.valid_until == pytest.approx(NOW - 60 + 600 * draw)
            assert world.answer(one, now=decision.valid_until - 0.001)["A"] == ["lon2"]
            assert world.answer(one, now=decision.valid_until + 0.001)["A"] == ["lon1"]


def test_a_growing_share_that_becomes_the_highest_met_ends_an_answer_too():
    world = World({"default": {"lon2": 50, "lon1": 100}}, GB, ramped()).state("lon2", shed="0.7")
    ramping(world, "lon1", 60)
    for one in SWEEP[:300]:
        decision = world.decide(one)
        if policy.unit("lon1", one)[0] >= 0.3 and policy.unit("lon2", one)[0] >= 0.3:
            assert named(decision)["A"] == ["lon2"]
            assert decision.valid_until == pytest.approx(NOW - 60 + 180)
            assert world.answer(one, now=NOW + 120.001)["A"] == ["lon1"]


@pytest.mark.parametrize("name", ["best", "weighted", "hash", "nearest", "path", "latency"])
def test_a_growing_share_ends_an_answer_when_the_client_is_the_nodes_under_every_policy(name: str):
    world = ramping(
        World({"default": {"lon1": 100, "lon2": 100, "nyc1": 50}}, GB, ramped(), policy=name), "lon1", 60
    )
    lasting = 0
    for number, one in enumerate(SWEEP[:300]):
        ticket = number * 37 % 300 / 300
        decision = world.decide(one, ticket=ticket)
        before = named(decision)
        if decision.valid_until is None:
            lasting += 1
            assert world.answer(one, now=NOW + 9999, ticket=ticket) == before
        else:
            assert world.answer(one, now=decision.valid_until - 0.001, ticket=ticket) == before
            after = world.answer(one, now=decision.valid_until + 0.001, ticket=ticket)
            assert after != before
            assert all(after[kind] in (before[kind], ["lon1"]) for kind in after)
    assert 0 < lasting < 300


def test_a_ttl_is_smaller_while_a_chosen_nodes_checks_fail():
    world = World(PAIR, GB, ttl=300, ttl_min=20).state("lon1", failing="yes")
    assert world.decide(SWEEP[0]).ttl == 20
    assert World(PAIR, GB, ttl=300, ttl_min=20).state("lon2", failing="yes").decide(SWEEP[0]).ttl == 300
    assert World(PAIR, GB, ttl=10, ttl_min=20).state("lon1", failing="yes").decide(SWEEP[0]).ttl == 10


def test_only_a_draw_is_not_to_be_remembered():
    for name, memo in (
        ("best", True),
        ("hash", True),
        ("nearest", True),
        ("path", True),
        ("latency", True),
        ("weighted", False),
    ):
        assert World({"default": {"lon1": 100, "lon2": 100}}, policy=name).decide(SWEEP[0]).memo is memo
    assert World({"default": {"lon1": 100}}, policy="weighted").decide(SWEEP[0]).memo


# ---------------------------------------------------------------- for any map, table and client

KEYS = {
    "networks": ["partner", "other"], "asns": ["AS10", "AS20"], "subdivisions": ["US-CA", "GB-LND"],
    "countries": ["GB", "US", "FR"], "continents": ["EU", "NA"],
}  # fmt: skip
RECORDS = {
    "nets": ["partner", "other"],
    "bgp": ["AS10", "AS20 AS10", "AS0", "AS30 AS20", "AS99"],
    "geo": ["GB", "US-CA 37.75 -122.42", "US", "FR 48.9 2.3", "@EU", "GB-LND 51.5 -0.1", "JP"],
    "path": ["lon1=2 ams1=3", "nyc1=1", "lon1=4"],
    "rtt": ["lon1=20 ams1=21", "nyc1=80 lon1=90", "lon2=4"],
}
CENTRES = [
    "32.0.0.0", "32.0.0.255", "127.255.255.255", "10.255.255.255", "11.0.0.0", "2001:db8::", "2002::", "2001:0:ffff::",
    "2600::", "::ffff:0:0", "64:ff9b::", "fc00::", "::",
]  # fmt: skip


def a_prefix(dice: random.Random) -> str:
    centre = ipaddress.ip_address(dice.choice(CENTRES))
    bits = centre.max_prefixlen
    value = (
        int(centre) ^ dice.getrandbits(dice.randrange(1, bits))
        if dice.random() < 0.8
        else dice.getrandbits(bits)
    )
    length = dice.randrange(0, bits + 1)
    return str(ipaddress.ip_network((value >> (bits - length) << (bits - length), length)))


def a_map(dice: random.Random) -> dict[str, Any]:
    def weights() -> dict[str, int]:
        return {
            name: dice.choice((0, 10, 10, 50, 100))
            for name in dice.sample(sorted(NODES), dice.randrange(1, 4))
        }

    layers = {layer: {key: weights() for key in keys if dice.random() < 0.6} for layer, keys in KEYS.items()}
    order = dice.sample(ORDER, dice.randrange(0, 6))
    return {"order": order, "default": weights(), "all_down": "all", **layers}


def a_world(seed: int, name: str) -> tuple[World, random.Random]:
    dice = random.Random(seed)
    tables = {
        table: {a_prefix(dice): dice.choice(records) for _ in range(dice.randrange(0, 12))}
        for table, records in RECORDS.items()
    }
    world = World(a_map(dice), tables, ramped(), policy=name, max_answers=dice.choice((1, 1, 2)), ttl=60)
    for node in NODES:
        kind = dice.randrange(7)
        if kind == 0:
            world.state(node, "down")
        elif kind == 1:
            world.state(node, shed=dice.choice(("0.1", "0.5", "0.9", "1")))
        elif kind == 2:
            ramping(world, node, dice.randrange(0, 700))
        if dice.random() < 0.2:
            until = dice.choice((None, NOW + dice.randrange(1, 600)))
            world.override(node, dice.choice(("up", "down", "drain")), dice.choice((0, 30, 100)), until)
    return world, dice


STEADY = ("best", "hash", "nearest", "path", "latency")


@settings(max_examples=examples(400), deadline=None)
@given(st.integers(0, 1 << 40), st.sampled_from(STEADY))
def test_every_address_within_a_scope_gets_the_same_answer(seed: int, name: str):
    world, dice = a_world(seed, name)
    for _ in range(4):
        asked = ipaddress.ip_network(a_prefix(dice))
        if asked.prefixlen == 0:
            continue
        decision = world.decide(str(asked))
        bits = asked.max_prefixlen
        assert 1 <= decision.scope <= bits
        if asked.prefixlen < decision.scope == bits:
            continue  # its addresses carry others, each for itself: the answer is for the network as such
        host = bits - decision.scope
        base = int(asked.network_address) >> host << host
        kind = type(asked.network_address)
        for _ in range(6):
            low = dice.getrandbits(dice.randrange(0, bits) + 1) if dice.random() < 0.7 else (1 << bits) - 1
            other = kind(base | low & ((1 << host) - 1))
            met = world.decide(f"{other}/{bits}")
            assert named(met) == named(decision), f"{asked} has scope {decision.scope}, {other} differs"
            assert met.layer == decision.layer


@settings(max_examples=examples(300), deadline=None)
@given(st.integers(0, 1 << 40), st.sampled_from(STEADY))
def test_an_answer_stays_the_same_until_it_says_it_ends(seed: int, name: str):
    world, dice = a_world(seed, name)
    for _ in range(3):
        client = a_prefix(dice)
        decision = world.decide(client)
        end = NOW + 2000 if decision.valid_until is None else decision.valid_until
        assert decision.ttl >= 1
        assert decision.ttl <= max(1.0, end - NOW)
        for _ in range(5):
            later = dice.uniform(NOW, end) - 0.0001
            assert named(world.decide(client, now=max(NOW, later))) == named(decision), (
                f"{later - NOW} s later"
            )


@settings(max_examples=examples(300), deadline=None)
@given(st.integers(0, 1 << 40), st.sampled_from((*STEADY, "weighted")), st.floats(0, 1, exclude_max=True))
def test_every_client_gets_every_type_of_the_service_and_no_node_twice(seed: int, name: str, ticket: float):
    world, dice = a_world(seed, name)
    for client in (a_prefix(dice), a_prefix(dice), None):
        decision = world.decide(client, ticket=ticket)
        assert list(decision.answer) == list(world.service.kinds)
        assert decision.scope >= 1
        if any(weight > 0 for _, weight in world.service.map.everyone):
            assert not decision.refused
        for kind, nodes in decision.answer.items():
            assert len(set(nodes)) == len(nodes) <= world.service.max_answers
            assert all(node.has(kind) for node in nodes)


def test_a_decision_asks_for_a_v4_client_in_v4_tables_and_for_a_v6_one_in_v6_tables():
    world = World(
        {"countries": {"GB": {"lon1": 100}}, "default": {"nyc1": 100}}, {"geo": {"32.0.0.0/8": "GB"}}
    )
    assert world.answer("::ffff:32.1.2.3/128")["A"] == ["lon1"]
    assert world.answer("2400::/32")["A"] == ["nyc1"]
    assert parse("::ffff:32.1.2.3").bits == 32


# ---------------------------------------------------------------- shortlists


@settings(max_examples=examples(600), deadline=None)
@given(st.integers(0, 1 << 40))
def test_a_shortlist_chooses_as_the_director_decides_or_leaves_it_to_it(seed: int):
    dice = random.Random(seed)
    layers = {key: value for key, value in a_map(dice).items() if key not in {"networks", "asns"}}
    layers["order"] = dice.sample(["subdivisions", "countries", "continents"], dice.randrange(1, 4))
    world = World(
        layers, nodes=ramped(dice.choice((0, 600))), policy="best", ttl=60, max_answers=dice.choice((1, 1, 2)),
        answer=dice.choice(("address", "address", "cname")),
    )  # fmt: skip
    if not is_eligible(world.service):
        return
    record = dice.choice(RECORDS["geo"])
    shortlist = Shortlist(world.service, world.director.keys, record)
    client = parse("32.0.0.0/24")
    for _ in range(8):
        node = dice.choice(sorted(NODES))
        kind = dice.randrange(6)
        if kind == 0:
            world.state(node, dice.choice(("up", "down", "unknown")), failing=dice.choice(("yes", "no")))
        elif kind == 1:
            world.state(node, shed=dice.choice(("0", "0.5", "1")))
        elif kind == 2:
            ramping(world, node, dice.randrange(0, 700))
        elif kind == 3:
            world.override(node, dice.choice(("up", "down", "drain")), dice.choice((0, 30, 100)))
        elif node in world.states:
            world.states[node].override = None
        chosen = shortlist.choose(world.states, NOW)
        decision = world.director.decide(
            world.service, client, lambda table: {"geo": (record, 16)}[table], world.states, NOW
        )
        if chosen is None:
            continue
        ttl, parts = chosen
        assert ttl == decision.ttl
        assert {kind: nodes for kinds, _, nodes in parts for kind in kinds} == decision.answer
        assert [kind for kinds, _, _ in parts for kind in kinds] == list(decision.answer)
        assert {kind: layer for kinds, layer, _ in parts for kind in kinds} == decision.layer
        assert not decision.split
        assert not decision.loud
        assert not decision.refused
        assert decision.valid_until is None
        assert list(decision.matched) == ["geo"]
        assert all(cells == decision.matched for cells in decision.asked.values())


def test_a_shortlist_chooses_where_one_node_serves_alone():
    world = World({"countries": {"GB": {"lon1": 100, "ams1": 50}}, "default": {"nyc1": 100}}, ttl=60)
    shortlist = Shortlist(world.service, world.director.keys, "GB")

    def chosen() -> list[str]:
        _, parts = shortlist.choose(world.states, NOW) or (0, ())
        return [node.name for *_, nodes in parts for node in nodes]

    assert chosen() == ["lon1"]
    world.state("lon1", "down")
    assert chosen() == ["ams1"]
    world.override("ams1", "down")
    assert chosen() == ["nyc1"]
    world.state("nyc1", shed="0.5")
    assert chosen() == []
