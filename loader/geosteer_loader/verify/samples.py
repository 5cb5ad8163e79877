"""What workers see of a published generation: canaries, and a sample that the sources are asked about as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.decision.client import parse, prefix_text
from geosteer.decision.records import country_of
from geosteer.errors import SourceError, StoreError
from geosteer.keys import FAMILIES, TABLES, root_field
from geosteer_loader.store.generation_view import View
from geosteer_loader.tables import provenance
from geosteer_loader.verify.findings import Problem
from geosteer_loader.verify.reference import Oracle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.config.config import Config
    from geosteer_loader.store.store import Store
    from geosteer_loader.verify.findings import Verdict
    from geosteer_loader.verify.page_walk import Inspection

SHOWN = 20
"""Addresses of one table that are named where the oracle disagrees; the others are counted."""


def check_views(
    config: Config,
    store: Store,
    fields: Mapping[str, str],
    inspections: Mapping[str, Inspection],
    verdict: Verdict,
) -> None:
    """Look up addresses as workers do: canaries, and a sample that the sources are asked about as well."""
    try:
        view = View(store, fields)
    except StoreError as exc:
        verdict.problems.append(Problem("current", f"unusable for workers: {exc}"))
        return
    for address, wanted in config.guard.canaries.items():
        client = parse(address)
        try:
            record, length = view.cell("geo", client.bits, client.address)
        except StoreError as exc:
            verdict.problems.append(Problem(f"canary {address}", str(exc)))
            continue
        if country_of(record) != wanted:
            prefix = prefix_text(client.bits, client.address, length)
            what = f"{prefix} has {record or 'no record'}, not {wanted}"
            verdict.problems.append(Problem(f"canary {address}", what))
    for table in TABLES:
        names = {bits: root_field(table, bits) for bits in FAMILIES.values()}
        sample = {bits: inspections[name].addresses for bits, name in names.items() if name in inspections}
        if sample:
            _compare(config, table, fields, view, sample, verdict, store.now())


def _compare(
    config: Config,
    table: str,
    fields: Mapping[str, str],
    view: View,
    sample: dict[int, list[int]],
    verdict: Verdict,
    now: float,
) -> None:
    try:
        reason = _incomparable(config, table, fields)
        if reason:
            verdict.notes.append(f"{table}: not compared with its sources: {reason}")
            return
        oracle = Oracle(config, table, sample, now)
    except SourceError as exc:
        verdict.notes.append(f"{table}: not compared with its sources: {exc}")
        return
    differing = 0
    for bits, addresses in sample.items():
        name = root_field(table, bits)
        for address in addresses:
            try:
                record, _ = view.cell(table, bits, address)
            except StoreError:
                continue  # its page is among the problems already
            verdict.tables[name]["compared"] += 1
            expected = oracle.record(bits, address)
            if record != expected:
                differing += 1
                if differing <= SHOWN:
                    place = prefix_text(bits, address, bits).partition("/")[0]
                    what = f"has {record or 'no record'}, the sources give {expected or 'no record'}"
                    verdict.problems.append(Problem(f"{name} {place}", what))
    if differing > SHOWN:
        verdict.problems.append(Problem(table, f"{differing - SHOWN} more addresses differ from the sources"))


def _incomparable(config: Config, table: str, fields: Mapping[str, str]) -> str:
    """Why the sources as they are now are not what the published table was made of; "" if they are."""
    if table == "nets":
        return (
            ""
            if provenance.networks(config.networks) == fields.get("nets.source")
            else "the networks have changed since"
        )
    if not config.sources.get(table):
        return "no source is configured"
    if any(source.live is not None for source in config.sources[table]):
        return "it follows BGP sessions"
    described = provenance.describe_table(config, table, fields)
    if not provenance.same(fields.get(f"{table}.source", ""), described):
        return "the sources have changed since"
    if fields.get(f"{table}.builder") != provenance.builder(config.document["continents"]):
        return "built by another version of geosteer"
    return ""
