"""The debug name of a service, `_geosteer.www.cdn.example.net`, and how a decision is told in TXT records."""

from __future__ import annotations

from geosteer.decision.client import prefix_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from geosteer.decision.client import Client
    from geosteer.decision.decision import Decision
    from geosteer.decision.model import Node, Service
    from geosteer.zones import Entry, Names

LABEL = b"_geosteer"
LONGEST_STRING = 255
"""Bytes of a string in a TXT record (RFC 1035, 3.3)."""
PASSED_OVER = 16
"""Nodes that may not serve, told at most."""
SERVERS = 32
"""Servers of last resort told at most."""


def service_name(qname: bytes) -> bytes | None:
    """The service that a debug name is of, in lower case; None: not a debug name.

    One label of any letters, digits, `-` and `_` may stand before it, so that nobody else has asked that name before: what
    PowerDNS remembers as missing stays missing for everybody.
    """
    first, _, rest = qname.partition(b".")
    if first != LABEL:
        nonce = first
        first, _, rest = rest.partition(b".")
        if first != LABEL or not nonce.replace(b"-", b"").replace(b"_", b"").isalnum():
            return None
    return rest or None


def service_entry(names: Names, name: bytes) -> Entry | None:
    """The service at a name, by listing, pattern or wildcard (RFC 4592, 3.3.1); None: there is none."""
    entry = names.find(name)
    while entry is None and b"." in name:
        name = name.partition(b".")[2]
        if name in names.entries:  # the closest encloser
            entry = names.find(b"*." + name)
            break
    return entry if entry is not None and entry.kinds else None


def told(service: Service, client: Client | None, decision: Decision, ticket: float) -> Iterable[str]:
    """What was decided and by what, each a `key=value` of its own."""
    yield f"map={service.map.name}"
    yield f"policy={service.policy}"
    if service.policy == "weighted":
        yield f"ticket={ticket!r}"
    for table, (record, length) in decision.matched.items():
        if client is not None:
            yield f"{table}={prefix_text(client.bits, client.address, length)} {record or 'no record'}"
    for kind, nodes in decision.answer.items():
        yield f"{kind}={' '.join([node.name for node in nodes]) or 'refused: no node may serve'}"
        if nodes:
            yield f"{kind}.layer={decision.layer[kind]}"
        yield f"{kind}.scope={decision.scopes[kind]}"
    addresses = decision.records()
    for binding in service.bindings:
        yield f"{binding.owner} {binding.kind}={binding.content(addresses)}"
    excluded = {row["node"]: row["excluded"] for row in decision.trace if row["excluded"]}
    for name in list(excluded)[:PASSED_OVER]:
        yield f"not={name} ({excluded[name]})"
    if len(excluded) > PASSED_OVER:
        yield f"not={len(excluded) - PASSED_OVER} more"
    yield f"ttl={decision.ttl}"
    if decision.loud:
        yield f"warning={decision.loud}"


def told_without_decision(servers: Sequence[Node], ttl: int) -> Iterable[str]:
    """What the round robin of last resort answers, whoever asks."""
    listed = " ".join([f"{server.name}:{server.well_connected}" for server in servers[:SERVERS]])
    yield "layer=last resort"
    yield f"servers={listed or 'none'}"
    yield f"ttl={ttl}"


def quoted(text: str) -> str:
    """One string of a TXT record as PowerDNS reads it: in quotes, all but printable ASCII by number (RFC 1035, 5.1)."""
    data = text.encode("utf-8", "replace")
    if len(data) > LONGEST_STRING:
        data = data[: LONGEST_STRING - 3].decode("utf-8", "ignore").encode() + b"..."
    return '"' + "".join([_PLAIN.get(byte) or f"\\{byte:03}" for byte in data]) + '"'


_PLAIN: Mapping[int, str] = {
    byte: f"\\{chr(byte)}" if chr(byte) in '"\\' else chr(byte) for byte in range(32, 127)
}
