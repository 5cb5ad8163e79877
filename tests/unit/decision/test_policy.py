"""Rankings: proportions proved by running every ticket, rendezvous by sweeping every network of a /12."""

from __future__ import annotations

import hashlib
from collections import Counter
from fractions import Fraction
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.decision import policy
from geosteer.decision.model import Map, Node, Service, bias_factor
from geosteer.decision.policy import Candidate
from support.long import examples

NETWORKS = [f"100.{64 + high}.{low}.0/24" for high in range(16) for low in range(256)]
"""Every /24 of a /12."""
LONDON, AMSTERDAM, NEW_YORK = (51.51, -0.13), (52.37, 4.9), (40.71, -74.01)


def candidate(name: str, weight: float = 100, share: float = 1, **spec: object) -> Candidate:
    return Candidate(Node(name, spec), weight, share)


def names(candidates) -> list[str]:
    return [one.node.name for one in candidates]


def grouped(groups: policy.Groups) -> list[set[str]]:
    return [set(names(group)) for group in groups]


def grid(steps: int):
    """Tickets in the middle of each of *steps* equal parts of [0, 1)."""
    return ((step + 0.5) / steps for step in range(steps))


# ---------------------------------------------------------------- the two numbers


def test_the_number_for_a_share_is_the_first_13_hex_digits_of_sha1_over_2_to_the_52():
    digits = "7f01922acadb68b31a480000b0f9b7024deb3954"
    assert hashlib.sha1(b"lon1|192.0.2.0/24").hexdigest() == digits
    assert policy.unit("lon1", "192.0.2.0/24") == (
        int(digits[:13], 16) / 2**52,
        int(digits[13:26], 16) / 2**52,
    )
    assert policy.unit("lon1", "192.0.2.0/24")[0] == 0.49611772103058405


@given(st.text(max_size=20), st.text(max_size=20))
def test_the_numbers_lie_in_0_to_1_for_any_text(node: str, network: str):
    assert all(0 <= number < 1 for number in policy.unit(node, network))


def test_the_numbers_are_even_and_independent_of_each_other():
    counts: Counter[Any] = Counter()
    for network in NETWORKS:
        share, order = policy.unit("lon1", network)
        counts[int(share * 4), int(order * 4)] += 1
    assert len(counts) == 16
    assert all(abs(count - 256) < 64 for count in counts.values()), "within four standard deviations"


# ---------------------------------------------------------------- weighted


def test_each_node_gets_exactly_its_part_of_all_tickets():
    candidates = [candidate("a", 1), candidate("b", 2), candidate("c", 3), candidate("d", 100)]
    firsts = Counter(policy.weighted(candidates, ticket)[0].node.name for ticket in grid(10_600))
    assert firsts == {"a": 100, "b": 200, "c": 300, "d": 10_000}


def test_a_share_does_not_count_in_a_draw():
    candidates = [candidate("a", 100, 0.25), candidate("b", 50, 0.5), candidate("c", 50)]
    firsts = Counter(policy.weighted(candidates, ticket)[0].node.name for ticket in grid(4000))
    assert firsts == {"a": 2000, "b": 1000, "c": 1000}


@pytest.mark.no_cover
def test_all_orders_of_a_draw_without_replacement_have_exactly_their_part():
    weights = {"a": 1, "b": 2, "c": 3, "d": 4}
    candidates = [candidate(name, weight) for name, weight in weights.items()]
    steps = 10 * 9 * 8 * 7 * 6 * 5 * 4 // 4
    orders = Counter("".join(names(policy.weighted(candidates, ticket))) for ticket in grid(steps))
    for order in permutations(weights):
        part, left = Fraction(1), 10
        for name in order:
            part *= Fraction(weights[name], left)
            left -= weights[name]
        assert abs(orders["".join(order)] - part * steps) <= 1, order


@settings(max_examples=examples(300))
@given(
    st.lists(st.tuples(st.floats(0.01, 1e6), st.floats(0.001, 1)), min_size=1, max_size=8),
    st.floats(0, 1, exclude_max=True),
)
def test_any_ticket_draws_every_candidate_once(parts: list[tuple[float, float]], ticket: float):
    candidates = [candidate(str(number), *part) for number, part in enumerate(parts)]
    assert sorted(names(policy.weighted(candidates, ticket))) == sorted(names(candidates))


