"""What exists at which DNS name, and the replies for all that does not depend on the client. No I/O.

PowerDNS asks a coprocess for SOA, NS and ANY, never for the client's type, and takes an answer without records for NXDOMAIN:
so the empty parent of a name gets a TXT record (RFC 8020: what has something below it exists).
"""

from __future__ import annotations

from geosteer.process import finished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Any

    from geosteer.decision.model import Node, Service
    from geosteer.decision.service_binding import Binding
    from geosteer.process import Steps

END = b"END\n"
FAIL = b"FAIL\n"
FAIL_END = b"FAIL\nEND\n"
"""To a question for SOA: PowerDNS reads on after a bare FAIL there, until its timeout."""

TTL_MOST = 2**31 - 1
"""Seconds (RFC 2181, 8)."""
NODE_TTL = 3600
"""Seconds, of the addresses at a node's own host name."""
SOME = 16
"""Names that are taken in one step."""
_TWO_FIELDS = {"MX", "SRV"}
"""Types whose first number is a field of its own (PowerDNS, pipe backend)."""


class Entry:
    """One name."""

    __slots__ = (
        "above",
        "above_id",
        "apart",
        "bindings",
        "kinds",
        "label",
        "lines",
        "name",
        "ns",
        "service",
        "soa",
        "ttl",
        "zone_id",
    )

    def __init__(self, name: str, zone_id: int) -> None:
        self.name = name
        self.label = name
        """Under which its answers are counted: the pattern that the name matches, where it is not listed itself."""
        self.zone_id = zone_id
        self.soa = END
        """Whole reply to a question for SOA."""
        self.ns = END
        """Whole reply to a question for NS."""
        self.lines = b""
        """Records that are the same for everybody, without END."""
        self.above_id = 0
        """At the apex of a zone within another: the id of the zone above it."""
        self.above = b""
        """The zone above's whole reply at this name: a delegation and nothing else."""
        self.service: Service | None = None
        self.kinds: tuple[str, ...] = ()
        """Record types that a service known by name alone has here."""
        self.ttl = 0
        self.bindings: tuple[Binding, ...] = ()
        """HTTPS and SVCB records that a service has here."""
        self.apart = False
        """They are all that is here of the service; its addresses are at its own name."""

    def __repr__(self) -> str:
        return f"Entry({self.name})"

    def copy(self) -> Entry:
        """Another one that says the same."""
        copy = Entry.__new__(Entry)
        for slot in Entry.__slots__:
            setattr(copy, slot, getattr(self, slot))
        return copy

    def sound(self) -> bool:
        """Whether PowerDNS takes every line that is the same for everybody."""
        name = self.name.encode("ascii", "replace")
        if not 0 < len(name) < 254 or not name.isascii() or name.split() != [name]:
            return False
        lines = self.lines
        if self.soa is not END or self.ns is not END or self.above:  # of many names only few have any
            lines = b"".join([lines, *[text.removesuffix(END) for text in (self.soa, self.ns, self.above)]])
        if not lines:
            return True
        if not lines.isascii() or not str(lines, "ascii").replace("\t", "").replace("\n", "").isprintable():
            return False
        for line in lines.split(b"\n")[:-1]:
            fields = line.split(b"\t")
            if len(fields) < 9 or fields[0] != b"DATA" or not all(fields):
                return False
            if not fields[6].isdigit() or int(fields[6]) > TTL_MOST:
                return False
        return True


