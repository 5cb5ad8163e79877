"""A table as a worker holds it: flat or in two steps it says the same; leaves come and go within their bound."""

from __future__ import annotations

import ipaddress
import random
import time
from typing import TYPE_CHECKING, Any

import maxminddb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.errors import CorruptPage
from geosteer.keys import digest
from geosteer.process import finished
from geosteer.tables import leaf, page_builder, tree
from geosteer.tables.leaf_cache import LeafCache
from geosteer.tables.tree import PageMissing, Tree, inner_digests
from support import tables, tiny
from support.long import LONG
from support.made_database import country_database

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from support.tables import Table

FAMILIES = pytest.mark.parametrize("bits", [32, 128])


@pytest.fixture(params=["flat", "two steps"])
def shape(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both shapes that a table of more than one page can have in memory."""
    if request.param == "two steps":
        monkeypatch.setattr(tree, "FLAT", 1)
    return str(request.param)


def fetched(bits: int, built: page_builder.Built) -> Tree:
    """A tree as a worker adopts it: inner pages asked for level by level, no leaf yet."""
    have: dict[bytes, bytes] = {}
    rounds = 0
    while missing := inner_digests(bits, built.root, have):
        have.update({name: built.pages[name] for name in missing})
        rounds += 1
        assert rounds <= 9
    assert have == tiny.inner_pages(built)
    return Tree(bits, built.root, have)


def fill(into: Tree, cache: LeafCache, built: page_builder.Built) -> None:
    for branch, number in into.leaves():
        cache.put(into, branch, number, built.pages[branch.digest(number)])


def succeed(cache: LeafCache, first: Tree, second: Tree) -> None:
    """One generation after the other, all at once."""
    finished(cache.follow([(first, second)]))
    finished(cache.flip([second]))


def check(bits: int, table: Table, more: Sequence[int] = ()) -> None:
    built = page_builder.build(bits, *table)
    whole = fetched(bits, built)
    fill(whole, LeafCache(1 << 30), built)
    addresses = tables.edges(bits, table, more)
    expected = {
        address: (tables.record_at(table, address), tables.widest(bits, table[0], address))
        for address in addresses
    }
    random.Random(len(addresses)).shuffle(addresses)
    for attempt in ("first", "second"):  # what was asked before must not change what is said
        for address in addresses:
            assert whole.cell(address) == expected[address], f"{address:x}, {attempt} time"


@FAMILIES
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_small_table_says_what_a_linear_reading_says(bits: int, data: st.DataObject):
    check(
        bits,
        data.draw(tables.small_tables(bits)),
        data.draw(st.lists(st.integers(0, (1 << bits) - 1), max_size=9)),
    )


@FAMILIES
@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_table_of_several_levels_says_what_a_linear_reading_says(
    shape: str, bits: int, long: bool, seed: int
):
    check(bits, tables.scattered(bits, 1200, seed, long=long))


def test_a_table_of_three_levels_says_the_same_flat_and_in_two_steps(monkeypatch: pytest.MonkeyPatch):
    dice = random.Random(9)
    starts = sorted({0, *(dice.getrandbits(32) for _ in range(30_000))})
    records = [f"{number % 251}{tables.LONG}"[:255] for number in range(len(starts))]
    built = page_builder.build(32, starts, records)
    assert built.height == 2
    flat = tiny.whole_tree(32, built)
    monkeypatch.setattr(tree, "FLAT", 1)
    steps = tiny.whole_tree(32, built)
    assert len(flat.branches) == 1
    assert len(steps.branches) > 1
    for address in (*starts[::50], *(dice.getrandbits(32) for _ in range(500))):
        assert flat.cell(address) == steps.cell(address)
        assert flat.cell(address)[0] == tables.record_at((starts, records), address)
    assert [branch.bounds(number) for branch, number in flat.leaves()] == [
        branch.bounds(number) for branch, number in steps.leaves()
    ]


@FAMILIES
def test_leaves_tile_the_address_space_in_order(shape: str, bits: int):
    whole = fetched(bits, page_builder.build(bits, *tables.scattered(bits, 1200, 3, long=True)))
    at = 0
    for branch, number in whole.leaves():
        first, last = branch.bounds(number)
        assert first == at
        assert whole.locate(first) == whole.locate(last) == (branch, number)
        at = last + 1
    assert at == 1 << bits


@FAMILIES
def test_a_leaf_that_is_not_here_is_asked_for_and_only_that_one(shape: str, bits: int):
    built = page_builder.build(bits, *tables.scattered(bits, 1200, 3, long=True))
    whole = fetched(bits, built)
    address = (1 << bits) - 1
    with pytest.raises(PageMissing):
        whole.cell(address)
    branch, number = whole.locate(address)
    LeafCache(1 << 20).put(whole, branch, number, built.pages[branch.digest(number)])
    whole.cell(address)
    with pytest.raises(PageMissing):
        whole.cell(0)


@pytest.mark.no_cover
def test_the_country_database_says_at_every_edge_what_its_reader_says(shape: str):
    """At every edge in a long run, else at every 25th."""
    path = country_database()
    with maxminddb.open_database(path) as reader:
        for bits, kind in ((32, ipaddress.IPv4Address), (128, ipaddress.IPv6Address)):
            table = tables.merged(country_ranges(path, bits))
            built = page_builder.build(bits, *table)
            assert built.height == 2 or not LONG
            whole = tiny.whole_tree(bits, built)
            wrong = []
            for start in table[0] if LONG else table[0][::25]:
                for address in (start, start - 1):
                    if address < 0 or (bits == 128 and in_alias(address)):
                        continue
                    data: Any = reader.get(kind(address))
                    if whole.cell(address)[0] != (data["country"]["iso_code"] if data else ""):
                        wrong.append(str(kind(address)))
            assert wrong == []


@pytest.mark.no_cover
def test_the_prefixes_of_the_country_database_are_the_widest_with_one_record():
    table = tables.merged(country_ranges(country_database(), 32))
    whole = tiny.whole_tree(32, page_builder.build(32, *table))
    dice = random.Random(1)
    for address in [dice.getrandbits(32) for _ in range(3000)] + dice.sample(table[0], 3000):
        assert whole.cell(address)[1] == tables.widest(32, table[0], address)


def in_alias(address: int) -> bool:
    """IPv4 within IPv6, as the database's tree repeats it: clients there are looked up as IPv4."""
    return address >> 32 in {0, 0xFFFF} or address >> 112 == 0x2002 or address >> 96 == 0x20010000


def country_ranges(path, bits: int) -> Iterator[tuple[int, str]]:
    """Where each network of a database begins, and what follows its end."""
    with maxminddb.open_database(path) as reader:
        at = 0
        for network, data in reader:
            if network.max_prefixlen == bits:
                if int(network[0]) > at:
                    yield at, ""
                yield int(network[0]), data["country"]["iso_code"]
                at = int(network[-1]) + 1
        if at < 1 << bits:
            yield at, ""


# ---------------------------------------------------------------- forged and damaged trees


def forge(height: int, prefix_len: int, starts: list[int], children: list[bytes]) -> bytes:
    """An IPv4 inner page, its starts four bytes wide."""
    return b"".join((
        bytes((1, 4, height, prefix_len, 0, 4)),
        len(starts).to_bytes(2, "big"),
        len(children).to_bytes(2, "big"),
        *(start.to_bytes(4, "big") for start in starts),
        bytes(range(len(children))),
        *children,
    ))  # fmt: skip


def adopt(root: bytes, pages: dict[bytes, bytes]) -> Tree:
    have: dict[bytes, bytes] = {}
    for _ in range(12):
        missing = inner_digests(32, root, have)
        if not missing:
            return Tree(32, root, have)
        have.update({name: pages[name] for name in missing})
    raise AssertionError("asks for ever")


def test_an_inner_page_that_names_a_page_of_its_own_height_is_refused():
    below = forge(2, 1, [0], [b"x" * 16])
    pages = {digest(below): below}
    top = forge(2, 0, [0, 1 << 31], [digest(below), b"y" * 16])
    pages |= {digest(top): top, b"y" * 16: below}
    with pytest.raises(CorruptPage):
        adopt(digest(top), pages)


def test_a_page_that_names_itself_is_refused_and_not_followed_for_ever():
    top = forge(2, 0, [0], [b"x" * 16])
    with pytest.raises(CorruptPage):
        adopt(b"x" * 16, {b"x" * 16: top})


def test_a_page_of_the_wrong_prefix_below_an_inner_one_is_refused():
    halves = [forge(1, 1, [start], [b"x" * 16]) for start in (0, 1 << 31)]
    names = [digest(half) for half in halves]
    good = forge(2, 0, [0, 1 << 31], names)
    swapped = forge(2, 0, [0, 1 << 31], names[::-1])
    pages = dict(zip(names, halves, strict=True)) | {digest(good): good, digest(swapped): swapped}
    assert len(adopt(digest(good), pages).branches[0].slots) == 2
    with pytest.raises(CorruptPage):
        adopt(digest(swapped), pages)


@pytest.mark.parametrize("starts", [[0, 1 << 30], [0, 3 << 30], [0, 1]])
def test_an_inner_page_whose_entries_are_no_prefixes_makes_no_usable_leaf(starts: list[int]):
    table = tables.merged([(0, "US"), (1 << 31, "DE")])
    built = page_builder.build(32, *table)
    top = forge(1, 0, starts, [built.root, b"y" * 16])
    forged = Tree(32, digest(top), {digest(top): top})
    branch, number = forged.locate(0)
    with pytest.raises(CorruptPage, match="not the one its parent names"):
        LeafCache(1 << 20).put(forged, branch, number, built.pages[built.root])


def test_an_inner_page_of_the_other_family_is_refused():
    built = page_builder.build(128, *tables.scattered(128, 1200, 3, long=True))
    with pytest.raises(CorruptPage):
        Tree(32, built.root, tiny.inner_pages(built))


def test_a_leaf_of_the_other_family_as_root_gives_no_answer():
    built = page_builder.build(128, [0], ["US"])
    alien = Tree(32, built.root, built.pages)
    with pytest.raises(CorruptPage):
        LeafCache(1 << 20).put(alien, *alien.locate(0), built.pages[built.root])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 7), st.booleans())
