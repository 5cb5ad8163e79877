"""What is left of each service when operators take nodes out: asked before it is done. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geosteer_loader.health import watchlist

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Emptied:
    """A map that would have no node left."""

    map: str
    services: tuple[str, ...]
    """That are answered by it."""
    all_down: str
    """`all` or `none`: what the map does then."""

    def __str__(self) -> str:
        """What will happen."""
        then = (
            "clients get no answer (all_down is none)"
            if self.all_down == "none"
            else "clients get all of its nodes again, whatever they were told (all_down is all)"
        )
        services = f" ({', '.join(self.services)})" if self.services else ""
        return f"map {self.map}{services} would have no node left: {then}"


def emptied(document: Mapping[str, Any], out: Collection[str], taken: Collection[str]) -> list[Emptied]:
    """Maps that have a node now and would have none.

    Args: document: as published; out: nodes that are out already; taken: nodes that would be taken out.
    """
    emptied_maps = []
    for weighted in watchlist.read(document).maps:
        nodes = weighted.weights.keys()
        if nodes - {*out} and not nodes - {*out, *taken}:
            services = sorted(
                name for name, service in document["services"].items() if service["map"] == weighted.name
            )
            all_down = document["maps"][weighted.name].get("all_down", "all")
            emptied_maps.append(Emptied(map=weighted.name, services=tuple(services), all_down=all_down))
    return emptied_maps
