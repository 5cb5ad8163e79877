"""What would be gone altogether: zones, services, nodes in use and whole tables that a publish would take away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geosteer.decision.model import Model
from geosteer.keys import TABLES, own_fields, roots

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

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

    def __bool__(self) -> bool:
        return bool(self.zones or self.services or self.nodes or self.tables)

    def __str__(self) -> str:
        """In words, for example `zone a.example; nodes ams1, lon1; table bgp`."""
        kinds = {"zone": self.zones, "service": self.services, "node": self.nodes, "table": self.tables}
        return "; ".join(_listed(kind, names) for kind, names in kinds.items() if names)


def vanished(
    published: Mapping[str, Any] | None,
    planned: Mapping[str, Any],
    before: Mapping[str, str],
    after: Mapping[str, str],
) -> Vanished:
    """What the *published* configuration document has and the *planned* one has not, and tables likewise.

    Args: published: None where nothing is published or it cannot be read; before, after: the fields of `current`.
    Raises: CorruptPage: *published* is no configuration document.
    """
    tables = _gone(_tables(before), _tables(after))
    if published is None:
        return Vanished(tables=tables)
    return Vanished(
        zones=_gone(published.get("zones") or (), planned["zones"]),
        services=_gone(published["services"], planned["services"]),
        nodes=_gone(_in_use(Model(published)), planned["nodes"]),
        tables=tables,
    )


def _tables(fields: Mapping[str, str]) -> list[str]:
    return [name for name in TABLES if roots(own_fields(fields, name))]


def _in_use(model: Model) -> Iterable[str]:
    for service in model.services.values():
        yield from (node.name for node, weight in service.map.everyone if weight > 0)
    yield from (node.name for node in model.nodes.values() if node.well_connected)


def _gone(names: Iterable[str], left: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names).difference(left)))


def _listed(kind: str, names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{kind}{'s' if len(names) > 1 else ''} {', '.join(names[:SHOWN])}{more}"
