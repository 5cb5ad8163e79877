"""Shifts: what most of the recent samples of enough networks show is new, and the past does not count any more."""

from __future__ import annotations

import pytest

from geosteer_loader.rtt.histograms import Histograms
from geosteer_loader.rtt.sample import Sample
from geosteer_loader.rtt.shifts import Where, recent, shifts
from geosteer_loader.rtt.sketch import bin_of

QUORUM = 5


def told(networks, system="AS64500", samples=3.0, usual=20.0):
    """One AS whose networks now take so long on their way to node 1."""
    past = [(bin_of(usual), 40.0), (bin_of(usual + 2), 20.0)]
    every = [
        recent(Where(f"{system} {number}", f"{system} {number}", system), 1, [(bin_of(time), samples)], past)
        for number, time in enumerate(networks)
    ]
    return [each for each in every if each is not None]


def test_an_as_whose_networks_are_slower_has_a_new_path():
    assert shifts(told([80.0] * 6), QUORUM).systems == {("AS64500", 1)}


@pytest.mark.parametrize(
    "networks",
    [
        [80.0] * 4,  # below the quorum
        [80.0] * 3 + [20.0] * 5,  # some of them: their own matter, or a lie
        [23.0] * 9,  # as before
        [2.0] * 9,  # better: that may wait
    ],
)
def test_what_is_no_new_path_to_the_node_changes_nothing(networks):
    found = shifts(told(networks), QUORUM)
    assert (found.nodes, found.systems, found.networks) == (frozenset(), frozenset(), frozenset())


def test_congestion_that_comes_every_evening_is_part_of_the_past():
    past = [(bin_of(20.0), 80.0), (bin_of(45.0), 20.0)]
    every_evening = [
        recent(Where(str(number), number, "AS64500"), 1, [(bin_of(45.0), 5.0)], past) for number in range(9)
    ]
    assert not shifts([each for each in every_evening if each is not None], QUORUM).systems


def test_a_path_that_gets_worse_in_the_middle_of_a_window_is_noticed_at_its_end():
    past = [(bin_of(20.0), 40.0)]

    def slower(*parts: float) -> frozenset[tuple[str, int]]:
        every = [
            recent(
                Where(str(number), number, "AS64500"),
                1,
                [(bin_of(20.0), 3.0 * (1 - part)), (bin_of(80.0), 3.0 * part)],
                past,
            )
            for number, part in enumerate(parts)
        ]
        return shifts([each for each in every if each is not None], QUORUM).systems

    assert slower(0.33, 0.5, 0.0, 0.67, 0.33, 0.5, 0.67)
    assert not slower(0.33, 0.33, 0.33, 0.0, 0.0, 0.33), "a slow sample here and there"
    assert not slower(1.0, 1.0, 0.0, 0.0, 0.1), "some networks alone"


def test_a_network_with_many_samples_is_judged_by_itself():
    found = shifts(told([80.0], samples=12.0), QUORUM)
    assert found.networks == {("AS64500 0", 1)}
    assert found.of(Where("AS64500 0", "", "AS64500"), {1, 2}) == {1}
    assert found.of(Where("AS64500 1", "", "AS64500"), {1, 2}) == set()


def test_a_node_that_is_slower_for_most_ases_is_so_everywhere():
    everywhere = [each for number in range(6) for each in told([80.0] * 5, system=f"AS{number}")]
    assert shifts(everywhere, QUORUM).of(Where("elsewhere", "", "AS7"), {1}) == {1}


def test_without_a_past_nothing_is_new():
    assert recent(Where("1", 1, "1"), 1, [(bin_of(80.0), 9.0)], [(bin_of(20.0), 1.0)]) is None


def test_the_recent_is_past_after_a_window_and_all_of_it_after_a_shift():
    kept = Histograms(1e9)
    kept.add([(1, Sample(1e9, 32, 0, "fra1", 20.0)), (2, Sample(1e9, 32, 0, "ams1", 30.0))], 86400.0)
    kept.settle(())
    assert list(kept.recent()) == []
    kept.add([(1, Sample(1e9, 32, 0, "fra1", 80.0))], 86400.0)
    ((number, fresh, past),) = kept.recent()
    assert (number, fresh.bins, past.bins) == (1, [(bin_of(80.0), 1.0)], [(bin_of(20.0), 1.0)])
    assert Histograms(1e9, kept.packed()).cells == kept.cells
    kept.settle({1})
    assert dict(kept.by_node())[1].bins == [(bin_of(80.0), 1.0)]
    assert dict(kept.by_node())[2].bins == [(bin_of(30.0), 1.0)]
