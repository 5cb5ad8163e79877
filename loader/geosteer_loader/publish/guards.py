"""What a publish refuses unless it is forced: tables that look wrong compared with what is published."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from geosteer.decision.client import parse
from geosteer.decision.model import Model
from geosteer.decision.records import country_of
from geosteer.errors import CorruptPage, Refused
from geosteer.keys import FAMILIES, root_field
from geosteer_loader.impact.coverage import Tally, countries, record_at
from geosteer_loader.impact.joint_tables import Side
from geosteer_loader.impact.measure import measure
from geosteer_loader.impact.service_change import Impact, moving
from geosteer_loader.impact.unserved import unserved
from geosteer_loader.percent import percent
from geosteer_loader.store.node_states import read_states

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from geosteer.decision.node_state import NodeState
    from geosteer_loader.config.config import Config
    from geosteer_loader.impact.traffic import Traffic
    from geosteer_loader.publish.proposal import Proposal
    from geosteer_loader.store.pages import Pages
    from geosteer_loader.store.store import Store
    from geosteer_loader.tables.build import Table

log = logging.getLogger(__name__)

GUARDS = ("max_shrink", "max_country_change", "max_impact", "empty_country", "canaries")
"""Names of the guards, as `--force` takes them."""

GUARDED = ("geo", "bgp", "path")
"""Tables that come from elsewhere; what the configuration itself says is meant."""

ELSEWHERE = "@"
"""Stands for records that name no country."""

Finding = tuple[str, str]
"""A guard's name, and what it found."""


@dataclass(slots=True)
class Examination:
    """What is to be said of a proposal before it is published."""

    findings: list[Finding] = field(default_factory=list)
    impact: Impact = field(default_factory=dict)
    """Of everything that would change; empty when nothing would, or nothing can be compared."""
    warnings: list[str] = field(default_factory=list)


def examine(config: Config, store: Store, proposal: Proposal, traffic: Traffic | None = None) -> Examination:
    """Look at what would be published; *traffic* weighs real clients, too. Raises: StoreError; CorruptPage in new tables."""
    pages = proposal.pages(store)
    found = Examination(findings=[*_canaries(config.guard.canaries, proposal.tables, pages.get)])
    for table in proposal.tables:
        if table.name in GUARDED and not table.kept:
            try:
                found.findings += _compared(config, proposal.before, table, pages.get)
            except CorruptPage as exc:
                log.warning("%s: cannot be compared with what is published: %s", table.name, exc)
    if proposal.changed:
        model = Model(proposal.document)
        states = read_states(store, model.nodes)
        now = store.now()
        try:
            found.impact = _impact(config, proposal, pages, states, now, traffic, found.findings)
            asking = countries(pages, proposal.after, traffic)
        except CorruptPage as exc:
            log.warning("the impact on clients cannot be told: %s", exc)
        else:
            found.warnings += unserved(model, states, now, asking)
    return found


def guard(examination: Examination, force: Collection[str]) -> list[str]:
    """The names of the guards that would have refused, had they not been forced.

    Raises: Refused: a guard that is not in *force* says no; the text has every finding.
    """
    findings = examination.findings
    refused = [(name, text) for name, text in findings if name not in force]
    if refused:
        lines = [f"{name}: {text}" for name, text in refused]
        names = " ".join(f"--force {name}" for name in dict.fromkeys(name for name, _ in refused))
        raise Refused(
            "\n".join([*lines, f"nothing was published; if this is right: geosteer publish {names}"])
        )
    for name, text in findings:
        log.warning("forced %s: %s", name, text)
    return list(dict.fromkeys(name for name, _ in findings))


def _impact(
    config: Config,
    proposal: Proposal,
    pages: Pages,
    states: Mapping[str, NodeState],
    now: float,
    traffic: Traffic | None,
    findings: list[Finding],
) -> Impact:
    """What becomes of the clients; adds a finding where the tables alone move too many."""
    published = proposal.known.document
    if published is None:
        return {}
    after = Side(model=Model(proposal.document), after=True)
    # The databases' own view of continents belongs to the tables, all else in the document to the configuration.
    between = {**proposal.document, "continents": published.get("continents") or {}}
    roots = proposal.roots()
    # A table that is new or gone was added or removed on purpose; so is all of `nets`.
    moved = {
        name: (old, new) if old and new and name.partition(".")[0] in GUARDED else (new, new)
        for name, (old, new) in roots.items()
    }
    tables: Impact = {}
    if any(old != new for old, new in moved.values()) or between != proposal.document:
        model = after.model if between == proposal.document else Model(between)
        side = Side(model=model, after=False)
        tables = measure(pages, moved, side, after, states, now, traffic)
        for services, family, share in moving(tables):
            if share > config.guard.max_impact:
                what = f"{percent(share)} of the {family} clients"
                allowed = percent(config.guard.max_impact)
                findings.append(
                    (
                        "max_impact",
                        f"{services}: {what} would get another node by the tables (limit {allowed})",
                    )
                )
    if published == between and moved == roots:
        return tables
    return measure(pages, roots, Side(model=Model(published), after=False), after, states, now, traffic)


def _canaries(
    canaries: Mapping[str, str], tables: Sequence[Table], fetch: Callable[[str], bytes | None]
) -> Iterator[Finding]:
    geo = next((table for table in tables if table.name == "geo"), None)
    for address, wanted in canaries.items():
        if geo is None:
            yield "canaries", f"{address}: there is no table geo"
            continue
        client = parse(address)
        record = record_at(fetch, geo.fields[root_field("geo", client.bits)], client.address)
        if country_of(record) != wanted:
            yield "canaries", f"{address} has {record or 'no record'}, not {wanted}"


def _compared(
    config: Config, before: Mapping[str, str], table: Table, fetch: Callable[[str], bytes | None]
) -> Iterator[Finding]:
    geo = table.name == "geo"
    tally = Tally(fetch, lambda record: (country_of(record) if geo else "") or ELSEWHERE)
    named = _named_countries(config.document) if geo else []
    for suffix, bits in FAMILIES.items():
        field = root_field(table.name, bits)
        old, new = before.get(field), table.fields[field]
        if old is None or old == new:
            continue
        had, has = tally.count(old).total(), tally.count(new).total()
        if has < had * (1 - config.guard.max_shrink):
            share, allowed = percent(1 - has / had), percent(config.guard.max_shrink)
            what = f"table {table.name}.{suffix} would lose {share} of the addresses that it covers"
            yield "max_shrink", f"{what} (limit {allowed})"
        yield from _countries(
            config.guard.max_country_change, named, suffix, tally.count(old), tally.count(new)
        )


def _countries(
    limit: float, named: Sequence[str], suffix: str, old: Mapping[str, int], new: Mapping[str, int]
) -> Iterator[Finding]:
    for country in named:
        had, has = old.get(country, 0), new.get(country, 0)
        if had and not has:
            yield "empty_country", f"{country}, which a map names, would lose all its {suffix} addresses"
        elif had and abs(has - had) > limit * had:
            word = "gain" if has > had else "lose"
            change = percent(abs(has - had) / had)
            yield (
                "max_country_change",
                f"{country}, which a map names, would {word} {change} of its {suffix} addresses (limit {percent(limit)})",
            )


def _named_countries(document: Mapping[str, Any]) -> list[str]:
    found: set[str] = set()
    for spec in document["maps"].values():
        found.update(spec["countries"])
        found.update(country_of(subdivision) for subdivision in spec["subdivisions"])
    return sorted(found)
