"""How a generation is put together: what is asked for, what is refused, what the next one keeps of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import CorruptPage
from geosteer.keys import digest
from geosteer.sync.adoption import Adoption, Unusable
from geosteer.sync.generation import Generation, serial_of
from geosteer.tables import page_builder
from support import tables, tiny

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer.tables.tree import Tree


class Store:
    """What one publish leaves in Redis, without Redis."""

    def __init__(self, document: Any = tiny.DOCUMENT, **roots: page_builder.Built) -> None:
        text = (document if isinstance(document, str) else json.dumps(document)).encode()
        self.objects = {digest(text): text}
        self.fields = {
            "schema": "1", "generation": "7", "published": "2026-02-01T00:00:00Z", "config": digest(text).hex(),
        }  # fmt: skip
        for name, built in roots.items():
            self.objects.update(built.pages)
            self.fields[name.replace("_", ".")] = built.root.hex()
        self.asked: list[list[bytes]] = []

    def adopt(
        self, previous: Generation | None = None, fields: Mapping[str, str] | None = None
    ) -> Generation:
        adoption = Adoption(self.fields if fields is None else fields, previous)
        while missing := adoption.missing():
            self.asked.append(missing)
            assert len(self.asked) < 20, "asks for ever"
            for name in missing:
                adoption.give(name, self.objects.get(name))
        return adoption.finish()


def table(bits: int, seed: int = 1, count: int = 1200) -> page_builder.Built:
    return page_builder.build(bits, *tables.scattered(bits, count, seed))


def places(one: Tree) -> list[tuple[int, int]]:
    return [branch.bounds(number) for branch, number in one.leaves()]


def test_document_and_inner_pages_are_asked_for_level_by_level_and_no_leaf():
    four, six = table(32, count=4000), table(128)
    store = Store(geo_v4=four, geo_v6=six)
    generation = store.adopt()
    asked = [name for names in store.asked for name in names]
    assert len(asked) == len(set(asked))
    wanted = (
        {bytes.fromhex(store.fields["config"])} | tiny.inner_pages(four).keys() | tiny.inner_pages(six).keys()
    )
    assert set(asked) == wanted
    assert store.asked[0] == [bytes.fromhex(store.fields[name]) for name in ("config", "geo.v4", "geo.v6")]
    assert (generation.number, generation.serial) == ("7", 1769904000)
    assert generation.trees.keys() == {("geo", 32), ("geo", 128)}
    assert len(places(generation.trees["geo", 32])) == four.leaves
    assert generation.model.services.keys() == tiny.DOCUMENT["services"].keys()


def test_a_table_of_one_page_has_it_as_its_root():
    generation = Store(nets_v4=page_builder.build(32, [0], ["x"])).adopt()
    assert places(generation.trees["nets", 32]) == [(0, (1 << 32) - 1)]


def test_a_page_that_two_tables_share_is_asked_for_once():
    store = Store(geo_v4=table(32), bgp_v4=table(32))
    store.adopt()
    assert len(store.asked[0]) == 2


def test_unknown_fields_and_tables_are_ignored():
    store = Store(geo_v4=table(32))
    fields = {**store.fields, "geo.source": "1 2 3", "asn.v4": "zz", "colour": "blue"}
    assert store.adopt(fields=fields).trees.keys() == {("geo", 32)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, "nothing is published"),
        ({"schema": "2"}, "schema 2, this program knows 1: upgrade the workers first"),
        ({"schema": None}, "schema None"),
        ({"config": None}, "config of `current` is absent"),
        ({"config": "zz"}, "config of `current` is absent or not a digest"),
        ({"geo.v6": "not hex"}, "field geo.v6 of `current` is not a digest"),
    ],
)
def test_fields_that_name_no_generation_for_this_program_are_refused(
    change: dict[str, str | None], reason: str
):
    fields = {**Store(geo_v4=table(32)).fields, **change} if change else {}
    with pytest.raises(Unusable, match=reason):
        Adoption({name: value for name, value in fields.items() if value is not None}, None)


def test_an_object_that_is_absent_or_damaged_is_refused():
    store = Store(geo_v4=table(32))
    adoption = Adoption(store.fields, None)
    for name in adoption.missing():
        with pytest.raises(CorruptPage, match=f"{name.hex()} is not there"):
            adoption.give(name, None)
        with pytest.raises(CorruptPage, match=f"{name.hex()} is damaged"):
            adoption.give(name, store.objects[name] + b"x")
    assert len(adoption.missing()) == 2, "what was refused is still missing"


@pytest.mark.parametrize(
    "document",
    [
        "", "{", "[]", "5", "null", "{}", '{"format":1}', '{"format":2,"nodes":{},"maps":{},"services":{}}', "[" * 100_000,
        '{"format":1,"nodes":[],"maps":{},"services":{}}', '{"format":1,"nodes":{"x":5},"maps":{},"services":{}}',
        '{"format":1,"nodes":{},"maps":{"m":{"default":{"gone":1}}},"services":{}}',
        '{"format":1,"nodes":{},"maps":{"m":{}},"services":{}}',
        '{"format":1,"nodes":{},"maps":{},"services":{"s":{"map":"m"}}}',
        '{"format":1,"nodes":{"n":{"weight":"x"}},"maps":{"m":{"default":{"n":1}}},"services":{}}',
        '{"format":1,"nodes":{"n":{"location":[1]}},"maps":{},"services":{}}',
    ],
)  # fmt: skip
def test_a_document_that_cannot_be_used_is_refused(document: str):
    with pytest.raises(CorruptPage):
        Store(document).adopt()


def test_a_document_that_is_no_text_is_refused():
    raw = b"\xff\xfe"
    adoption = Adoption({"schema": "1", "config": digest(raw).hex()}, None)
    with pytest.raises(CorruptPage, match="not UTF-8"):
        adoption.give(digest(raw), raw)


def test_a_root_of_the_wrong_family_or_that_is_no_page_is_refused():
    built = table(128)
    store = Store(geo_v4=built)
    with pytest.raises(CorruptPage):
        store.adopt()
    store = Store()
    store.fields["geo.v4"] = store.fields["config"]
    with pytest.raises(CorruptPage):
        store.adopt()


def test_any_damaged_inner_page_is_refused_though_its_digest_is_right():
    built = table(32, count=4000)
    assert built.height == 1
    raw = built.pages[built.root]
    refused = 0
    for bit in range(8 * 40):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        root = digest(bytes(damaged))
        store = Store()
        store.objects[root] = bytes(damaged)
        store.fields["geo.v4"] = root.hex()
        try:
            generation = store.adopt()
        except CorruptPage:
            refused += 1
        else:  # wrong leaves are found out when they come
            assert places(generation.trees["geo", 32])[-1][1] == (1 << 32) - 1
    assert refused > 60


def test_the_next_generation_keeps_the_trees_and_the_document_that_did_not_change():
    four, six = table(32), table(128)
    first = Store(geo_v4=four, geo_v6=six, bgp_v4=table(32, 2)).adopt()
    store = Store(geo_v4=four, geo_v6=table(128, 3), bgp_v4=table(32, 2))
    second = store.adopt(first)
    assert second.trees["geo", 32] is first.trees["geo", 32]
    assert second.trees["bgp", 32] is first.trees["bgp", 32]
    assert second.trees["geo", 128] is not first.trees["geo", 128]
    assert store.asked[0] == [bytes.fromhex(store.fields["geo.v6"])]
    assert second.text == first.text


def test_a_generation_with_nothing_new_but_its_number_asks_for_nothing():
    store = Store(geo_v4=table(32))
    first = store.adopt()
    store.asked.clear()
    second = store.adopt(first, {**store.fields, "generation": "8", "published": "2026-02-01T00:00:01Z"})
    assert store.asked == []
    assert (second.number, second.serial) == ("8", first.serial + 1)


def test_a_table_that_is_no_longer_published_is_gone():
    first = Store(geo_v4=table(32), bgp_v4=table(32, 2)).adopt()
    assert Store(geo_v4=table(32)).adopt(first).trees.keys() == {("geo", 32)}


@pytest.mark.parametrize(
    ("published", "serial"),
    [
        ("2026-02-01T00:00:00Z", 1769904000), ("1970-01-01T00:00:00Z", 0), ("2106-02-07T06:28:16Z", 0),
        ("yesterday", 1), (None, 1), ("2026-02-01T00:00:infZ", 1), ("2026-02-01T00:00:nanZ", 1),
    ],
)  # fmt: skip
def test_the_serial_is_the_time_of_publishing_in_32_bits(published: str | None, serial: int):
    assert serial_of({} if published is None else {"published": published}) == serial
