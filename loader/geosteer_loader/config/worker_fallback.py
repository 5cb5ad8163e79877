"""`[fallback]` of a worker's file: zones and servers for when neither Redis nor a snapshot is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer_loader.config.dns_names import host_name, owner
from geosteer_loader.config.namespace import Namespace
from geosteer_loader.config.nodes import MAX_WEIGHT, read_addresses
from geosteer_loader.config.section import Table
from geosteer_loader.config.service_records import SETTINGS, read_records
from geosteer_loader.config.shapes import TEXT, shaped
from geosteer_loader.config.toml_lines import element_of
from geosteer_loader.config.values import choice, integer, kind, label, shown, text
from geosteer_loader.config.zones import ZoneReader, seconds

if TYPE_CHECKING:
    from collections.abc import Callable


def check_fallback(table: Table) -> None:
    """Note every problem of the table."""
    table.get("ttl", seconds(), 10)
    kinds = set()
    for server in table.tables("servers"):
        kinds |= _server(server)
    reader = ZoneReader()
    zones = table.table("zones")
    for key, entry in zones.named({"soa"}):
        reader.add(zones, key, entry)
        wanted = _services(entry, key)
        entry.finish()
        for place, answer in wanted:
            if answer == "cname" and "CNAME" not in kinds:
                table.problems.add(
                    place, "is answered by a CNAME, but no server in fallback.servers has a hostname"
                )
            if answer == "address" and not kinds & {"A", "AAAA"}:
                table.problems.add(
                    place, "is answered by addresses, but no server in fallback.servers has one"
                )
    Namespace(reader, table.problems).check_statics()
    table.finish()


def _server(table: Table) -> set[str]:
    """The record types that the server can be an answer of."""
    table.require("name", label, "")
    a, aaaa = read_addresses(table)
    hostname = table.get("hostname", host_name, None)
    table.get("weight", integer(1, MAX_WEIGHT), 1)
    table.finish()
    if not any(table.raw(key) for key in ("a", "aaaa", "hostname")):
        table.problems.add(table.place, "has neither an address (a, aaaa) nor a hostname")
    return {kind for kind, has in (("A", a), ("AAAA", aaaa), ("CNAME", hostname)) if has}


def _services(zone: Table, key: str) -> list[tuple[str, str]]:
    """Place and kind of answer of each service of the zone."""
    glob = _glob(key.lower().removesuffix("."))

    @shaped(
        {
            "type": ["string", "object"],
            "minLength": 1,
            "properties": {
                "name": TEXT,
                "answer": {"enum": ["address", "cname"], "default": "address"},
                "https": {"type": ["object", "array"]},
                "svcb": {"type": "array"},
            },
            "required": ["name"],
            "additionalProperties": False,
        }
    )
    def parse(value: object) -> str:
        """Its kind of answer; it is a name or glob, alone or as `{ name = ..., answer = "cname" }`."""
        if not isinstance(value, dict):
            glob(value)
            return "address"
        odd = sorted(set(value) - {"name", "answer", *SETTINGS})
        if odd:
            raise ValueError(f"unknown setting {shown(odd[0])}; name, answer, https and svcb are known")
        if "name" not in value:
            raise ValueError("has no name")
        glob(value["name"])
        answer = choice("address", "cname")(value.get("answer", "address"))
        bound.append((value, answer))
        return answer

    bound: list[tuple[dict[str, Any], str]] = []
    services = zone.each("services", parse)
    listed = zone.raw("services") or []
    for value, answer in bound:
        place = element_of(
            zone.at("services"), next(at for at, each in enumerate(listed, 1) if each is value)
        )
        records = Table({name: value[name] for name in SETTINGS if name in value}, place, zone.problems)
        read_records(records, owner(key.lower().removesuffix("."))(value["name"]), answer)
    return services


def _glob(zone: str) -> Callable[[object], str]:
    """A parser of owners in *zone* in which `*` stands for any characters."""
    parse = owner(zone)

    def glob(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError(f"must be a name, a glob or a table, not {kind(value)}")
        return parse(text(value).replace("*", "x"))

    return glob
