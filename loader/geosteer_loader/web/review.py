"""What a publish would change for the services that it moves most, by country: for a comment on a merge request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geosteer_loader.progress import Silent
from geosteer_loader.web.plan import change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from geosteer_loader.impact.traffic import Traffic
    from geosteer_loader.progress import Meter
    from geosteer_loader.publish.plan import Plan
    from geosteer_loader.publish.proposal import Proposal
    from geosteer_loader.store.store import Store
    from geosteer_loader.web.picture import Picture, PictureCountry

SERVICES = 5
"""Services that are told of by country; those that decide alike count as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountryChange:
    """The clients of one country."""

    country: str
    """Alpha-2 code; "": not known."""
    share: float
    """Of the service's clients, 0..1."""
    moved: float
    """The part of them that would get another node, 0..1."""
    before: list[tuple[str, float]]
    """Nodes with their part, 0..1, the largest first; none of a new service."""
    after: list[tuple[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReview:
    """One service, and those that decide alike."""

    services: tuple[str, ...]
    countries: Mapping[str, list[CountryChange]]
    """`v4`, `v6`, `clients` -> the countries whose clients move, those with most of them first."""
    before: Picture | None
    """None: it is not published yet."""
    after: Picture

    @property
    def part(self) -> str:
        """The clients that a picture of it shows."""
        return next((part for part in ("clients", "v4", "v6") if part in self.after.parts), "v4")


def reviews(
    plan: Plan,
    proposal: Proposal,
    store: Store,
    traffic: Traffic | None = None,
    meter: Callable[[str], Meter] = Silent,
    most: int = SERVICES,
) -> list[ServiceReview]:
    """The services that would move most, the most moved first; without any, the first one of all, for its picture.

    Raises: StoreError. ConfigError.
    """
    alike: dict[int, list[str]] = {}
    for service, parts in plan.impact.items():
        alike.setdefault(id(parts), []).append(service)
    groups = sorted(alike.values(), key=lambda group: (-_largest(plan, group[0]), group[0]))
    moving = [group for group in groups if _largest(plan, group[0]) > 0][:most]
    chosen = moving or groups[:1] or [[name] for name in sorted(proposal.document["services"])][:1]
    return [_review(tuple(group), proposal, store, traffic, meter) for group in chosen]


def _largest(plan: Plan, service: str) -> float:
    """The largest share of its clients, of any kind and moment, that would get another node."""
    return max(
        (
            shift[moment]["share_known"]
            for shift in plan.impact[service].values()
            for moment in ("all_up", "now")
        ),
        default=0.0,
    )


def _review(
    services: tuple[str, ...],
    proposal: Proposal,
    store: Store,
    traffic: Traffic | None,
    meter: Callable[[str], Meter],
) -> ServiceReview:
    with meter(services[0]) as shown:
        changed = change(proposal, store, services[0], traffic, shown.progress)
    return ServiceReview(
        services=services,
        countries={
            part: sorted(_countries(part, changed.before, changed.after, moved["countries"]), key=_weight)
            for part, moved in changed.moved.items()
        },
        before=changed.before,
        after=changed.after,
    )


def _countries(
    part: str, before: Picture | None, after: Picture, moved: Mapping[str, float]
) -> Iterator[CountryChange]:
    was: Mapping[str, PictureCountry] = before.parts.get(part, {}) if before else {}
    now = after.parts.get(part, {})
    for country, share in moved.items():
        old, new = was.get(country), now.get(country)
        yield CountryChange(
            country=country,
            share=new.share if new else old.share if old else 0.0,
            moved=share,
            before=old.nodes if old else [],
            after=new.nodes if new else [],
        )


def _weight(line: CountryChange) -> tuple[float, str]:
    return -line.share * line.moved, line.country
