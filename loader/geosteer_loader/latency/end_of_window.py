"""Take a window to its end: read what is kept, judge it, and write the file of which the table `rtt` is made."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from geosteer.decision.client import prefix_text
from geosteer.decision.policy import distance
from geosteer.decision.records import country_of, place_of
from geosteer.timestamps import format_time
from geosteer_loader.export.atomic_files import folder, replace
from geosteer_loader.latency.recent import latest
from geosteer_loader.rtt.failures import Mark
from geosteer_loader.rtt.left_out import LeftOut
from geosteer_loader.rtt.memory import Record
from geosteer_loader.rtt.sample import KEPT
from geosteer_loader.rtt.window import Held, Place, judged, networks_of, remembered, rows
from geosteer_loader.sources.rtt import HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from geosteer_loader.config.config import Config
    from geosteer_loader.latency.geography import Geography
    from geosteer_loader.latency.recent import Marks
    from geosteer_loader.latency.store import Measurements, Row
    from geosteer_loader.rtt.estimate import Network
    from geosteer_loader.rtt.histograms import Histograms
    from geosteer_loader.rtt.routes import Routes

    Kept = tuple[int, int, Histograms]
    """Address bits, a network, and what is kept of it."""

log = logging.getLogger(__name__)

KILOMETRES = 100.0
"""Of glass that light covers to and fro in a millisecond."""
PLENTY = 20.0
"""Samples of each network that end a window early."""
DETOUR = 1.5
"""Length of a usual path, of the great circle's."""
DOUBT = 300.0
"""Kilometres that a city database may be wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What a window came to."""

    networks: int
    """Client networks of which there are samples."""
    places: int
    """Networks, prefixes and ASes of which something is known."""
    changed: int
    """Of these, whose times are others than before."""
    waiting: int
    """Of these, where another node is better, but not for long enough yet."""
    forgotten: int
    """Places of which nothing was heard for too long."""
    failing: int
    """Nodes that are passed over somewhere because they fail there; each AS and network counts."""
    marked: tuple[str, ...]
    """Of these, those that are new: `ams1 in AS64500`."""
    cleared: tuple[str, ...]
    """Those that are passed over no longer."""
    rows: int
    """Prefixes in the file."""
    frozen: bool
    """No sample came since the window before: what is published stays."""


def due(store: Measurements, config: Config, now: float) -> bool:
    """Whether a window is over; one with plenty of samples is after half of its time."""
    last = store.fact("window")
    if last is None or not last <= now < last + config.latency.window:
        return True
    return now >= last + config.latency.window / 2 and plenty(store)


def plenty(store: Measurements) -> bool:
    """Whether so much came since the last window that it need not go on for its whole time."""
    fresh = (store.fact("taken") or 0.0) - (store.fact("judged") or 0.0)
    return fresh >= PLENTY * max(1, store.networks_known())


def end_window(store: Measurements, config: Config, geography: Geography, now: float) -> Window:
    """Judge what is kept, and write the file.

    Raises: DatabaseUnusable, NotWritten, SourceError, StoreError, CorruptPage.
    """
    settings = config.latency.settings
    before = held_records(store)
    newest = store.fact("newest") or 0.0
    taken = store.fact("taken") or 0.0
    frozen = taken <= (store.fact("judged") or 0.0)
    store.forget(now - settings.forget, now - 2 * settings.forget)
    routes = geography.routes()
    changed = None
    left_out = LeftOut(settings.rules)
    marks = marks_before = held_marks(store)
    if frozen:
        after = remembered(before, now, settings)
        if now - newest >= settings.forget:
            marks = {}
    else:
        geography.look_at(store.keys())
        told = latest(
            store, newest, routes, country_in(geography), settings.rules.networks, settings.failures
        )
        networks = known_networks(store, config, geography, routes, newest, told.of_now, left_out)
        after = judged(before, networks, now, settings)
        changed = told.changed
        marks = told.marks(marks, config.document["nodes"], settings.failures)
    count = _write(config, after, marks, routes, geography, newest)
    changes = sum(
        place not in before or before[place].record.times != held.record.times
        for place, held in after.items()
    )
    facts = {"window": now, "judged": taken, "changed": changes}
    if not frozen:
        facts |= {f"left out: {reason}": weight for reason, weight in left_out.weights().items()}
    failing = [(*key, *mark) for key, mark in marks.items()]
    store.replace_records(map(_row, after.items()), facts, failing, changed)
    on_before, on_after = ({key for key, mark in each.items() if mark.on} for each in (marks_before, marks))
    return Window(
        networks=store.networks_known(),
        marked=_told(on_after - on_before),
        cleared=_told(on_before - on_after),
        places=len(after),
        changed=changes,
        waiting=sum(held.record.waiting > 0 for held in after.values()),
        forgotten=len(before.keys() - after.keys()),
        failing=sum(mark.on for mark in marks.values()),
        rows=count,
        frozen=frozen,
    )


