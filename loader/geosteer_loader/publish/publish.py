"""Publishing: build what changed, write what Redis lacks, flip `current` in one step, collect what is old.

Until the flip nothing that a reader sees has changed, whatever fails; what fails after it is a warning.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from geosteer.errors import ConfigError, GeosteerError, SourceError, StoreError
from geosteer.keys import SCHEMA, root_field
from geosteer.timestamps import format_time, maybe_time
from geosteer_loader.config.diff import differences, line
from geosteer_loader.impact.service_change import as_json, moving
from geosteer_loader.journal import live_series
from geosteer_loader.journal import writing as journal
from geosteer_loader.journal.events import Note
from geosteer_loader.percent import percent
from geosteer_loader.progress import Silent
from geosteer_loader.publish.failures import noted
from geosteer_loader.publish.guards import examine, guard
from geosteer_loader.publish.proposal import Live, lacking, propose
from geosteer_loader.publish.refusals import Held
from geosteer_loader.sources.builtin_age import stale_published
from geosteer_loader.store import current as published
from geosteer_loader.store import failure, functions
from geosteer_loader.store.collector import SWEEP_EVERY, Collected, collect, sweep
from geosteer_loader.store.lease import SECONDS, Lease
from geosteer_loader.store.object_writer import Writer, Written
from geosteer_loader.store.redis_errors import ConnectionLost
from geosteer_loader.store.replacing import discard_any
from geosteer_loader.tables.build import doubting, renew_memories
from geosteer_loader.tables.validation_figures import published_warnings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from geosteer_loader.config.config import Config
    from geosteer_loader.progress import Meter
    from geosteer_loader.publish.brief import BriefLook
    from geosteer_loader.publish.proposal import Proposal
    from geosteer_loader.store.store import Command, Store

log = logging.getLogger(__name__)

MOST_CHANGES = 8
"""Changed settings that the journal names, of one publish."""
LONGEST_CHANGE = 100
"""Characters of each."""

NO_FUNCTIONS = "none"
"""Stands in the field `functions` of `current` where the server did not take the Function library, and that was told."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a publish did."""

    generation: int
    """The one that is published now."""
    changed: list[str]
    """Tables and `config`, `release`, `repair`; empty when nothing was published."""
    written: Written
    collected: Collected = field(default_factory=Collected)
    replicas: int = 0
    """Connected ones."""
    confirmed: int = 0
    """Replicas that have the new generation."""
    warnings: list[str] = field(default_factory=list)
    impact: dict[str, Any] = field(default_factory=dict)
    """What became of the clients, as `geosteer plan` tells it."""
    vanished: dict[str, list[str]] = field(default_factory=dict)
    """What is gone altogether: `zones`, `services`, `nodes`, `tables`, `records` -> names, as `geosteer plan` tells it."""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As `geosteer publish --json` prints it: the fields above, by their names."""
        plain = {
            each.name: getattr(self, each.name) for each in fields(self)
        }  # `asdict` copies what services share
        return {**plain, "written": asdict(self.written), "collected": asdict(self.collected)}


def publish(
    config: Config,
    store: Store,
    *,
    release: bool = False,
    schema: int | None = None,
    force: Collection[str] = (),
    meter: Callable[[str], Meter] = Silent,
    lease_seconds: float = SECONDS,
    live: Live | None = None,
    brief: BriefLook | None = None,
) -> Outcome:
    """Publish what the configuration and its sources say, if it differs from what is published.

    Args:
        config: the checked configuration.
        store: where to.
        release: end the hold that a rollback left.
        schema: what `current` means from now on; default: as published. ConfigError: not known here.
        force: names of guards whose refusal is overruled (`refusals.GUARDS`).
        meter: shows the progress of the table that it is given.
        lease_seconds: how long the lock outlives this process if it is killed.
        live: what a service knows of its sources.
        brief: looks at what changes little, before the whole look.

    Raises: SourceError, StoreError, Refused (another publisher, a hold, a guard), Overtaken: nothing was changed.
    """
    began = time.monotonic()
    with noted(store), Lease(store, lease_seconds) as lease:
        keys = store.keys
        discard_any(store, (keys.current, keys.object, keys.history, keys.failure, keys.journal))
        before = published.read(store, repairing=True)
        if before.get("held") and not release:
            raise Held(store.name, before["held"])
        writer = Writer(store)
        live = live or Live()
        try:
            proposal = propose(config, store, before, meter, live)
        except SourceError:
            live.check()  # a file that changed while it was read says nothing of what it holds now
            raise
        live.check()
        with doubting(proposal.tables):
            examination = brief.examine(store, config, proposal) if brief is not None else None
            examination = examination or examine(config, store, proposal)
            for services, family, share in moving(examination.impact):
                if share:
                    log.info("%s: %s of the %s clients get another node", services, percent(share, 2), family)
            forced = guard(examination, force)
            after = {**proposal.after, "schema": str(_schema(before, schema))}
            missing = lacking(proposal, writer)
        writer.write_leaves(missing.leaves)
        writer.write_inner(missing.inner)
        changed = _changed(proposal, after, writer.written)
        warnings: list[str] = []
        loaded = _load_functions(config, store, before, warnings)
        if changed:
            if config.redis.functions and not loaded:
                after["functions"] = NO_FUNCTIONS
            due = loaded and _sweep_due(store, before, after)
            summary = " ".join([*changed, *(f"forced:{name}" for name in forced)])
            streams = not forced and live.streams.issuperset(changed) and all(
                root_field(table, 32) in before for table in changed
            )  # fmt: skip
            going_on = live_series.going_on(before, store.now()) if streams else None
            if going_on is not None:
                after[live_series.FIELD] = going_on
            events = _events(store, proposal, summary, streams=streams)
            live.check()
            now = published.flip(
                store, lease, before, after, summary, writer.check, events, writer.written.size, live=streams
            )
            outcome = Outcome(generation=int(now["generation"]), changed=changed, written=writer.written)
            outcome.impact = as_json(examination.impact)
            outcome.vanished = {kind: list(names) for kind, names in asdict(examination.vanished).items()}
            outcome.warnings += examination.warnings
            _after_flip(config, store, lease, outcome, due, clean=live.clean)
        else:
            outcome = Outcome(
                generation=published.number(before, "generation"),
                changed=[],
                written=writer.written,
                warnings=list(proposal.warnings),
            )
            # A publisher that was killed after its flip may have left this to do.
            if live.clean:
                _clean(config, store, lease, outcome)
        renew_memories(config, proposal.tables)
    outcome.warnings += warnings
    _warn_unless(
        outcome,
        "asking for the time",
        lambda: outcome.warnings.extend(_stale({**proposal.before, **after}, store.now())),
    )
    _warn_unless(outcome, "removing what was noted of a failure", lambda: failure.clear(store))
    _warn_unless(outcome, "asking about the server", lambda: outcome.warnings.extend(store.server_warnings()))
    outcome.seconds = time.monotonic() - began
    return outcome


def _stale(fields: Mapping[str, str], now: float) -> list[str]:
    """What is old of what is published now."""
    return [*stale_published(fields, now), *published_warnings(fields, now)]


def _schema(before: Mapping[str, str], wanted: int | None) -> int:
    """The schema to publish: the one asked for, else the one that is published, else the newest.

    Workers that do not know it keep what they have, so it rises only when an operator says that all do.
    Raises: ConfigError: this program cannot write it.
    """
    if wanted is None:
        return published.number(before, "schema", SCHEMA) or SCHEMA
    if not 1 <= wanted <= SCHEMA:
        raise ConfigError([f"--schema {wanted}: this program can publish schema 1 to {SCHEMA}"])
    return wanted


def _changed(proposal: Proposal, after: Mapping[str, str], written: Written) -> list[str]:
    changed = list(proposal.changed)
    before = proposal.before
    if "held" in before:
        changed.append("release")
    if before.get("schema", after["schema"]) != after["schema"]:
        changed.append("schema")
    known = proposal.known
    if not changed and (written.objects or known.doubts or not known.all_there):
        changed.append("repair")  # a new generation, so that workers look again for what they missed
    return changed


def _events(
    store: Store, proposal: Proposal, summary: str, *, streams: bool
) -> Callable[[Mapping[str, str], float], Sequence[Command]]:
    """What the journal is told of a publish: as much of what it changed as one looks through.

    Args: streams: nothing changed but tables that follow BGP sessions.
    """
    changes = differences(proposal.known.document, proposal.document)
    lines = [line(change).strip()[:LONGEST_CHANGE] for change in changes[:MOST_CHANGES]]
    if len(changes) > MOST_CHANGES:
        lines.append(f"and {len(changes) - MOST_CHANGES} more")

    def events(fields: Mapping[str, str], now: float) -> Sequence[Command]:
        if streams:
            due = live_series.FIELD not in fields
            notes = live_series.told(proposal.before, fields["generation"]) if due else []
            return journal.additions(store, notes, now)
        note = Note(
            kind="publish",
            before=proposal.before.get("generation", ""),
            after=fields["generation"],
            what="; ".join([summary, *lines]),
        )
        return journal.additions(store, [*live_series.untold(proposal.before), note], now)

    return events


def _sweep_due(store: Store, before: Mapping[str, str], after: dict[str, str]) -> bool:
    """Whether forgotten objects are to be looked for; notes in *after* that they were."""
    now = store.now()
    swept = maybe_time(before.get("swept")) or 0.0
    due = not 0 <= now - swept < SWEEP_EVERY
    if due:
        after["swept"] = format_time(now)
    return due


def _after_flip(
    config: Config, store: Store, lease: Lease, outcome: Outcome, due: bool, *, clean: bool
) -> None:
    def wait() -> None:
        outcome.replicas, outcome.confirmed = published.confirmed(store)
        if outcome.confirmed < outcome.replicas:
            outcome.warnings.append(published.late(outcome.replicas, outcome.confirmed))

    _warn_unless(outcome, "waiting for replicas", wait)
    if clean:
        _clean(config, store, lease, outcome)
        _warn_unless(outcome, "trimming the journal", lambda: journal.trim(store, config.journal.keep))
    if due:
        _warn_unless(outcome, "looking for forgotten objects", lambda: sweep(store, lease, outcome.collected))


def _clean(config: Config, store: Store, lease: Lease, outcome: Outcome) -> None:
    def clean() -> None:
        limits = config.guard
        collect(
            store,
            lease,
            outcome.collected,
            keep=limits.keep,
            grace=limits.grace,
            keep_for=limits.keep_for,
            keep_size=limits.keep_size,
        )

    _warn_unless(outcome, "removing old generations", clean)


def _load_functions(config: Config, store: Store, before: Mapping[str, str], warnings: list[str]) -> bool:
    """Whether the Function library is there now; a server that does not take it is warned of until a generation notes it.

    Raises: ConnectionLost.
    """
    if not config.redis.functions:
        return False
    try:
        functions.load(store)
    except ConnectionLost:
        raise
    except StoreError as exc:
        if before.get("functions") != NO_FUNCTIONS:
            warnings.append(
                f"loading the Redis functions: {exc}; said once ([redis] functions = false: not tried again)"
            )
        return False
    return True


def _warn_unless(outcome: Outcome, what: str, work: Callable[[], object]) -> None:
    try:
        work()
    except GeosteerError as exc:
        outcome.warnings.append(f"{what}: {exc}")
