"""Node states and loads from another monitor, as JSON: `{"nodes": {"lon1": {"state": "up", "load": 0.7}}}`."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from geosteer.errors import ConfigError
from geosteer_loader.config.values import kind, printable, shown
from geosteer_loader.health import load_shedding
from geosteer_loader.health.verdicts import LIVES, TEXT, Verdict
from geosteer_loader.health.writer_report import Post
from geosteer_loader.journal.events import Note
from geosteer_loader.journal.writing import note as write_note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.health.exchange import Exchange
    from geosteer_loader.health.watchlist import Subject
    from geosteer_loader.health.writer_report import PostResult
    from geosteer_loader.store.store import Store

KEYS = ("state", "load", "reason")
MOST_LOAD = 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What a feed says about one node: a state, a load, or both."""

    state: str | None = None
    """`up` or `down`."""
    load: float | None = None
    """In the unit of the node's capacity."""
    reason: str = ""


def parse(text: str, file: str) -> dict[str, Item]:
    """Node -> what the JSON text of *file* says about it.

    Raises: ConfigError: every problem, `file: place: reason`; then nothing of it may be used.
    """
    problems: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice = (
            dict.fromkeys(name for name in names if names.count(name) > 1)
            if len({*names}) < len(names)
            else ()
        )
        problems.extend(f"{file}: {printable(name)}: is listed twice" for name in twice)
        return dict(pairs)

    try:
        data = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as exc:
        raise ConfigError([f"{file}: line {exc.lineno}, column {exc.colno}: {exc.msg}"]) from exc
    except RecursionError as exc:
        raise ConfigError([f"{file}: line 1, column 1: is nested too deeply"]) from exc
    except ValueError as exc:  # a number of thousands of digits
        raise ConfigError([f"{file}: has a number with too many digits"]) from exc
    items: dict[str, Item] = {}
    if not isinstance(data, dict) or not isinstance(data.get("nodes"), dict):
        raise ConfigError(
            [*problems, f'{file}: nodes: must be an object, as in {{"nodes": {{"lon1": {{"state": "up"}}}}}}']
        )
    problems += [f"{file}: {printable(str(key))}: unknown key" for key in data if key != "nodes"]
    for name, value in data["nodes"].items():
        item = _item(value)
        if isinstance(item, Item):
            items[name] = item
        else:
            problems += [f"{file}: nodes.{printable(name)}{reason}" for reason in item]
    if problems:
        raise ConfigError(problems)
    return items


def publish(exchange: Exchange, items: Mapping[str, Item], period: float) -> tuple[PostResult, list[str]]:
    """Post what a feed says, as the verdicts of one more prober; also names of nodes that are not configured.

    Args: period: seconds until the next feed is expected.
    Raises: StoreError: Redis failed, or nothing is published.
    """
    watched = exchange.refresh()
    assert watched is not None  # it was not read before
    known = {name: item for name, item in items.items() if name in watched.nodes}
    before = exchange.own()
    states = exchange.states([name for name, item in known.items() if item.load is not None])
    now = exchange.time()
    verdicts = {}
    for name, item in known.items():
        verdict = before.get(name) or Verdict(shed=_shed(states.get(name, {})))
        verdicts[name] = _heard(verdict, item, watched.nodes[name], now, period)
    posted = exchange.post(watched, Post(verdicts=verdicts, period=period))
    return posted, sorted(items.keys() - known.keys())


def forget(store: Store, writer: str) -> None:
    """Remove the beat and the verdicts of a writer that is gone.

    Raises: ConfigError: there is no such writer (the text has the names that exist). StoreError: Redis failed.
    """
    keys = store.keys
    writers = store.hash(keys.beat, tolerant=True)
    if writer not in writers and not store.call("EXISTS", keys.verdict(writer)):
        known = ", ".join(map(printable, sorted(writers))) or "none"
        raise ConfigError([f"{printable(writer)}: no such writer; there are: {known}"])
    store.pipe([("HDEL", keys.beat, writer), ("DEL", keys.verdict(writer))])
    write_note(store, [Note(kind="prober", subject=writer, what="forgotten by an operator")])


def _heard(before: Verdict, item: Item, node: Subject, now: float, period: float) -> Verdict:
    after = before
    if item.state is not None:
        after = replace(
            after,
            state=item.state,
            since=before.since if before.state == item.state else now,
            checked=now,
            expires=now + LIVES * period,
            reason=(item.reason or "the monitor says so")[:TEXT] if item.state == "down" else "",
        )
    if item.load is not None:
        after = replace(after, load=item.load, loaded=now)
        if load_shedding.due(before.stepped, node.settle, now):
            part = load_shedding.step(before.shed, item.load / node.capacity)
            if part != before.shed:
                after = replace(after, shed=part, stepped=now)
    return after


def _shed(fields: Mapping[str, str]) -> float:
    """What the node sheds, where this feed does not remember it."""
    try:
        shed = float(fields.get("shed", "0"))
    except ValueError:
        return 0.0
    return shed if 0 <= shed <= 1 else 0.0


def _item(value: Any) -> Item | list[str]:
    """The item, or what is wrong with it."""
    if not isinstance(value, dict):
        return [f": must be an object with {', '.join(KEYS)}, not {'null' if value is None else kind(value)}"]
    problems = [f".{printable(str(key))}: unknown key" for key in value if key not in KEYS]
    state, load, reason = value.get("state"), value.get("load"), value.get("reason")
    if state not in (None, "up", "down"):  # what is no text may not be hashable
        problems.append(f'.state: must be "up" or "down", not {shown(state)}')
    if load is not None and (
        isinstance(load, bool) or not isinstance(load, int | float) or not 0 <= load <= MOST_LOAD
    ):
        problems.append(f".load: must be a number from 0 on, not {shown(load)}")
    if reason is not None and not isinstance(reason, str):
        problems.append(f".reason: must be text, not {kind(reason)}")
    if state is None and load is None and not problems:
        problems.append(": has neither a state nor a load")
    if problems:
        return problems
    return Item(state=state, load=load, reason=printable(reason or ""))
