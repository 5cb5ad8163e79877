"""How far off DNS is: it sees the resolver, or a network that stands for the client, where steering wants the client.

For each pair of resolver and client the service decides twice. What each of the two gets is a distribution over nodes, for the
policy `weighted` as for the others, where one node has all of it; the part of it that differs (the total variation distance)
is the least part of such clients that do not get the node which their own address would have given them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from geosteer.decision.client import Client, parse
from geosteer.decision.director import Director
from geosteer.decision.policy import distance
from geosteer.decision.probabilities import distance as apart
from geosteer.decision.records import place_of
from geosteer_loader.query.candidates import draw_chances
from geosteer_loader.sources.geography import CONTINENT_PLACES, COUNTRY_PLACES
from geosteer_loader.sources.source_files import Problems, lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from geosteer.decision.decision import Decision
    from geosteer.decision.model import Service
    from geosteer_loader.query.context import Context
    from geosteer_loader.sources.source import Progress

REMEMBERED = 1 << 17
"""Decisions kept, by client network."""

WORST = 10
"""Resolvers that are named."""

NOBODY = ""
"""In place of a node: the map refuses to answer."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Somebody who was answered by what his resolver is."""

    resolver: Client
    """Whom DNS saw: the source address of the question, or the client network that it named."""
    client: Client
    """Who then came."""
    count: float
    """How often; above 0."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What somebody gets."""

    layer: str
    chances: Mapping[str, float]
    """Node -> chance to be the first answer."""
    place: tuple[float, float] | None
    """Where he is, as far as the table `geo` tells."""


@dataclass(slots=True)
class _Tally:
    """Sums over clients."""

    clients: float = 0.0
    differ: float = 0.0
    regions: float = 0.0
    """Whose layer or key of the map differs."""
    located: float = 0.0
    extra: float = 0.0
    """Kilometres more than to the own node, over those located."""

    def add(self, count: float, differ: float, *, region: bool, extra: float | None) -> None:
        self.clients += count
        self.differ += count * differ
        self.regions += count * region
        if extra is not None:
            self.located += count
            self.extra += count * extra


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverMismatch:
    """How far off one resolver is."""

    resolver: str
    clients: float
    differ_share: float
    """Of its clients, 0..1."""
    mean_extra_km: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """How far off DNS is, over all pairs."""

    service: str
    policy: str
    type: str
    pairs: int
    clients: float
    """Those of whom something can be told."""
    unknown: float
    """Those of whom only a network of length 0 is known."""
    differ: float
    differ_share: float
    """Clients who get another node than by their own address, and their part of all, 0..1."""
    region_share: float
    """The part whose layer or key of the map differs."""
    located_share: float
    """The part of whom a table tells where they are."""
    mean_extra_km: float | None
    extra_km: dict[str, int | None]
    """`p50`, `p90`, `p95`, `p99`, `max`."""
    resolvers: list[ResolverMismatch]
    """The worst."""

    def to_json(self) -> dict[str, Any]:
        """As `geosteer mismatch --json` prints it: the fields above, by their names."""
        return asdict(self)


def read_pairs(numbered: Iterable[tuple[int, str]], path: Path) -> Iterator[Pair]:
    """Pairs of a file: resolver, client, and maybe how often, which may come first as `uniq -c` has it.

    Each is an address or a network; blanks, tabs or commas between them; `#` begins a comment.
    Args: path: what to call the file in messages.
    Raises: SourceError: lines are malformed; all of them are named, behind the last pair.
    """
    problems = Problems(path)
    for number, line in numbered:
        text = line.partition("#")[0].replace(",", " ").replace(";", " ")
        words = text.split()
        if not words:
            continue
        try:
            yield _pair(words)
        except ValueError:
            problems.add(number, f"not a resolver, a client and maybe a count: {text.strip()[:80]!r}")
    problems.check()


def pairs_of(path: Path, progress: Progress | None = None) -> Iterator[Pair]:
    """The pairs of a file, which may be compressed. Raises: SourceError."""
    return read_pairs(lines(path, progress), path)


