"""Pages that are mended while a table changes are those that the changed table is built to at one go."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.tables import page_builder
from geosteer_loader.tables.flatten import sweep
from geosteer_loader.tables.path_lengths import merge_views
from geosteer_loader.tables.prefix_index import PrefixIndex
from geosteer_loader.tables.ranges import RangeBuilder
from geosteer_loader.tables.recut import PageTree, encoding
from support.long import examples
from support.tables import LONG

RECORDS = ("AS1", "AS2", "AS3 AS4", "", "1" + LONG, "2" + LONG, "3" + LONG)


def drawn(dice: random.Random, bits: int) -> int:
    """A prefix as a number, crowded at a few places so that pages are cut and joined there."""
    base = dice.choice((0, 1 << (bits - 1), 0xC0A8 << (bits - 16), (1 << bits) - 1))
    host = dice.randrange(bits + 1) if dice.random() < 0.2 else dice.randrange(bits // 3)
    start = base ^ dice.getrandbits(min(bits, host + dice.randrange(14)))
    return start >> host << host << 8 | (bits - host)


def whole(bits: int, records: dict[int, str]):
    """Ranges and pages of all prefixes at one go."""
    prefixes = ((prefix >> 8, prefix & 255, records[prefix]) for prefix in sorted(records))
    ranges = sweep(RangeBuilder(bits), bits, prefixes)
    return ranges, page_builder.build(bits, ranges.starts, ranges.records)


def same_pages(tree: PageTree, index_ranges: int, built: page_builder.Built) -> None:
    mended = tree.built()
    assert mended.root == built.root
    assert mended.pages == built.pages
    assert mended.children == built.children
    assert (mended.leaves, mended.height) == (built.leaves, built.height)
    assert tree.ranges == index_ranges


@pytest.mark.parametrize("bits", [32, 128])
@given(seed=st.integers(0, 1 << 32), steps=st.lists(st.sampled_from((1, 3, 40, 400)), min_size=1, max_size=6))
@settings(max_examples=examples(40))
def test_after_every_change_the_pages_are_those_of_a_whole_build(bits, seed, steps):
    dice = random.Random(seed)
    records = {drawn(dice, bits): dice.choice(RECORDS) for _ in range(dice.choice((0, 5, 300, 1500)))}
    index = PrefixIndex(bits)
    tree = PageTree(bits, encoding(index.ranges))
    index.update(records.items())
    tree.rebuild()
    for count in steps:
        changes: dict[int, str | None] = {}
        for _ in range(count):
            known = dice.choice(list(records)) if records and dice.random() < 0.6 else drawn(dice, bits)
            changes[known] = None if dice.random() < 0.4 else dice.choice(RECORDS)
        different = index.update(changes.items())
        assert set(different) == {
            prefix for prefix, record in changes.items() if record != records.get(prefix)
        }
        for prefix, record in changes.items():
            if record is None:
                records.pop(prefix, None)
            else:
                records[prefix] = record
        tree.update((prefix >> 8, prefix & 255) for prefix in different)
        ranges, built = whole(bits, records)
        same_pages(tree, len(ranges.starts), built)
        assert index.prefixes == ranges.prefixes


def test_one_change_of_a_large_table_touches_one_leaf():
    dice = random.Random(7)
    records = {drawn(dice, 32): f"AS{dice.randrange(5000)}" for _ in range(30_000)}
    index = PrefixIndex(32)
    tree = PageTree(32, encoding(index.ranges))
    index.update(records.items())
    tree.rebuild()
    before = tree.built().pages
    prefix = max(records, key=lambda known: (known & 255, known))
    index.update([(prefix, "AS99999")])
    assert tree.update([(prefix >> 8, prefix & 255)]) == 1
    after = tree.built()
    fresh = [name for name in after.pages if name not in before]
    assert len(fresh) <= 1 + after.height
    records[prefix] = "AS99999"
    ranges, built = whole(32, records)
    same_pages(tree, len(ranges.starts), built)


@given(seed=st.integers(0, 1 << 32), rounds=st.integers(1, 4))
@settings(max_examples=examples(32))
def test_a_table_of_several_vantage_points_is_mended_the_same_way(seed, rounds):
    dice = random.Random(seed)
    views = {name: PrefixIndex(32) for name in ("lon", "ams")}

    def content(low, prefix_len):
        builder = RangeBuilder(32, low, low + (1 << (32 - prefix_len)))
        return merge_views(builder, {name: view.ranges(low, prefix_len) for name, view in views.items()})

    tree = PageTree(32, encoding(content))
    for view in views.values():
        view.update({drawn(dice, 32): str(dice.randrange(1, 16)) for _ in range(400)}.items())
    tree.rebuild()
    for _ in range(rounds):
        touched = []
        for view in views.values():
            changes = {
                drawn(dice, 32): dice.choice((None, str(dice.randrange(1, 16))))
                for _ in range(dice.choice((1, 50)))
            }
            touched += view.update(changes.items())
        tree.update((prefix >> 8, prefix & 255) for prefix in touched)
        ranges = content(0, 0)
        same_pages(tree, len(ranges.starts), page_builder.build(32, ranges.starts, ranges.records))
