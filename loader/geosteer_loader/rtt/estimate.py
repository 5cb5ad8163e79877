"""From what single networks measured to an estimate for every prefix of an AS.

Four levels: country, AS in a country, announced prefix, network (/24 or /48). A level's own value for a node is the weighted
median of its children's values, so that who forges reports needs most of the networks, not most of the samples. A child's
estimate is its own value drawn towards its parent's, shifted by how far the child lies from the parent at the nodes that both
know: one measured node tells the last mile, and that holds for all nodes. What distance makes one expect is subtracted before,
and added again after.
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
ROUNDS, ALIGNED = 10, 0.25
"""Rounds at most in which children are aligned before they vote; it ends when none moves by more milliseconds than that."""
NORMAL = 1.4826
"""Standard deviation of a normal distribution, of its median absolute deviation."""


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
    """Samples that the estimate of the wider level counts as at most."""
    wider_least: float = 2.0
    """The same where the children of that level lie far apart."""
    sample_error: float = 10.0
    """Milliseconds by which a single sample is off, as a rule: standard deviation."""
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
    usual: Mapping[str, float] | None = None
    """Node -> milliseconds that its distance makes one expect, without the last mile; None: its place is not known."""


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
    usual_of = {
        asn: _usual([network for networks in prefixes.values() for network in networks])
        for asn, prefixes in systems.items()
    }
    beyond: dict[tuple[int, int], Known] = {}
    """Network -> what it measured beyond what is usual at its distance."""
    for asn, prefixes in systems.items():
        children = []
        system_voters: dict[str, set[Hashable]] = defaultdict(set)
        for prefix, networks in prefixes.items():
            for network in networks:
                usual = usual_of[asn] if network.usual is None else network.usual
                beyond[network.key] = {
                    node: Value(value.milliseconds - usual.get(node, 0.0), value.samples)
                    for node, value in network.measured.items()
                }
            own, prefix_voters = _own_of_networks(networks, beyond, rules)
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
    pull_of_country = pull([(own, top) for own in own_of_systems.values()], rules)
    for asn, prefixes in systems.items():
        of_system = shrink(own_of_systems[asn], top, rules, pull_of_country)
        if own_of_systems[asn]:
            made.systems[asn, country, family] = _at(usual_of[asn], of_system)
        pull_of_system = pull(
            [
                (beyond[network.key], of_system)
                for prefix, networks in prefixes.items()
                for network in networks
            ],
            rules,
        )
        of_prefixes = {
            prefix: shrink(own_of_prefixes[prefix], of_system, rules, pull_of_system) for prefix in prefixes
        }
        pull_of_prefixes = pull(
            [
                (beyond[network.key], of_prefixes[prefix])
                for prefix, networks in prefixes.items()
                if own_of_prefixes[prefix]
                for network in networks
            ],
            rules,
        )
        for prefix, networks in prefixes.items():
            of_prefix = of_prefixes[prefix]
            if own_of_prefixes[prefix]:
                made.prefixes[prefix] = _at(_usual(networks) or usual_of[asn], of_prefix)
            for network in networks:
                weight = pull_of_prefixes if own_of_prefixes[prefix] else pull_of_system
                told = shrink(beyond[network.key], of_prefix, rules, weight)
                if told:
                    made.networks[network.key] = _at(
                        usual_of[asn] if network.usual is None else network.usual, told
                    )


def _usual(networks: Sequence[Network]) -> dict[str, float]:
    """The mean of what is usual in the networks whose place is known."""
    known = [network.usual for network in networks if network.usual]
    return {node: sum(usual[node] for usual in known) / len(known) for node in known[0]} if known else {}


def _at(usual: Mapping[str, float], beyond: Mapping[str, float]) -> dict[str, float]:
    """Node -> milliseconds at some distance."""
    return {node: max(0.1, usual.get(node, 0.0) + milliseconds) for node, milliseconds in beyond.items()}


def pull(children: Iterable[tuple[Mapping[str, Value], Mapping[str, float]]], rules: Rules) -> float:
    """Samples that the wider level counts as for its children: the fewer, the further apart they lie (empirical Bayes).

    Args: children: what each measured, and the estimate of the wider level for it.
    """
    away, weights = [], []
    for own, parent in children:
        both = [
            (min(value.samples, rules.cap), value.milliseconds - parent[node])
            for node, value in own.items()
            if node in parent
        ]
        if len(both) < 2:
            continue
        offset = _offset(both)
        away += [abs(difference - offset) for _, difference in both]
        weights += [samples for samples, _ in both]
    if not away:
        return rules.wider
    spread = NORMAL * weighted_median(away, weights)
    least = rules.sample_error / rules.wider**0.5
    samples: float = (rules.sample_error / max(spread, least)) ** 2
    return max(rules.wider_least, samples)


def _offset(both: Sequence[tuple[float, float]]) -> float:
    weight = sum(samples for samples, _ in both)
    return sum(samples * away for samples, away in both) / weight if weight else 0.0


def shrink(
    own: Mapping[str, Value], parent: Mapping[str, float], rules: Rules, wider: float | None = None
) -> dict[str, float]:
    """Own values drawn towards the parent's, which are shifted by the mean difference at nodes that both know.

    Args: wider: samples that the parent's count as; None: the most.
    """
    wider = rules.wider if wider is None else wider
    offset = _offset(
        [(value.samples, value.milliseconds - parent[node]) for node, value in own.items() if node in parent]
    )
    told = {node: milliseconds + offset for node, milliseconds in parent.items()}
    for node, value in own.items():
        if node in told:
            told[node] = (value.samples * value.milliseconds + wider * told[node]) / (value.samples + wider)
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


def _own_of_networks(
    networks: Sequence[Network], beyond: Mapping[tuple[int, int], Known], rules: Rules
) -> tuple[Known, dict[str, set[Hashable]]]:
    voters: dict[str, set[Hashable]] = defaultdict(set)
    for network in networks:
        for node in network.measured:
            voters[node].add(network.voter)
    return _votes([beyond[network.key] for network in networks], rules.cap), voters


def _votes(children: Sequence[Mapping[str, Value]], cap: float | None) -> Known:
    """Node -> the weighted median of its values; a child's weight is its samples, at most *cap*, or one vote each (None).

    Different children know different nodes, so each is shifted first to where it would be with the last mile of the others
    (median polish, Tukey 1977, chapter 11); or else a node would look slow because slow networks happened to measure it.
    """
    by_node: dict[str, list[tuple[int, Value, float]]] = defaultdict(list)
    for number, child in enumerate(children):
        for node, value in child.items():
            by_node[node].append((number, value, 1.0 if cap is None else min(value.samples, cap)))
    shifts = [0.0] * len(children)
    told: dict[str, float] = {}
    for _ in range(ROUNDS):
        told = {
            node: weighted_median(
                [value.milliseconds - shifts[number] for number, value, _ in values],
                [weight for _, _, weight in values],
            )
            for node, values in by_node.items()
        }
        before = shifts
        shifts = [
            weighted_median(
                [value.milliseconds - told[node] for node, value in child.items()],
                [1.0 if cap is None else min(value.samples, cap) for value in child.values()],
            )
            if len(child) > 1
            else 0.0
            for child in children
        ]
        if all(abs(was - now) <= ALIGNED for was, now in zip(before, shifts, strict=True)):
            break
    return {
        node: Value(told[node], sum(value.samples for _, value, _ in values))
        for node, values in by_node.items()
    }


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