def test_the_first_and_the_last_ticket_fall_to_the_first_and_the_last_node():
    candidates = [candidate("a", 1), candidate("b", 1), candidate("c", 1)]
    assert names(policy.weighted(candidates, 0.0))[0] == "a"
    assert names(policy.weighted(candidates, 1 - 2**-53)) == ["c", "b", "a"]


def test_a_draw_leaves_the_candidates_as_they_were():
    candidates = [candidate("a"), candidate("b")]
    policy.weighted(candidates, 0.7)
    assert names(candidates) == ["a", "b"]


# ---------------------------------------------------------------- hash


def winners(candidates: list[Candidate]) -> dict[str, str]:
    return {network: policy.hashed(candidates, network)[0].node.name for network in NETWORKS}


def test_a_lost_node_moves_only_its_own_clients():
    candidates = [candidate("a", 10), candidate("b", 20), candidate("c", 30), candidate("d", 40)]
    before = winners(candidates)
    for lost in candidates:
        after = winners([one for one in candidates if one is not lost])
        assert {network for network in NETWORKS if before[network] != after[network]} == {
            network for network in NETWORKS if before[network] == lost.node.name
        }


def test_the_next_of_a_clients_ranking_is_where_it_goes_when_its_node_is_lost():
    candidates = [candidate("a", 10), candidate("b", 20), candidate("c", 30)]
    for network in NETWORKS[:500]:
        first, second, _ = policy.hashed(candidates, network)
        left = [one for one in candidates if one is not first]
        assert policy.hashed(left, network)[0] is second


def test_a_share_does_not_change_a_rendezvous():
    candidates = [candidate("a", 10), candidate("b", 20), candidate("c", 30)]
    assert winners(candidates) == winners([*candidates[:2], candidate("c", 30, 0.5)])


def test_clients_are_spread_by_weight():
    counts = Counter(winners([candidate("a", 10), candidate("b", 20), candidate("c", 70)]).values())
    expected = {"a": 409.6, "b": 819.2, "c": 2867.2}
    assert all(abs(counts[name] - count) < 4 * count**0.5 for name, count in expected.items())


def test_which_clients_a_node_keeps_does_not_depend_on_which_the_rendezvous_gives_to_it():
    candidates = [candidate("a", 10), candidate("b", 20), candidate("c", 30)]
    won = Counter(winners(candidates).values())
    kept = Counter(name for network, name in winners(candidates).items() if policy.keeps(name, 0.3, network))
    for name, count in won.items():
        assert abs(kept[name] - 0.3 * count) < 4 * (0.21 * count) ** 0.5


def test_the_order_of_the_candidates_does_not_matter():
    candidates = [candidate("a", 10), candidate("b", 10), candidate("c", 30)]
    for order in permutations(candidates):
        assert names(policy.hashed(order, NETWORKS[7])) == names(policy.hashed(candidates, NETWORKS[7]))
        assert [names(group) for group in policy.best(order, NETWORKS[7])] == [
            names(group) for group in policy.best(candidates, NETWORKS[7])
        ]


# ---------------------------------------------------------------- best


def test_the_heaviest_comes_first_and_equals_make_a_group():
    candidates = [candidate("a", 50), candidate("b", 100), candidate("c", 50), candidate("d", 0.5)]
    assert grouped(policy.best(candidates, NETWORKS[0])) == [{"b"}, {"a", "c"}, {"d"}]


def test_a_share_does_not_change_the_ranking():
    candidates = [candidate("a", 50), candidate("b", 100, 0.01)]
    assert grouped(policy.best(candidates, NETWORKS[0])) == [{"b"}, {"a"}]


def test_a_node_lost_among_equals_moves_only_its_own_clients():
    candidates = [candidate("a"), candidate("b"), candidate("c")]
    counts: Counter[Any] = Counter()
    for network in NETWORKS:
        order = names(policy.best(candidates, network)[0])
        counts[order[0]] += 1
        for lost in candidates:
            left = names(policy.best([one for one in candidates if one is not lost], network)[0])
            assert left == [name for name in order if name != lost.node.name]
    assert all(abs(count - 4096 / 3) < 4 * 30 for count in counts.values())


# ---------------------------------------------------------------- nearest


def at(name: str, kilometres: float, weight: float = 100) -> Candidate:
    """A node that far north of 0 degrees north, 0 east."""
    return candidate(name, weight, location=[kilometres / 6371.0 * 57.29577951308232, 0.0])


