"""Descriptions of a schema's settings: what the sample files say above each of them.

In a sample `#name = value` states a default, `# Example: name = value` is a setting without one, and a ruled comment begins
a chapter.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from geosteer_loader.config import samples

if TYPE_CHECKING:
    from collections.abc import Iterator

LOADER, WORKER = "geosteer.toml", "backend.toml"
ANY = "*"
"""In a path: any name."""

Path = tuple[str, ...]

SAME = {
    "loader": (
        (LOADER, (), ()),
        (LOADER, ("sources", "geo"), ("sources", "bgp")),
        (LOADER, ("sources", "geo"), ("sources", "path")),
        (LOADER, ("sources", "geo"), ("sources", "latency")),
        (LOADER, ("sources", "bgp"), ("sources", "path")),
        (LOADER, ("sources", "geo"), ("rpki",)),
    ),
    "worker": (
        (WORKER, (), ()),
        (WORKER, ("beacon",), ("beacon", "services", ANY)),
        (LOADER, ("redis",), ("redis",)),
        (LOADER, ("zones",), ("fallback", "zones")),
        (LOADER, ("nodes", ANY), ("fallback", "servers")),
    ),
}
"""Whose file -> sample, the tables it tells of, and the tables of the schema that have the same settings; the first counts."""

_SETTING = re.compile(r"(?:#|# Example: )?([a-z_]+) = (.+)")
_TABLE = re.compile(r"(?:# Example: )?\[+([^\]]+)\]+\s*(.*)")
_RULE = re.compile(r"# ----* ?(.*?) ?-*$")
_PART = re.compile(r'"([^"]*)"|([A-Za-z0-9_-]+)')
_THE_DEFAULT = "the default"


class Said(NamedTuple):
    """What a sample says of a setting; without a key, of the table."""

    table: Path
    key: str
    text: str


def describe(schema: dict[str, Any], whose: str) -> None:
    """Put descriptions into the schema of the file of the `loader` or the `worker`."""
    for sample, those, these in SAME[whose]:
        for said in said_of(samples.read(sample)):
            inside = said.table[len(those) :]
            if len(said.table) >= len(those) and all(
                want in (ANY, part) for want, part in zip(those, said.table, strict=False)
            ):
                _put(schema, these + inside, said)
    for built in (schema, *schema["definitions"].values()):
        _inherit(built, "")


def said_of(sample: str) -> Iterator[Said]:
    """What a sample file says of its tables and settings, in its order."""
    table: Path = ()
    chapter, last = "", ""
    comment: list[str] = []
    for line in sample.splitlines():
        if rule := _RULE.fullmatch(line):
            chapter, last, comment = rule[1], "", []
        elif header := _TABLE.fullmatch(line):
            table = tuple(quoted or bare for quoted, bare in _PART.findall(header[1]))
            if chapter:
                yield Said(table[:1], "", chapter)
            yield Said(table, "", " ".join(comment) or header[2].lstrip("# ") or chapter)
            chapter, last, comment = "", "", []
        elif setting := _SETTING.fullmatch(line):
            remark = setting[2].partition("  ")[2].strip().lstrip("# ").removeprefix(_THE_DEFAULT)
            last = " ".join(comment) or remark or last
            yield Said(table, setting[1], last)
            comment = []
        elif line.startswith("#"):
            comment.append(line.lstrip("# ").rstrip())
        else:
            last, comment = "", []


def _put(schema: dict[str, Any], path: Path, said: Said) -> None:
    """One description, where that setting is and has none yet."""
    node: Any = schema
    for part in (*path, said.key) if said.key else path:
        node = _table(node, schema)
        inner = node.get("properties", {}).get(part)
        node = inner if inner is not None else node.get("additionalProperties")
        if not isinstance(node, dict):
            return
    if said.text and node is not schema:
        node.setdefault("description", said.text)


def _inherit(node: Any, text: str) -> None:
    """Where a sample tells of a table and not of each of its settings, these get what it says of the table."""
    if not isinstance(node, dict):
        return
    for setting in node.get("properties", {}).values():
        if isinstance(setting, dict):
            if text:
                setting.setdefault("description", text)
            _inherit(setting, setting.get("description", ""))
    names = node.get("additionalProperties")
    for inner in (names, node.get("items"), *node.get("anyOf", ())):
        _inherit(inner, inner.get("description", text) if isinstance(inner, dict) else "")


def _table(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The table that stands there, in a list or not."""
    ways: list[dict[str, Any]] = [node, *node.get("anyOf", ())]
    for way in ways:
        if "$ref" in way:
            referred: dict[str, Any] = schema["definitions"][way["$ref"].rpartition("/")[2]]
            return referred
        if way.get("type") == "object":
            return way
        if isinstance(way.get("items"), dict):
            return _table(way["items"], schema)
    return {}
