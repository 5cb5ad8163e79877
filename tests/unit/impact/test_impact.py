"""Traffic impact: exact shares, compared with what the director decides for client after client."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.decision.client import parse
from geosteer.decision.director import Director
from geosteer.decision.distribution import Distribution, Projection, all_up
from geosteer.decision.model import Model
from geosteer.decision.node_state import NodeState, Override
from geosteer.decision.probabilities import distance
from geosteer.keys import FAMILIES, root_field
from geosteer_loader.impact.joint_tables import Side
from geosteer_loader.impact.measure import measure
from geosteer_loader.impact.traffic import Traffic, networks
from geosteer_loader.store.pages import Pages
from support import tiny
from support.long import LONG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.impact.service_change import Impact
    from support.tiny import Entries

NOW = 1_770_000_000.0
NODES = {
    name: {"a": [f"192.0.2.{number}"], "location": [number * 5, 0]}
    for number, name in enumerate(("lon1", "ams1", "fra1", "nyc1"), 1)
}


def model(weights: Mapping[str, Any], **service: Any) -> Model:
    """One service `www` on a map with these layers; nodes of `NODES`."""
    order = ["networks", "asns", "subdivisions", "countries", "continents"]
    spec = {"order": order, "all_down": service.pop("all_down", "all"), "default": {"nyc1": 100}, **weights}
    return Model(
        {
            "format": 1, "nodes": NODES, "maps": {"m": spec}, "services": {"www": {"map": "m", **service}},
            "continents": {"GB": "EU", "NL": "EU", "DE": "EU", "US": "NA"},
        }
    )  # fmt: skip


def impact(
    before: Model,
    after: Model,
    old: Mapping[str, Entries],
    new: Mapping[str, Entries],
    states: Mapping[str, NodeState] | None = None,
    traffic: Traffic | None = None,
) -> Impact:
    """Measured between two configurations and two sets of tables."""
    built, roots = [], {}
    for table in old.keys() | new.keys():
        for bits in FAMILIES.values():
            sides = [tiny.build(tables[table], bits) if table in tables else None for tables in (old, new)]
            built += [one for one in sides if one is not None]
            first, second = (one.root.hex() if one is not None else None for one in sides)
            roots[root_field(table, bits)] = first, second
    pages = Pages(None, built)  # type: ignore[arg-type]  # all pages are here
    old_side, new_side = Side(model=before, after=False), Side(model=after, after=True)
    return measure(pages, roots, old_side, new_side, states or {}, NOW, traffic)


GEO = {"10.0.0.0/8": "GB", "11.0.0.0/8": "NL", "12.0.0.0/7": "US", "2001:db8::/32": "GB"}
MAP = {"countries": {"GB": {"lon1": 100}, "NL": {"ams1": 100}}}


def test_nothing_changes_for_equal_tables_and_maps() -> None:
    shift = impact(model(MAP), model(MAP), {"geo": GEO}, {"geo": GEO})["www"]["v4"]
    assert shift.total == 1 << 32
    assert shift.known == 4 << 24
    assert shift.moved == {"all_up": 0.0, "now": 0.0}
    assert shift.parts("all_up") == {}


def test_the_share_is_of_all_addresses_and_of_those_that_tables_know() -> None:
    new = {**GEO, "11.0.0.0/9": "GB", "14.0.0.0/8": "GB"}
    parts = impact(model(MAP), model(MAP), {"geo": GEO}, {"geo": new})["www"]
    assert parts["v4"].moved["all_up"] == (1 << 23) + (1 << 24)
    assert parts["v4"].share("all_up") == 1.5 * 2**24 / 2**32
    assert parts["v4"].share_known("all_up") == 1.5 / 5
    assert parts["v6"].share("all_up") == 0
    assert parts["v6"].known == 1 << 16  # /48s


def test_a_record_that_no_map_tells_from_the_old_one_moves_nobody() -> None:
    new = {**GEO, "12.0.0.0/7": "DE", "10.1.0.0/16": "GB 51 0"}
    assert impact(model(MAP), model(MAP), {"geo": GEO}, {"geo": new})["www"]["v4"].share("all_up") == 0


def test_a_node_that_joins_equals_takes_its_even_part() -> None:
    wider = {"countries": {**MAP["countries"], "GB": {"lon1": 100, "ams1": 100, "fra1": 100}}}
    shift = impact(model(MAP), model(wider), {"geo": GEO}, {"geo": GEO})["www"]["v4"]
    assert shift.moved["all_up"] == pytest.approx((1 << 24) * 2 / 3)
    parts: dict[str, Any] = shift.parts("all_up")
    assert parts == {
        "ams1": (0.25, pytest.approx(1 / 3)), "fra1": (0.0, pytest.approx(1 / 12)), "lon1": (0.25, pytest.approx(1 / 12)),
    }  # fmt: skip


@pytest.mark.parametrize("policy", ["weighted", "hash"])
def test_draws_and_hashes_count_by_the_change_of_shares(policy: str) -> None:
    one = {"countries": {"GB": {"lon1": 100, "ams1": 100}}}
    two = {"countries": {"GB": {"lon1": 300, "ams1": 100}}}
    shift = impact(model(one, policy=policy), model(two, policy=policy), {"geo": GEO}, {"geo": GEO})["www"][
        "v4"
    ]
    assert shift.moved["all_up"] == pytest.approx((1 << 24) / 4)


def test_current_states_count_beside_all_nodes_up() -> None:
    down = NodeState()
    down.update({"state": "down"})
    new = {**GEO, "11.0.0.0/8": "GB"}
    shift = impact(model(MAP), model(MAP), {"geo": GEO}, {"geo": new}, {"ams1": down})["www"]["v4"]
    assert shift.moved == {"all_up": 1 << 24, "now": 1 << 24}
    shift = impact(model(MAP), model(MAP), {"geo": GEO}, {"geo": new}, {"ams1": down, "lon1": down})["www"][
        "v4"
    ]
    assert shift.moved == {"all_up": 1 << 24, "now": 0}


def test_a_service_of_several_tables_moves_where_any_of_them_changes() -> None:
    both = {**MAP, "asns": {"AS10": {"fra1": 100}}}
    old = {"geo": GEO, "bgp": {"10.0.0.0/9": "AS10", "12.0.0.0/8": "AS20"}}
    new = {"geo": {**GEO, "10.0.0.0/8": "NL"}, "bgp": {"10.0.0.0/9": "AS10 AS30", "13.0.0.0/8": "AS10"}}
    shift = impact(model(both), model(both), old, new)["www"]["v4"]
    assert shift.moved["all_up"] == (1 << 23) + (1 << 24)


def test_real_clients_weigh_by_their_counts_and_networks_by_their_addresses() -> None:
    new = {**GEO, "11.0.0.0/9": "GB", "2001:db8::/33": "NL"}
    traffic = {(32, 0x0A000001, 32): 5.0, (32, 0x0B000000, 8): 4.0, (128, 0x20010DB8 << 96, 48): 1.0}
    parts = impact(model(MAP), model(MAP), {"geo": GEO}, {"geo": new}, traffic=traffic)["www"]
    assert parts["clients"].total == 10
    assert parts["clients"].moved["all_up"] == pytest.approx(2 + 1)
    assert list(networks(traffic, 128)) == [(0x20010DB8 << 96, (0x20010DB8 << 96) + (1 << 80), 1.0)]


def test_services_that_only_one_side_has_are_left_out() -> None:
    other = model(MAP)
    other.services["new"] = other.services.pop("www")
    assert impact(model(MAP), other, {"geo": GEO}, {"geo": GEO}) == {}


def test_half_the_sum_of_differences_counts_what_is_missing() -> None:
    assert distance({"a": 1.0}, {"b": 1.0}) == 1
    assert distance({"a": 0.5, "b": 0.5}, {"a": 1.0}) == 0.5
    assert distance({"a": 1.0}, {}) == 1
    assert distance({}, {}) == 0


def random_states(rng: random.Random) -> dict[str, NodeState]:
    states = {}
    for name in NODES:
        state = states[name] = NodeState()
        state.state = rng.choice(["up", "up", "unknown", "down"])
        state.shed = rng.choice([0, 0, 0.3, 0.8, 1.0])
        state.came_back, state.since = rng.random() < 0.3, NOW - rng.choice([10, 45])
        said = rng.choice([None, None, None, "up", "down", "drain"])
        if said:
            state.override = Override(said, rng.choice([0, 25]) if said == "drain" else 100)
    return states


def test_a_bias_moves_clients_and_nothing_else_of_the_service_need_change() -> None:
    places = {"default": {"lon1": 100, "nyc1": 100}}  # at 5 and 20 degrees north
    geo = {"10.0.0.0/8": "GB 6 0", "11.0.0.0/8": "GB 13 0", "12.0.0.0/8": "GB 19 0"}
    plain, biased = (model(places, policy="nearest", near_km=0, bias=bias) for bias in ({}, {"lon1": 30}))
    shift = impact(plain, biased, {"geo": geo}, {"geo": geo})["www"]["v4"]
    assert shift.moved_known["all_up"] == 1 << 24
    assert shift.parts("all_up")["lon1"] == pytest.approx((1 / 3, 2 / 3))
    same = impact(biased, biased, {"geo": geo}, {"geo": geo})["www"]["v4"]
    assert same.moved["all_up"] == 0


def random_weights(rng: random.Random) -> dict[str, int]:
    chosen = rng.sample(sorted(NODES), rng.randint(1, 4))
    return {name: rng.choice([0, 100, 100, 200]) for name in chosen}


@pytest.mark.no_cover
@pytest.mark.parametrize("policy", ["best", "weighted", "hash", "nearest", "path"])
def test_chances_are_what_the_director_gives_to_many_clients(policy: str) -> None:
    rng = random.Random(policy)
    clients = 1500
    records = {"geo": "GB 12 0", "path": "lon1=3 ams1=3 fra1=2", "bgp": "", "nets": ""}
    for _ in range(20 if LONG else 8):
        weights = {
            "countries": {"GB": random_weights(rng)},
            "continents": {"EU": random_weights(rng)},
            "default": {**random_weights(rng), "nyc1": 100},
        }
        answers = rng.choice([1, 1, 2, 3])
        made = model(
            weights, policy=policy, max_answers=answers, near_km=400, all_down=rng.choice(["all", "none"]),
            bias={"lon1": rng.choice([-50, 0, 40]), "fra1": 20},
        )  # fmt: skip
        states = rng.choice([all_up(made), random_states(rng)])
        director, service = Director(made), made.services["www"]
        seen = {table: Projection(director, service, table)(record) for table, record in records.items()}
        expected = Distribution(made, states, NOW).chances(service, seen)["A"]
        counts: dict[str, float] = {}
        for number in range(clients):
            client = parse(f"10.{number >> 8}.{number & 255}.0/24")
            decision = director.decide(
                service, client, lambda table: (records[table], 8), states, NOW, (number + 0.5) / clients
            )
            for node in decision.answer["A"]:
                share = 1 / len(decision.answer["A"]) / clients
                counts[node.name] = counts.get(node.name, 0.0) + share
        assert counts.keys() <= expected.keys()
        assert sum(expected.values()) == pytest.approx(1 if counts else 0)
        assert distance(counts, expected) < 0.035, (weights, answers, expected, counts)


def test_without_a_hash_chances_are_certain() -> None:
    made = model({"countries": {"GB": {"lon1": 100, "ams1": 50}}})
    distribution = Distribution(made, all_up(made), NOW)
    assert distribution.chances(made.services["www"], {"geo": ("GB",)}) == {"A": {"lon1": 1.0, "ams1": 0.0}}