ZERO = (0.0, 0.0)


def test_distances_are_those_of_a_sphere():
    assert policy.distance(LONDON, LONDON) == 0
    assert policy.distance(LONDON, AMSTERDAM) == pytest.approx(358, abs=1)
    assert policy.distance(LONDON, NEW_YORK) == pytest.approx(5570, abs=3)
    assert policy.distance(NEW_YORK, LONDON) == pytest.approx(policy.distance(LONDON, NEW_YORK))
    assert policy.distance((0, 179), (0, -179)) == pytest.approx(222.39, abs=0.01)
    assert policy.distance((90, 0), (-90, 77)) == pytest.approx(6371 * 3.14159265358979)
    assert policy.distance((12, 34), (-12, -146)) == pytest.approx(6371 * 3.14159265358979)
    assert policy.distance(LONDON, None) == float("inf")


@pytest.mark.parametrize(
    ("away", "groups"),
    [
        ((10, 109.9), [{"n0", "n1"}]),
        ((10, 110.1), [{"n0"}, {"n1"}]),
        ((0, 100.1), [{"n0"}, {"n1"}]),
        ((4000, 4199), [{"n0", "n1"}]),
        ((4000, 4201), [{"n0"}, {"n1"}]),
        ((2000, 2099.9), [{"n0", "n1"}]),
        ((2000, 2100.1), [{"n0"}, {"n1"}]),
        ((500, 550, 590, 700, 650), [{"n0", "n1", "n2"}, {"n4"}, {"n3"}]),
    ],
)
def test_nodes_within_5_per_cent_or_100_km_of_the_nearest_are_equal(away, groups):
    candidates = [at(f"n{number}", distance) for number, distance in enumerate(away)]
    assert grouped(policy.nearest(candidates, NETWORKS[0], ZERO, 100)) == groups


def test_how_near_is_near_can_be_said():
    candidates = [at("a", 10), at("b", 250)]
    assert grouped(policy.nearest(candidates, NETWORKS[0], ZERO, 300)) == [{"a", "b"}]
    assert grouped(policy.nearest(candidates, NETWORKS[0], ZERO, 0)) == [{"a"}, {"b"}]
    assert grouped(policy.nearest([at("a", 10), at("b", 10.4)], NETWORKS[0], ZERO, 0)) == [{"a", "b"}]


def test_among_near_ones_the_heavier_comes_first_and_equals_make_a_group():
    candidates = [at("a", 10, 50), at("b", 60, 100), at("c", 70, 50), at("d", 900, 1000)]
    assert grouped(policy.nearest(candidates, NETWORKS[0], ZERO, 100)) == [{"b"}, {"a", "c"}, {"d"}]


def test_a_node_without_a_place_comes_last():
    candidates = [candidate("nowhere", 1000), at("far", 19_000)]
    assert grouped(policy.nearest(candidates, NETWORKS[0], ZERO, 100)) == [{"far"}, {"nowhere"}]


def test_without_a_place_of_the_client_or_of_any_node_all_rank_as_in_best():
    candidates = [at("a", 10, 50), at("b", 9000, 100)]
    assert grouped(policy.nearest(candidates, NETWORKS[0], None, 100)) == [{"b"}, {"a"}]
    lost = [candidate("a", 50), candidate("b", 100)]
    assert grouped(policy.nearest(lost, NETWORKS[0], ZERO, 100)) == [{"b"}, {"a"}]


# ---------------------------------------------------------------- bias


@pytest.mark.parametrize(
    ("bias", "factor"),
    [(0, 1), (25, 0.75), (99, 0.01), (1, 0.99), (-25, 1 / 0.75), (-99, 100), (-1, 1 / 0.99)],
)
def test_a_bias_multiplies_distances_as_route_53_says(bias, factor):
    assert bias_factor(bias) == pytest.approx(factor)


def test_a_bias_stretches_or_shrinks_a_catchment():
    candidates = [at("a", 4000), at("b", 3200)]
    factors = {"a": bias_factor(25)}
    assert grouped(policy.nearest(candidates, NETWORKS[0], ZERO, 0)) == [{"b"}, {"a"}]
    assert grouped(policy.nearest(candidates, NETWORKS[0], ZERO, 0, factors)) == [{"a"}, {"b"}]
    factors = {"b": bias_factor(-25)}
    assert grouped(policy.nearest(candidates, NETWORKS[0], ZERO, 0, factors)) == [{"a"}, {"b"}]


