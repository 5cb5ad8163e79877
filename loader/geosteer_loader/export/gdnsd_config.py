"""gdnsd's configuration: maps of networks, resources, service types (gdnsd-plugin-geoip(8), -weighted(8))."""

from __future__ import annotations

import hashlib
import json
from math import lcm
from typing import TYPE_CHECKING, NamedTuple

from geosteer.cmodules import Address
from geosteer_loader.export.compiled_tables import carved, prefixes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from geosteer.decision.model import Service
    from geosteer.decision.policy import Candidate
    from geosteer_loader.export.compiled_tables import Spans

    Ranking = tuple[str, ...]

STEP = 5000
"""Spans between two reports of progress."""
MAX_WEIGHT = (1 << 20) - 1
UP_THRESH = 0.000001
"""A resource counts as up while any part of its weight is."""
_NOT_OURS = (
    (0, 96), (0xFFFF << 32, 96), (0xFFFF << 48, 96), (0x0064FF9B << 96, 96), (0x20010000 << 96, 32), (0x2002 << 112, 16),
)  # fmt: skip
"""Where IPv6 carries IPv4: gdnsd looks there for IPv4 by itself, and takes no network there."""


class Area(NamedTuple):
    """Services that rank nodes alike: one gdnsd map."""

    name: str
    services: list[Service]
    kinds: tuple[str, ...]
    """What its resources answer with: A, AAAA, or CNAME alone."""


def group_name(group: Sequence[Candidate]) -> str:
    """A node's name, or that of a group by what it holds, so that a name never means something else."""
    if len(group) == 1:
        return group[0].node.name
    members = sorted((candidate.node.name, candidate.weight) for candidate in group)
    return "any-" + hashlib.sha1(repr(members).encode(), usedforsecurity=False).hexdigest()[:12]


def networks(
    spans: Mapping[int, Spans], progress: Callable[[int, int], None] = lambda _done, _all: None
) -> Iterator[tuple[str, int]]:
    """Every prefix of both families that a `nets` file takes, with the number of its span; *progress* hears of spans."""
    total = len(spans[32].starts) + len(spans[128].starts)
    for done, (start, end, number) in enumerate(spans[32]):
        if not done % STEP:
            progress(done, total)
        for first, length in prefixes(start, end, 32):
            yield f"{Address(first.to_bytes(4, 'big'))}/{length}", number
    for start, end, number in carved(spans[128], _NOT_OURS):
        for first, length in prefixes(start, end, 128):
            yield f"{Address(first.to_bytes(16, 'big'))}/{length}", number


def network_endings(rankings: Iterable[Ranking]) -> list[str]:
    """What follows a network in a `nets` file, for each of the rankings."""
    return [f" => [{', '.join(map(_quoted, ranking))}]\n" for ranking in rankings]


def service_type(area: Area, folder: Path) -> str:
    """How the states of a map's nodes are known: from a file, taken as it stands."""
    path = _quoted(str(folder / "states" / area.name))
    return f"  {_quoted(_type_name(area))} => {{ plugin => extfile, file => {path}, direct => true, interval => 2 }}"


def _type_name(area: Area) -> str:
    return f"geosteer-{area.name}"


def gdnsd_map(area: Area, groups: Iterable[str]) -> str:
    """A map: its groups of nodes, and the file of networks."""
    names = ", ".join(map(_quoted, groups))
    nets = _quoted(f"{area.name}.nets")
    return f"    {_quoted(area.name)} => {{ datacenters => [{names}], nets => {nets} }}"


def resource(area: Area, service: Service, groups: Mapping[str, Sequence[Candidate]]) -> str:
    """What a service answers with for each group."""
    choices = [f"        {_quoted(name)} => {{ {_choice(area, group)} }}" for name, group in groups.items()]
    head = f"    {_quoted(service.name)} => {{ map => {_quoted(area.name)}, dcmap => {{"
    return "\n".join([head, *choices, "    }}"])


def _choice(area: Area, group: Sequence[Candidate]) -> str:
    """One of a group by weight, of those that are up."""
    weights = _weights(group)
    parts = [
        "plugin => weighted", f"service_types => {_quoted(_type_name(area))}", f"up_thresh => {UP_THRESH:f}",
    ]  # fmt: skip
    if area.kinds == ("CNAME",):
        for candidate in group:
            host = _quoted(f"{candidate.node.hostname}.")
            parts.append(f"{_quoted(candidate.node.name)} => [{host}, {weights[candidate.node.name]}]")
        return ", ".join(parts)
    for kind, key in (("A", "addrs_v4"), ("AAAA", "addrs_v6")):
        having = [candidate.node for candidate in group if candidate.node.has(kind)]
        if kind in area.kinds and having:
            # A node's weight is the sum of its addresses'; with equal ones all of them are given.
            even = lcm(*(len(node.contents(kind)) for node in having))
            members = []
            for node in having:
                each = weights[node.name] * even // len(node.contents(kind))
                addresses = enumerate(node.contents(kind), 1)
                inside = ", ".join(f"{at} => [{_quoted(address)}, {each}]" for at, address in addresses)
                members.append(f"{_quoted(node.name)} => {{ {inside} }}")
            parts.append(f"{key} => {{ {', '.join(members)} }}")
    return ", ".join(parts)


def _weights(group: Sequence[Candidate]) -> dict[str, int]:
    """Whole numbers in proportion to the weights, as small as they may be."""
    highest = max(candidate.weight for candidate in group)
    whole = {candidate.node.name: round(candidate.weight * 100) for candidate in group}
    if min(candidate.weight for candidate in group) == highest:
        return dict.fromkeys(whole, 1)
    if highest * 100 <= MAX_WEIGHT // 100 and all(value >= 1 for value in whole.values()):
        return whole
    return {candidate.node.name: max(1, round(candidate.weight / highest * 10000)) for candidate in group}


def plugins(types: Sequence[str], maps: Sequence[str], resources: Sequence[str]) -> str:
    """The whole file."""
    return "\n".join(
        [
            "# Made by geosteer; the next export overwrites it.",
            "service_types => {", *types, "}",
            "plugins => { geoip => {",
            "  maps => {", *maps, "  }",
            "  resources => {", *resources, "  }",
            "}}", "",
        ]
    )  # fmt: skip


def _quoted(text: str) -> str:
    return json.dumps(text)
