"""What a worker can say without asking anybody: the names that exist, and the round robin of last resort."""

from __future__ import annotations

from geosteer import zones
from geosteer.decision.round_robin import RoundRobin, last_resort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer.sync.generation import Generation
    from geosteer.sync.tier import LastGood, Tier
    from geosteer.zones import Names


class Book:
    """Names and servers from the best that is known: a generation, the last good state on disk, or the worker's settings."""

    __slots__ = ("_abi", "_built", "_known", "_random", "names", "robin")

    def __init__(self, random: Callable[[int], int]) -> None:
        """Args: random: below(n), uniform in 0..n-1."""
        self._random = random
        self._abi = 0
        self._built = False
        self._known: Generation | LastGood | None = None
        self.names: Names = zones.Names(3, ())
        self.robin = RoundRobin((), random)

    def refresh(self, tier: Tier, abi: int) -> None:
        """Take in what the tier knows now, in the form that a version of the pipe protocol wants."""
        if tier.known is None:
            tier.load_last_good()
        if not self._built or tier.known is not self._known or abi != self._abi:
            self._known, self._abi, self._built = tier.known, abi, True
            self.names = _names(tier, abi)
        known, settings = self._known, tier.settings
        servers = last_resort(known.model.nodes.values() if known else (), tier.put_down(), settings.servers)
        if not self.robin.of(servers):
            self.robin = RoundRobin(servers, self._random)


def _names(tier: Tier, abi: int) -> Names:
    known, settings = tier.known, tier.settings
    if tier.generation is not None and abi >= 3:
        return tier.generation.names
    if known is not None:
        services, nodes = known.model.services.values(), known.model.nodes.values()
        names = zones.from_document(known.document, services, nodes, known.serial, abi)
    else:
        names = zones.from_document({}, (), (), 0, abi)
    if tier.generation is None:
        servers = settings.servers
        kinds = tuple(kind for kind in ("A", "AAAA") if any(server.has(kind) for server in servers))
        for zone, spec in settings.zones.items():
            if zone not in names.zones:
                names.add_partial(zone, spec, int(settings.modified), kinds, servers)
    return names
