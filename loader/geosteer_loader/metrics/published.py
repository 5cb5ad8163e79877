"""Samples of what Redis knows: the published generation, nodes, overrides, checks and who makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer.timestamps import maybe_time
from geosteer_loader.health.verdicts import decode
from geosteer_loader.query.status import gather
from geosteer_loader.rib.figures import decode as decode_sessions
from geosteer_loader.store.redis_errors import NotPermitted
from geosteer_loader.store.store import texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.health.verdicts import Verdict
    from geosteer_loader.metrics.samples import Samples
    from geosteer_loader.query.status import Status
    from geosteer_loader.store.failure import Failure
    from geosteer_loader.store.store import Store

STATES = ("up", "down", "unknown")
MOST_PROBERS = 100
MOST_GUARDS = 10
MOST_REPLICAS = 1000


def collect(store: Store, max_age: Mapping[str, float], samples: Samples) -> None:
    """Add the samples.

    Args: max_age: table -> age of its data from which operators are warned, seconds.
    Raises: StoreError; others where what is there is malformed.
    """
    status = gather(store)
    samples.set("generation", status.generation)
    samples.set("published_timestamp_seconds", maybe_time(status.published))
    samples.set("held", status.held is not None)
    samples.set("services", status.services)
    samples.set("zones", status.zones)
    samples.set("warnings", len(status.warnings))
    _tables(status, max_age, samples)
    _publishing(status.failure, samples)
    _nodes(status, samples)
    _overrides(status.overrides, samples)
    for name in status.maps_without_node:
        samples.set("map_without_node", 1, name)
    for name, beat in list(status.beats.items())[:MOST_PROBERS]:
        samples.set("prober_beat_timestamp_seconds", maybe_time(beat.time), name)
        samples.set("prober_period_seconds", beat.period, name)
        samples.set("prober_silent", beat.silent, name)
    unknown = len(status.unknown)
    try:
        _sessions(store, samples)
    except NotPermitted:
        unknown += 1
    try:
        _verdicts(store, list(status.beats)[:MOST_PROBERS], status, samples)
    except NotPermitted:
        unknown += 1
    samples.set("redis_values_unreadable", unknown)
    _replication(store.info("replication"), samples)


def _tables(status: Status, max_age: Mapping[str, float], samples: Samples) -> None:
    for name, table in status.tables.items():
        samples.set("table_data_timestamp_seconds", maybe_time(table.built), name)
        samples.set("table_max_age_seconds", max_age.get(name), name)
        samples.set("table_ranges", table.ranges, name)
        samples.set("table_prefixes", table.prefixes, name)
        samples.set("table_complete", table.there, name)
        if table.rpki is not None:
            for state in ("valid", "invalid", "not_found"):
                samples.set("table_routes", getattr(table.rpki, state), name, state)
            samples.set("rpki_vrps", table.rpki.vrps, name)
            samples.set("rpki_data_timestamp_seconds", maybe_time(table.rpki.built), name)
            samples.set("rpki_kept", bool(table.rpki.trouble), name)


def _sessions(store: Store, samples: Samples) -> None:
    """BGP sessions of `geosteer follow`."""
    for labels, told in decode_sessions(store.hash(store.keys.session, tolerant=True)).items():
        samples.set("bgp_session_up", told.state == "current", *labels)
        samples.set("bgp_session_losses_total", told.losses, *labels)
        samples.set("bgp_session_told_timestamp_seconds", maybe_time(told.at), *labels)
        for family, count in told.prefixes.items():
            samples.set("bgp_session_prefixes", count, *labels, family)


def _publishing(failure: Failure | None, samples: Samples) -> None:
    samples.set("publish_failing", failure is not None)
    if failure is not None:
        samples.set("publish_failing_since_timestamp_seconds", maybe_time(failure.since))
        for guard in failure.guard.split()[:MOST_GUARDS] or [""]:
            samples.set("publish_failure_timestamp_seconds", maybe_time(failure.when), guard)


def _nodes(status: Status, samples: Samples) -> None:
    for name, node in status.nodes.items():
        for state in STATES:
            samples.set("node_state", node.state == state, name, state)
        samples.set("node_state_timestamp_seconds", maybe_time(node.since), name)
        samples.set("node_serving", node.serving, name)
        samples.set("node_failing", node.failing, name)
        samples.set("node_share_ratio", node.share, name)
        samples.set("node_shed_ratio", node.shed, name)
        samples.set("node_checks_expired", node.never_checked or node.unchecked is not None, name)


def _overrides(overrides: Mapping[str, dict[str, Any]], samples: Samples) -> None:
    for name, data in overrides.items():
        state, percent = str(data.get("state")), data.get("percent")
        samples.set("override", 1, name, state)
        if not isinstance(percent, int | float):
            percent = {"down": 0, "drain": 0}.get(state, 100)
        samples.set("override_kept_ratio", percent / 100 if state != "down" else 0.0, name)
        samples.set("override_end_timestamp_seconds", maybe_time(data.get("until")), name)


def _verdicts(store: Store, writers: list[str], status: Status, samples: Samples) -> None:
    """What each prober says of each node that is published."""
    now = store.now()
    checked: dict[str, float] = {}
    replies = store.pipe([("HGETALL", store.keys.verdict(name)) for name in writers], tolerant=True)
    for writer, reply in zip(writers, replies, strict=True):
        for node, text in texts(reply).items():
            verdict = decode(text)
            if node not in status.nodes or verdict is None or not verdict.believable(now):
                continue
            if verdict.checked:
                checked[node] = max(checked.get(node, 0.0), verdict.checked)
            if verdict.loaded:
                samples.set("node_load", verdict.load, node)
            if verdict.fresh(now):
                _checks(writer, node, verdict, samples)
    for node, when in checked.items():
        samples.set("node_checked_timestamp_seconds", when, node)


def _checks(writer: str, node: str, verdict: Verdict, samples: Samples) -> None:
    for check, counter in verdict.counters.items():
        labels = writer, node, check
        samples.set("check_up", counter.health.up, *labels)
        samples.set("check_timestamp_seconds", counter.checked, *labels)
        samples.set("check_duration_seconds", counter.seconds, *labels)
        samples.set("certificate_end_timestamp_seconds", counter.ends, *labels)


def _replication(info: Mapping[str, Any], samples: Samples) -> None:
    if not info:
        return
    samples.set("redis_primary", info.get("role") == "master")
    states: dict[str, int] = {"online": 0}
    for number in range(MOST_REPLICAS):
        replica = info.get(f"slave{number}")
        if not isinstance(replica, dict):
            break
        state = str(replica.get("state"))
        states[state] = states.get(state, 0) + 1
        behind = _difference(info.get("master_repl_offset"), replica.get("offset"))
        samples.set("redis_replica_lag_bytes", behind, f"{replica.get('ip')}:{replica.get('port')}")
    for state, count in states.items():
        samples.set("redis_replicas", count, state)


def _difference(ahead: object, behind: object) -> float | None:
    return max(ahead - behind, 0) if isinstance(ahead, int) and isinstance(behind, int) else None
