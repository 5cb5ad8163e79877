"""Estimates: a median of networks, drawn towards what is known wider, whatever single networks claim."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer_loader.rtt.estimate import Network, Rules, Value, estimate, pull, shrink, weighted_median

RULES = Rules()


def network(
    number: int, times: dict[str, float], samples: float = 50.0, asn: int = 64500, prefix: int = 0
) -> Network:
    measured = {node: Value(time, samples) for node, time in times.items()}
    return Network((32, number << 8), number, (32, prefix, 16), asn, "DE", 32, measured)


def test_an_as_that_enough_networks_measured_has_their_median() -> None:
    made = estimate([network(number, {"a": 10.0 + number, "b": 30.0}) for number in range(7)], RULES)
    assert made.systems[64500, "DE", 32] == pytest.approx({"a": 13.0, "b": 30.0})


def test_four_networks_are_too_few_for_an_as_and_still_tell_of_themselves() -> None:
    made = estimate([network(number, {"a": 10.0}) for number in range(4)], RULES)
    assert made.systems == {}
    assert made.networks[32, 0] == pytest.approx({"a": 10.0})


def test_a_network_with_few_samples_goes_by_its_as() -> None:
    networks = [network(number, {"a": 20.0, "b": 40.0}) for number in range(20)]
    made = estimate([*networks, network(99, {"a": 2.0}, samples=1.0)], RULES)
    told = made.networks[32, 99 << 8]
    # one sample of 18 ms less tells a shorter last mile, which holds for both nodes, and counts for one in 21
    assert told["b"] == pytest.approx(40.0 - 18.0, abs=1)
    assert told["a"] < told["b"]


@pytest.mark.parametrize("forged", [0.1, 5000.0])
def test_fewer_forged_networks_than_half_move_an_as_by_nothing(forged: float) -> None:
    honest = [network(number, {"a": 20.0, "b": 25.0}) for number in range(20)]
    lying = [network(1000 + number, {"a": forged}, samples=2000.0) for number in range(9)]
    alone = estimate(honest, RULES).systems[64500, "DE", 32]
    assert estimate(honest + lying, RULES).systems[64500, "DE", 32] == pytest.approx(alone)


def test_many_networks_of_one_ipv6_operator_are_one_voter() -> None:
    measured = {"a": Value(5.0, 50.0)}
    networks = [
        Network((128, number << 80), 0x20010DB8, (128, 0, 32), 64500, "DE", 128, measured)
        for number in range(100)
    ]
    assert estimate(networks, RULES).systems == {}


def test_what_only_the_parent_knows_is_shifted_by_the_last_mile() -> None:
    told = shrink({"a": Value(30.0, 1000.0)}, {"a": 20.0, "b": 50.0}, RULES)
    assert told["b"] == pytest.approx(60.0)
    assert told["a"] == pytest.approx(30.0)


def test_networks_that_lie_far_apart_are_drawn_to_their_as_by_little() -> None:
    parent = {"a": 20.0, "b": 30.0}
    alike = [{"a": Value(20.0 + mile, 20.0), "b": Value(30.0 + mile, 20.0)} for mile in range(9)]
    apart = [{"a": Value(20.0 + 9 * at, 20.0), "b": Value(30.0 - 9 * at, 20.0)} for at in range(-4, 5)]
    assert pull([(own, parent) for own in alike], RULES) == pytest.approx(RULES.wider)
    assert pull([(own, parent) for own in apart], RULES) == RULES.wider_least
    assert pull([], RULES) == RULES.wider


def test_slow_networks_do_not_make_the_nodes_slow_that_they_alone_measured() -> None:
    fast = [network(number, {"a": 10.0, "b": 12.0}) for number in range(20)]
    slow = [network(100 + number, {"b": 62.0, "c": 60.0}) for number in range(30)]
    told = estimate(fast + slow, RULES).systems[64500, "DE", 32]
    assert told["b"] - told["a"] == pytest.approx(2.0, abs=0.5)
    assert told["c"] - told["a"] == pytest.approx(0.0, abs=0.5)


def test_what_is_inherited_is_of_the_distance_of_the_heir() -> None:
    here, there = {"a": 10.0, "b": 40.0}, {"a": 40.0, "b": 10.0}
    near_a = [replace(network(n, {"a": 15.0, "b": 45.0}), usual=here) for n in range(10)]
    near_b = replace(network(50, {"a": 45.0}, samples=10.0), usual=there)
    made = estimate([*near_a, near_b], RULES)
    assert made.networks[32, 50 << 8]["b"] == pytest.approx(15.0, abs=1)
    assert made.networks[32, 0]["b"] == pytest.approx(45.0, abs=1)


@given(st.lists(st.tuples(st.floats(0.1, 1000), st.floats(0.1, 20)), min_size=1, max_size=30))
def test_half_of_the_weight_lies_on_either_side_of_a_weighted_median(
    children: list[tuple[float, float]],
) -> None:
    values, weights = zip(*children, strict=True)
    median = weighted_median(values, weights)
    half = sum(weights) / 2 + 1e-6
    assert sum(weight for value, weight in children if value < median) <= half
    assert sum(weight for value, weight in children if value > median) <= half


times = st.dictionaries(st.sampled_from("abcd"), st.floats(0.1, 5000), min_size=1)


@given(st.lists(st.tuples(times, st.floats(0.5, 500), st.integers(1, 3), st.integers(0, 2)), max_size=25))
def test_whatever_is_measured_estimates_are_times_of_nodes_that_were_measured(drawn) -> None:
    networks = [
        network(number, measured, samples, asn, prefix)
        for number, (measured, samples, asn, prefix) in enumerate(drawn)
    ]
    made = estimate(networks, RULES)
    seen = {node for each in networks for node in each.measured}
    for level in (made.networks, made.prefixes, made.systems):
        for told in level.values():
            assert told.keys() <= seen
            assert all(0 < time < 20_000 for time in told.values())
