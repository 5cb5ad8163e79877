"""What would be gone altogether: zones, services, nodes in use, tables and records that a publish would take away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geosteer.keys import TABLES, own_fields, roots
from geosteer.zones import absolute

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from geosteer.decision.model import Model

    Document = tuple[Mapping[str, Any], Model]
    """A configuration document, and what it says about decisions."""

SHOWN = 8
"""Names of each kind that a message has; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanished:
    """Names, each kind in alphabetical order."""

    zones: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    """Only those that a service's map lets be chosen, or that serve as a last resort."""
    tables: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    """Name and type (`ns1.a.example A`): static records but TXT, which come and go, of zones that stay; types of services."""

    def __bool__(self) -> bool:
        return bool(self.zones or self.services or self.nodes or self.tables or self.records)

    def __str__(self) -> str:
        """In words, for example `zone a.example; nodes ams1, lon1; table bgp`."""
        kinds = {
            "zone": self.zones, "service": self.services, "node": self.nodes, "table": self.tables,
            "record": self.records,
        }  # fmt: skip
        return "; ".join(_listed(kind, names) for kind, names in kinds.items() if names)


def vanished(
    published: Document | None, planned: Document, before: Mapping[str, str], after: Mapping[str, str]
) -> Vanished:
    """What the *published* configuration has and the *planned* one has not, and tables likewise.

    Args: published: None where nothing is published or it cannot be read; before, after: the fields of `current`.
    """
    tables = _gone(_tables(before), _tables(after))
    if published is None:
        return Vanished(tables=tables)
    (was, was_model), (now, now_model) = published, planned
    return Vanished(
        zones=_gone(was.get("zones") or (), now["zones"]),
        services=_gone(was["services"], now["services"]),
        nodes=_gone(_in_use(was_model), now["nodes"]),
        tables=tables,
        records=_gone(
            [*_static(was, now["zones"]), *_answers(was_model, now_model)],
            {*_static(now, now["zones"]), *_answers(now_model, was_model)},
        ),
    )


def _tables(fields: Mapping[str, str]) -> list[str]:
    return [name for name in TABLES if roots(own_fields(fields, name))]


def _in_use(model: Model) -> Iterable[str]:
    for area in {service.map: None for service in model.services.values()}:
        yield from (node.name for node, weight in area.everyone if weight > 0)
    yield from (node.name for node in model.nodes.values() if node.well_connected)


def _static(document: Mapping[str, Any], zones: Collection[str]) -> Iterator[str]:
    """Static records of those of its zones that are in *zones*."""
    for zone, spec in (document.get("zones") or {}).items():
        for record in spec.get("records") or () if zone in zones else ():
            if record["type"] != "TXT":
                yield f"{absolute(record['name'], zone)} {record['type']}"


def _answers(model: Model, other: Model) -> Iterator[str]:
    """What services have that are in both models, and answer with the same kind of record."""
    for name, service in model.services.items():
        if name in other.services and other.services[name].cname == service.cname:
            yield from (f"{name} {kind}" for kind in service.kinds)


def _gone(names: Iterable[str], left: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names).difference(left)))


def _listed(kind: str, names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{kind}{'s' if len(names) > 1 else ''} {', '.join(names[:SHOWN])}{more}"
