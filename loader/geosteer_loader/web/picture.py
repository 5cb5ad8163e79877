"""What a map shows of one service: its nodes, how they are, and which of them has which clients, ready to be drawn."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from geosteer.decision.layer_walk import node_share
from geosteer.decision.node_state import NodeState
from geosteer_loader.impact.service_change import MOMENTS
from geosteer_loader.query.who import shares
from geosteer_loader.web.colours import styles
from geosteer_loader.web.labels import apart
from geosteer_loader.web.projection import project
from geosteer_loader.web.world import world

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from geosteer.decision.model import Node, Service
    from geosteer_loader.impact.service_change import Shift
    from geosteer_loader.query.who import PartShare
    from geosteer_loader.web.colours import Style

ALL_UP = MOMENTS[0]
MOST_NUMBERS = 60
"""Nodes whose numbers are on the map; of more, only their dots are."""
RADIUS = 88
"""Of a number's circle, in units of the map."""
MOST_NODES = 12
"""Nodes that are named for a country; the rest is one figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureNode:
    """One node."""

    name: str
    number: int
    colour: int
    hatched: bool
    place: tuple[int, int] | None
    """Where it is on the map; None: it has no location."""
    label: tuple[int, int] | None
    """Where its number is."""
    state: str
    """What the probes say: up, down or unknown."""
    reason: str
    failing: bool
    share: float
    """0..1: how much of its clients it keeps."""
    excluded: str | None
    """Why it does not serve."""
    override: dict[str, Any] | None
    load: float | None
    """In parts of its capacity; None: nobody reports it."""
    clients: dict[str, float]
    """Part (`v4`) -> the share of the service's clients that it has, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureCountry:
    """The clients of one country."""

    clients: float
    share: float
    """Of the service's clients, 0..1."""
    nodes: list[tuple[str, float]]
    """Those that have most of them, the largest first."""
    others: float
    """What nodes that are not named have, 0..1."""
    measured: float
    """The part of them of whose node a round-trip time is known, 0..1; 0 unless the service's policy is `latency`."""
    got_ms: float | None
    """Their mean time to the nodes that they get; None: not known of any."""
    best_ms: float | None
    """Their mean time if each got the best node that is known for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The whole map."""

    service: str
    map: str
    policy: str
    generation: int | None
    """None: it is only planned."""
    time: str
    """Of the nodes' states, ISO 8601 UTC."""
    nodes: list[PictureNode]
    parts: dict[str, dict[str, PictureCountry]]
    """`v4`, `v6` -> country ("": not known) -> its clients."""
    totals: dict[str, float]
    """`v4`, `v6` -> clients known."""

    def to_json(self) -> dict[str, Any]:
        """For the page: the fields above, by their names."""
        return asdict(self)


def node_styles(nodes: Iterable[str], countries: Mapping[str, Mapping[str, Shift]]) -> dict[str, Style]:
    """Styles by who leads where while all nodes serve: during an outage nodes keep them."""
    leaders: dict[str, set[str]] = {}
    for country, parts in countries.items():
        for shift in parts.values():
            for side in (shift.before, shift.after):
                amounts = side.get(ALL_UP)
                if amounts:
                    leaders.setdefault(country, set()).add(max(sorted(amounts), key=amounts.__getitem__))
    return styles(nodes, leaders, world().neighbours)


def picture(
    service: Service,
    countries: Mapping[str, Mapping[str, Shift]],
    states: Mapping[str, NodeState],
    overrides: Mapping[str, dict[str, Any]],
    loads: Mapping[str, float],
    now: float,
    *,
    time: str,
    generation: int | None,
    looks: Mapping[str, Style],
    before: bool = False,
) -> Picture:
    """The map of a service.

    Args:
        countries: what `ServiceClients.by_country` returns.
        overrides: node -> what an operator said, of those in force.
        loads: node -> its load in parts of its capacity.
        looks: styles by node, of `node_styles`.
        before: show the first of two generations.
    """
    parts = shares(countries, before=before)
    nodes = sorted((node for node, _ in service.map.everyone), key=lambda node: node.name)
    placed = [node for node in nodes if node.location is not None]
    places = dict(
        zip((node.name for node in placed), [project(*_location(node)) for node in placed], strict=True)
    )
    labels: dict[str, tuple[float, float]] = {}
    if len(places) <= MOST_NUMBERS:
        labels = dict(zip(places, apart(list(places.values()), RADIUS), strict=True))
    return Picture(
        service=service.name,
        map=service.map.name,
        policy=service.policy,
        generation=generation,
        time=time,
        nodes=[
            _node(
                node,
                looks[node.name],
                places.get(node.name),
                labels.get(node.name),
                states,
                overrides,
                loads,
                now,
                parts,
            )
            for node in nodes
        ],
        parts={part: _countries(share) for part, share in parts.items()},
        totals={part: share.clients for part, share in parts.items()},
    )


def _location(node: Node) -> tuple[float, float]:
    assert node.location is not None
    return node.location


def _node(
    node: Node,
    style: Style,
    place: tuple[float, float] | None,
    label: tuple[float, float] | None,
    states: Mapping[str, NodeState],
    overrides: Mapping[str, dict[str, Any]],
    loads: Mapping[str, float],
    now: float,
    parts: Mapping[str, PartShare],
) -> PictureNode:
    state = states.get(node.name) or NodeState()
    share, reason = node_share(node, node.weight, state, now)
    return PictureNode(
        name=node.name,
        number=style.number,
        colour=style.colour,
        hatched=style.hatched,
        place=_rounded(place),
        label=_rounded(label),
        state=state.state,
        reason=state.reason,
        failing=state.failing,
        share=0.0 if reason else share,
        excluded=reason or None,
        override=overrides.get(node.name),
        load=loads.get(node.name),
        clients={part: each.nodes.get(node.name, 0.0) for part, each in parts.items()},
    )


def _rounded(place: tuple[float, float] | None) -> tuple[int, int] | None:
    return None if place is None else (round(place[0]), round(place[1]))


def _countries(part: PartShare) -> dict[str, PictureCountry]:
    countries = {}
    for line in part.countries:
        named = list(line.nodes.items())[:MOST_NODES]
        others = sum(list(line.nodes.values())[MOST_NODES:])
        times = line.times
        countries[line.country] = PictureCountry(
            clients=line.clients,
            share=line.share,
            nodes=named,
            others=others,
            measured=0.0 if times is None else times.share,
            got_ms=None if times is None else round(times.got_ms, 1),
            best_ms=None if times is None else round(times.best_ms, 1),
        )
    return countries
