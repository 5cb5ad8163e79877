"""Who could serve the clients of services with a `max_share`, counted from the tables, and the offsets that come of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from geosteer.decision.distribution import View
from geosteer.decision.model import KM_A_MS, Model
from geosteer.decision.policy import NEAR_PART, distance
from geosteer.decision.records import SLOWEST
from geosteer.keys import FAMILIES
from geosteer_loader.impact.joint_tables import Side, Sweep
from geosteer_loader.impact.max_share import Kind, Solver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geosteer.decision.distribution import Projected
    from geosteer.decision.model import Entries, Service
    from geosteer_loader.impact.joint_tables import Case, Family
    from geosteer_loader.impact.max_share import Outcome
    from geosteer_loader.impact.table_diff import Roots
    from geosteer_loader.store.pages import Pages

STEPS = {"nearest": 10.0, "latency": 1.0}
"""Policy -> width of a catchment's edge: kilometres, or milliseconds."""


@dataclass(slots=True)
class Placed:
    """What is to be published, by service."""

    offsets: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """Service -> node that is pushed away -> `add`, `edge`, `keep`."""
    over_share: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """Service -> node with more than its `max_share` -> `share` that it has, and `bound`, which no offset takes from it."""


def limited(services: Mapping[str, Any]) -> dict[str, Any]:
    """The services of a configuration document some of whose nodes have a `max_share`."""
    return {name: spec for name, spec in services.items() if spec.get("max_share")}


def place(document: Mapping[str, Any], pages: Pages, roots: Mapping[str, Roots]) -> Placed:
    """The offsets that keep nodes to their `max_share` of the clients that the tables know, while all nodes are up.

    Clients are addresses of IPv4; /48s of IPv6 where the tables know no IPv4.

    Args: roots: field of `current` (`geo.v4`) -> digest of the root page before and after, None where there is none.
    Raises: CorruptPage: a page is missing or damaged. StoreError.
    """
    placed = Placed()
    services = limited(document["services"])
    if not services:
        return placed
    model = Model({**document, "services": services})
    side = Side(model=model, after=True)
    sweep = Sweep(pages, {name: (now, now) for name, (_, now) in roots.items()}, side, side)
    families = sweep.families()
    counted = [_counted(families[suffix]) for suffix in FAMILIES]
    for number, names in enumerate(sweep.alike.values()):
        seen = next(filter(None, (_known(sweep, number, cases) for cases in counted)), {})
        solved: dict[object, Outcome] = {}
        for name in names:  # those that rank alike may have limits of their own
            service, caps = model.services[name], services[name]["max_share"]
            same = tuple(sorted(caps.items())), service.kinds[:1]
            if same not in solved:
                kinds = (
                    kind
                    for facts, size in seen.items()
                    for kind in _kinds(
                        service, View(service, dict(zip(sweep.tables, facts, strict=True))), size
                    )
                )
                solved[same] = Solver(kinds, caps, STEPS[service.policy]).solve()
            _note(service, solved[same], placed)
    return placed


def _counted(family: Family) -> dict[Case, int]:
    """How many addresses of a family are of each case."""
    sizes: dict[Case, int] = {}
    for start, end, case in family.spans():
        sizes[case] = sizes.get(case, 0) + end - start
    return sizes


def _known(sweep: Sweep, number: int, cases: Mapping[Case, int]) -> dict[tuple[Projected, ...], int]:
    """What services that decide alike see of those clients of whom some table says something -> how many they are."""
    seen: dict[tuple[Projected, ...], int] = {}
    for case, size in cases.items():
        letters = [
            sweep.alphabets[table].projected[letter]
            for table, letter in zip(sweep.tables, case, strict=False)
        ]
        if any(speaks and facts[number] for _, facts, speaks in letters):
            facts_of_all = tuple([facts[number] for _, facts, _ in letters])
            seen[facts_of_all] = seen.get(facts_of_all, 0) + size
    return seen


def _note(service: Service, outcome: Outcome, placed: Placed) -> None:
    step = STEPS[service.policy]
    if outcome.levels:
        placed.offsets[service.name] = {
            node: {"add": level.add(step), "edge": level.edge(step), "keep": level.keep}
            for node, level in outcome.levels.items()
        }
    if outcome.over:
        placed.over_share[service.name] = {
            node: {"share": round(share, 4), "bound": round(outcome.bound[node], 4)}
            for node, share in outcome.over.items()
        }


def _kinds(service: Service, view: View, size: int) -> Iterator[Kind]:
    """The clients of whom *view* is known, with what can be said of them: nothing where all rank as in `best`."""
    kind = service.kinds[0] if service.kinds else "A"
    entries: Entries = next(
        (
            entries
            for _, entries in (*view.layers, ("any", service.map.everyone))
            if any(weight > 0 and node.has(kind) for node, weight in entries)
        ),
        (),
    )
    usable = [(node, weight) for node, weight in entries if weight > 0 and node.has(kind)]
    if not usable:
        return
    factors = service.factors
    times = view.times if service.policy == "latency" else {}
    fine = [(node, weight) for node, weight in usable if times.get(node.name, 0) <= SLOWEST] or usable
    timed = [(node, weight) for node, weight in fine if node.name in times]
    if timed:
        yield Kind(
            size,
            tuple([node.name for node, _ in timed]),
            tuple([times[node.name] * factors.get(node.name, 1.0) for node, _ in timed]),
            tuple([weight for _, weight in timed]),
            (service.equal_ms,) * len(timed),
            service.equal_percent / 100,
        )
        return
    unit = KM_A_MS if service.policy == "latency" else 1.0
    here = view.place
    yield Kind(
        size,
        tuple([node.name for node, _ in fine]),
        tuple(
            [
                distance(here, node.location) * factors.get(node.name, 1.0) / unit
                if here is not None
                else 0.0
                for node, _ in fine
            ]
        ),
        tuple([weight for _, weight in fine]),
        tuple([(service.near_km if node.near_km is None else node.near_km) / unit for node, _ in fine]),
        NEAR_PART,
        fixed=here is None,
    )
