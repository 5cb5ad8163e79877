"""Zone files as gdnsd reads them (gdnsd.zonefile(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.exception
import dns.rdata

from geosteer.timestamps import format_time
from geosteer_loader.config.dns_names import within, zone_of
from geosteer_loader.export.static_records import static_records, without_hints

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from geosteer_loader.export.bundle import Bundle
    from geosteer_loader.export.gdnsd_config import Area
    from geosteer_loader.export.published_state import Picture

_TYPES = {"SOA", "A", "AAAA", "NS", "PTR", "CNAME", "MX", "SRV", "TXT", "NAPTR", "CAA"}
"""Types that gdnsd has; others are written as RFC 3597 has them."""
_HOSTS = {"NS", "CNAME", "PTR", "MX", "SRV", "SOA", "NAPTR"}
"""Types whose content ends in a name, which is absolute."""


def zone_file(bundle: Bundle, picture: Picture, zone: str, tops: Sequence[str], areas: Iterable[Area]) -> str:
    """A zone's file, with what the zones within it hold."""
    zones = picture.generation.document["zones"]
    # the DS of a zone within has nothing to sign for where both are one
    records = [
        record
        for record in static_records(picture.generation, zone)
        if record.kind != "DS" or record.name not in zones
    ]
    for inner in zones:
        if inner != zone and within(inner, zone):
            bundle.lose(f'zones."{inner}"', f"gdnsd has no nested zones: its records are written to {zone}")
            records += [
                record
                for record in static_records(picture.generation, inner)
                if record.name not in zones or record.kind not in {"SOA", "NS", "DS"}
            ]
    addressed = {record.name for record in records if record.kind in {"A", "AAAA"}}
    place = f'zones."{zone}"'
    number, when = picture.generation.number, format_time(picture.generation.serial)
    lines = [f"; Made by geosteer of generation {number}, published {when}; the next export overwrites it."]
    for name, kind, content, ttl in records:
        if kind == "NS" and within(content, zone) and content not in addressed:
            bundle.lose(place, f"name server {content} has no static address, and is left out")
            continue
        written = _content(kind, content)
        if written is None:
            bundle.lose(place, f"{name} {kind}: gdnsd has no such records, and it is left out")
        else:
            lines.append(f"{name}. {ttl} {written}")
    steered = [service for area in areas for service in area.services if zone_of(service.name, tops) == zone]
    for service in steered:
        for name, kind, content, ttl in without_hints(bundle, service, own=True):
            written = _content(kind, content)
            assert written is not None
            lines.append(f"{name}. {ttl} {written}")
    for area in areas:
        word = "DYNC" if area.kinds == ("CNAME",) else "DYNA"
        lines += [
            f"{service.name}. {service.ttl}/{service.ttl_min} {word} geoip!{service.name}"
            for service in area.services
            if zone_of(service.name, tops) == zone
        ]
    return "\n".join(lines) + "\n"


def _content(kind: str, content: str) -> str | None:
    """Type and content as gdnsd reads them; None where it cannot."""
    if kind == "HINFO":
        return None
    if kind == "SOA":
        mname, rname, rest = content.split(" ", 2)
        return f"SOA {mname}. {rname}. ( {rest} )"
    if kind in _HOSTS:
        return f"{kind} {content if content.endswith('.') else content + '.'}"
    if kind in _TYPES:
        return f"{kind} {content}"
    try:
        rdata = dns.rdata.from_text("IN", kind, content).to_generic()
    except (dns.exception.DNSException, ValueError):
        return None
    return f"TYPE{int(rdata.rdtype)} {rdata.to_text()}"
