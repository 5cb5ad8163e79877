"""`[zones.x]`: the DNS zones that are served, with their static records."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from geosteer_loader.config import rdata
from geosteer_loader.config.dns_names import host, owner
from geosteer_loader.config.shapes import shaped
from geosteer_loader.config.values import duration, shown, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer_loader.config.document import Record, Soa, Zone
    from geosteer_loader.config.section import Table

_ESCAPED = re.compile(r"((?:[A-Za-z0-9_+-]|\\[.+])+\\[.+](?:[A-Za-z0-9_+-]|\\[.+])*)\.(.+)")
"""A first label with escaped dots, and the domain."""

_LOCAL = re.compile(r"[A-Za-z0-9_+-]+(?:\\?\.[A-Za-z0-9_+-]+)*")
"""What may stand before the @ of a mailbox that DNS can name."""

MAX_TTL = 2**31 - 1
"""RFC 2181, section 8."""


def seconds(low: int = 0) -> Callable[[object], int]:
    """A parser of DNS times: whole seconds from *low* up."""
    parse = duration(low, MAX_TTL)

    @shaped({**parse.__dict__["shape"], "type": ["integer", "string"]})
    def whole(value: object) -> int:
        amount = parse(value)
        if amount != int(amount):
            raise ValueError(f"must be a whole number of seconds, not {shown(value)}")
        return int(amount)

    return whole


class ZoneReader:
    """Reads zones, and remembers where each of their records stands."""

    def __init__(self) -> None:
        self.zones: dict[str, Zone] = {}
        """All zones by their absolute name."""
        self.places: dict[str, list[str]] = {}
        """Zone -> the place of each of its records, in the same order."""
        self.name_server_places: dict[str, str] = {}
        """Zone -> the place of its setting `ns`."""

    def read(self, table: Table) -> None:
        """All zones under *table*."""
        for key, entry in table.named({"soa"}):
            self.add(table, key, entry)
            entry.finish()

    def add(self, table: Table, key: str, entry: Table) -> None:
        """One zone, the *entry* under *key* of *table*; settings that are not a zone's are the caller's."""
        try:
            name = host(key)
        except ValueError as exc:
            table.add(key, str(exc))
            entry.names()  # what stands in it is not looked at
            return
        if name in self.zones:
            entry.names()
            table.add(key, f"zone {name} is already defined; letter case and a final dot do not count")
            return
        records, places = _records(entry, name)
        self.zones[name] = {
            "soa": _soa(entry),
            "ns": _name_servers(entry),
            "ns_ttl": entry.get("ns_ttl", seconds(), 3600),
            "records": records,
        }
        self.places[name] = places
        self.name_server_places[name] = entry.at("ns")


def _soa(zone: Table) -> Soa:
    table = zone.table("soa")
    if "soa" not in zone:
        zone.add("soa", "is missing: at least mname and rname")
    read = table.require if "soa" in zone else table.get
    soa: Soa = {
        "mname": read("mname", host, ""),
        "rname": read("rname", _mailbox, ""),
        "refresh": table.get("refresh", seconds(1), 3600),
        "retry": table.get("retry", seconds(1), 600),
        "expire": table.get("expire", seconds(1), 604800),
        "minimum": table.get("minimum", seconds(), 30),
        "ttl": table.get("ttl", seconds(), 300),
    }
    if "serial" in table:
        table.raw("serial")
        table.add("serial", "cannot be set: it is the time of the publish")
    table.finish()
    return soa


def _mailbox(value: object) -> str:
    """The name that stands for a mailbox (RFC 1035, 3.3.13): a dot for the @, escaped dots before that."""
    plain = text(value)
    local, at, domain = plain.rpartition("@")
    if at and not _LOCAL.fullmatch(local):
        raise ValueError(
            f"{shown(plain)} is not a mailbox such as 'hostmaster.example.net' (RFC 1035, 3.3.13)"
        )
    if at:
        escaped = re.sub(r"(?<!\\)\.", r"\.", local)
        raise ValueError(
            f"{shown(plain)} is a mailbox: write '{escaped}.{domain}', with a dot in place of the @ (RFC 1035, 3.3.13)"
        )
    match = _ESCAPED.fullmatch(plain)
    if match is None:
        return host(plain)
    if len(match[1].replace("\\", "")) > 63:
        raise ValueError(f"{shown(plain)} has a label of more than 63 bytes")
    return f"{match[1].lower()}.{host(match[2])}"


def _name_servers(zone: Table) -> list[str]:
    servers: list[str] = []
    for place, name in zone.each("ns", host):
        if name in servers:
            zone.problems.add(place, f"{name} is listed twice")
        else:
            servers.append(name)
    if not zone.raw("ns"):
        zone.add("ns", "is missing: the zone's name servers")
    return servers


def _records(zone: Table, name: str) -> tuple[list[Record], list[str]]:
    records: list[Record] = []
    places: list[str] = []
    sets: dict[tuple[str, str], list[int]] = {}
    for entry in zone.tables("records"):
        record = _record(entry, name)
        entry.finish()
        if not (record["name"] and record["type"] and record["content"]):
            continue
        members = sets.setdefault((record["name"], record["type"]), [])
        for other in members:
            if records[other]["content"] == record["content"]:
                entry.problems.add(entry.place, f"is the same record as {places[other]}")
        if members and records[members[0]]["ttl"] != record["ttl"]:
            entry.problems.warn(
                entry.at("ttl"),
                f"differs from that of {places[members[0]]}, of the same name and type (RFC 2181, 5.2)",
            )
        members.append(len(records))
        records.append(record)
        places.append(entry.place)
    return records, places


def _record(table: Table, zone: str) -> Record:
    name = table.require("name", owner(zone), "")
    kind = table.require("type", rdata.rtype, "")
    content = ""
    if kind:
        content = table.require("content", lambda value: rdata.content(kind, value), "")
    elif "content" not in table:
        table.add("content", "is missing")
    else:
        table.raw("content")
    return {"name": name, "type": kind, "content": content, "ttl": table.get("ttl", seconds(), 3600)}
