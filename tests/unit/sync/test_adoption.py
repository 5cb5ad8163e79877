"""Adoption in steps: whatever comes between two of them, what is in force is one whole generation, as if adopted at once."""

from __future__ import annotations

import copy
import functools
import gc
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.keys import digest, root_field
from geosteer.process import finished
from geosteer.sync.adoption import IDLE, Adopter, Adoption
from geosteer.sync.generation import Generation, load_in_steps
from geosteer.sync.leaf_requests import LeafRequests
from geosteer.tables import page_builder
from geosteer.tables.tree import PageMissing
from support import tables, tiny
from support.long import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from support.tables import Table

BITS = (32, 128)


class Published:
    """One generation as Redis has it, and what its tables say."""

    def __init__(
        self, number: int, tables_: Mapping[tuple[str, int], Table], document: Mapping[str, Any]
    ) -> None:
        text = json.dumps(document).encode()
        self.tables, self.text = tables_, text.decode()
        self.objects = {digest(text): text}
        self.fields = {
            "schema": "1", "generation": str(number), "published": f"2026-02-01T00:00:{number:02}Z",
            "config": digest(text).hex(),
        }  # fmt: skip
        for (table, bits), ranges in tables_.items():
            built = page_builder.build(bits, *ranges)
            self.objects.update(built.pages)
            self.fields[root_field(table, bits)] = built.root.hex()


def changed(table: Table, every: int) -> Table:
    """Some of the ranges with another record."""
    starts, records = table
    return tables.merged(
        (start, "ZZ" if number % every == 1 else record)
        for number, (start, record) in enumerate(zip(starts, records, strict=True))
    )


@functools.cache
def published() -> list[Published]:
    """Day after day: some leaves change, all do, a table comes and goes, nodes come and go."""
    first = {("geo", bits): tables.scattered(bits, 1200, 5, long=True) for bits in BITS}
    few = {key: changed(ranges, 700) for key, ranges in first.items()}
    more = copy.deepcopy(tiny.DOCUMENT)
    for number in range(150):
        more["nodes"][f"new{number}"] = {"a": ["192.0.2.9"]}
    path = {("path", 32): tables.scattered(32, 900, 6, long=True)}
    return [
        Published(1, first, tiny.DOCUMENT),
        Published(2, few, tiny.DOCUMENT),
        Published(3, few | path, more),
        Published(4, {key: changed(ranges, 2) for key, ranges in first.items()}, tiny.DOCUMENT),
        Published(5, {("geo", 32): first["geo", 32]} | path, more),
        Published(6, first, tiny.DOCUMENT),
    ]


class Link:
    """Takes requests; a test says when the replies come."""

    up = True

    def __init__(self, objects: Mapping[bytes, bytes]) -> None:
        self._objects = objects
        self.waiting: list[tuple[tuple[Any, ...], Callable[[Any], Any]]] = []

    def ask(self, command: tuple[Any, ...], handler: Callable[[Any], Any]) -> None:
        self.waiting.append((command, handler))

    def writable(self) -> None:
        """All is sent at once."""

    def accepts(self, _: Any) -> bool:
        return True

    def reply(self) -> None:
        """The next one comes."""
        command, handler = self.waiting.pop(0)
        values = [self._objects.get(bytes.fromhex(name)) for name in command[2:]]
        handler({} if command[0] == "HGETALL" else values if command[0] == "HMGET" else values[0])


