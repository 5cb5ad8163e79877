"""How one configuration document differs from another, setting by setting, as the file spells them."""

from __future__ import annotations

import json
import re
from functools import reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

ABSENT = object()

DERIVED = ("middles",)
"""Sections that come and go with a setting, which is told; they are not told as a whole."""

Difference = dict[str, Any]
"""`place` (`nodes.lon1.weight`), `change` (added, removed, changed), `before` and `after` (None where it is not there)."""


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[Difference]:
    """Every setting that differs, in the order of their places; what is wholly new or gone is one entry."""
    if before is None:
        return []
    derived = {section for section in DERIVED if not (section in before and section in after)}
    first, second = (
        {key: value for key, value in document.items() if key not in derived} for document in (before, after)
    )
    return [
        {
            "place": place(keys),
            "change": "added" if was is ABSENT else "removed" if now is ABSENT else "changed",
            "before": None if was is ABSENT else was,
            "after": None if now is ABSENT else now,
        }
        for keys, was, now in walk(first, second)
    ]


def line(difference: Difference) -> str:
    """One difference as a line: `nodes.lon1.weight: 100 -> 50`."""
    where, before, after = difference["place"], difference["before"], difference["after"]
    if difference["change"] == "added":
        return f"+ {where}: {value_text(after)}"
    if difference["change"] == "removed":
        return f"- {where}: {value_text(before)}"
    return f"  {where}: {value_text(before)} -> {value_text(after)}"


def walk(
    before: object, after: object, keys: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Every setting that differs: its keys from the outside in, and what it was and is; `ABSENT`: it is not there."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from walk(before.get(key, ABSENT), after.get(key, ABSENT), (*keys, key))
    elif before != after:
        yield keys, before, after


def place(keys: Iterable[str]) -> str:
    """The keys of a setting as the file spells them: `nodes.lon1.weight`."""
    return reduce(_at, keys, "")


def _at(place: str, key: str) -> str:
    quoted = key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
    return f"{place}.{quoted}" if place else quoted


def value_text(value: object) -> str:
    """A value much as TOML writes it, without empty settings."""
    if type(value) is int:  # most are weights
        return str(value)
    if isinstance(value, dict):
        inside = ", ".join(
            f"{_at('', key)} = {value_text(inner)}"
            for key, inner in value.items()
            if inner not in (None, [], {})
        )
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(value_text, value))}]"
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
