"""All that decides about a service's clients at one moment, and the map that comes of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geosteer.decision.model import Model
from geosteer.timestamps import format_time
from geosteer_loader.health import overrides
from geosteer_loader.query.context import loads_of
from geosteer_loader.query.who import ServiceClients
from geosteer_loader.store import current as published
from geosteer_loader.store import node_states
from geosteer_loader.store.pages import Pages
from geosteer_loader.web.picture import Picture, node_styles, picture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from geosteer.decision.node_state import NodeState
    from geosteer_loader.query.past import Timeline
    from geosteer_loader.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is published, and how the nodes are."""

    fields: Mapping[str, str]
    """Of `current`."""
    document: Mapping[str, Any]
    states: Mapping[str, NodeState]
    overrides: Mapping[str, dict[str, Any]]
    """Those in force."""
    loads: Mapping[str, float]
    """Node -> its load in parts of its capacity."""
    now: float
    """Seconds since 1970, by Redis."""
    doubts: Sequence[str] = ()
    """Of the past: what is not certain, one line each."""

    @property
    def generation(self) -> int:
        """The number of what is published."""
        return published.number(self.fields, "generation")


def live(store: Store) -> Moment:
    """As it is now. Raises: StoreError: nothing usable is published, or Redis failed."""
    fields = published.read(store)
    document = published.document(store, fields)
    now = store.now()
    return Moment(
        fields=fields,
        document=document,
        states=node_states.read(store, document["nodes"]).states,
        overrides=overrides.read(store, now),
        loads=loads_of(store, document),
        now=now,
    )


def past(timeline: Timeline, at: float) -> Moment:
    """As it was. Args: at: seconds since 1970.

    Raises: OutOfReach: history or journal do not tell. ConfigError: it lies in the future. StoreError.
    """
    then = timeline.at(at)
    return Moment(
        fields=then.entry.fields,
        document=then.document,
        states=then.states,
        overrides={
            name: said
            for name, text in then.overrides.items()
            if name in then.states
            and then.states[name].forced(at)
            and isinstance(said := json.loads(text), dict)
        },
        loads={},
        now=at,
        doubts=then.doubts,
    )


def clients_of(
    store: Store, moment: Moment, name: str, progress: Callable[[int, int], None] | None = None
) -> ServiceClients:
    """The clients of a service. Raises: ConfigError: no such service. StoreError."""
    side = moment.fields, moment.document
    return ServiceClients(Pages(store), side, side, name, progress=progress)


def drawn(moment: Moment, clients: ServiceClients) -> Picture:
    """The map of a service at a moment."""
    countries = clients.by_country(moment.states, moment.now)
    names = [node.name for node in clients.service.map.nodes]
    return picture(
        clients.service,
        countries,
        moment.states,
        moment.overrides,
        moment.loads,
        moment.now,
        time=format_time(moment.now),
        generation=moment.generation,
        looks=node_styles(names, countries),
    )


def services_of(moment: Moment) -> list[str]:
    """Every service that is published."""
    return sorted(Model(dict(moment.document)).services)
