"""The Redis commands that write what a writer of node states has to say. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.health import heartbeat
from geosteer_loader.health.terms import DAY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from geosteer.keys import Keys
    from geosteer_loader.health.verdicts import Verdict
    from geosteer_loader.health.writer_report import Post
    from geosteer_loader.store.store import Command


def write_verdicts(
    keys: Keys, writer: str, post: Post, lost: Collection[str], forget: float
) -> list[Command]:
    """Write the verdicts that *post* wants written, and those that Redis has *lost*."""
    wanted = post.verdicts if post.write is None else {*lost, *post.write}
    texts = {node: post.verdicts[node].encode() for node in wanted if node in post.verdicts}
    if not texts:
        return []
    key = keys.verdict(writer)
    # Outlives a prober that is away for a weekend; after that its counters are worth nothing.
    lifetime = int(1000 * 2 * max(DAY, forget))
    return [("HSET", key, *_pairs(texts)), ("PEXPIRE", key, lifetime)]


def remove_verdicts(
    keys: Keys,
    writer: str,
    old: Mapping[str, Verdict],
    unreadable: Iterable[bytes],
    nodes: Collection[str],
    before: float,
) -> list[Command]:
    """Remove verdicts that were given *before* a time, with the states of nodes that are gone; and unreadable ones.

    Args: old: this writer's verdicts on nodes that it no longer speaks of; nodes: those that are configured.
    """  # fmt: skip
    expired = [node for node, verdict in old.items() if verdict.seen() < before]
    fields: list[str | bytes] = [*expired, *unreadable]
    commands: list[Command] = [("HDEL", keys.verdict(writer), *fields)] if fields else []
    gone = [keys.node(node) for node in expired if node not in nodes]
    return [*commands, ("DEL", *gone)] if gone else commands


def write_nodes(keys: Keys, changes: Mapping[str, Mapping[str, str]]) -> list[Command]:
    """Write what changes in the nodes' hashes."""
    return [("HSET", keys.node(node), *_pairs(fields)) for node, fields in changes.items()]


def remove_writers(keys: Keys, beats: Mapping[str, str], now: float) -> tuple[list[Command], list[str]]:
    """Remove writers that have been silent for a day, and beats that no writer can have written; and who these are."""
    dead, unusable = heartbeat.abandoned(beats, now), heartbeat.unusable(beats, now)
    removed = [*dead, *unusable]
    commands: list[Command] = [("HDEL", keys.beat, *removed)] if removed else []
    if dead:
        # A writer whose beat was damaged may live: its verdicts stay, and its next beat is a good one.
        commands.append(("DEL", *(keys.verdict(writer) for writer in dead)))
    return commands, removed


def _pairs(fields: Mapping[str, str]) -> list[str]:
    return [word for pair in fields.items() for word in pair]
