"""What is written into Redis is named where keys and fields are told: in the module of the keys and in docs/redis.md."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import pytest

import geosteer.keys
from geosteer_loader.health.thresholds import Health
from geosteer_loader.health.verdicts import Counter, Verdict
from geosteer_loader.journal.events import FIELDS, NODE_FIELDS
from geosteer_loader.store.failure import Failure
from geosteer_loader.store.history import NOTES
from support.data import ROOT

MODULE = geosteer.keys.__doc__ or ""
PAGE = (ROOT / "docs" / "redis.md").read_text()


def names_in(document: object) -> set[str]:
    """All field names of a JSON document, but the names of checks."""
    if not isinstance(document, dict):
        return set()
    return set(document) | set().union(
        *(names_in(inner) for key, inner in document.items() if key != "counters")
    )


def written() -> set[str]:
    """Every field that a verdict ever has."""
    counter = Counter(Health(up=True), 1.0, 0.25, 2.0)
    verdict = Verdict(
        state="up", since=1.0, checked=1.0, expires=2.0, failing=True, reason="a", warning="b", counters={"tcp": counter},
        load=1.0, loaded=1.0, shed=0.5, stepped=1.0,
    )  # fmt: skip
    assert all(getattr(verdict, each.name) for each in fields(Verdict)), "each field is set"
    document = json.loads(verdict.encode())
    return names_in(document) | names_in(document["counters"]["tcp"])


@pytest.mark.parametrize("text", [MODULE, PAGE], ids=["module", "page"])
def test_every_field_of_a_verdict_is_told(text: str) -> None:
    assert written() - set(re.findall(r"`(\w+)`", text)) == set()


def test_every_field_of_the_other_keys_is_told() -> None:
    told = set(re.findall(r"\w+", MODULE))
    assert {*NOTES, *FIELDS, *NODE_FIELDS, *(each.name for each in fields(Failure))} - told == set()


def test_every_key_is_told_in_both() -> None:
    for key in geosteer.keys.Keys.__slots__:
        name = {"nodes": "node:", "verdicts": "verdict:"}.get(key, key)
        if key != "braced":
            assert f"`{{P}}:{name}" in MODULE, key
            assert f"{{geosteer}}:{name}" in PAGE or key == "lock", key