class Names:
    """Every name that exists, in the form that one version of the protocol wants."""

    __slots__ = ("_abi", "entries", "globs", "partial", "zones")

    def __init__(self, abi: int, zones: Iterable[str]) -> None:
        self._abi = abi
        self.entries: dict[bytes, Entry] = {}
        """Lower-case name without final dot -> what is there."""
        self.zones = {zone: number for number, zone in enumerate(zones, 1)}
        """Zone -> the id under which PowerDNS asks for its names."""
        self.partial: set[str] = set()
        """Zones of which only some names are known: of the others nothing can be said."""
        self.globs: list[tuple[str, tuple[str, ...], tuple[Binding, ...]]] = []
        """Patterns of names that services have, with their record types and HTTPS records; tried where no name is listed."""

    def add_zone(self, zone: str, spec: Mapping[str, Any], serial: int) -> None:
        """Take in a zone's SOA, NS and static records; names of services and nodes are added afterwards."""
        apex = self.entry(zone)
        lines = self._soa(apex, spec["soa"], serial)
        apex.soa = lines + END
        nameservers = b"".join([self.line(apex, "NS", spec.get("ns_ttl", 3600), name) for name in spec["ns"]])
        apex.ns = nameservers + END if nameservers else END
        apex.lines = lines + nameservers
        records = spec.get("records") or ()
        cuts = {record["name"] for record in records if record["type"] == "NS" and record["name"] != zone}
        for record in records:
            if record["name"] != zone and record["name"] in self.zones:
                continue  # of a zone that is served as well: see `add_cuts`
            entry = self.entry(record["name"])
            below = any(record["name"] == cut or record["name"].endswith("." + cut) for cut in cuts)
            line = self.line(
                entry, record["type"], record.get("ttl", 3600), record["content"], auth=not below
            )
            entry.lines += line
            if record["type"] == "NS":
                entry.ns = (entry.ns if entry.ns != END else b"").removesuffix(END) + line + END

    def add_cuts(self, zones: Mapping[str, Mapping[str, Any]]) -> None:
        """At the apex of each zone within another, note what the zone above answers there; when all zones are in.

        PowerDNS asks for DS with the id of the zone above, as ANY, and signs as that zone's whatever it gets: with the child's
        own SOA and records in that answer it would deny the delegation, and make every name of the child bogus.
        """
        for zone, spec in zones.items():
            parent = self.zone_of(zone.partition(".")[2])
            if not parent:
                continue
            cut = Entry(zone, self.zones[parent])
            lines = [self.line(cut, "NS", spec.get("ns_ttl", 3600), name, auth=False) for name in spec["ns"]]
            lines += [
                self.line(cut, "DS", record.get("ttl", 3600), record["content"])
                for record in (zones[parent].get("records") or () if parent in zones else ())
                if record["type"] == "DS" and absolute(record["name"], parent) == zone
            ]
            apex = self.entry(zone)
            apex.above_id, apex.above = cut.zone_id, b"".join((*lines, END))

    def add_partial(
        self, zone: str, spec: Mapping[str, Any], serial: int, kinds: tuple[str, ...], servers: Iterable[Node]
    ) -> None:
        """Take in a zone known only from a worker's own settings, with its services and the servers' host names.

        *kinds*: record types that the services have.
        """
        self.zones[zone] = len(self.zones) + 1
        self.partial.add(zone)
        records = [{**record, "name": absolute(record["name"], zone)} for record in spec.get("records") or ()]
        self.add_zone(zone, {**spec, "records": records}, spec["soa"].get("serial", serial))
        for service in spec.get("services") or ():
            listed = {"name": service} if isinstance(service, str) else service
            name = absolute(listed["name"], zone)
            has = ("CNAME",) if listed.get("answer") == "cname" else kinds
            bindings: tuple[Binding, ...] = ()
            if listed.get("https") or listed.get("svcb"):
                from geosteer.decision.service_binding import bindings as read

                bindings = read(name, listed)
            if "*" in name:
                self.globs.append((name, has, bindings))
                above = name.rpartition("*")[2].partition(".")[2]
                if above.endswith(
                    "." + zone
                ):  # PowerDNS looks for a delegation there, on its way to a name below
                    self.entry(above)
            else:
                entry = self.entry(name)
                entry.kinds, entry.bindings, entry.apart, entry.label = has, (), False, name
                self._add_bindings(entry, bindings)
        for server in servers:
            if self.zone_of(server.hostname or "") == zone:
                self.add_node(server, NODE_TTL)
        seen: set[str] = set()
        for entry in list(self.entries.values()):
            self.add_parents(entry, seen)

    def add_node(self, node: Node, ttl: int) -> None:
        """A node's own host name, where it lies in a served zone: always there, whatever the node's state."""
        name = node.hostname
        if name and self.zone_of(name) and not self._delegated(name):
            entry = self.entry(name)
            for address in node.a:
                entry.lines += self.line(entry, "A", ttl, address)
            for address in node.aaaa:
                entry.lines += self.line(entry, "AAAA", ttl, address)

    def add_service(self, service: Service) -> None:
        """A name that is answered by a decision; one outside every zone is left out (an HTTP host, say)."""
        if self.zone_of(service.name):
            entry = self.entry(service.name)
            entry.service, entry.kinds, entry.ttl = service, service.kinds, service.ttl
            entry.bindings, entry.apart, entry.label = (), False, entry.name
            self._add_bindings(entry, service.bindings)

    def _add_bindings(self, entry: Entry, bindings: Iterable[Binding]) -> None:
        """A service's HTTPS and SVCB records, at its own name and at names below it (RFC 9460, 2.3)."""
        for binding in bindings:
            at = entry
            if binding.owner != entry.name:
                at = self.entry(binding.owner)
                taken = at.kinds and not (at.apart and at.label == entry.label)
                if taken or self.zone_of(at.name) != self.zone_of(entry.name):
                    continue
                at.service, at.kinds, at.ttl = entry.service, entry.kinds, entry.ttl
                at.label, at.apart = entry.label, True
            at.bindings += (binding,)

    def add_parents(self, entry: Entry, seen: set[str]) -> None:
        """Give the empty parents of a name their TXT record; when all names are in.

        Args: seen: names that were looked at, with all above them; this one's are added.
        """
        name = entry.name
        while name not in seen and self.zone_of(
            name
        ):  # beyond the apex too, where a zone lies within another
            seen.add(name)
            parent = self.entry(name)
            if not parent.lines and not parent.kinds and not self._delegated(name):
                parent.lines = self.line(parent, "TXT", 30, '"-"')
            name = name.partition(".")[2]

    def with_serial(self, zones: Mapping[str, Mapping[str, Any]], serial: int) -> Names:
        """The same names with another serial in the SOA of these zones, which are those of the configuration."""
        names = Names(self._abi, self.zones)
        names.partial, names.globs, names.entries = self.partial, self.globs, dict(self.entries)
        for zone, spec in zones.items():
            key = zone.encode("ascii", "backslashreplace")
            before = self.entries[key]
            apex = names.entries[key] = before.copy()
            apex.soa = self._soa(apex, spec["soa"], serial) + END
            apex.lines = apex.soa.removesuffix(END) + before.lines[len(before.soa) - len(END) :]
        return names

    def _soa(self, apex: Entry, soa: Mapping[str, Any], serial: int) -> bytes:
        content = (
            f"{soa['mname']} {soa['rname']} {serial} {soa.get('refresh', 3600)} {soa.get('retry', 600)}"
            f" {soa.get('expire', 604800)} {soa.get('minimum', 30)}"
        )
        return self.line(apex, "SOA", soa.get("ttl", 300), content)

    def entry(self, name: str) -> Entry:
        """What is at a name; made if it is not there yet."""
        key = name.encode("ascii", "backslashreplace")
        listed = self.entries.get(key)
        if listed is None:
            listed = self.entries[key] = Entry(name, self.zones.get(self.zone_of(name), 1))
        return listed

    def template(self, entry: Entry, answers: Collection[tuple[str, str]], ttl: int) -> tuple[bytes, int]:
        """A service's whole reply with `%d` where the scope goes, and how often it does (ABI 3 and later)."""
        mark = self.reply(entry, answers, ttl, dict.fromkeys([kind for kind, _ in answers], -1)).replace(
            b"%", b"%%"
        )
        return mark.replace(b"DATA\t-1\t", b"DATA\t%d\t"), mark.count(b"DATA\t-1\t")

    def serves(self, name: str) -> bool:
        """Whether a service is at a name."""
        entry = self.entries.get(name.encode("ascii", "backslashreplace"))
        return entry is not None and entry.service is not None

    def find(self, name: bytes) -> Entry | None:
        """What is at a name in lower case, by listing or by pattern; None: nothing."""
        listed = self.entries.get(name)
        if listed is not None or not self.globs:
            return listed
        text = name.decode("ascii", "replace")
        for pattern, kinds, bindings in self.globs:
            if matches(pattern, text):
                matched = Entry(text, self.zones.get(self.zone_of(text), 1))
                matched.kinds, matched.label, matched.bindings = kinds, pattern, bindings
                return matched
        return None

    def partly_known(self, name: bytes) -> bool:
        """Whether a name that was not found may be there all the same: its zone is known in part only, or none is known."""
        text = name.decode("ascii", "replace")
        return not self.zones or (self.zone_of(text) in self.partial and not self._below_wildcard(text))

    def _below_wildcard(self, name: str) -> bool:
        """Whether a wildcard's records stand for a name that was not found (RFC 4592, 3.3.1): PowerDNS asks for them next."""
        zone = self.zone_of(name)
        while name and name != zone:
            name = name.partition(".")[2]
            if name.encode("ascii", "backslashreplace") in self.entries:  # the closest encloser
                return f"*.{name}".encode("ascii", "backslashreplace") in self.entries
        return False

    def zone_of(self, name: str) -> str:
        """The closest zone that holds a name, or ""."""
        while name:
            if name in self.zones:
                return name
            name = name.partition(".")[2]
        return ""

    def zone_id(self, name: bytes) -> int:
        """The id of the closest zone that holds a name in lower case, or 0."""
        return self.zones.get(self.zone_of(name.decode("ascii", "replace")), 0)

    def line(
        self, entry: Entry, kind: str, ttl: int, content: str, *, scope: int = 0, auth: bool = True
    ) -> bytes:
        """One DATA line (PowerDNS, docs/backends/pipe.rst); ABI 1 and 2 know neither scope nor auth."""
        if kind in _TWO_FIELDS:
            content = content.replace(" ", "\t", 1)
        head = f"DATA\t{scope}\t{int(auth)}" if self._abi >= 3 else "DATA"
        return f"{head}\t{entry.name}\tIN\t{kind}\t{ttl}\t{entry.zone_id}\t{content}\n".encode()

    def reply(
        self,
        entry: Entry,
        answers: Collection[tuple[str, str]],
        ttl: int,
        scopes: Mapping[str, int],
        *,
        hints: bool = True,
    ) -> bytes:
        """A service's whole reply to ANY: (type, content) of the decision, and what else stands at the name.

        Each record has the scope of its type: PowerDNS takes the scope from the records that it sends, all of one type. HTTPS
        and SVCB have the longest, as their hints are of every type. Args: hints: whether they have any.
        """
        here = () if entry.apart else answers
        lines = [self.line(entry, kind, ttl, content, scope=scopes[kind]) for kind, content in here]
        if entry.bindings:
            scope, hinted = max(scopes.values()), answers if hints else ()
            lines += [
                self.line(entry, binding.kind, ttl, binding.content(hinted), scope=scope)
                for binding in entry.bindings
            ]
        return b"".join((entry.lines, *lines, END))

    def _delegated(self, name: str) -> bool:
        """Whether the name is at or below a delegation."""
        zone = self.zone_of(name)
        while name and name != zone:
            listed = self.entries.get(name.encode("ascii", "backslashreplace"))
            if listed is not None and listed.ns != END:
                return True
            name = name.partition(".")[2]
        return False


