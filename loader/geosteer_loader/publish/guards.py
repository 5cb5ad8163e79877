"""What a publish refuses unless it is forced: what looks wrong compared with what is published."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from geosteer.decision.client import parse
from geosteer.decision.model import Model
from geosteer.decision.records import country_of
from geosteer.errors import CorruptPage
from geosteer.keys import FAMILIES, root_field
from geosteer_loader.health import overrides
from geosteer_loader.impact.census import Census
from geosteer_loader.impact.coverage import ELSEWHERE, countries, country_or_elsewhere, record_at
from geosteer_loader.impact.joint_tables import Side
from geosteer_loader.impact.measure import measure
from geosteer_loader.impact.service_change import NOISE, Impact, moving
from geosteer_loader.impact.unplaced import unplaced
from geosteer_loader.impact.unserved import unserved
from geosteer_loader.impact.vanished import Vanished, vanished
from geosteer_loader.publish.refusals import (
    CanaryFailed,
    CountryChanged,
    EmptyCountry,
    GoneAltogether,
    ImpactTooHigh,
    SeveralRefused,
    TableShrank,
)
from geosteer_loader.store import node_states

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from geosteer_loader.config.config import Config
    from geosteer_loader.impact.traffic import Traffic
    from geosteer_loader.publish.proposal import Proposal
    from geosteer_loader.publish.refusals import GuardRefused
    from geosteer_loader.store.store import Store
    from geosteer_loader.tables.build import Table

log = logging.getLogger(__name__)

GUARDED = ("geo", "bgp", "path")
"""Tables that come from elsewhere and cover what they cover. Measured times come and go with the clients that measure, and
what the configuration itself says is meant."""


@dataclass(slots=True)
class Examination:
    """What is to be said of a proposal before it is published."""

    findings: list[GuardRefused] = field(default_factory=list)
    impact: Impact = field(default_factory=dict)
    """Of everything that would change; empty when nothing would, or nothing can be compared."""
    vanished: Vanished = field(default_factory=Vanished)
    warnings: list[str] = field(default_factory=list)


def examine(config: Config, store: Store, proposal: Proposal, traffic: Traffic | None = None) -> Examination:
    """Look at what would be published; *traffic* weighs real clients, too. Raises: StoreError; CorruptPage in new tables."""
    pages = proposal.pages(store)
    census = Census(pages, proposal.roots(), proposal.ranges())
    examination = Examination(findings=[*_canaries(config.guard.canaries, proposal.tables, pages.get)])
    for table in proposal.tables:
        if table.name in GUARDED and not table.kept:
            try:
                examination.findings += _compared(config, proposal.before, table, census)
            except CorruptPage as exc:
                log.warning("%s: cannot be compared with what is published: %s", table.name, exc)
    examination.warnings += proposal.warnings
    if proposal.known.unreadable:
        examination.warnings.append(f"{proposal.known.unreadable}: the impact on clients is unknown")
    if proposal.changed:
        model = Model(proposal.document)
        states = node_states.read(store, model.nodes).states
        now = store.now()
        examination.warnings += overrides.lost(overrides.read(store, now), model.nodes)
        try:
            published = _published(proposal, model)
            examination.vanished = vanished(
                published, (proposal.document, model), proposal.before, proposal.after
            )
            if examination.vanished:
                examination.findings.append(GoneAltogether(examination.vanished))
            if published is not None:
                before, after = Side(model=published[1], after=False), Side(model=model, after=True)
                examination.impact = measure(
                    pages, proposal.roots(), before, after, states, now, traffic, census
                )
            examination.findings += _moved_too_many(examination.impact, config.guard.max_impact)
            asking = countries(pages, proposal.after, census, traffic)
        except CorruptPage as exc:
            log.warning("the impact on clients is unknown: %s", exc)
        else:
            examination.warnings += unserved(model, states, now, asking)
            examination.warnings += unplaced(model, proposal.after, pages.get)
    return examination


def guard(examination: Examination, force: Collection[str]) -> list[str]:
    """The names of the guards that would have refused, had they not been forced.

    Raises: GuardRefused: a guard that is not in *force* says no. SeveralRefused: there is more than one such finding.
    """
    findings = examination.findings
    refused = [finding for finding in findings if finding.guard not in force]
    if refused:
        raise refused[0] if len(refused) == 1 else SeveralRefused(refused)
    for finding in findings:
        log.warning("forced %s: %s", finding.guard, finding.finding)
    return list(dict.fromkeys(finding.guard for finding in findings))


def _published(proposal: Proposal, planned: Model) -> tuple[dict[str, Any], Model] | None:
    """The published configuration document and its model, the *planned* one where nothing changes; None: there is none.

    Raises: CorruptPage: it is no configuration document.
    """
    document = proposal.known.document
    if document is None:
        return None
    return document, planned if document == proposal.document else Model(document)


def _moved_too_many(impact: Impact, limit: float) -> Iterator[ImpactTooHigh]:
    for services, family, share in moving(impact):
        if share > limit + NOISE:
            yield ImpactTooHigh(services, family, share, limit)


def _canaries(
    canaries: Mapping[str, str], tables: Sequence[Table], fetch: Callable[[str], bytes | None]
) -> Iterator[GuardRefused]:
    geo = next((table for table in tables if table.name == "geo"), None)
    for address, wanted in canaries.items():
        if geo is None:
            yield CanaryFailed(address, wanted, None)
            continue
        client = parse(address)
        record = record_at(fetch, geo.fields[root_field("geo", client.bits)], client.address)
        if country_of(record) != wanted:
            yield CanaryFailed(address, wanted, record)


def _compared(
    config: Config, before: Mapping[str, str], table: Table, census: Census
) -> Iterator[GuardRefused]:
    geo = table.name == "geo"
    named = _named_countries(config.document) if geo else []
    key = country_or_elsewhere if geo else _anywhere
    for suffix, bits in FAMILIES.items():
        field = root_field(table.name, bits)
        old, new = before.get(field), table.fields[field]
        if old is None or old == new:
            continue
        was, now = census.sums(field, key, (old, new))
        had, has = was.total(), now.total()
        if has < had * (1 - config.guard.max_shrink):
            yield TableShrank(table.name, suffix, had, has, config.guard.max_shrink)
        yield from _countries(config.guard.max_country_change, named, suffix, was, now)


def _anywhere(_record: str) -> str:
    return ELSEWHERE


def _countries(
    limit: float, named: Sequence[str], suffix: str, old: Mapping[str, int], new: Mapping[str, int]
) -> Iterator[GuardRefused]:
    for country in named:
        had, has = old.get(country, 0), new.get(country, 0)
        if had and not has:
            yield EmptyCountry(country, suffix, had)
        elif had and abs(has - had) > limit * had:
            yield CountryChanged(country, suffix, had, has, limit)


def _named_countries(document: Mapping[str, Any]) -> list[str]:
    codes: set[str] = set()
    for spec in document["maps"].values():
        codes.update(spec["countries"])
        codes.update(country_of(subdivision) for subdivision in spec["subdivisions"])
    return sorted(codes)
