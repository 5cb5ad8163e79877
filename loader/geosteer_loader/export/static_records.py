"""What a zone holds that is the same for everybody, as records: exports to name servers share it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from geosteer.zones import NODE_TTL
from geosteer_loader.config.dns_names import parents, zone_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from geosteer.decision.model import Service
    from geosteer.decision.service_binding import Binding
    from geosteer.sync.generation import Generation
    from geosteer_loader.export.bundle import Bundle


class Static(NamedTuple):
    """One record."""

    name: str
    """Absolute, without the final dot."""
    kind: str
    content: str
    """In presentation form."""
    ttl: int


def static_records(generation: Generation, zone: str) -> list[Static]:
    """SOA and NS, then the configured records, then the addresses of nodes whose host names lie in the zone."""
    zones: Mapping[str, Any] = generation.document["zones"]
    spec = zones[zone]
    soa = {"refresh": 3600, "retry": 600, "expire": 604800, "minimum": 30, **spec["soa"]}
    times = " ".join(str(soa[key]) for key in ("refresh", "retry", "expire", "minimum"))
    content = f"{soa['mname']} {soa['rname']} {generation.serial} {times}"
    records = [Static(zone, "SOA", content, soa.get("ttl", 300))]
    records += [Static(zone, "NS", server, spec.get("ns_ttl", 3600)) for server in spec["ns"]]
    for record in spec.get("records") or ():
        records.append(Static(record["name"], record["type"], record["content"], record.get("ttl", 3600)))
    cuts = {record.name for record in records if record.kind == "NS" and record.name != zone}
    for node in generation.model.nodes.values():
        name = node.hostname
        if name and zone_of(name, zones) == zone and not any(above in cuts for above in parents(name)):
            for kind in ("A", "AAAA"):
                records += [Static(name, kind, address, NODE_TTL) for address in node.contents(kind)]
    return records


def hinted(service: Service, contents: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    """Type and content of the HTTPS records at a service's own name, with its answer's addresses as hints.

    Args: contents: of the answer, by record type.
    """
    addresses = [(kind, content) for kind, several in contents.items() for content in several]
    return [
        (binding.kind, binding.content(addresses)) for binding in service.bindings if _own(service, binding)
    ]


def without_hints(bundle: Bundle, service: Service, *, own: bool) -> list[Static]:
    """HTTPS and SVCB records of a service where they have to be the same for everybody; that there are no hints is lost.

    Args: own: those at the service's own name too, not only at names below it.
    """
    records = []
    for binding in service.bindings:
        if own or not _own(service, binding):
            records.append(Static(binding.owner, binding.kind, binding.content(()), service.ttl))
            if binding.hinted:
                setting = "https" if _own(service, binding) else "svcb"
                bundle.lose(
                    f'services."{service.name}".{setting}',
                    "the records have no hints: they are the same for every client",
                )
    return records


def _own(service: Service, binding: Binding) -> bool:
    return binding.owner == service.name