def service(name: str, nodes, **spec: object) -> Service:
    area = Map("m", {"default": dict.fromkeys(nodes, 100)}, nodes)
    return Service("www", {"map": "m", "policy": name, **spec}, {"m": area})


def ranked(made: Service, candidates, times=None, place=ZERO) -> list[set[str]]:
    return grouped(policy.groups(made, candidates, NETWORKS[0], lambda: place, dict, lambda: times or {}))


def test_a_bias_multiplies_measured_times_and_the_distance_of_nodes_without_one():
    candidates = [at("a", 4000), at("b", 3200), at("c", 900), at("d", 1000)]
    nodes = {one.node.name: one.node for one in candidates}
    plain = service("latency", nodes)
    biased = service("latency", nodes, bias={"a": 50, "c": -50})
    times = {"a": 40, "b": 30}
    assert ranked(plain, candidates, times) == [{"b"}, {"a"}, {"c"}, {"d"}]
    assert ranked(biased, candidates, times) == [{"a"}, {"b"}, {"d"}, {"c"}]
    assert ranked(biased, candidates) == [{"d"}, {"c"}, {"a"}, {"b"}], "no time of any is known"
    assert ranked(biased, candidates, {"a": 10_050, "b": 30}) == [{"b"}, {"d"}, {"c"}, {"a"}], "a fails there"


@pytest.mark.parametrize("name", ["best", "weighted", "hash", "path"])
def test_a_bias_is_for_policies_that_go_by_distance_or_time(name):
    candidates = [at("a", 10), at("b", 20)]
    assert service(name, {one.node.name: one.node for one in candidates}, bias={"a": 50}).factors == {}


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9000), st.sampled_from((50, 100)), st.integers(-99, 99), st.sampled_from((None, 0, 700))),
        min_size=2, max_size=6,
    ),
    st.integers(-99, 98), st.data(), st.booleans(),
)  # fmt: skip
def test_more_bias_never_ranks_a_node_lower(drawn, low, data, measured):
    candidates = [at(f"n{number}", away, weight) for number, (away, weight, _, _) in enumerate(drawn)]
    for one, (_, _, _, near) in zip(candidates, drawn, strict=True):
        one.node.near_km = near
    nodes = {one.node.name: one.node for one in candidates}
    bias = {f"n{number}": each for number, (_, _, each, _) in enumerate(drawn)}
    high = data.draw(st.integers(low + 1, 99))
    times = {f"n{number}": away // 100 for number, (away, *_) in enumerate(drawn)} if measured else {}
    places = []
    for own in (low, high):
        made = service("latency" if measured else "nearest", nodes, bias={**bias, "n0": own})
        ordered = policy.groups(made, candidates, NETWORKS[0], lambda: ZERO, dict, lambda: times)
        places.append([one.node.name for group in ordered for one in group].index("n0"))
    assert places[1] <= places[0]


# ---------------------------------------------------------------- path


def test_the_shortest_path_comes_first_then_the_heaviest():
    candidates = [candidate("lon1", 1), candidate("ams1", 50), candidate("fra1", 100), candidate("nyc1", 100)]
    lengths = {"lon1": 2, "ams1": 3, "fra1": 3, "nyc1": 7}
    assert grouped(policy.path(candidates, NETWORKS[0], lengths)) == [{"lon1"}, {"fra1"}, {"ams1"}, {"nyc1"}]


def test_nodes_of_one_vantage_point_are_equally_far_and_an_unseen_one_comes_last():
    candidates = [
        candidate("lon1", vantage="lon"), candidate("lon2", vantage="lon"), candidate("ams1", vantage="ams"),
        candidate("nyc1", 1000),
    ]  # fmt: skip
    lengths = {"lon": 4, "ams": 255}
    assert grouped(policy.path(candidates, NETWORKS[0], lengths)) == [{"lon1", "lon2"}, {"ams1"}, {"nyc1"}]


def test_without_any_path_all_rank_as_in_best():
    candidates = [candidate("a", 50), candidate("b", 100), candidate("c", 50)]
    assert grouped(policy.path(candidates, NETWORKS[0], {})) == [{"b"}, {"a", "c"}]
