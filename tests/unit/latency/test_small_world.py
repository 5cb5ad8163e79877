"""A small synthetic world, through the code that steers real clients: it steers well, quietly, and leaves what got worse."""

from __future__ import annotations

import pytest

from bench.latency import hours_until_left, liars
from bench.latency_trial import Feed, Trial
from bench.latency_world import Shape, World


@pytest.mark.no_cover
def test_measured_clients_are_near_their_best_node_and_stay_there_until_it_gets_worse(tmp_path):
    with Trial(World(Shape(seed=6, networks=150, nodes=8)), tmp_path, Feed(a_day=50)) as trial:
        while trial.hour < 24:
            trial.step()
        moved = sum(trial.step() for _ in range(6))
        latency, nearest = (
            trial.outcome(policy).mean(lambda net: net.measured) for policy in ("latency", "nearest")
        )
        assert nearest > 3, "a world where nearest is wrong by more than nodes that count as equal differ"
        assert latency < 0.3 * nearest
        assert moved < 0.05
        assert hours_until_left(trial, limit=24)[0.9] <= 16
        before = trial.served["latency"]
        for _ in range(6):
            trial.step(silent=True)
        assert trial.served["latency"] == before, "a feed that stops freezes what is published"


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", [1, 2])
def test_with_samples_in_plenty_a_node_that_got_worse_is_left_within_six_hours(tmp_path, seed):
    with Trial(World(Shape(seed=seed, networks=60, nodes=8)), tmp_path, Feed(a_day=300)) as trial:
        while trial.hour < 8:
            trial.step()
        assert hours_until_left(trial, limit=6)[0.9] <= 6


@pytest.mark.no_cover
def test_a_third_that_lies_harms_itself_alone(tmp_path):
    outcomes = []
    for forged in (None, liars):
        folder = tmp_path / ("honest" if forged is None else "forged")
        folder.mkdir()
        with Trial(
            World(Shape(seed=3, networks=150, nodes=8)), folder, Feed(a_day=30, forged=forged)
        ) as trial:
            while trial.hour < 16:
                trial.step()
            outcomes.append(
                trial.outcome("latency").mean(lambda net: not net.measured or net.number % 3 != 0)
            )
    assert outcomes[1] <= outcomes[0] + 3.0
