"""What may stand at one DNS name: static records, delegations, services and nodes against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from geosteer_loader.config.dns_names import parents, within, zone_of
from geosteer_loader.config.service_records import owners

if TYPE_CHECKING:
    from collections.abc import Collection

    from geosteer_loader.config.document import Record, Service
    from geosteer_loader.config.nodes import NodeReader
    from geosteer_loader.config.section import Problems
    from geosteer_loader.config.services import ServiceReader
    from geosteer_loader.config.zones import ZoneReader

_ADDRESSES = {"A", "AAAA"}
_MOST_ALIASES = 8
"""One after the other that are followed to find a loop; clients give up after a few, too (RFC 9460, 3)."""
_APEX_CNAME = "a CNAME is not allowed at the apex of a zone (RFC 1034, 3.6.2)"


class Static(NamedTuple):
    """A static record and where it stands."""

    zone: str
    record: Record
    place: str


class Namespace:
    """Every name that is served, and by what."""

    def __init__(self, reader: ZoneReader, problems: Problems) -> None:
        self.zones = reader.zones
        self.problems = problems
        self.name_server_places = reader.name_server_places
        self.statics: dict[str, list[Static]] = {}
        """Name -> its static records."""
        for zone, spec in reader.zones.items():
            for record, place in zip(spec["records"], reader.places[zone], strict=True):
                self.statics.setdefault(record["name"], []).append(Static(zone, record, place))
        self.delegations = {
            name
            for name, statics in self.statics.items()
            if name not in self.zones and _types(statics) & {"NS"}
        }

    def delegated(self, name: str) -> str | None:
        """The topmost delegation that the name is at or below, or None."""
        zone = zone_of(name, self.zones)
        above = [
            name_above
            for name_above in parents(name)
            if name_above in self.delegations and zone and within(name_above, zone)
        ]
        return above[-1] if above else None

    def static(self, name: str, types: set[str]) -> Static | None:
        """A static record of one of the *types* at the name, or None."""
        return next((static for static in self.statics.get(name, ()) if static.record["type"] in types), None)

    def check_statics(self) -> None:
        """Static records against zones, delegations and each other."""
        for name, statics in self.statics.items():
            for static in statics:
                self._check_static(name, static)
            if name in self.delegations:
                self._check_delegation(name)
            cname = self.static(name, {"CNAME"})
            if cname and len(statics) > 1:
                other = next(static_record for static_record in statics if static_record is not cname)
                self.problems.add(
                    cname.place,
                    f"a CNAME cannot coexist with other records, here {other.place} (RFC 1034, 3.6.2)",
                )

    def check_services(self, reader: ServiceReader) -> None:
        """Services against all that is static."""
        for name, service in reader.services.items():
            place, zone, cut = reader.places[name], zone_of(name, self.zones), self.delegated(name)
            cname = service["answer"] == "cname"
            beside = self.static(name, {*_ADDRESSES, "CNAME"})
            if cname and name in self.statics:
                beside = self.statics[name][0]
            if zone is None:
                self.problems.add(place, f"is outside every zone{_listed(self.zones)}")
            elif cut:
                self.problems.add(place, f"is at or below the delegation {cut}")
            elif name == zone and cname:
                self.problems.add(place, _APEX_CNAME)
            elif beside:
                self.problems.add(
                    place, f"has a static {beside.record['type']} record at the same name: {beside.place}"
                )
            else:
                self._check_bindings(name, service, reader)

    def _check_bindings(self, name: str, service: Service, reader: ServiceReader) -> None:
        """HTTPS and SVCB records of a service against static ones, and against what is at their names."""
        place = reader.places[name]
        static = self.static(name, {"HTTPS"})
        if static and "https" in service:
            self.problems.add(f"{place}.https", f"has a static HTTPS record at the same name: {static.place}")
        elif static and "hint=" in static.record["content"]:
            self.problems.warn(
                static.place,
                f"gives every client the same hints, whatever {place} answers: use its setting https instead",
            )
        for at, (owner, _) in enumerate(owners(name, service.get("svcb", [])), 1):
            here = self.statics.get(owner, ())
            reason = ""
            if owner in reader.services:
                reason = f"{owner} is also a service: {reader.places[owner]}"
            elif here:
                reason = f"{owner} has a static record: {here[0].place}"
            elif zone_of(owner, self.zones) != zone_of(name, self.zones) or self.delegated(owner):
                reason = f"{owner} is not in the zone of the service"
            if reason:
                self.problems.add(f"{place}.svcb[{at}].name", reason)

    def check_nodes(self, nodes: NodeReader, reader: ServiceReader) -> None:
        """Node host names within served zones, which are answered with the node's own addresses."""
        for node_name, node in nodes.nodes.items():
            name = node["hostname"]
            zone = zone_of(name, self.zones) if name else None
            if not name or not zone:
                continue
            beside, cut = self.static(name, {*_ADDRESSES, "CNAME"}), self.delegated(name)
            reason = ""
            if name == zone:
                reason = "is the apex of a zone"
            elif name in reader.services:
                reason = f"is also a service: {reader.places[name]}"
            elif cut:
                reason = f"is at or below the delegation {cut}"
            elif beside:
                reason = f"also has a static {beside.record['type']} record: {beside.place}"
            elif not (node["a"] or node["aaaa"] or node_name in nodes.doubtful):
                reason = f"is inside the zone {zone}, but the node has no address to answer with"
            if reason:
                self.problems.add(f"{nodes.places[node_name]}.hostname", f"{name} {reason}")

    def check_targets(self, nodes: NodeReader, reader: ServiceReader) -> None:
        """Whether targets of HTTPS and SVCB records within served zones are there, and aliases end somewhere."""
        hosts = {node["hostname"] for node in nodes.nodes.values()}
        aliases: dict[str, str] = {}
        for name, service in reader.services.items():
            for field, records in (("https", service.get("https", [])), ("svcb", service.get("svcb", []))):
                for record in records:
                    target = record.get("target", name)
                    if field == "https" and record["priority"] == 0:
                        aliases[name] = target
                    if not (target in hosts or self._is_served(target, reader)):
                        self.problems.warn(
                            f"{reader.places[name]}.{field}",
                            f"the target {target} is inside a served zone, but nothing answers there",
                        )
        for name in aliases:
            seen = [name]
            while (target := aliases.get(seen[-1], "")) and target not in seen and len(seen) < _MOST_ALIASES:
                seen.append(target)
            if target == name:
                self.problems.warn(
                    f"{reader.places[name]}.https",
                    f"the alias leads back to itself: {' -> '.join([*seen, name])}",
                )

    def _is_served(self, name: str, reader: ServiceReader) -> bool:
        """Whether a name is outside the zones, or something but a node answers there, a wildcard too."""
        if zone_of(name, self.zones) is None or self.delegated(name):
            return True
        names = [name, *(f"*.{above}" for above in parents(name))]
        return any(at in reader.services or self.static(at, {*_ADDRESSES, "CNAME"}) for at in names)

    def check_name_servers(self, nodes: NodeReader, reader: ServiceReader) -> None:
        """Whether name servers within served zones have addresses."""
        hosts = {node["hostname"] for node in nodes.nodes.values()}
        for zone, spec in self.zones.items():
            for server in spec["ns"]:
                service = reader.services.get(server)
                if self.static(server, {"CNAME"}) or (service and service["answer"] == "cname"):
                    self.problems.add(
                        self.name_server_places[zone],
                        f"{server} is an alias; a name server must not be one (RFC 2181, 10.3)",
                    )
                elif not (
                    service
                    or server in hosts
                    or zone_of(server, self.zones) is None
                    or self.delegated(server)
                    or self.static(server, _ADDRESSES)
                    or any(self.static(f"*.{above}", _ADDRESSES) for above in parents(server))
                ):
                    self.problems.warn(
                        self.name_server_places[zone],
                        f"{server} is inside a served zone, but has no address record",
                    )

    def _check_static(self, name: str, static: Static) -> None:
        kind, home, cut = static.record["type"], zone_of(name, self.zones), self.delegated(name)
        reason = ""
        if kind == "DS" and name in self.zones:
            # the parent's side of a signed child (RFC 4035, 2.4); a zone that is served counts as a delegation
            parent = zone_of(name.partition(".")[2], self.zones)
            if static.zone != parent:
                reason = f"DS of {name} belongs in its parent zone" + (f", {parent}" if parent else "")
        elif home != static.zone:
            reason = f"{name} belongs to the zone {home}"
        elif name == home and kind == "NS":
            reason = "list the zone's own name servers in its setting ns"
        elif name == home and kind == "CNAME":
            reason = _APEX_CNAME
        elif kind == "NS" and name.startswith("*."):
            reason = "a wildcard cannot be delegated (RFC 4592, 4.2)"
        elif kind == "DS" and name not in self.delegations:
            reason = f"DS is valid at a delegation only, and {name} has no NS record"
        elif cut and name != cut and kind not in _ADDRESSES:
            reason = f"is below the delegation {cut}, where only glue (A, AAAA) is served"
        elif cut and kind not in {"NS", "DS", *_ADDRESSES}:
            reason = f"is at the delegation {cut}, where only NS, DS and glue (A, AAAA) are served"
        if reason:
            self.problems.add(static.place, reason)
        elif cut and kind in _ADDRESSES and name not in self._servers(cut):
            self.problems.warn(
                static.place, f"is never served: {name} is not a name server of the delegation {cut}"
            )

    def _check_delegation(self, name: str) -> None:
        for server in sorted(self._servers(name)):
            if within(server, name) and not self.static(server, _ADDRESSES):
                self.problems.warn(
                    self.statics[name][0].place,
                    f"the delegation {name} cannot be followed: {server} has no A or AAAA record",
                )

    def _servers(self, delegation: str) -> set[str]:
        return {
            static.record["content"] for static in self.statics[delegation] if static.record["type"] == "NS"
        }


def _listed(zones: Collection[str]) -> str:
    """` (...)`, the zones where they are few."""
    return f" ({', '.join(zones)})" if 0 < len(zones) <= 3 else ""


def _types(statics: list[Static]) -> set[str]:
    return {static.record["type"] for static in statics}
