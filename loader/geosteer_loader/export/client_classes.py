"""Clients in classes: those for whom a set of services has the same to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer_loader.export.distribution import Walk, lengths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer.decision.model import Service
    from geosteer_loader.export.compiled_tables import Cells, Records
    from geosteer_loader.export.published_state import Picture

    Key = tuple[Any, ...]


class Classes:
    """Tells clients apart as far as the services do.

    A class does not depend on node states, but where the policy is `nearest`.
    """

    def __init__(self, picture: Picture, services: Sequence[Service], cells: Cells) -> None:
        self._picture = picture
        self._services = services
        self._tables = cells.tables
        self.sample: dict[Key, Records] = {}
        """Class -> records of some of its clients."""

    def walk(self, service: Service, records: Records) -> Walk:
        """The way of clients with those records through a service's map."""
        generation = self._picture.generation
        said = dict(zip(self._tables, records, strict=True))
        return Walk(generation.director, service, said, self._picture.states, self._picture.now)

    def key(self, records: Records) -> Key:
        """What tells the class of clients with those records from others."""
        key = tuple(self._part(service, records) for service in self._services)
        self.sample.setdefault(key, records)
        return key

    def _part(self, service: Service, records: Records) -> Key:
        walk = self.walk(service, records)
        if service.policy == "nearest":
            # Places are too many to have a class each; what they come to is one of few.
            settled = walk.settled()
            if settled is not None:
                return tuple((kind, *(node.name for node in nodes)) for kind, nodes in settled.items())
            return tuple(
                (kind, *sorted((node.name, round(part, 6)) for node, part in walk.chances(kind).items()))
                for kind in service.kinds
            )
        named = tuple(layer for layer, _ in walk.named())
        if service.policy != "path":
            return named
        seen = lengths(dict(zip(self._tables, records, strict=True)).get("path", ""))
        vantages = sorted({node.vantage or node.name for node in service.map.nodes} & seen.keys())
        return (*named, *((vantage, seen[vantage]) for vantage in vantages))