def test_a_leaf_with_any_bit_flipped_is_not_taken(place: int, bit: int, shorter: bool):
    built = page_builder.build(32, *tables.merged([(0, "US"), (77, "DE"), (1 << 24, "FR")]))
    whole = Tree(32, built.root, built.pages)
    damaged = bytearray(built.pages[built.root])
    damaged[place % len(damaged)] ^= 1 << bit
    raw = bytes(damaged)[: place % len(damaged)] if shorter else bytes(damaged)
    with pytest.raises(CorruptPage):
        LeafCache(1 << 20).put(whole, *whole.locate(0), raw)
    with pytest.raises(PageMissing):
        whole.cell(0)


# ---------------------------------------------------------------- the cache


def large() -> page_builder.Built:
    starts = list(range(0, 1 << 32, 1 << 14))
    return page_builder.build(32, starts, [str(number % 100) for number in range(len(starts))])


def cost_of_a_leaf(built: page_builder.Built) -> int:
    whole = Tree(32, built.root, tiny.inner_pages(built))
    cache = LeafCache(1 << 30)
    branch, number = whole.locate(0)
    cache.put(whole, branch, number, built.pages[branch.digest(number)])
    return cache.size


def held(trees: list[Tree]) -> int:
    """Leaves that are here."""
    return sum(branch.slots[number] is not None for one in trees for branch, number in one.leaves())