def rewrite(store: Measurements, config: Config, geography: Geography) -> int:
    """Write the file anew from the records of the last window; how many prefixes it has. Raises: as `end_window`."""
    newest = store.fact("newest") or 0.0
    return _write(config, held_records(store), held_marks(store), geography.routes(), geography, newest)


def known_networks(
    store: Measurements,
    config: Config,
    geography: Geography,
    routes: Mapping[int, Routes],
    when: float,
    counting: Callable[[Iterator[Kept]], Iterator[Kept]] = iter,
    left_out: LeftOut | None = None,
) -> Iterator[Network]:
    """What is kept of the configured nodes, with where it belongs; weights as of *when*.

    Args:
        counting: what leaves out of it what does not count any more.
        left_out: counts what else does not.
    """
    nodes = {name: spec["location"] for name, spec in config.document["nodes"].items()}
    geography.look_at(store.keys())
    places = {name: (place[0], place[1]) for name, place in nodes.items() if place}

    def least(bits: int, network: int, node: str) -> float:
        here, there = place_of(geography.record(bits, network)), places.get(node)
        return (distance(here, there) - DOUBT) / KILOMETRES if here is not None and there is not None else 0.0

    @lru_cache(maxsize=65536)  # cities come again
    def usual_at(here: tuple[float, float]) -> dict[str, float]:
        return {name: DETOUR * distance(here, there) / KILOMETRES for name, there in places.items()}

    def usual(bits: int, network: int) -> dict[str, float] | None:
        here = place_of(geography.record(bits, network))
        return usual_at(here) if here is not None else None

    left_out = left_out or LeftOut(config.latency.settings.rules)
    for network in networks_of(
        counting(store.networks(when)),
        store.nodes,
        frozenset(nodes),
        routes,
        country_in(geography),
        config.latency.settings,
        least,
        usual,
        left_out.too_fast,
    ):
        left_out.network(network)
        yield network


def country_in(geography: Geography) -> Callable[[int, int], str]:
    """What tells the country of an address of so many bits; "" where it is unknown."""
    return lambda bits, address: country_of(geography.record(bits, address))


def held_records(store: Measurements) -> dict[Place, Held]:
    """What the last window came to. Raises: DatabaseUnusable."""
    held = {}
    for level, place, times, waiting, seen in store.records():
        told = json.loads(times)
        held[level, place] = Held(
            Record({str(node): int(time) for node, time in told.items()}, waiting), seen
        )
    return held


def held_marks(store: Measurements) -> dict[tuple[str, str, str], Mark]:
    """Where nodes fail, as the last window left it. Raises: DatabaseUnusable."""
    return {
        (level, place, node): Mark(rate, bool(on), windows)
        for level, place, node, rate, on, windows in store.failing()
    }


def failing_at(marks: Marks) -> Callable[[Place], dict[str, float]]:
    """What tells the nodes that are passed over in an AS or a network, with the part of the attempts that fails."""
    places: dict[Place, dict[str, float]] = {}
    for (level, place, node), mark in marks.items():
        if mark.on:
            places.setdefault((level, place), {})[node] = mark.rate
    return lambda place: places.get(place, {})


def _told(marks: Iterable[tuple[str, str, str]]) -> tuple[str, ...]:
    ordered = sorted(marks, key=lambda mark: (mark[0] != "system", mark))  # an AS says more than its networks
    return tuple(f"{node} in {place_text(level, place)}" for level, place, node in ordered)


def place_text(level: str, place: str) -> str:
    """A network or an AS, as an operator calls it."""
    if level == "network":
        bits, first = map(int, place.split("/"))
        return prefix_text(bits, first, KEPT[bits])
    asn, country, family = place.split("/")
    if asn == "-":  # a network that nobody announces
        return prefix_text(int(family), int(country), KEPT[int(family)])
    return f"AS{asn} ({country or 'no country'}, IPv{4 if family == '32' else 6})"


def _row(item: tuple[Place, Held]) -> Row:
    (level, place), held = item
    return level, place, json.dumps(dict(held.record.times)), held.record.waiting, held.seen


def _write(
    config: Config,
    held: Mapping[Place, Held],
    marks: Marks,
    routes: Mapping[int, Routes],
    geography: Geography,
    newest: float,
) -> int:
    systems = {place.split("/")[0] for level, place in held if level == "system"}
    geography.look_at(
        (bits, first) for bits, each in routes.items() for first, _, origin in each if str(origin) in systems
    )
    lines = [f"{HEADER}{format_time(newest)}\n"]
    lines += [
        f"{prefix_text(bits, first, length)},{record}\n"
        for bits, first, length, record in rows(held, routes, country_in(geography), failing_at(marks))
    ]
    folder(config.latency.table.parent)
    replace(config.latency.table, "".join(lines))
    return len(lines) - 1
