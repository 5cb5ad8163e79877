"""Whatever a stranger wrote into the journal: an event is bounded, one line, harmless to a terminal, and JSON."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from geosteer.timestamps import format_time_ms, maybe_time
from geosteer_loader.cli.text import journal
from geosteer_loader.journal.events import (
    FIELDS,
    KINDS,
    MOST,
    NODE_FIELDS,
    STATES,
    decode,
    headline,
    node_fields,
    node_text,
    told,
)
from geosteer_loader.store.history import writable

OBEYED = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a terminal acts upon."""
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
overrides = st.fixed_dictionaries(
    {}, optional={"state": json_values, "percent": json_values, "until": json_values, "why": json_values}
).map(json.dumps)
nodes = st.dictionaries(st.sampled_from(NODE_FIELDS) | st.text(max_size=5), json_values, max_size=7).map(
    json.dumps
)
times = st.datetimes().map(lambda moment: moment.isoformat() + "Z")
deep = st.sampled_from(
    ["[" * 30_000, '{"a":' * 5_000, "9" * 5_000, '"\\ud800"', "x" * (MOST + 1), "\x1b]0;x\x07\u202e"]
)
values = st.text(max_size=30) | overrides | nodes | times | deep
ids = st.builds("{}-{}".format, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
entries = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), values).flatmap(
    lambda fields: st.sampled_from((*KINDS, "", "\n")).map(lambda kind: {"kind": kind, **fields})
)


@given(ids, entries)
def test_any_entry_is_an_event_that_can_be_shown(id_: str, fields: dict[str, str]) -> None:
    event = decode(id_, fields)
    assert all(len(getattr(event, name)) <= MOST for name in FIELDS)
    assert maybe_time(format_time_ms(event.time)) is not None, "a time that can be written, and read again"
    assert json.loads(json.dumps(event.to_json()))["kind"] == event.kind
    for line in (headline(event), told(event), journal.line(event)):
        assert not OBEYED.search(line)
    assert len(journal.text([event], full=True).splitlines()) == 2
    node_fields(event.before)
    assert bool(event.node) <= (event.kind in {*STATES, "override", "ended", "expired", "ramp"})


@given(nodes | values)
def test_only_words_of_a_node_come_out_of_any_text(text: str) -> None:
    found = node_fields(text)
    assert set(found) <= set(NODE_FIELDS)
    assert all(isinstance(value, str) for value in found.values())
    # What is written again from it says the same, or less where that is too long.
    again = node_fields(node_text(found))
    assert again == {name: found[name] for name in again}


def test_the_end_of_an_override_says_what_ended() -> None:
    set_to = '{"state":"drain","percent":40,"until":"2026-11-28T19:00:00Z","why":"disk"}'
    begun = decode("5000-1", {"kind": "override", "subject": "lon1", "after": set_to, "why": "disk"})
    ended = decode("6000-1", {"kind": "ended", "subject": "lon1", "before": set_to})
    assert told(begun) == "drain, 40 %, until 2026-11-28T19:00:00Z: disk"
    assert told(ended) == "was drain, 40 %, until 2026-11-28T19:00:00Z"
    assert told(decode("7000-1", {"kind": "ended", "before": "?"})) == ""


@given(st.text(st.characters()))
def test_whatever_is_to_be_written_can_be(text):
    assert writable(text).encode().decode() == writable(text)
    assert not text.isascii() or writable(text) == text


def test_bytes_of_a_command_line_are_read_as_the_text_that_they_are():
    assert writable("b\udcc3\udcbc\udcff") == "bü\N{REPLACEMENT CHARACTER}"
