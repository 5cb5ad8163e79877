"""A draft as the text of a geosteer.toml: sections with headings, comments where a choice was made."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geosteer_loader.importing.draft import Draft

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_WIDTH = 110
_HEADINGS = {
    "redis": "Redis: where everything is published",
    "sources": "Sources: what the tables are built from",
    "networks": "Networks: lists of prefixes",
    "nodes": "Nodes: the content servers",
    "maps": "Maps: which nodes for which clients",
    "zones": "Zones: what PowerDNS serves through geosteer",
    "services": "Services: the names that are answered by a map",
}


def text(draft: Draft) -> str:
    """The file."""
    lines = [f"# Made from {draft.origin} by `geosteer import`. `geosteer check-config` checks it."]
    if draft.losses or draft.notes:
        lines += ["#", "# What differs from there:"]
        lines += [f"# - {line}" for line in (*draft.losses, *draft.notes)]
    lines.append("")
    for section, value in draft.document().items():
        if value:
            lines += [f"# ---- {_HEADINGS[section]} {'-' * max(3, 100 - len(_HEADINGS[section]))}", ""]
            lines += _table(draft, (section,), value)
    return "\n".join(lines).rstrip("\n") + "\n"


def _table(
    draft: Draft, place: tuple[str, ...], table: Mapping[str, Any], brackets: str = "[]"
) -> Iterator[str]:
    """A table with its heading, where it has settings of its own, and the tables within."""
    inner = {key: value for key, value in table.items() if _is_table(place, value)}
    plain = {key: value for key, value in table.items() if key not in inner}
    yield from (f"# {line}" for line in draft.remarks.get(".".join(place), ()))
    if plain or not inner or brackets == "[[]]":
        half = len(brackets) // 2
        yield f"{brackets[:half]}{'.'.join(map(_key, place))}{brackets[half:]}"
        for key, value in plain.items():
            yield from (f"# {line}" for line in draft.remarks.get(".".join((*place, key)), ()))
            yield from _pair(key, value)
        yield ""
    for key, value in inner.items():
        if isinstance(value, list):
            for entry in value:
                yield from _table(draft, (*place, key), entry, "[[]]")
        else:
            yield from _table(draft, (*place, key), value)


def _is_table(place: tuple[str, ...], value: object) -> bool:
    """Whether a value is a table with a heading of its own; weights, profiles and headers stand in braces."""
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict)
    if not isinstance(value, dict):
        return False
    if place[0] == "maps" and len(place) == 3:
        return False  # a key of a layer
    return place[-1] != "check"


def _pair(key: str, value: object) -> Iterator[str]:
    line = f"{_key(key)} = {_value(value)}"
    if isinstance(value, list) and len(line) > _WIDTH:
        yield f"{_key(key)} = ["
        yield from (f"    {_value(entry)}," for entry in value)
        yield "]"
    else:
        yield line


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {_value(entry)}' for key, entry in value.items())} }}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