class Worker:
    """What adopts, without Redis and without a clock of its own."""

    def __init__(self, cache: int = 1 << 22) -> None:
        self.objects = {name: data for one in published() for name, data in one.objects.items()}
        self.link, self.log = Link(self.objects), []  # type: ignore[var-annotated]
        self.damaged = self.now = 0
        link: Any = self.link
        self.leaves = LeafRequests(link, "object", cache, lambda _, text: self.log.append(text), self._doubt)
        self.adopter = Adopter(
            link, "object", self.leaves, self._fresh, self._in_force, self.log.append, lambda: None
        )
        self.generation: Generation | None = None
        self.known: dict[str, bool] = {}
        self.flips: list[str] = []

    def _doubt(self) -> None:
        self.damaged += 1

    def _fresh(self, generation: Generation) -> Iterator[Callable[[Callable[[], None]], None]]:
        for name in generation.model.nodes:
            if name not in self.known:
                self.known[name] = False
                yield functools.partial(self._ask_state, name)

    def _ask_state(self, name: str, arrived: Callable[[], None]) -> None:
        def take(_: object) -> None:
            if name in self.known:
                self.known[name] = True
            arrived()

        self.link.ask(("HGETALL", name), take)

    def _in_force(self, generation: Generation) -> None:
        assert all(self.known[name] for name in generation.model.nodes), "every state was read"
        self.generation = generation
        self.flips.append(generation.number)
        self.known = dict.fromkeys(generation.model.nodes, True)

    # ------------------------------------------------------------------ what may happen between two steps

    def announce(self, number: int) -> None:
        fields = published()[number % len(published())].fields
        if self.generation is not None and fields == self.generation.fields:
            self.adopter.drop()
        else:
            self.adopter.begin(fields, self.generation)

    def step(self, _: int = 0) -> None:
        self.adopter.step(self._clock, 0.5)

    def _clock(self) -> float:
        self.now += 1
        return float(self.now)

    def reply(self, count: int = 0) -> None:
        for _ in range(count % 3 + 1):
            if self.link.waiting:
                self.link.reply()

    def question(self, dice: int) -> None:
        """A leaf is asked for, of what is in force."""
        if self.generation is not None:
            trees = list(self.generation.trees.values())
            tree = trees[dice % len(trees)]
            branch, number = tree.locate((dice * 0x9E3779B97F4A7C15F39CC0605CEDC835) % (1 << tree.bits))
            if branch.slots[number] is None:
                self.leaves.ask([(tree, branch, number)])

    def lose(self, _: int = 0) -> None:
        """The connection is lost, and stands again."""
        self.link.waiting.clear()
        self.adopter.drop()
        self.leaves.forget()
        nodes = self.generation.model.nodes if self.generation is not None else {}
        self.known = {name: known for name, known in self.known.items() if name in nodes}

    # ------------------------------------------------------------------ what must hold

    def check(self, probes: int = 12) -> None:
        """What is in force says what its own tables say, and the cache counts what is here."""
        assert (self.adopter.phase == IDLE) == (self.adopter.fields is None), "announced, hence on its way"
        if self.generation is None:
            return
        one = published()[int(self.generation.number) - 1]
        assert self.generation.fields == one.fields
        assert self.generation.text == one.text
        assert self.generation.trees.keys() == one.tables.keys()
        for (table, bits), tree in self.generation.trees.items():
            starts = one.tables[table, bits][0]
            for number in range(0, len(starts), max(1, len(starts) // probes)):
                try:
                    cell = tree.cell(starts[number])
                except PageMissing:
                    continue
                assert cell == (
                    tables.record_at(one.tables[table, bits], starts[number]),
                    tables.widest(bits, starts, starts[number]),
                )
        cache = self.leaves.cache
        counted = list(cache._order)
        assert cache.size == sum(cache._order.values()) + sum(leaf.grown for leaf in counted)
        here = {
            id(branch.slots[number])
            for tree in self.generation.trees.values()
            for branch, number in tree.leaves()
            if branch.slots[number] is not None
        }
        assert here <= {id(leaf) for leaf in counted}, "what is here can be let go"
        if not self.adopter.ready and self.adopter.phase == IDLE:
            assert here == {id(leaf) for leaf in counted}, "nothing else is held"
            assert cache.size <= cache.room or len(counted) == 1

    def drain(self) -> None:
        """Nothing else happens."""
        for _ in range(100_000):
            if self.adopter.ready:
                self.step()
            elif self.link.waiting:
                self.link.reply()
            else:
                return
        raise AssertionError("never done")


OPERATIONS = ("announce", "step", "step", "step", "reply", "reply", "question", "question", "lose")


@pytest.mark.parametrize("cache", [1 << 22, 60_000])
@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 1 << 20), st.integers(1, 30)), max_size=60)
)
def test_in_any_order_of_steps_one_whole_generation_is_in_force(
    cache: int, script: list[tuple[str, int, int]]
) -> None:
    worker = Worker(cache)
    last = 0
    worker.announce(last)
    for name, dice, times in script:
        if name == "announce":
            last = dice % len(published())
        for _ in range(times if name in {"step", "question"} else 1):
            getattr(worker, name)(dice + _)
        if name == "lose":
            worker.announce(last)  # `current` is read again
        worker.check(3)
    worker.drain()
    worker.check()
    assert worker.log == []
    assert worker.damaged == 0
    assert worker.generation is not None
    assert worker.generation.fields == published()[last].fields, "the last that was announced"
    assert worker.adopter.phase == IDLE
    at_once = Adoption(published()[last].fields, None)
    while missing := at_once.missing():
        for digest_ in missing:
            at_once.give(digest_, worker.objects[digest_])
    whole = at_once.finish()
    for key, tree in worker.generation.trees.items():
        assert [(branch.bounds(number), branch.digest(number)) for branch, number in tree.leaves()] == [
            (branch.bounds(number), branch.digest(number)) for branch, number in whole.trees[key].leaves()
        ]
        assert (tree.tops, tree.quick) == (whole.trees[key].tops, whole.trees[key].quick)
    for owner, entry in whole.names.entries.items():
        ours = worker.generation.names.entries[owner]
        assert (ours.soa, ours.ns, ours.lines, ours.above) == (entry.soa, entry.ns, entry.lines, entry.above)


