"""`geosteer plan`: what a publish would change, as one document for people and programs. Nothing is written to Redis."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from geosteer.decision.records import brief_pair
from geosteer.errors import CorruptPage
from geosteer.keys import FAMILIES, TABLES, root_field
from geosteer_loader.config.diff import differences
from geosteer_loader.impact.service_change import as_json, shares
from geosteer_loader.impact.table_diff import changes
from geosteer_loader.progress import Silent
from geosteer_loader.publish.guards import examine
from geosteer_loader.publish.proposal import Proposal, lacking, propose
from geosteer_loader.store import current as published
from geosteer_loader.store.object_writer import Writer
from geosteer_loader.store.pages import Outline, outline

if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer_loader.config.config import Config
    from geosteer_loader.config.diff import Difference
    from geosteer_loader.impact.traffic import Traffic
    from geosteer_loader.progress import Meter
    from geosteer_loader.store.pages import Pages
    from geosteer_loader.store.store import Store

MOVEMENTS = 20
"""Largest movements of a table's family that are reported."""

UNITS = {"v4": ("addresses", 0), "v6": ("/48s", 80)}
"""Family -> what its address space is counted in, and how many bits of an address that leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyPlan:
    """What would become of one family of a table."""

    ranges: int
    """Stretches of addresses that would get another record."""
    pages: dict[str, int]
    """`before`, `after`, `new`, `gone`."""
    bytes: int
    """Of the new pages."""
    unit: str
    """What `changed` counts."""
    changed: int | float
    share: float
    """Of the address space, 0..1."""
    movements: list[dict[str, Any]]
    """The largest: `from` and `to` (records), `changed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePlan:
    """What would become of a table."""

    state: str
    """unchanged, same content, changed, new or removed."""
    prefixes: list[int]
    ranges: list[int]
    """Before and after."""
    v4: FamilyPlan
    v6: FamilyPlan

    def family(self, suffix: str) -> FamilyPlan:
        """By the suffix of its field in `current`: v4 or v6."""
        return self.v4 if suffix == "v4" else self.v6


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a publish would change."""

    generation: int | None
    """The one that is published; None: nothing is."""
    held: str | None
    """Who holds it, since when and why, after a rollback."""
    changed: list[str]
    """Tables, `config`, `release`."""
    objects: int
    bytes: int
    """To be written."""
    tables: dict[str, TablePlan]
    config: list[Difference]
    impact: dict[str, Any]
    """Service -> what becomes of its clients (`impact.service_change.as_json`)."""
    moved: dict[str, float]
    """Service -> share of its clients that would get another node, 0..1: the figure that guard `max_impact` limits."""
    vanished: dict[str, list[str]]
    """`zones`, `services`, `nodes`, `tables`, `records` -> names of those published that would not be any more."""
    refused: list[dict[str, str]]
    """What the guards would say: `guard`, `finding`."""
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """As `geosteer plan --json` prints it: the fields above, by their names."""
        # Not `asdict`, which copies what services share over and over.
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**plain, "tables": {name: asdict(table) for name, table in self.tables.items()}}


def plan(
    config: Config,
    store: Store,
    traffic: Traffic | None = None,
    meter: Callable[[str], Meter] = Silent,
) -> Plan:
    """What publishing *config* now would change.

    Args: traffic: real clients, to weigh the impact with; meter: shows the progress of the table that it is given.
    Raises: SourceError: a source cannot be read. StoreError. Refused: a newer geosteer published.
    """
    return plan_of(
        config, store, propose(config, store, published.read(store, repairing=True), meter), traffic
    )


def plan_of(config: Config, store: Store, proposal: Proposal, traffic: Traffic | None = None) -> Plan:
    """As `plan`, of a *proposal* that was made of the same configuration."""
    before = proposal.before
    pages = proposal.pages(store)
    warnings: list[str] = []
    tables = {name: _table(name, proposal, pages, warnings) for name in TABLES if _there(name, proposal)}
    examined = examine(config, store, proposal, traffic)
    missing = lacking(proposal, Writer(store, only_asks=True))
    return Plan(
        generation=published.number(before, "generation") if "generation" in before else None,
        held=before.get("held"),
        changed=[*proposal.changed, *(["release"] if "held" in before else [])],
        objects=missing.count,
        bytes=missing.size,
        tables=tables,
        config=differences(proposal.known.document, json.loads(proposal.text)),
        impact=as_json(examined.impact),
        moved=shares(examined.impact),
        vanished={kind: list(names) for kind, names in asdict(examined.vanished).items()},
        refused=[{"guard": refusal.guard, "finding": refusal.finding} for refusal in examined.findings],
        warnings=warnings + examined.warnings,
    )


def _there(name: str, proposal: Proposal) -> bool:
    return any(
        root_field(name, bits) in fields for fields in (proposal.before, proposal.after) for bits in (32, 128)
    )


def _table(name: str, proposal: Proposal, pages: Pages, warnings: list[str]) -> TablePlan:
    before, after = proposal.before, proposal.after
    families = {}
    for suffix, bits in FAMILIES.items():
        field = root_field(name, bits)
        new = outline(pages, bits, after.get(field))
        try:
            old = new if before.get(field) == after.get(field) else outline(pages, bits, before.get(field))
            families[suffix] = family_plan(suffix, pages, old, new)
        except CorruptPage as exc:
            warnings.append(f"{field}: cannot be compared with what is published: {exc}")
            families[suffix] = family_plan(suffix, pages, outline(pages, bits, None), new)
    return TablePlan(
        state=_state(name, proposal),
        prefixes=[published.number(fields, f"{name}.prefixes") for fields in (before, after)],
        ranges=[published.number(fields, f"{name}.ranges") for fields in (before, after)],
        **families,
    )


def _state(name: str, proposal: Proposal) -> str:
    if name not in proposal.changed:
        return "unchanged"
    old, new = (root_field(name, 32) in fields for fields in (proposal.before, proposal.after))
    if not (old and new):
        return "new" if new else "removed"
    roots = [pair for field, pair in proposal.roots().items() if field.startswith(f"{name}.")]
    return "changed" if any(was != now for was, now in roots) else "same content"


def family_plan(suffix: str, pages: Pages, old: Outline, new: Outline) -> FamilyPlan:
    """What differs between one family of a table before and after. Raises: CorruptPage, StoreError."""
    unit, left_out = UNITS[suffix]
    fresh = new.names - old.names
    moved: Counter[tuple[str, str]] = Counter()
    ranges = 0
    for start, end, was, now in changes(pages, old, new):
        moved[brief_pair(was, now)] += end - start
        ranges += 1
    size = sum(moved.values())
    return FamilyPlan(
        ranges=ranges,
        pages={
            "before": len(old.names),
            "after": len(new.names),
            "new": len(fresh),
            "gone": len(old.names - new.names),
        },
        bytes=sum(map(pages.size, fresh)),
        unit=unit,
        changed=_amount(size, left_out),
        share=size / (1 << new.bits),
        movements=[
            {"from": was, "to": now, "changed": _amount(count, left_out)}
            for (was, now), count in moved.most_common(MOVEMENTS)
        ],
    )


def _amount(size: int, left_out: int) -> int | float:
    """In whole units where it is that."""
    whole, rest = divmod(size, 1 << left_out)
    return whole if not rest else size / (1 << left_out)
