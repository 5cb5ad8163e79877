"""The tables of `backend.toml` as workers use them: times as numbers, names and types as DNS spells them.

Done once after a change of the file; the checked copy keeps the result. `geosteer check-config --backend` finds far more: here
is what keeps a worker from starting only to stumble at its first question, or from breaking the protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.cmodules import pack_address
from geosteer.decision.networks import Networks
from geosteer.decision.round_robin import RoundRobin
from geosteer.durations import parse_duration
from geosteer.zones import Names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from geosteer.decision.model import Node


_SOA_TIMES = ("refresh", "retry", "expire", "minimum", "ttl")


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which every time is a number, in the unit of its setting.

    Raises: ValueError, TypeError, AttributeError, KeyError: something is not of the shape that it must have.
    """
    plain_data = dict(data)
    _times(plain_data, ("max_stale", "first_wait"), "s")
    _times(plain_data, ("timeout",), "ms")
    Networks(data.get("debug", {}).get("networks", ()))
    sample = data.get("log", {}).get("sample", 0)
    if isinstance(sample, bool) or not 0 <= sample <= 1:
        raise ValueError("log.sample is not a number from 0 to 1")
    if "beacon" in plain_data:
        plain_data["beacon"] = beacon = dict(plain_data["beacon"])
        _times(beacon, ("lifetime", "segment_seconds"), "s")
    if "fallback" in plain_data:
        plain_data["fallback"] = fallback = dict(plain_data["fallback"])
        _times(fallback, ("ttl",), "s")
        fallback["zones"] = {name: _zone(zone) for name, zone in fallback.get("zones", {}).items()}
        fallback["servers"] = [_server(server) for server in fallback.get("servers", ())]
    return plain_data


def try_out(zones: Mapping[str, Any], servers: Sequence[Node], modified: float) -> None:
    """Make of the settings what a worker makes of them without Redis.

    Raises: ValueError, TypeError, AttributeError, KeyError: it would stumble.
    """
    RoundRobin(servers, lambda _: 0).next(("A", "AAAA", "CNAME"))
    names = Names(3, ())
    for zone, spec in zones.items():
        names.add_partial(zone, spec, int(modified), ("A", "AAAA"), servers)
    for entry in names.entries.values():
        lines = entry.lines.split(b"\n")[:-1]
        if entry.name.split() != [entry.name] or not all(line.startswith(b"DATA\t") for line in lines):
            raise ValueError(f"{entry.name!r} has a blank or a line break where none can be")


def _zone(zone: Mapping[str, Any]) -> dict[str, Any]:
    plain_zone = dict(zone)
    plain_zone["soa"] = soa = dict(zone["soa"])
    _times(soa, _SOA_TIMES, "s")
    _times(plain_zone, ("ns_ttl",), "s")
    if not isinstance(zone["ns"], list):
        raise TypeError("ns is not a list")
    plain_zone["records"] = [_record(record) for record in zone.get("records", ())]
    return plain_zone


def _record(record: Mapping[str, Any]) -> dict[str, Any]:
    plain_record = dict(record)
    _times(plain_record, ("ttl",), "s")
    plain_record["type"] = record["type"].upper()
    if plain_record["type"] not in {"TXT", "SPF"}:
        plain_record["content"] = " ".join(record["content"].split())
    return plain_record


def _server(server: Mapping[str, Any]) -> dict[str, Any]:
    plain_server = dict(server)
    for kind, size in (("a", 4), ("aaaa", 16)):
        addresses = server.get(kind, [])
        if not isinstance(addresses, list) or any(
            len(pack_address(address)) != size for address in addresses
        ):
            raise ValueError(f"{kind} of server {server.get('name', '?')} is not a list of such addresses")
    if server.get("hostname"):
        plain_server["hostname"] = hostname = server["hostname"].lower().removesuffix(".")
        if hostname.split() != [hostname]:
            raise ValueError(f"{hostname!r} is not a host name")
    return plain_server


def _times(table: dict[str, Any], keys: tuple[str, ...], unit: str) -> None:
    for key in keys:
        value = table.get(key)
        if isinstance(value, str):
            try:
                table[key] = parse_duration(value, unit)
            except ValueError as exc:
                raise ValueError(f"{key}: {value[:60]!r} is {exc}") from None