def measure(context: Context, service: Service, kind: str, pairs: Iterable[Pair]) -> Mismatch:
    """How many clients get another node than by their own address, and how much farther they go.

    Pairs with a network of length 0, of which nothing can be told, are counted as `unknown` and left out.
    Args: kind: the record type to decide for, one that the service has.
    Raises: StoreError: a page is absent, or Redis failed.
    """
    decide = _Decider(context, service, kind)
    whole = _Tally()
    resolvers: dict[str, _Tally] = {}
    extras: dict[int, float] = {}
    count, unknown = 0, 0.0
    for pair in pairs:
        count += 1
        if not pair.resolver.length or not pair.client.length:  # asked for privacy (RFC 7871, 7.1.2)
            unknown += pair.count
            continue
        seen, own = decide(pair.resolver), decide(pair.client)
        differ = apart(seen.chances, own.chances)
        region = seen.layer != own.layer
        extra = decide.farther(seen, own)
        whole.add(pair.count, differ, region=region, extra=extra)
        resolvers.setdefault(str(pair.resolver), _Tally()).add(pair.count, differ, region=region, extra=extra)
        if extra is not None:
            extras[round(extra)] = extras.get(round(extra), 0.0) + pair.count
    worst = sorted(resolvers.items(), key=lambda item: (-item[1].differ, item[0]))[:WORST]
    return Mismatch(
        service=service.name,
        policy=service.policy,
        type=kind,
        pairs=count,
        clients=whole.clients,
        unknown=unknown,
        differ=whole.differ,
        differ_share=_part(whole.differ, whole.clients),
        region_share=_part(whole.regions, whole.clients),
        located_share=_part(whole.located, whole.clients),
        mean_extra_km=_part(whole.extra, whole.located) if whole.located else None,
        extra_km={f"p{part}": _percentile(extras, part / 100) for part in (50, 90, 95, 99)}
        | {"max": max(extras, default=None)},
        resolvers=[
            ResolverMismatch(
                resolver=name,
                clients=tally.clients,
                differ_share=_part(tally.differ, tally.clients),
                mean_extra_km=_part(tally.extra, tally.located) if tally.located else None,
            )
            for name, tally in worst
            if tally.differ
        ],
    )


class _Decider:
    """Decides once for each client network."""

    def __init__(self, context: Context, service: Service, kind: str) -> None:
        self._context = context
        self._service = service
        self._kind = kind
        self._director = Director(context.model)
        self._known: dict[tuple[int, int, int], _Outcome] = {}

    def __call__(self, client: Client) -> _Outcome:
        key = client.bits, client.address, client.length
        outcome = self._known.get(key)
        if outcome is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            outcome = self._known[key] = self._decide(client)
        return outcome

    def farther(self, seen: _Outcome, own: _Outcome) -> float | None:
        """Kilometres that a client goes farther; None: nothing tells where he or a node is."""
        if own.place is None or NOBODY in seen.chances or NOBODY in own.chances:
            return None
        away = self._away(own.place, seen.chances) - self._away(own.place, own.chances)
        return away if isfinite(away) else None

    def _away(self, place: tuple[float, float], chances: Mapping[str, float]) -> float:
        nodes = self._context.model.nodes
        return sum(chance * distance(place, nodes[name].location) for name, chance in chances.items())

    def _decide(self, client: Client) -> _Outcome:
        context = self._context

        def look(table: str) -> tuple[str, int]:
            return context.cell(table, client.bits, client.address)

        weighted = self._service.policy == "weighted"
        decision = self._director.decide(
            self._service, client, look, context.states, context.now, trace=weighted
        )
        layer = decision.layer.get(self._kind, "")
        chosen = decision.answer[self._kind]
        chances = (
            _chances(decision, self._kind, layer, client)
            if weighted and chosen
            else {chosen[0].name if chosen else NOBODY: 1.0}
        )
        record = decision.matched["geo"][0] if "geo" in decision.matched else look("geo")[0]
        return _Outcome(layer, chances, _place(record))


def _chances(decision: Decision, kind: str, layer: str, client: Client) -> dict[str, float]:
    """Of a draw, by the candidates as they stood when it was made."""
    latest = {
        candidate["node"]: candidate
        for candidate in decision.trace
        if (candidate["type"], candidate["layer"]) == (kind, layer)
    }
    serving = [candidate for candidate in latest.values() if candidate["excluded"] is None]
    chosen = decision.answer[kind][0].name
    return draw_chances(serving, client) or {chosen: 1.0}


def _pair(words: list[str]) -> Pair:
    if len(words) == 3 and "." not in words[0] and ":" not in words[0]:
        words = [*words[1:], words[0]]  # as `uniq -c` counts
    if len(words) not in {2, 3}:
        raise ValueError(words)
    count = float(words[2]) if len(words) == 3 else 1.0
    if not 0 < count < float("inf"):
        raise ValueError(words)
    return Pair(parse(words[0]), parse(words[1]), count)


def _place(record: str) -> tuple[float, float] | None:
    where = record.partition(" ")[0]
    if where.startswith("@"):
        return place_of(record) or CONTINENT_PLACES.get(where[1:])
    return place_of(record) or COUNTRY_PLACES.get(where[:2])


def _part(amount: float, whole: float) -> float:
    return round(amount / whole, 6) if whole else 0.0


def _percentile(counts: Mapping[int, float], part: float) -> int | None:
    """The least value that at least *part* of all do not exceed."""
    left = part * sum(counts.values())
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return max(counts, default=None)
