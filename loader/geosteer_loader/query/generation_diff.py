"""`geosteer history --diff`: what differs between two generations, by what operators call it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from geosteer.errors import CorruptPage
from geosteer.keys import FAMILIES, TABLES, own_fields, root_field
from geosteer_loader.config.diff import ABSENT, DERIVED, place, walk
from geosteer_loader.publish.plan import family_plan
from geosteer_loader.query.past import kept_generation
from geosteer_loader.store import current
from geosteer_loader.store.history import entries
from geosteer_loader.store.pages import Pages, outline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geosteer_loader.store.history import Entry
    from geosteer_loader.store.store import Store

GROUPS = ("nodes", "weights", "maps", "services", "zones", "networks")
"""What operators call parts of the configuration; the rest is under `other`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting that differs."""

    group: str
    """One of `GROUPS`, or `other`."""
    keys: tuple[str, ...]
    """From the outside in: `maps`, `default`, `countries`, `GB`, `lon1`."""
    change: str
    """added, removed, changed."""
    before: Any
    after: Any
    """None where it is not there."""

    def to_json(self) -> dict[str, Any]:
        """With `place`, as the file spells it, for the keys."""
        return {"place": place(self.keys), "change": self.change, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDiff:
    """How a table differs."""

    state: str
    """new, removed, changed, or same content (of other sources)."""
    sources: list[Any]
    """Before and after: what its source files were, as they were published; None: none."""
    built: list[str | None]
    """Before and after: the date of the data, ISO 8601 UTC."""
    prefixes: list[int]
    ranges: list[int]
    families: dict[str, dict[str, Any]]
    """v4, v6 -> `ranges`, `changed`, `unit`, `share`, `movements`, as `geosteer plan --json` has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationDiff:
    """What differs between two generations."""

    before: dict[str, Any]
    after: dict[str, Any]
    """`generation`, `published`, `who`, `changed`."""
    sources: dict[str, TableDiff]
    """Table -> how it differs; those that are the same are left out."""
    settings: list[Setting]
    warnings: list[str]
    """What cannot be compared."""

    def to_json(self) -> dict[str, Any]:
        """As `geosteer history --diff --json` prints it: a list for each of `GROUPS` and `other`."""
        groups = {
            group: [setting.to_json() for setting in self.settings if setting.group == group]
            for group in (*GROUPS, "other")
        }
        sources = {name: asdict(table) for name, table in self.sources.items()}
        return {
            "before": self.before, "after": self.after, "sources": sources, **groups, "warnings": self.warnings
        }  # fmt: skip


def diff(store: Store, before: int, after: int) -> GenerationDiff:
    """What differs between two kept generations. Raises: OutOfReach: one is not kept. StoreError."""
    kept = entries(store)
    old, new = kept_generation(kept, before), kept_generation(kept, after)
    warnings: list[str] = []
    tables = {
        name: _table(store, name, old.fields, new.fields, warnings)
        for name in TABLES
        if _content(old.fields, name) != _content(new.fields, name)
    }
    return GenerationDiff(
        before=_head(old),
        after=_head(new),
        sources=tables,
        settings=list(_settings(current.document(store, old.fields), current.document(store, new.fields))),
        warnings=warnings,
    )


def _head(entry: Entry) -> dict[str, Any]:
    return {
        "generation": entry.generation,
        "published": entry.fields.get("published", ""),
        "who": entry.who,
        "changed": entry.changed,
    }


def _content(fields: Mapping[str, str], table: str) -> dict[str, str]:
    """Without what made the pages: another version that makes the same is no difference."""
    return {name: text for name, text in own_fields(fields, table).items() if not name.endswith(".builder")}


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Setting]:
    derived = {section for section in DERIVED if not (section in before and section in after)}
    old, new = (
        {key: value for key, value in document.items() if key not in derived} for document in (before, after)
    )
    for keys, was, now in walk(old, new):
        yield Setting(
            group=_group(keys, was, now),
            keys=keys,
            change="added" if was is ABSENT else "removed" if now is ABSENT else "changed",
            before=None if was is ABSENT else was,
            after=None if now is ABSENT else now,
        )


def _group(keys: tuple[str, ...], was: object, now: object) -> str:
    numbers = all(value is ABSENT or isinstance(value, int | float) for value in (was, now))
    if keys[0] == "nodes" and keys[2:] == ("weight",):
        return "weights"
    # maps.default.countries.GB.lon1 and maps.default.default.lon1
    if keys[0] == "maps" and numbers and len(keys) == (4 if keys[2:3] == ("default",) else 5):
        return "weights"
    return keys[0] if keys[0] in GROUPS else "other"


def _table(
    store: Store, name: str, old: Mapping[str, str], new: Mapping[str, str], warnings: list[str]
) -> TableDiff:
    pages, families = Pages(store), {}
    for suffix, bits in FAMILIES.items():
        field = root_field(name, bits)
        if old.get(field) == new.get(field):
            continue
        try:
            family = family_plan(
                suffix, pages, outline(pages, bits, old.get(field)), outline(pages, bits, new.get(field))
            )
        except CorruptPage as exc:
            warnings.append(f"{field}: cannot be compared: {exc}")
            continue
        families[suffix] = {
            "ranges": family.ranges,
            "changed": family.changed,
            "unit": family.unit,
            "share": family.share,
            "movements": family.movements,
        }
    was, now = (any(root_field(name, bits) in fields for bits in (32, 128)) for fields in (old, new))
    state = ("changed" if families else "same content") if was and now else "new" if now else "removed"
    return TableDiff(
        state=state,
        sources=[_sources(fields.get(f"{name}.source")) for fields in (old, new)],
        built=[fields.get(f"{name}.built") or None for fields in (old, new)],
        prefixes=[current.number(fields, f"{name}.prefixes") for fields in (old, new)],
        ranges=[current.number(fields, f"{name}.ranges") for fields in (old, new)],
        families=families,
    )


def _sources(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return text
