"""How one configuration document differs from another, setting by setting, as the file spells them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    return list(_walk("", first, second))


def line(difference: Difference) -> str:
    """One difference as a line: `nodes.lon1.weight: 100 -> 50`."""
    place, before, after = difference["place"], difference["before"], difference["after"]
    if difference["change"] == "added":
        return f"+ {place}: {_text(after)}"
    if difference["change"] == "removed":
        return f"- {place}: {_text(before)}"
    return f"  {place}: {_text(before)} -> {_text(after)}"


def _walk(place: str, before: object, after: object) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _walk(_at(place, key), before.get(key, ABSENT), after.get(key, ABSENT))
    elif before != after:
        change = "added" if before is ABSENT else "removed" if after is ABSENT else "changed"
        yield {
            "place": place,
            "change": change,
            "before": None if before is ABSENT else before,
            "after": None if after is ABSENT else after,
        }


def _at(place: str, key: str) -> str:
    quoted = key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
    return f"{place}.{quoted}" if place else quoted


def _text(value: object) -> str:
    """A value much as TOML writes it, without empty settings."""
    if isinstance(value, dict):
        inside = ", ".join(
            f"{_at('', key)} = {_text(inner)}" for key, inner in value.items() if inner not in (None, [], {})
        )
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
