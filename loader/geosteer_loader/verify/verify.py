"""`geosteer verify`: is what is published whole, is it what the sources say, and do workers see it so?"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from geosteer.decision.model import Model
from geosteer.errors import CorruptPage, GeosteerError, StoreError
from geosteer.keys import FAMILIES, TABLES, root_field
from geosteer_loader.store import current as published
from geosteer_loader.store import history
from geosteer_loader.store.collector import Collected, discard, sweep
from geosteer_loader.store.lease import Lease
from geosteer_loader.store.pages import Pages, outline
from geosteer_loader.verify.findings import Problem, Verdict
from geosteer_loader.verify.page_walk import Inspection, Inspector
from geosteer_loader.verify.samples import check_views

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.config.config import Config
    from geosteer_loader.store.store import Store


def verify(config: Config, store: Store, *, clean: bool = False, rng: random.Random | None = None) -> Verdict:
    """Look at all that is published; a problem is an entry of the verdict, not an error.

    Args:
        clean: then remove what belongs to no generation, and damaged objects; needs the publisher's lock.
        rng: chooses the addresses that are compared.

    Raises: StoreError: Redis failed, or nothing is published. Refused: a publisher is at work.
    """
    fields = published.read(store)
    if "generation" not in fields:
        raise StoreError(f"{store.name}: nothing is published under {store.keys.braced} yet")
    verdict = Verdict(generation=int(fields["generation"]))
    document = _document(store, fields, verdict)
    rng = rng or random.Random()  # noqa: S311  # a sample, no secret
    inspector = Inspector(store, None if document is None else document.get("networks", ()), rng)
    found = {
        field: inspector.inspect(table, bits, fields[field])
        for table in TABLES
        for bits in FAMILIES.values()
        if (field := root_field(table, bits)) in fields
    }
    for name, inspection in found.items():
        verdict.problems += inspection.problems
        verdict.tables[name] = {"pages": inspection.pages, "ranges": inspection.ranges, "compared": 0}
    _check_fields(fields, found, verdict)
    _check_history(store, fields, found, verdict)
    check_views(config, store, fields, found, verdict)
    if clean:
        _clean(store, found, verdict)
    return verdict


def _document(store: Store, fields: Mapping[str, str], verdict: Verdict) -> dict[str, Any] | None:
    try:
        document = published.document(store, fields)
        Model(document)
    except (StoreError, CorruptPage) as exc:
        verdict.problems.append(Problem("config", str(exc)))
        return None
    return document


def _check_fields(fields: Mapping[str, str], found: Mapping[str, Inspection], verdict: Verdict) -> None:
    """What `current` says of the tables."""
    for table in TABLES:
        names = [root_field(table, bits) for bits in FAMILIES.values()]
        there = [name for name in names if name in found]
        if len(there) == 1:
            verdict.problems.append(Problem(table, f"has no root page but {there[0]}"))
        counted = sum(found[name].ranges for name in there)
        told = fields.get(f"{table}.ranges", "0")
        if there and told != str(counted) and not any(found[name].problems for name in there):
            verdict.problems.append(Problem(table, f"has {counted} ranges, `current` says {told}"))


def _check_history(
    store: Store, fields: Mapping[str, str], found: Mapping[str, Inspection], verdict: Verdict
) -> None:
    """Whether every generation that is kept could be gone back to."""
    sound = set().union(*(inspection.sound for inspection in found.values()))
    pages = Pages(store)
    for entry in history.entries(store):
        if entry.generation == int(fields["generation"]):
            continue
        wanted = {entry.fields["config"]} if "config" in entry.fields else set()
        where = f"generation {entry.generation}"
        try:
            for table in TABLES:
                for bits in FAMILIES.values():
                    root = entry.fields.get(root_field(table, bits))
                    if root not in sound:
                        wanted |= outline(pages, bits, root).names
        except CorruptPage as exc:
            verdict.problems.append(Problem(where, f"a rollback to it would fail: {exc}"))
            continue
        names = sorted(wanted - sound)
        lost = [name for name, there in zip(names, store.present(names), strict=True) if not there]
        if lost:
            what = f"a rollback to it would fail: {len(lost)} objects are missing, such as {lost[0]}"
            verdict.problems.append(Problem(where, what))
        sound.update(set(names) - set(lost))


def _clean(store: Store, found: Mapping[str, Inspection], verdict: Verdict) -> None:
    damaged = set().union(*(inspection.damaged for inspection in found.values()))
    done = Collected()
    with Lease(store) as lease:
        try:
            if damaged:
                verdict.damaged = discard(store, lease, damaged)
                verdict.notes.append("damaged objects were removed: `geosteer publish` writes them again")
            else:
                sweep(store, lease, done)
        except GeosteerError as exc:
            verdict.problems.append(Problem("sweep", str(exc)))
    verdict.orphans = done.orphans
