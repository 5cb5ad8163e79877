"""Address space of which no place (policy `nearest`) or no path length (`path`) is known: nodes rank as in `best` there."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from geosteer.decision.records import lengths_of, place_of
from geosteer.keys import FAMILIES, root_field
from geosteer_loader.impact.coverage import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from geosteer.decision.model import Model, Service
    from geosteer_loader.sources.source import Row

WORTH_TELLING = 0.01
"""Of the addresses that a table knows; a smaller share is no warning."""

SAMPLE = 20000
"""Networks of a source that are looked at before anything is built from it."""

PLACED, COUNTRY, NOWHERE = "placed", "country", "nowhere"


def unplaced(model: Model, fields: Mapping[str, str], fetch: Callable[[str], bytes | None]) -> list[str]:
    """A warning for all services that suffer alike.

    Args: fields: of `current`; fetch: a page by its digest.
    Raises: CorruptPage: a page is missing or damaged. StoreError.
    """
    warnings: dict[object, str] = {}
    services: dict[str, list[str]] = {}
    for service in model.services.values():
        if service.policy not in {"nearest", "path"} or len(service.map.usable) < 2:
            continue
        key = _vantages(service) if service.policy == "path" else bool(service.middles)
        if key not in warnings:
            warnings[key] = _published(service, fields, fetch)
        if warnings[key]:
            services.setdefault(warnings[key], []).append(service.name)
    return [f"{warning} ({', '.join(sorted(names))})" for warning, names in services.items()]


def unplaced_rows(service: Service, sources: Iterable[Iterable[Row]]) -> str:
    """The warning for a service of policy `nearest`, by the first rows of each source of `geo`; "" if there is none.

    One source alone says little: a list of corrections has no places, and a database may have one family.

    Raises: SourceError.
    """
    placing = _placing(service)
    counts: dict[int, Counter[str]] = {bits: Counter() for bits in FAMILIES.values()}
    for rows in sources:
        for bits, _, length, record in islice(rows, SAMPLE):
            if record:
                counts[bits][placing(record)] += 1 << (bits - length)
    warnings = [_worded(service.policy, counts[bits], suffix) for suffix, bits in FAMILIES.items()]
    return next(filter(None, warnings), "")


def _published(service: Service, fields: Mapping[str, str], fetch: Callable[[str], bytes | None]) -> str:
    table = "geo" if service.policy == "nearest" else "path"
    for suffix, bits in FAMILIES.items():
        root = fields.get(root_field(table, bits))
        if root is not None:
            return _worded(service.policy, Tally(fetch, _placing(service)).count(root), suffix)
    return ""


def _vantages(service: Service) -> frozenset[str]:
    return frozenset(node.vantage or node.name for node in service.map.nodes)


def _placing(service: Service) -> Callable[[str], str]:
    if service.policy == "path":
        vantages = _vantages(service)
        return lambda record: NOWHERE if vantages.isdisjoint(lengths_of(record)) else PLACED

    def placing(record: str) -> str:
        if place_of(record) is not None:
            return PLACED
        return NOWHERE if place_of(record, service.middles) is None else COUNTRY

    return placing


def _worded(policy: str, counts: Counter[str], suffix: str) -> str:
    """The warning for a family of a table, given its numbers of addresses; "" where too few are concerned."""
    total = counts.total()
    lost = total - counts[PLACED]
    if lost < max(1, WORTH_TELLING * total):
        return ""
    family = "IPv4" if suffix == "v4" else "IPv6"
    if policy == "path":
        return (
            f"policy path: of {lost / total:.1%} of the {family} addresses in path no vantage point of a node knows the "
            "length; nodes rank as in best there"
        )
    told = []
    if counts[COUNTRY]:
        told.append(f"{counts[COUNTRY] / total:.1%} count as in the middle of their country")
    if counts[NOWHERE]:
        told.append(f"for {counts[NOWHERE] / total:.1%} nodes rank as in best")
    return f"policy nearest: {lost / total:.1%} of the {family} addresses in geo have no place; {', '.join(told)}"
