"""How candidates are ranked: best, weighted, hash, nearest, path, latency; and which clients a node keeps. Pure functions.

No ranking looks at shares. Going down it, each node keeps the clients whose `unit` is below its share, so that a share means
the same part of a node's own clients under every policy.
A ranking of `best`, `nearest`, `path` or `latency` is a list of groups, best first; the members of a group are in their final
order, and a group of several members was put in order by a hash of the client's network, which narrows the scope of an
answer that depends on it.
"""

from __future__ import annotations

from math import asin, cos, inf, log, radians, sin, sqrt

from geosteer.cmodules import sha1
from geosteer.decision.records import SLOWEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from geosteer.decision.client import Client
    from geosteer.decision.model import Node, Offset, Service

    Groups = list[list["Candidate"]]

EARTH_KM = 6371.0
NEAR_PART = 0.05
"""Nodes within this part of the nearest one's distance count as equal to it."""
_TOP = float(1 << 52)
UNBIASED: Mapping[str, float] = {}
"""Node -> what its distances and times are multiplied with, of a service without `bias`."""
UNPUSHED: Mapping[str, Offset] = {}
"""Node -> how far it is pushed away, of a service without `max_share`."""


class Candidate:
    """A node that may be given to the client now."""

    __slots__ = ("node", "share", "weight")

    def __init__(self, node: Node, weight: float, share: float) -> None:
        self.node = node
        self.weight = weight
        """Map weight x node weight / 100, above 0."""
        self.share = share
        """Above 0, at most 1: how much of its clients it keeps."""


def unit(node: str, network: str) -> tuple[float, float]:
    """Two independent numbers in [0, 1) for a node and a client's network: for the share, and for the order among equals.

    The first and the next 13 hex digits of SHA-1(`node|network`), over 2^52; a Redis Function has SHA-1 too.
    """
    digits = sha1(f"{node}|{network}".encode("utf-8", "surrogatepass")).hexdigest()
    return int(digits[:13], 16) / _TOP, int(digits[13:26], 16) / _TOP


def own_ticket(service: Service, client: Client | None) -> float:
    """What the policy `weighted` draws for a client's network where A, AAAA and HTTPS have to agree: in [0, 1)."""
    return unit(service.name, client.network if client is not None else "")[0]


def keeps(node: str, share: float, network: str) -> bool:
    """Whether a node that keeps that share of its clients keeps those of this network; the same ones each time."""
    return share >= 1 or unit(node, network)[0] < share


def groups(
    service: Service,
    candidates: Sequence[Candidate],
    network: str,
    place: Callable[[], tuple[float, float] | None],
    lengths: Callable[[], dict[str, int]],
    times: Callable[[], dict[str, int]],
) -> Groups:
    """Candidates by the service's policy, for all policies but `weighted` and `hash`.

    Args: place, lengths, times: the client's location, its AS-path lengths and its round-trip times; asked where the policy
        goes by them.
    """
    if service.policy == "latency":
        return latency(service, candidates, network, times(), place)
    if service.policy == "nearest":
        return nearest(candidates, network, place(), service.near_km, service.factors, service.offsets_km)
    if service.policy == "path":
        return path(candidates, network, lengths())
    return best(candidates, network)


def best(candidates: Sequence[Candidate], network: str) -> Groups:
    """By weight; equals by rendezvous hash of the client's network."""
    return _grouped(candidates, lambda candidate: -candidate.weight, network)


def path(candidates: Sequence[Candidate], network: str, lengths: dict[str, int]) -> Groups:
    """By AS-path length as the node's vantage point sees the client, then as `best`; unseen comes last."""
    return _grouped(
        candidates,
        lambda candidate: (
            lengths.get(candidate.node.vantage or candidate.node.name, 256),
            -candidate.weight,
        ),
        network,
    )


def nearest(
    candidates: Sequence[Candidate],
    network: str,
    place: tuple[float, float] | None,
    near_km: float,
    factors: Mapping[str, float] = UNBIASED,
    offsets: Mapping[str, Offset] = UNPUSHED,
) -> Groups:
    """By great-circle distance; nodes within 5 % or *near_km* of the nearest are equal, and rank as in `best`.

    A node's own `near_km` goes before that of the service. Without the client's place all rank as in `best`; a node without a
    place comes last.

    Args: factors: node -> what its distance is multiplied with before it is compared; offsets: what is added then.
    """
    if place is None:
        return best(candidates, network)
    away = {candidate.node.name: distance(place, candidate.node.location) for candidate in candidates}
    if factors:
        away = biased(away, factors)
    if offsets:
        away = pushed(away, offsets)
        candidates = _edged(candidates, away, offsets, lambda node, least: _near_until(node, near_km, least))
    shortest = min(away.values())
    usual = max(shortest * (1 + NEAR_PART), shortest + near_km)

    def rank(candidate: Candidate) -> tuple[float, float]:
        node = candidate.node
        limit = usual if node.near_km is None else _near_until(node, near_km, shortest)
        return (0.0 if away[node.name] <= limit else away[node.name]), -candidate.weight

    return _grouped(candidates, rank, network)


