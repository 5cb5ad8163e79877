"""The map before and after the next publish, and which clients would get another node."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geosteer.decision.model import Model
from geosteer.timestamps import format_time
from geosteer_loader.config.diff import differences, line
from geosteer_loader.health import overrides
from geosteer_loader.impact.service_change import MOMENTS
from geosteer_loader.impact.service_change import shares as moved_shares
from geosteer_loader.progress import Silent
from geosteer_loader.publish.guards import examine
from geosteer_loader.publish.proposal import propose
from geosteer_loader.query.context import loads_of
from geosteer_loader.query.who import ServiceClients
from geosteer_loader.store import current as published
from geosteer_loader.store import node_states
from geosteer_loader.web.picture import node_styles, picture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geosteer_loader.config.config import Config
    from geosteer_loader.impact.service_change import Shift
    from geosteer_loader.impact.traffic import Traffic
    from geosteer_loader.publish.proposal import Proposal
    from geosteer_loader.store.store import Store
    from geosteer_loader.web.picture import Picture

NOW = MOMENTS[1]
LINES = 50
"""Differences of the configuration that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceChange:
    """What a publish would change for one service."""

    before: Picture | None
    """None: it is not published."""
    after: Picture
    moved: dict[str, dict[str, Any]]
    """Part -> `total` and, by country, the share of its clients that would get another node, 0..1, where there are any."""


def planned(config: Config, store: Store, name: str) -> dict[str, Any]:
    """The pictures before and after, the share of clients that move by country, and what `geosteer plan` says besides.

    Args: name: of the service.
    Raises: ConfigError: the configuration has no such service, or cannot be used. SourceError. StoreError.
    """
    proposal = propose(config, store, published.read(store, repairing=True), Silent)
    examined = examine(config, store, proposal)
    changed = change(proposal, store, name)
    return {
        "before": changed.before.to_json() if changed.before else None,
        "after": changed.after.to_json(),
        "moved": changed.moved,
        "guarded": moved_shares(examined.impact).get(name, 0.0),
        "changed": proposal.changed,
        "config": [
            line(each) for each in differences(proposal.known.document, json.loads(proposal.text))[:LINES]
        ],
        "refused": [f"{finding.guard}: {finding.finding}" for finding in examined.findings],
        "warnings": examined.warnings,
    }


def change(
    proposal: Proposal,
    store: Store,
    name: str,
    traffic: Traffic | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ServiceChange:
    """The pictures before and after of one service, and whom of its clients the publish would move.

    Raises: ConfigError: the proposal has no such service. StoreError.
    """
    after = proposal.after, proposal.document
    known = proposal.known.document
    before = (proposal.before, known) if known is not None and name in known["services"] else after
    clients = ServiceClients(proposal.pages(store), before, after, name, traffic, progress)
    now = store.now()
    states = node_states.read(store, {**before[1]["nodes"], **after[1]["nodes"]}).states
    countries = clients.by_country(states, now)
    sides = Model(dict(before[1])).services[name], clients.service
    looks = node_styles({node.name for service in sides for node in service.map.nodes}, countries)
    pictures = [
        picture(
            service,
            countries,
            states,
            overrides.read(store, now),
            loads_of(store, document),
            now,
            time=format_time(now),
            generation=generation,
            looks=looks,
            before=generation is not None,
        )
        for service, document, generation in (
            (sides[0], before[1], published.number(proposal.before, "generation")),
            (sides[1], after[1], None),
        )
    ]
    return ServiceChange(
        before=pictures[0] if before is not after else None, after=pictures[1], moved=_moved(countries)
    )


def _moved(countries: Mapping[str, Mapping[str, Shift]]) -> dict[str, dict[str, Any]]:
    """As `ServiceChange.moved`."""
    moved: dict[str, dict[str, Any]] = {}
    for part in dict.fromkeys(part for each in countries.values() for part in each):
        rows = {country: each[part] for country, each in countries.items() if part in each}
        known = sum(shift.known for shift in rows.values())
        total = known or sum(shift.total for shift in rows.values())
        amounts = {
            country: (shift.moved_known if known else shift.moved).get(NOW, 0.0)
            for country, shift in rows.items()
        }
        sizes = {country: shift.known if known else shift.total for country, shift in rows.items()}
        moved[part] = {
            "total": sum(amounts.values()) / total if total else 0.0,
            "countries": {
                country: amount / sizes[country]
                for country, amount in amounts.items()
                if amount and sizes[country]
            },
        }
    return moved
