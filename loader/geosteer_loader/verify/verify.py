"""`geosteer verify`: is what is published whole, is it what the sources say, and do workers see it so?"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from geosteer.decision.model import Model
from geosteer.errors import GeosteerError, StoreError
from geosteer.keys import FAMILIES, TABLES, digest, root_field
from geosteer_loader.progress import Silent
from geosteer_loader.store import collector, history
from geosteer_loader.store import current as published
from geosteer_loader.store.collector import Collected, discard, sweep
from geosteer_loader.store.document import CorruptDocument, FormatUnknown
from geosteer_loader.store.lease import Lease
from geosteer_loader.store.store import BATCH
from geosteer_loader.verify.findings import Problem, Verdict
from geosteer_loader.verify.page_walk import Inspection, Inspector
from geosteer_loader.verify.samples import check_views
from geosteer_loader.verify.wholeness import Checker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from geosteer_loader.config.config import Config
    from geosteer_loader.progress import Meter
    from geosteer_loader.store.store import Store


def verify(
    config: Config,
    store: Store,
    *,
    clean: bool = False,
    rng: random.Random | None = None,
    meter: Callable[[str], Meter] = Silent,
) -> Verdict:
    """Look at all that is published; a problem is an entry of the verdict, not an error.

    Args:
        clean: then remove what belongs to no generation, and damaged objects; needs the publisher's lock.
        rng: chooses the addresses that are compared.
        meter: shows the progress through the pages of each table.

    Raises: StoreError: Redis failed, or nothing is published. Refused: a publisher is at work.
    """
    fields = published.read(store)
    if "config" not in fields:
        raise StoreError(f"{store.name}: nothing is published under {store.keys.braced} yet")
    verdict = Verdict(generation=published.number(fields, "generation"))
    verdict.problems += [Problem("current", line) for line in published.doubts(fields)]
    document = _document(store, fields, verdict)
    rng = rng or random.Random()  # noqa: S311  # a sample, no secret
    inspector = Inspector(store, None if document is None else document.get("networks", ()), rng)
    inspections = {}
    for table in TABLES:
        for bits in FAMILIES.values():
            if (field := root_field(table, bits)) in fields:
                with meter(field) as shown:
                    inspections[field] = inspector.inspect(table, bits, fields[field], shown.progress)
    for name, inspection in inspections.items():
        verdict.problems += inspection.problems
        verdict.tables[name] = {"pages": inspection.pages, "ranges": inspection.ranges, "compared": 0}
    _check_fields(fields, inspections, verdict)
    checker = Checker(store)
    for inspection in inspections.values():
        checker.seen |= inspection.sound | inspection.damaged
    damaged = set().union(*(inspection.damaged for inspection in inspections.values()))
    if document is None and store.present([fields.get("config", "")])[0]:
        damaged.add(fields["config"])
    checker.seen.add(fields.get("config", ""))
    damaged.update(_check_history(store, checker, verdict))
    check_views(config, store, fields, inspections, verdict)
    if clean:
        _clean(store, damaged, verdict)
    _check_others(store, checker, verdict)
    return verdict


def _document(store: Store, fields: Mapping[str, str], verdict: Verdict) -> dict[str, Any] | None:
    try:
        document = published.document(store, fields)
    except (CorruptDocument, FormatUnknown) as exc:
        verdict.problems.append(Problem("config", f"object {fields.get('config', '')}: {exc}"))
        return None
    if doubt := Model(document).doubt:
        verdict.problems.append(Problem("config", doubt))
    return document


def _check_fields(fields: Mapping[str, str], inspections: Mapping[str, Inspection], verdict: Verdict) -> None:
    """What `current` says of the tables."""
    for table in TABLES:
        names = [root_field(table, bits) for bits in FAMILIES.values()]
        there = [name for name in names if name in inspections]
        if len(there) == 1:
            verdict.problems.append(Problem(table, f"has no root page but {there[0]}"))
        counted = sum(inspections[name].ranges for name in there)
        stated = fields.get(f"{table}.ranges", "0")
        if there and stated != str(counted) and not any(inspections[name].problems for name in there):
            verdict.problems.append(Problem(table, f"has {counted} ranges, `current` says {stated}"))


def _check_history(store: Store, checker: Checker, verdict: Verdict) -> Iterator[str]:
    """Whether every generation that is kept could be gone back to; yields the names of damaged objects."""
    for entry in history.entries(store):
        if entry.generation == verdict.generation:
            continue
        for flaw in checker.check(entry.fields):
            kind = "object" if flaw.where == "config" else "page"
            where = f"generation {entry.generation} {flaw.where}"
            what = f"{kind} {flaw.name}: {flaw.what}; a rollback to it would fail"
            verdict.problems.append(Problem(where, what))
            if flaw.there:
                yield flaw.name


def _check_others(store: Store, checker: Checker, verdict: Verdict) -> None:
    """Objects that no generation needs: a later publish would take them for what their names say."""
    try:
        names = [name for name in collector.names(store) if name not in checker.seen]
    except StoreError as exc:
        verdict.notes.append(f"objects that no generation needs were not looked at: {exc}")
        return
    for low in range(0, len(names), BATCH):
        batch = names[low : low + BATCH]
        for name, data in zip(batch, store.objects(batch), strict=True):
            if data is None or digest(data).hex() != name:
                wrong = "its name is not a digest" if data is None else "its bytes have another digest"
                what = f"object {name[:64]}: {wrong}; `geosteer verify --sweep` removes it"
                verdict.problems.append(Problem("needed by no generation", what))


def _clean(store: Store, damaged: Collection[str], verdict: Verdict) -> None:
    done = Collected()
    with Lease(store) as lease:
        try:
            if damaged:
                verdict.damaged = discard(store, lease, damaged)
                verdict.notes.append(
                    "damaged objects were removed: `geosteer publish` writes those of the present generation again"
                )
            else:
                sweep(store, lease, done)
        except GeosteerError as exc:
            verdict.problems.append(Problem("sweep", str(exc)))
    verdict.orphans = done.orphans