def latency(
    service: Service,
    candidates: Sequence[Candidate],
    network: str,
    times: dict[str, int],
    place: Callable[[], tuple[float, float] | None],
) -> Groups:
    """By measured round-trip time; nodes about as fast as the fastest one are equal, and rank as in `best`.

    Nodes of which no time is known come later, by distance; where none is known all rank as in `nearest`. Nodes that fail
    for the client's network come last. Times and distances are compared as the service's biases make them.
    """
    failing = [candidate for candidate in candidates if times.get(candidate.node.name, 0) > SLOWEST]
    if failing and len(failing) < len(candidates):
        fine = [candidate for candidate in candidates if candidate not in failing]
        return latency(service, fine, network, times, place) + best(failing, network)
    known: dict[str, float] = {
        candidate.node.name: times[candidate.node.name]
        for candidate in candidates
        if candidate.node.name in times
    }
    if not known:
        return nearest(candidates, network, place(), service.near_km, service.factors, service.offsets_km)
    factors, offsets = service.factors, service.offsets
    if factors:
        known = biased(known, factors)
    if offsets:
        known = pushed(known, offsets)
        candidates = _edged(candidates, known, offsets, lambda _, least: _equal_until(service, least))
    limit = _equal_until(service, min(known.values()))
    here = place() if len(known) < len(candidates) else None

    def rank(candidate: Candidate) -> tuple[int, float, float]:
        time = known.get(candidate.node.name)
        if time is None:
            away = inf if here is None else distance(here, candidate.node.location)
            away *= factors.get(candidate.node.name, 1.0)
            if candidate.node.name in offsets:
                away += service.offsets_km[candidate.node.name].add
            return 2, away, -candidate.weight
        return (0, 0.0, -candidate.weight) if time <= limit else (1, time, -candidate.weight)

    return _grouped(candidates, rank, network)


def weighted(candidates: Sequence[Candidate], ticket: float) -> list[Candidate]:
    """By draws in proportion to weight, without replacement; *ticket* in [0, 1) is the draw.

    The place of the ticket within the interval it fell into is the ticket of the next draw, so one number settles all.
    """
    left = list(candidates)
    drawn: list[Candidate] = []
    while left:
        point = ticket * sum([candidate.weight for candidate in left])
        for candidate in left:
            size = candidate.weight
            if point < size:
                break
            point -= size
        else:  # rounding took the point to the very end
            point = 0.0
        drawn.append(candidate)
        left.remove(candidate)
        ticket = min(point / size, 1 - 1 / _TOP)
    return drawn


def hashed(candidates: Sequence[Candidate], key: str) -> list[Candidate]:
    """By weighted rendezvous of *key*: losing a node moves only that node's keys."""
    return sorted(
        candidates,
        key=lambda candidate: (-candidate.weight * _pull(candidate, key), candidate.node.name),
    )


def _pull(candidate: Candidate, key: str) -> float:
    """What a node's weight is multiplied with for a key: 1 / an exponentially distributed number."""
    draw = unit(candidate.node.name, key)[1]
    return -1 / log(draw) if draw > 0 else 0.0


def distance(here: tuple[float, float], there: tuple[float, float] | None) -> float:
    """Great-circle kilometres between two (latitude, longitude) in degrees; infinite to nowhere."""
    if there is None:
        return inf
    lat1, lon1, lat2, lon2 = map(radians, (*here, *there))
    half = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_KM * asin(min(1.0, sqrt(half))) if half > 0 else 0.0


def biased(measures: Mapping[str, float], factors: Mapping[str, float]) -> dict[str, float]:
    """Distances or times by node, each times its node's factor."""
    return {name: measure * factors.get(name, 1.0) for name, measure in measures.items()}


def pushed(measures: Mapping[str, float], offsets: Mapping[str, Offset]) -> dict[str, float]:
    """Distances or times by node, with what is added to them."""
    return {
        name: measure + offsets[name].add if name in offsets else measure
        for name, measure in measures.items()
    }


def _near_until(node: Node, near_km: float, least: float) -> float:
    """The longest distance at which a node counts as equal to the nearest one, kilometres."""
    allowed = near_km if node.near_km is None else node.near_km
    return max(least * (1 + NEAR_PART), least + allowed)


def _equal_until(service: Service, least: float) -> float:
    """The longest time that counts as equal to the shortest one, milliseconds."""
    return max(least + service.equal_ms, least * (1 + service.equal_percent / 100))


def _edged(
    candidates: Sequence[Candidate],
    measures: Mapping[str, float],
    offsets: Mapping[str, Offset],
    limit: Callable[[Node, float], float],
) -> list[Candidate]:
    """The candidates, of which those at the edge of whose catchment the client is keep a part of such clients only.

    Args: measures: with offsets, of the candidates that are compared; limit: up to which measure a node counts as equal to
        others, of which the least is given.
    """
    order = sorted([(measure, name) for name, measure in measures.items()])
    places = {name: place for place, (_, name) in enumerate(order)}
    edged = []
    for candidate in candidates:
        node = candidate.node
        offset = offsets.get(node.name)
        place = places.get(node.name)
        if offset is not None and place is not None and offset.keep < 1:
            own = order[place][0]
            behind = order[place + 1][0] if place + 1 < len(order) else inf
            # It loses them to the next one, or gets too far behind the first one to count as equal.
            if 0 <= limit(node, behind) - own < offset.edge or (
                place and 0 < limit(node, order[0][0]) - own < offset.edge
            ):
                edged.append(Candidate(node, candidate.weight, candidate.share * offset.keep))
                continue
        edged.append(candidate)
    return edged


def _grouped(candidates: Sequence[Candidate], rank: Callable[[Candidate], object], network: str) -> Groups:
    by_rank: dict[object, list[Candidate]] = {}
    for candidate in candidates:
        by_rank.setdefault(rank(candidate), []).append(candidate)
    ordered = [by_rank[rank_of] for rank_of in sorted(by_rank)]  # type: ignore[type-var]
    for group in ordered:
        if len(group) > 1:
            group.sort(key=lambda candidate: (-unit(candidate.node.name, network)[1], candidate.node.name))
    return ordered
