"""`geosteer who`: which node serves which part of a service's clients, by country; the figures that `plan` gives."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from geosteer.decision.model import Model
from geosteer.errors import CorruptPage, StoreError
from geosteer.keys import FAMILIES, TABLES, root_field
from geosteer.timestamps import format_time
from geosteer_loader.impact.joint_tables import Side
from geosteer_loader.impact.measure import Survey
from geosteer_loader.impact.service_change import NOISE, RoundTrips, Shift
from geosteer_loader.progress import Silent
from geosteer_loader.query.explain import find_service
from geosteer_loader.store import current as published
from geosteer_loader.store import node_states
from geosteer_loader.store.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geosteer.decision.model import Service
    from geosteer.decision.node_state import NodeState
    from geosteer_loader.impact.service_change import Impact
    from geosteer_loader.impact.traffic import Traffic
    from geosteer_loader.progress import Meter
    from geosteer_loader.store.store import Store

CLIENTS = "clients"
"""The part that counts the clients of a file, beside the families."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredTimes:
    """Round-trip times of clients, of those of whose node one is known."""

    share: float
    """Those, as part of the clients, 0..1."""
    got_ms: float
    """Their mean time to the nodes that they get."""
    best_ms: float
    """The same if each got the best node that is known for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountryShare:
    """The clients of one country."""

    country: str
    """Alpha-2 code; "": the tables know them, but not their country."""
    clients: float
    """Addresses (IPv4), /48s (IPv6), or the count of those given."""
    share: float
    """Of all clients, 0..1."""
    nodes: dict[str, float]
    """Node -> its part of the country's clients, 0..1, the largest first."""
    times: MeasuredTimes | None
    """None: no time of any is known, or the service's policy is not `latency`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartShare:
    """The clients of one family, or those of a file."""

    clients: float
    """Of those known to the tables that the service asks; of all where none is known."""
    nodes: dict[str, float]
    """Node -> its part of them, 0..1, the largest first."""
    times: MeasuredTimes | None
    """None: no time of any is known, or the service's policy is not `latency`."""
    countries: list[CountryShare]
    """The largest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who serves a service's clients."""

    service: str
    map: str
    policy: str
    generation: int
    time: str
    """Of the nodes' states, ISO 8601 UTC by Redis."""
    parts: dict[str, PartShare]
    """`v4`, `v6` or `clients` -> who has them."""

    def to_json(self) -> dict[str, Any]:
        """As `geosteer who --json` prints it: the fields above, by their names."""
        return asdict(self)


class ServiceClients:
    """The clients of one service in one generation, or in two; found once, and decided for any states of the nodes."""

    def __init__(
        self,
        pages: Pages,
        before: tuple[Mapping[str, str], Mapping[str, Any]],
        after: tuple[Mapping[str, str], Mapping[str, Any]],
        name: str,
        traffic: Traffic | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Args: before, after: fields of `current` and the configuration document of two generations, or of the same one.

        Raises: StoreError: pages are absent or damaged, or Redis failed. ConfigError: no such service.
        """
        service = find_service(Model(dict(after[1])), name)
        first = Side(model=_only(before[1], service.name), after=False)
        second = Side(model=_only(after[1], service.name), after=True)
        self.service: Service = second.model.services[service.name]
        self.model = second.model
        fields = [root_field(table, bits) for table in TABLES for bits in FAMILIES.values()]
        roots = {field: (before[0].get(field), after[0].get(field)) for field in fields}
        try:
            self._survey = Survey(pages, roots, first, second, traffic, by_country=True, progress=progress)
        except CorruptPage as exc:
            raise StoreError(f"{exc} (geosteer publish writes it again)") from exc

    def by_country(self, states: Mapping[str, NodeState], now: float) -> dict[str, dict[str, Shift]]:
        """Country -> `v4`, `v6`, `clients` -> what becomes of its clients from before to after."""
        impacts: Mapping[str, Impact] = self._survey.by_country(states, now)
        return {country: impact.get(self.service.name, {}) for country, impact in impacts.items()}


def shares(
    countries: Mapping[str, Mapping[str, Shift]], moment: str = "now", *, before: bool = False
) -> dict[str, PartShare]:
    """Part -> who has its clients, out of what `ServiceClients.by_country` returns.

    Args: moment: `now`, or `all_up`; before: the first of the two generations.
    """
    parts: dict[str, PartShare] = {}
    for part in dict.fromkeys(part for each in countries.values() for part in each):
        rows = {country: each[part] for country, each in countries.items() if part in each}
        known = sum(shift.known for shift in rows.values())
        sizes = {country: shift.known if known else shift.total for country, shift in rows.items()}
        total = sum(sizes.values())
        if not total:
            continue
        amounts: dict[str, float] = {}
        times = RoundTrips()
        lines = []
        for country, shift in rows.items():
            size = sizes[country]
            if not size:
                continue
            nodes = (shift.before if before else shift.after).get(moment, {})
            for node, amount in nodes.items():
                amounts[node] = amounts.get(node, 0.0) + amount
            of_country = shift.times_before if before else shift.times_after
            times.add(of_country.clients, of_country.got, of_country.best)
            lines.append(
                CountryShare(
                    country=country,
                    clients=size,
                    share=size / total,
                    nodes=_parts(nodes, size),
                    times=_times(of_country, size),
                )
            )
        lines.sort(key=lambda line: (-line.clients, line.country))
        parts[part] = PartShare(
            clients=total, nodes=_parts(amounts, total), times=_times(times, total), countries=lines
        )
    return parts


def who(
    store: Store, name: str, traffic: Traffic | None = None, meter: Callable[[str], Meter] = Silent
) -> Who:
    """Who serves the clients of a service now.

    Args: traffic: clients to be counted in place of address space.
    Raises: ConfigError: no such service. StoreError: Redis failed, or nothing usable is published.
    """
    fields = published.read(store)
    document = published.document(store, fields)
    with meter("tables") as shown:
        clients = ServiceClients(
            Pages(store), (fields, document), (fields, document), name, traffic, shown.progress
        )
    now = store.now()
    states = node_states.read(store, clients.model.nodes).states
    parts = shares(clients.by_country(states, now))
    return Who(
        service=clients.service.name,
        map=clients.service.map.name,
        policy=clients.service.policy,
        generation=published.number(fields, "generation"),
        time=format_time(now),
        parts={part: share for part, share in parts.items() if (part == CLIENTS) == (traffic is not None)},
    )


def _only(document: Mapping[str, Any], name: str) -> Model:
    """A configuration with that service alone: the others need not be decided."""
    services = document["services"]
    return Model({**document, "services": {name: services[name]} if name in services else {}})


def _times(told: RoundTrips, size: float) -> MeasuredTimes | None:
    if told.clients <= NOISE * size:
        return None
    return MeasuredTimes(
        share=min(1.0, told.clients / size), got_ms=told.got / told.clients, best_ms=told.best / told.clients
    )


def _parts(amounts: Mapping[str, float], size: float) -> dict[str, float]:
    ordered = sorted(amounts.items(), key=lambda item: (-item[1], item[0]))
    return {node: amount / size for node, amount in ordered if amount > NOISE * size}
