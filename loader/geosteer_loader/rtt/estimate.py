"""From what single networks measured to an estimate for every prefix of an AS.

Four levels: country, AS in a country, announced prefix, network (/24 or /48). A level's own value for a node is the weighted
median of its children's values, so that who forges reports needs most of the networks, not most of the samples. A child's
estimate is its own value drawn towards its parent's, shifted by how far the child lies from the parent at the nodes that both
know: one measured node tells the last mile, and that holds for all nodes.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

    Systems = dict[int, dict[tuple[int, int, int], list["Network"]]]
    """AS -> announced prefix -> its networks."""


UNROUTED = 0
"""In place of an AS: nobody announces the network, so it stands for itself."""


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of one node somewhere."""

    milliseconds: float
    samples: float
    """Its weight, decayed."""


Known = dict[str, Value]
"""By node."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How much evidence is enough."""

    samples: float = 20.0
    """Samples that a level which holds several networks needs."""
    alone: float = 5.0
    """Samples that a network needs for a node of which no wider level knows anything."""
    wider: float = 20.0
    """Samples that the estimate of the wider level counts as."""
    networks: int = 5
    """Networks that a level which holds several needs."""
    cap: float = 20.0
    """Samples that one child counts at most."""


@dataclass(frozen=True, slots=True)
class Network:
    """One client network and where it belongs."""

    key: tuple[int, int]
    """Address bits and first address."""
    voter: Hashable
    """Networks with the same voter count as one: the /24 itself, in IPv6 its /32."""
    prefix: tuple[int, int, int]
    """The announced prefix that holds it: address bits, first address, length."""
    asn: int
    country: str
    family: int
    measured: Known
    """Node -> its quantile there."""
    seen: float = 0.0
    """Time of its newest sample, seconds since 1970."""


@dataclass(slots=True)
class Estimates:
    """Node -> milliseconds at each level that has evidence of its own, most specific levels first when looked up."""

    networks: dict[tuple[int, int], dict[str, float]]
    prefixes: dict[tuple[int, int, int], dict[str, float]]
    systems: dict[tuple[int, str, int], dict[str, float]]
    """By AS, country and family."""


def estimate(networks: Iterable[Network], rules: Rules) -> Estimates:
    """Estimates of all levels but the country's, which is no better than a distance for an AS that nobody measured."""
    tree: dict[tuple[str, int], Systems] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for network in networks:
        if network.measured:
            tree[network.country, network.family][network.asn][network.prefix].append(network)
    made = Estimates({}, {}, {})
    for (country, family), systems in tree.items():
        _country(country, family, systems, rules, made)
    return made


def _country(country: str, family: int, systems: Systems, rules: Rules, made: Estimates) -> None:
    own_of_systems, own_of_prefixes = {}, {}
    voters: dict[str, set[Hashable]] = defaultdict(set)
    for asn, prefixes in systems.items():
        children = []
        system_voters: dict[str, set[Hashable]] = defaultdict(set)
        for prefix, networks in prefixes.items():
            own, prefix_voters = _own_of_networks(networks, rules)
            own_of_prefixes[prefix] = _enough(own, prefix_voters, rules)
            for node, who in prefix_voters.items():
                system_voters[node] |= who
            children.append(own)
        own = _votes(children, rules.cap) if asn != UNROUTED else {}
        own_of_systems[asn] = _enough(own, system_voters, rules)
        if asn == UNROUTED:
            continue
        for node, who in system_voters.items():
            # In IPv6 one operator may have as many networks as it likes.
            voters[node] |= who if family == 32 else {asn}
    whole = _enough(_votes(list(own_of_systems.values()), None), voters, rules)
    top = {node: value.milliseconds for node, value in whole.items()}
    for asn, prefixes in systems.items():
        of_system = shrink(own_of_systems[asn], top, rules)
        if own_of_systems[asn]:
            made.systems[asn, country, family] = of_system
        for prefix, networks in prefixes.items():
            of_prefix = shrink(own_of_prefixes[prefix], of_system, rules)
            if own_of_prefixes[prefix]:
                made.prefixes[prefix] = of_prefix
            for network in networks:
                told = shrink(network.measured, of_prefix, rules)
                if told:
                    made.networks[network.key] = told


def shrink(own: Mapping[str, Value], parent: Mapping[str, float], rules: Rules) -> dict[str, float]:
    """Own values drawn towards the parent's, which are shifted by the mean difference at nodes that both know."""
    both = [
        (value.samples, value.milliseconds - parent[node]) for node, value in own.items() if node in parent
    ]
    weight = sum(samples for samples, _ in both)
    offset = sum(samples * away for samples, away in both) / weight if weight else 0.0
    told = {node: max(0.1, milliseconds + offset) for node, milliseconds in parent.items()}
    for node, value in own.items():
        if node in told:
            told[node] = (value.samples * value.milliseconds + rules.wider * told[node]) / (
                value.samples + rules.wider
            )
        elif value.samples >= rules.alone:
            told[node] = value.milliseconds
    return told


def _enough(own: Known, voters: Mapping[str, Collection[Hashable]], rules: Rules) -> Known:
    """The nodes that enough networks measured often enough."""
    return {
        node: value
        for node, value in own.items()
        if value.samples >= rules.samples and len(voters[node]) >= rules.networks
    }


def _own_of_networks(networks: Sequence[Network], rules: Rules) -> tuple[Known, dict[str, set[Hashable]]]:
    voters: dict[str, set[Hashable]] = defaultdict(set)
    for network in networks:
        for node in network.measured:
            voters[node].add(network.voter)
    return _votes([network.measured for network in networks], rules.cap), voters


def _votes(children: Sequence[Mapping[str, Value]], cap: float | None) -> Known:
    """Node -> the weighted median of its values; a child's weight is its samples, at most *cap*, or one vote each (None)."""
    by_node: dict[str, list[Value]] = defaultdict(list)
    for child in children:
        for node, value in child.items():
            by_node[node].append(value)
    told = {}
    for node, values in by_node.items():
        weights = [1.0 if cap is None else min(value.samples, cap) for value in values]
        told[node] = Value(
            weighted_median([v.milliseconds for v in values], weights), sum(value.samples for value in values)
        )
    return told


def weighted_median(values: Sequence[float], weights: Sequence[float]) -> float:
    """The value that half of the weight lies at or below; between two halves of equal weight, the middle of both."""
    ordered = sorted(zip(values, weights, strict=True))
    half = sum(weights) / 2
    seen = 0.0
    for at, (value, weight) in enumerate(ordered):
        seen += weight
        if seen > half or at == len(ordered) - 1:
            return value
        if seen == half:
            return (value + ordered[at + 1][0]) / 2
    raise ValueError("no values")