def test_the_cache_never_holds_more_than_its_bound_and_the_oldest_leaf_goes_first():
    built = large()
    whole = Tree(32, built.root, tiny.inner_pages(built))
    places = list(whole.leaves())
    assert len(places) == 1024
    bound = 30 * cost_of_a_leaf(built)
    cache = LeafCache(bound)
    for count, (branch, number) in enumerate(places, 1):
        cache.put(whole, branch, number, built.pages[branch.digest(number)])
        assert cache.size <= bound
        there = [slot[0].slots[slot[1]] is not None for slot in places]
        assert there[count - 1]
        assert there == sorted(there[:count]) + [False] * (len(places) - count), "the newest are kept"
        if count > 100:
            break
    assert 25 < held([whole]) < 35


def test_a_leaf_larger_than_the_bound_is_still_held_alone():
    built = large()
    whole = Tree(32, built.root, tiny.inner_pages(built))
    cache = LeafCache(1)
    for branch, number in list(whole.leaves())[:5]:
        cache.put(whole, branch, number, built.pages[branch.digest(number)])
        assert held([whole]) == 1
    assert whole.cell(4 << 22)[0]  # the fifth leaf is the one that is here


def test_the_inner_levels_count_towards_the_bound_of_the_cache_but_leave_leaves_their_half():
    built = large()
    whole = Tree(32, built.root, tiny.inner_pages(built))
    assert whole.size > 16 * built.leaves, "its digests, at least"
    bound = 4 * whole.size
    for limit, room in ((bound, bound - whole.size), (whole.size, whole.size - whole.size // 2)):
        cache = LeafCache(limit)
        finished(cache.flip([whole]))
        assert cache.room == room


@FAMILIES
def test_a_leaf_of_many_long_records_stays_as_its_bytes_and_grows_by_nothing_that_is_asked(bits: int):
    starts = [number << (bits - 24) for number in range(256)]
    records = [f"US-{number} 37.75 -122.{number}" for number in range(len(starts))]
    built = page_builder.build(bits, starts, records)
    whole = Tree(bits, built.root, tiny.inner_pages(built))
    cache = LeafCache(1 << 20)
    fill(whole, cache, built)
    fresh = cache.size
    assert fresh < 3 * sum(len(page) for page in built.pages.values())
    for number, start in enumerate(starts[:-1]):
        assert whole.cell(start + 1) == (records[number], 24)
    assert cache.size == fresh


def test_a_leaf_of_many_names_is_made_ready_once_for_all_that_ask(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(leaf, "_shared", leaf.SharedCells())  # other tables' names have filled it
    starts = list(range(0, 1 << 16, 256))
    records = [f"{number % 200:02X}" for number in range(len(starts))]
    built = page_builder.build(32, starts, records)
    whole = Tree(32, built.root, tiny.inner_pages(built))
    fill(whole, LeafCache(1 << 20), built)
    assert whole.cell(257)[0] is whole.cell(258)[0], "not made again for each"


def test_a_leaf_that_comes_twice_is_counted_once():
    built = large()
    whole = Tree(32, built.root, tiny.inner_pages(built))
    cache = LeafCache(1 << 20)
    branch, number = whole.locate(0)
    cache.put(whole, branch, number, built.pages[branch.digest(number)])
    once = cache.size
    cache.put(whole, branch, number, built.pages[branch.digest(number)])
    assert cache.size == once > 0


def test_the_next_generation_keeps_the_leaves_that_it_shares_and_counts_them_the_same():
    starts = list(range(0, 1 << 32, 1 << 18))
    records = [str(number % 100) for number in range(len(starts))]
    old = page_builder.build(32, starts, records)
    records[5000] = "new"
    new = page_builder.build(32, starts, records)
    first, second = (Tree(32, built.root, tiny.inner_pages(built)) for built in (old, new))
    cache = LeafCache(1 << 24)
    fill(first, cache, old)
    succeed(cache, first, second)
    assert held([second]) == old.leaves - 1
    with pytest.raises(PageMissing):
        second.cell(5000 << 18)
    counted = LeafCache(1 << 24)
    again = Tree(32, new.root, tiny.inner_pages(new))
    for branch, number in again.leaves():
        if new.pages[branch.digest(number)] in old.pages.values():
            counted.put(again, branch, number, new.pages[branch.digest(number)])
    assert cache.size == counted.size


def test_a_table_that_stays_keeps_its_leaves_in_the_order_in_which_they_go():
    built, other = large(), page_builder.build(128, [0], ["US"])
    stays, gone = Tree(32, built.root, tiny.inner_pages(built)), Tree(128, other.root, other.pages)
    bound = 40 * cost_of_a_leaf(built)
    cache = LeafCache(bound)
    finished(cache.flip([stays, gone]))
    cache.put(gone, *gone.locate(0), other.pages[other.root])
    places = list(stays.leaves())
    for branch, number in places[:60]:
        cache.put(stays, branch, number, built.pages[branch.digest(number)])
    before = held([stays])
    size = cache.size
    finished(cache.flip([stays], [gone]))
    assert held([stays]) == before
    assert cache.size <= size
    for branch, number in places[60:400]:
        cache.put(stays, branch, number, built.pages[branch.digest(number)])
        assert cache.size <= bound
    assert all(branch.slots[number] is None for branch, number in places[:60]), (
        "what was carried over can go too"
    )


def test_the_same_page_at_two_places_is_carried_over_to_both_within_the_bound():
    starts = [base << 16 | offset << 8 for base in range(512) for offset in range(256)]
    records = [("A", "B", "C", "D")[number % 4] for number in range(len(starts))]
    old = page_builder.build(32, starts, records)
    records[0] = "E"
    new = page_builder.build(32, starts, records)
    assert len(new.pages) < 20
    for bound in (10 * cost_of_a_leaf(old), 1 << 24):
        first, second = (Tree(32, built.root, tiny.inner_pages(built)) for built in (old, new))
        cache = LeafCache(bound)
        fill(first, cache, old)
        succeed(cache, first, second)
        assert cache.size <= bound
        assert held([second])
        for address, record in zip(starts[256::77], records[256::77], strict=True):
            branch, number = second.locate(address)
            if branch.slots[number] is not None:
                assert second.cell(address) == (record, 24), hex(address)


@FAMILIES
def test_leaves_that_were_carried_over_answer_as_fresh_ones(shape: str, bits: int):
    starts, records = tables.scattered(bits, 1200, 3)
    old = page_builder.build(bits, starts, records)
    records[-1] = "other"
    new = page_builder.build(bits, starts, records)
    first, second = (Tree(bits, built.root, tiny.inner_pages(built)) for built in (old, new))
    cache = LeafCache(1 << 30)
    fill(first, cache, old)
    for start in starts:
        first.cell(start)
    succeed(cache, first, second)
    fill(second, cache, new)
    for address in tables.edges(bits, (starts, records)):
        assert second.cell(address) == (
            tables.record_at((starts, records), address),
            tables.widest(bits, starts, address),
        )


@pytest.mark.parametrize(("bits", "count"), [(32, 40), (32, 250), (128, 40), (128, 250)])
def test_a_leaf_answers_right_however_often_and_wherever_it_was_asked(bits: int, count: int):
    table = tables.scattered(bits, count, 11)
    built = page_builder.build(bits, *table)
    whole = tiny.whole_tree(bits, built)
    dice = random.Random(count)
    addresses = [dice.getrandbits(bits) for _ in range(3000)]
    addresses += [
        (dice.choice(table[0]) + dice.getrandbits(dice.randrange(1, bits // 2))) % (1 << bits)
        for _ in range(3000)
    ]
    for address in addresses:
        assert whole.cell(address) == (
            tables.record_at(table, address),
            tables.widest(bits, table[0], address),
        )


def test_the_changed_successors_of_leaves_in_use_are_told_newest_first():
    starts = list(range(0, 1 << 32, 1 << 18))
    records = [str(number % 100) for number in range(len(starts))]
    old = page_builder.build(32, starts, records)
    for number in (5000, 9000):
        records[number] = "new"
    new = page_builder.build(32, starts, records)
    first, second = (Tree(32, built.root, tiny.inner_pages(built)) for built in (old, new))
    cache = LeafCache(1 << 24)
    for address in (9000 << 18, 5000 << 18, 77 << 18):
        branch, number = first.locate(address)
        cache.put(first, branch, number, old.pages[branch.digest(number)])
    finished(cache.follow([(first, second)]))
    wanted = finished(cache.outdated(10))
    assert [(branch, number) for _, branch, number in wanted] == [
        second.locate(5000 << 18),
        second.locate(9000 << 18),
    ]
    assert all(tree is second for tree, _, _ in wanted)
    assert len(finished(cache.outdated(1))) == 1
    finished(cache.abandon())
    assert finished(cache.outdated(10)) == []


def test_pages_that_name_one_page_over_and_over_are_refused_before_they_are_expanded():
    """Five pages of 2 kB: 16 million places, had they been gone through."""
    top, made = bytes(16), {}
    for height, length in ((1, 24), (2, 16), (3, 8), (4, 0)):
        head = (
            bytes((1, 4, height, length, length // 8, 1)) + (256).to_bytes(2, "big") + (1).to_bytes(2, "big")
        )
        page = head + bytes(range(256)) + bytes(256) + top
        top = digest(page)
        made[top] = page
    assert inner_digests(32, top, made) == [], "each of them is valid, and all are here"
    began = time.process_time()
    with pytest.raises(CorruptPage, match="name more than 16384 pages"):
        Tree(32, top, made)
    for name in list(made)[:3]:  # two levels less, and one
        with pytest.raises(CorruptPage):
            Tree(32, name, made)
    assert time.process_time() - began < 10
