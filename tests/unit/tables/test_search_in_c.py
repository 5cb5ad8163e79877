"""Look-ups in C find what Python finds, or leave it to Python: every edge of a table, in text of all kinds."""

from __future__ import annotations

import ipaddress
from array import array
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.sync import compiled_search
from geosteer.tables import leaf, page_builder
from geosteer.tables import tree as tree_module
from geosteer.tables.leaf_cache import LeafCache
from geosteer.tables.tree import Tree
from support import tables, tiny
from support.long import examples
from support.workers import SEARCH

if TYPE_CHECKING:
    from support.tables import Table

pytestmark = pytest.mark.skipif(not SEARCH.exists(), reason="the part in C was not built")
FAMILIES = pytest.mark.parametrize("bits", [32, 128])
TEXT = {32: ipaddress.IPv4Address, 128: ipaddress.IPv6Address}


def grown(bits: int, table: Table, *, cut: bool = False) -> Tree:
    """The tree of a table with all of its leaves."""
    built = page_builder.build(bits, *table)
    tree, cache = Tree(bits, built.root, tiny.inner_pages(built)), LeafCache(1 << 30)
    cache.cut = cut
    for branch, number in tree.leaves():
        cache.put(tree, branch, number, built.pages[branch.digest(number)])
    return tree


def finder(*trees: Tree | None):
    load = compiled_search.load()
    assert load is not None
    return load(*(None if tree is None else tree.lists() for tree in trees)).find


def carries(address: int) -> bool:
    """Whether an IPv6 address may carry an IPv4 one: Python looks up that one then."""
    return address >> 112 in {0, 0x64, 0x2002} or address >> 96 == 0x20010000


def check(bits: int, table: Table) -> None:
    for cut in (False, True):
        tree = grown(bits, table, cut=cut)
        find = finder(tree, None) if bits == 32 else finder(None, tree)
        for address in tables.edges(bits, table, ()):
            found = find(str(TEXT[bits](address)))
            if found is None:
                assert bits == 128
                assert carries(address) or not narrow(tree)
            else:
                assert bits == 32 or not carries(address)
                assert found == tree.cell(address), f"{address:x}"


def narrow(tree: Tree) -> bool:
    """Whether all of its starts are numbers of at most eight bytes."""
    leaves = [leaf for branch in tree.branches for leaf in branch.slots]
    return not any(
        isinstance(holder.starts, list) for holder in (*tree.branches, *leaves) if holder is not None
    )


@FAMILIES
@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_small_tables(bits: int, data: st.DataObject) -> None:
    check(bits, data.draw(tables.small_tables(bits)))


@FAMILIES
@pytest.mark.parametrize("seed", range(3))
def test_tables_of_several_levels(bits: int, seed: int) -> None:
    check(bits, tables.scattered(bits, 1500, seed))


@FAMILIES
def test_a_table_in_branches(monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    """As a city table is, which is too large for a single list of leaves; whole leaves stay as their bytes there."""
    monkeypatch.setattr(tree_module, "FLAT", 1)
    table = tables.scattered(bits, 3000, 5)
    for cut in (False, True):
        assert grown(bits, table, cut=cut).slots is None
    check(bits, table)


def test_a_table_of_many_leaves_is_found_by_the_first_bits_of_an_address() -> None:
    starts = [number << 12 for number in range(1 << 15)]
    tree = grown(32, (starts, [("GB", "NL", "FR")[number % 3] for number in range(1 << 15)]))
    assert tree.quick is not None
    find = finder(tree, None)
    for address in range(0, 1 << 28, 99_991):
        assert find(str(ipaddress.IPv4Address(address))) == tree.cell(address)


@FAMILIES
def test_leaves_whose_cells_take_one_byte_and_two(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaf, "_shared", leaf.SharedCells())  # other tables' names have filled it
    names = [f"{number:03X}" for number in range(600)]
    table = [number << (bits - 16) for number in range(3000)], [names[number // 5] for number in range(3000)]
    leaves = [each for branch in grown(bits, table).branches for each in branch.slots if each is not None]
    assert all(each.cells is leaf._shared.cells for each in leaves)
    assert {type(each.index) for each in leaves} == {bytes, array}
    check(bits, table)


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.04", "256.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4\0", "1.2.3.4/24",
        "1..2.3", "1.2.3.", "+1.2.3.4", "1111.2.3.4", "::", "::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
        "2001::1", "2001:0:1::", "2a00::1%eth0", "2a00:::1", "2a00::1\0", "20000::", "2a00::" + "0" * 60, "x" * 10_000,
        "\u0661.2.3.4", "\udc80", "2a00::\udc80",
    ],
    ids=ascii,
)  # fmt: skip
def test_text_that_is_no_plain_address_is_left_to_python(text: str) -> None:
    everything = finder(grown(32, ([0], ["GB"])), grown(128, ([0], ["NL"])))
    assert everything(text) is None
    assert everything("1.2.3.4") == ("GB", 0)
    assert everything("2a00::1") == everything("2a00:0::1.2.3.4") == ("NL", 0)


@settings(max_examples=examples(300), deadline=None)
@given(st.text(alphabet="0123456789abcdefx.:%/ \0", max_size=50))
def test_text_of_any_kind_is_an_address_only_where_python_takes_it_for_one(text: str) -> None:
    everything = finder(grown(32, ([0], ["GB"])), grown(128, ([0], ["NL"])))
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        assert everything(text) is None
        return
    assert everything(text) in ({("GB", 0)} if address.version == 4 else {("NL", 0), None})


def test_what_is_not_here_or_of_another_shape_is_left_to_python() -> None:
    load = compiled_search.load()
    assert load is not None

    class Odd:
        cells, starts, index, shift, mask, host = [("GB", 24)], b"", b"\0\0", 0, 0, 32

    first = memoryview(bytes(4)).cast("I")
    tree = grown(32, ([0, 1 << 31], ["GB", "NL"]))
    tree.branches[0].slots[0] = None
    for find in (
        finder(None, None), finder(tree, None), load(([None], first, None), None).find, load(([], first, None), None).find,
        load(([Odd], [0], None), None).find, load(([Odd], memoryview(bytes(8)).cast("Q"), None), None).find,
        load(([Odd], first, memoryview(bytes(4)).cast("H")), None).find, load(([1], first, None), None).find,
    ):  # fmt: skip
        assert find("1.2.3.4") is None
        assert find("2a00::1") is None
        assert find(1) is None  # type: ignore[arg-type]
    good = {name: getattr(Odd, name) for name in ("cells", "starts", "index", "shift", "mask", "host")}
    bad_values: dict[str, list[object]] = {
        "cells": [(), [1], [("GB",)], [("GB", "24")], [("GB", -1)], []], "starts": [[], "", b"\0" * 3, None],
        "index": [b"", b"\1", [0], memoryview(bytes(4)).cast("i")], "shift": [128, -1, "", 1 << 64], "mask": [-1, None],
    }  # fmt: skip
    for name, values in bad_values.items():
        wide = {"starts": first} if name == "mask" else {}  # of starts of one and two bytes it is known
        for value in values:
            odd = type("Odd", (), {**good, **wide, name: value})
            assert load(([odd], first, None), None).find("1.2.3.4") is None, (name, value)
    assert load((), ()).find("1.2.3.4") is None  # type: ignore[arg-type]
    for bad in (1, (1, 2), ([Odd], first, 1)):
        with pytest.raises((TypeError, BufferError)):
            load(bad, None)  # type: ignore[arg-type]
