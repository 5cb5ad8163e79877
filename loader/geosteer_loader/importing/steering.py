"""What a name's clients get, in the terms of the system it comes from, and the map and service that say the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geosteer_loader.importing.draft import Map, ranked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.importing.draft import Draft, Weights

    Ranking = list[Weights]
    """Groups of nodes, best first; within a group clients are drawn by weight."""

MOST_ANSWERS = 8
"""Of `max_answers`."""


@dataclass(slots=True)
class Steering:
    """Who gets whom."""

    default: Ranking
    layers: dict[str, dict[str, Ranking]] = field(default_factory=dict)
    """Layer -> key -> ranking."""
    answers: int = 1
    """Nodes that one answer names."""
    nearest: bool = False
    """Nodes are ranked by distance, those of no known place by the order given."""
    order: tuple[str, ...] = ()
    """The layers in the order asked; empty: the usual one."""
    name: str = ""
    """Of the original's map, where it has one."""

    def rankings(self) -> Iterator[tuple[str, Ranking]]:
        """Each with its place."""
        for layer, keys in self.layers.items():
            for key, ranking in keys.items():
                yield f"{layer}.{key}", ranking
        yield "default", self.default


def service(
    draft: Draft, name: str, steering: Steering, ttl: int, least: int | None, place: str, map_name: str
) -> None:
    """Add a service, with a map that does what *steering* says.

    Args: ttl, least: seconds; place: of the original, for what is lost; map_name: a name for the map, if it is a new one.
    """
    cname = _one_kind(draft, steering, place)
    if not steering.default:
        draft.lose(place, "no nodes are left, and the name is left out")
        return
    uneven = any(len(set(group.values())) > 1 for _, ranking in steering.rankings() for group in ranking)
    spread = uneven and not steering.nearest
    made = Map(order=steering.order)
    for where, ranking in steering.rankings():
        if spread and len(ranking) > 1:
            draft.lose(
                place,
                f"{where}: clients are drawn by weight, and of a ranking of such groups the first is kept",
            )
        if steering.nearest and where != "default" and len(ranking) > 1:
            draft.lose(place, f"{where}: a ranking by hand beside one by distance becomes one by distance")
        weights = dict(ranking[0]) if spread else ranked(ranking)
        layer, _, key = where.partition(".")
        if key:
            made.add(layer, key, weights)
        else:
            made.default = weights
    spec: dict[str, object] = {"map": draft.add_map(steering.name or map_name, made)}
    if spread:
        spec["policy"] = "weighted"
    elif steering.nearest:
        spec.update(policy="nearest", near_km=0, country_middle=False)
    spec["ttl"] = ttl
    if least is not None:
        spec["ttl_min"] = min(least, ttl)
    if cname:
        spec["answer"] = "cname"
    elif steering.answers > 1:
        if steering.answers > MOST_ANSWERS:
            draft.lose(place, f"{steering.answers} nodes in one answer: {MOST_ANSWERS} at most")
        spec["max_answers"] = min(steering.answers, MOST_ANSWERS)
    draft.services[name] = spec


def _one_kind(draft: Draft, steering: Steering, place: str) -> bool:
    """Have all nodes answer with addresses, or all with a CNAME; whether with a CNAME."""
    nodes = {node for _, ranking in steering.rankings() for group in ranking for node in group}
    bare = {node for node in nodes if not (draft.nodes[node].a or draft.nodes[node].aaaa)}
    if bare and bare != nodes:
        for node in sorted(bare):
            draft.lose(place, f"node {node} is a name among addresses, and is left out")
        steering.default = _without(steering.default, bare)
        for keys in steering.layers.values():
            for key, ranking in list(keys.items()):
                keys[key] = _without(ranking, bare)
                if not keys[key]:
                    del keys[key]
    return bool(bare) and bare == nodes


def _without(ranking: Ranking, names: set[str]) -> Ranking:
    groups = [{node: weight for node, weight in group.items() if node not in names} for group in ranking]
    return [group for group in groups if group]