def from_document(
    document: Mapping[str, Any], services: Iterable[Service], nodes: Iterable[Node], serial: int, abi: int
) -> Names:
    """Every name of a published configuration."""
    return finished(in_steps(document, services, nodes, serial, abi))


def in_steps(
    document: Mapping[str, Any], services: Iterable[Service], nodes: Iterable[Node], serial: int, abi: int
) -> Steps[Names]:
    """The same, taken name by name."""
    zones = document.get("zones") or {}
    names = Names(abi, zones)
    for zone, spec in zones.items():
        names.add_zone(zone, spec, serial)
        yield
    names.add_cuts(zones)
    for count, service in enumerate(services, 1):
        names.add_service(service)
        if not count % SOME:
            yield
    for count, node in enumerate(nodes, 1):
        names.add_node(node, NODE_TTL)
        if not count % SOME:
            yield
    seen: set[str] = set()
    for count, entry in enumerate(list(names.entries.values()), 1):
        names.add_parents(entry, seen)
        if not count % SOME:
            yield
    return names


def absolute(name: str, zone: str) -> str:
    """A name of a zone's table in lower case: `@` is the apex, a final dot or the zone's own end makes it absolute."""
    name = name.lower()
    if name == "@":
        return zone
    if name.endswith("."):
        return name[:-1]
    return name if name == zone or name.endswith("." + zone) else f"{name}.{zone}"


def matches(pattern: str, name: str) -> bool:
    """Whether a name matches a pattern in which `*` stands for any characters, dots too."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    if not name.startswith(first) or not name.endswith(rest[-1]) or len(name) < len(first) + len(rest[-1]):
        return False
    at, end = len(first), len(name) - len(rest[-1])
    for part in rest[:-1]:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
