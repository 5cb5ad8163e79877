"""What lies in Redis under our names and cannot be believed: told by `status`, so that somebody removes or repairs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.decision.node_state import Override
from geosteer.timestamps import maybe_time
from geosteer_loader.health import heartbeat
from geosteer_loader.health.terms import AHEAD
from geosteer_loader.health.verdicts import decode
from geosteer_loader.store import current
from geosteer_loader.store.redis_errors import NotPermitted
from geosteer_loader.store.store import texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geosteer_loader.store.store import Store

MOST = 20
"""Lines of one kind; the others are counted."""

WORDS = {"state": ("up", "down", "unknown"), "failing": ("yes", "no")}
"""Field of a node's hash -> the words that it may hold."""


def doubts(
    store: Store, fields: Mapping[str, str], nodes: Mapping[str, Mapping[str, str]], now: float
) -> list[str]:
    """Values that workers ignore, a line each, with the key and who repairs it.

    Args: fields: of `current`; nodes: node -> the fields of its hash; now: the primary's time, seconds since 1970.
    Raises: StoreError.
    """
    keys = store.keys
    beats = store.hash(keys.beat, tolerant=True)
    kinds = (
        [f"current: {line} (geosteer publish repairs it)" for line in current.doubts(fields)],
        list(_overrides(store.hash(keys.override, tolerant=True))),
        list(_nodes(nodes, now)),
        [
            f"beat {writer[:80]}: cannot be believed: {beats[writer][:80]!r} (its writer repairs it; or HDEL)"
            for writer in heartbeat.unusable(beats, now)
        ],
        list(_verdicts_if_permitted(store, list(beats), now)),
    )
    lines: list[str] = []
    for lines_of_kind in kinds:
        lines += lines_of_kind[:MOST]
        if len(lines_of_kind) > MOST:
            lines.append(f"{len(lines_of_kind) - MOST} more of them")
    return lines


def _overrides(overrides: Mapping[str, str]) -> Iterator[str]:
    for node, text in sorted(overrides.items()):
        try:
            Override.read(text)
        except ValueError as exc:
            yield f"override {node[:80]}: {str(exc)[:120]} (geosteer node auto removes it)"


def _nodes(nodes: Mapping[str, Mapping[str, str]], now: float) -> Iterator[str]:
    for node, fields in nodes.items():
        for field, value in fields.items():
            wrong = _wrong(field, value, now)
            if wrong:
                yield f"node {node}: {field}: {wrong}: {value[:80]!r} (a prober or feed repairs it)"


def _wrong(field: str, value: str, now: float) -> str:
    """What is wrong with a field of a node's hash; "" if nothing is."""
    if field in WORDS and value not in WORDS[field]:
        return "unknown word"
    if field == "since":
        since = maybe_time(value)
        if since is None:
            return "not a time"
        return "in the future" if since > now + AHEAD else ""
    if field == "shed":
        try:
            return "" if 0 <= float(value) <= 1 else "not from 0 to 1"
        except ValueError:
            return "not a number"
    return ""


def _verdicts_if_permitted(store: Store, writers: list[str], now: float) -> list[str]:
    try:
        return list(_verdicts(store, writers, now))
    except NotPermitted:
        return []  # status says that it may not read them


def _verdicts(store: Store, writers: list[str], now: float) -> Iterator[str]:
    replies = store.pipe([("HGETALL", store.keys.verdict(writer)) for writer in writers], tolerant=True)
    for writer, reply in zip(writers, replies, strict=True):
        for node, text in texts(reply).items():
            verdict = decode(text)
            if verdict is None or not verdict.believable(now):
                what = "malformed" if verdict is None else "its times cannot be true"
                yield f"verdict of {writer[:80]} on {node[:80]}: {what} (its writer repairs it)"