def loaded(number: int = 0) -> Worker:
    """One that has every leaf of a generation, each asked for often enough to have been cut."""
    worker = Worker(1 << 24)
    worker.announce(number)
    worker.drain()
    assert worker.generation is not None
    for (table, bits), tree in worker.generation.trees.items():
        for branch, at in tree.leaves():
            worker.leaves.ask([(tree, branch, at)])
            worker.drain()
        for start in published()[number].tables[table, bits][0]:
            tree.cell(start)
    return worker


def test_every_leaf_that_both_have_is_carried_over_and_every_other_one_in_use_is_here_before_it_answers() -> (
    None
):
    worker = loaded()
    worker.announce(1)
    while worker.flips == ["1"]:
        worker.step()
        worker.reply()
    assert worker.generation is not None
    assert all(
        branch.slots[number] is not None
        for tree in worker.generation.trees.values()
        for branch, number in tree.leaves()
    )
    worker.drain()
    worker.check(100)


def pages_here(generation: Generation) -> set[bytes]:
    """Names of the leaves that are here."""
    return {
        branch.digest(number)
        for tree in generation.trees.values()
        for branch, number in tree.leaves()
        if branch.slots[number] is not None
    }


def test_what_is_loaded_while_a_generation_is_on_its_way_is_in_both() -> None:
    worker = Worker()
    worker.announce(0)
    worker.drain()
    worker.announce(1)
    while worker.adopter.phase != "warming":
        worker.step()
        worker.reply()
    assert worker.generation is not None
    before = worker.generation
    for dice in range(200):
        worker.question(dice)
    while worker.link.waiting:
        worker.reply()
    here = pages_here(before)
    worker.drain()
    after = worker.generation
    assert after is not before
    everything = {branch.digest(at) for tree in after.trees.values() for branch, at in tree.leaves()}
    assert here & everything
    assert here & everything <= pages_here(after)


