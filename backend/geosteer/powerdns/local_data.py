"""The names that a worker knows to exist, without asking anybody."""

from __future__ import annotations

from geosteer import zones

TYPE_CHECKING = False
if TYPE_CHECKING:
    from geosteer.sync.tier import Tier
    from geosteer.zones import Names


def names_known(tier: Tier, abi: int) -> Names:
    """Names from the best that is known: a generation, the last good state on disk, or the worker's settings.

    Args: abi: the version of the pipe protocol in whose form the replies are.
    """
    known, settings = tier.known, tier.settings
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
        document = known.document.get("zones") or {} if known is not None else {}
        names.add_cuts({**settings.zones, **document})
    return names