def test_a_leaf_that_comes_after_the_generation_it_was_asked_for_serves_both() -> None:
    worker = Worker()
    worker.announce(0)
    worker.drain()
    assert worker.generation is not None
    tree = worker.generation.trees["geo", 32]
    last = (1 << 32) - 1
    branch, number = tree.locate(last)
    data = worker.objects[branch.digest(number)]
    worker.announce(1)
    worker.drain()
    assert worker.leaves.put(tree, branch, number, data)
    tree.cell(last)
    worker.generation.trees["geo", 32].cell(last)
    worker.check()


def test_announcements_faster_than_any_adoption_hold_none_back_for_ever() -> None:
    worker = loaded()
    for number in range(400):  # each is another, as every publish is
        fields = {**published()[number % 2].fields, "generation": str(100 + number)}
        worker.adopter.begin(fields, worker.generation)
        for _ in range(9):
            worker.step()
        worker.reply()
    assert len(worker.flips) > 3


def test_a_damaged_object_fails_its_generation_alone_and_what_waits_is_adopted() -> None:
    worker = loaded()
    root = bytes.fromhex(published()[3].fields["geo.v4"])
    good, worker.objects[root] = worker.objects[root], b"damaged"
    worker.announce(3)
    worker.announce(1)
    worker.drain()
    assert worker.log == [f"generation 4 cannot be adopted: object {root.hex()} is damaged"]
    assert worker.flips == ["1", "2"]
    worker.objects[root] = good
    worker.check()


def test_a_step_is_short_with_thousands_of_nodes_and_many_leaves() -> None:
    """Counted in processor time of the longest of all steps; the best of five, since the machine does other things."""
    document = copy.deepcopy(tiny.DOCUMENT)
    for number in range(2000):
        name = f"n{number}"
        document["nodes"][name] = {
            "a": ["192.0.2.9"],
            "hostname": f"{name}.cdn.example.net",
            "weight": number % 7,
        }
        document["maps"]["default"]["default"][name] = number % 5
    large = Published(9, {("geo", 32): tables.scattered(32, 20_000, 3)}, document)
    longest, whole = [], []
    for _ in range(5):
        worker = loaded()
        worker.objects.update(large.objects)
        worker.adopter.begin(large.fields, worker.generation)
        took = []
        gc.disable()  # what is collected meanwhile is not a step's work, and all that earlier tests have left
        while worker.flips == ["1"] or worker.adopter.ready:
            began = time.thread_time()
            if worker.adopter.ready:
                worker.adopter.step(time.thread_time, 0.0)
                took.append(time.thread_time() - began)
            else:
                worker.link.reply()
        gc.enable()
        longest.append(max(took))
        whole.append(sum(took))
    assert min(longest) < max(0.005, min(whole) / 25), (longest, whole)


documents = st.dictionaries(
    st.text(max_size=4) | st.just("maps"),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


@settings(max_examples=examples(400), deadline=None)
@given(
    documents,
    st.sampled_from([None, 1]),
    st.integers(0, 400),
    st.sampled_from(["", "}", "{", ",", " ", '"', ":", "\x00", "é"]),
)
def test_a_text_read_member_by_member_says_what_it_says_read_at_once(
    value: Any, indent: int | None, at: int, odd: str
) -> None:
    text = json.dumps(value, indent=indent)
    place = at % (len(text) + 1)
    for read in (text, text[:place] + odd + text[place:], text[:place] + odd + text[place + 1 :]):
        assert made_of(read, lambda text: finished(load_in_steps(text, 0))) == made_of(read, json.loads)


def made_of(text: str, load: Callable[[str], Any]) -> Any:
    try:
        return load(text)
    except ValueError:
        return ValueError


def test_a_text_of_too_many_levels_is_refused() -> None:
    for deep in ('{"maps":' * 100_000, '{"nodes":{"x":' + "[" * 100_000):
        with pytest.raises(ValueError, match=r"JSON|levels|recursion"):
            finished(load_in_steps(deep))
