"""What lies in Redis: the one place that builds key names, and the words used in the values.

| key | type | members | written by | expiry |
|---|---|---|---|---|
| `{P}:current` | hash | schema, generation, published, config, held; T.v4 ... per table T | publish, rollback | none |
| `{P}:object` | hash | hex digest -> page or configuration document | publish | none |
| `{P}:history` | stream | per generation: `current`, changed, who, when, bytes, total, live | publish, rollback | bounded |
| `{P}:node:<name>` | hash | state, since, reason, failing, shed | probe, feed | none |
| `{P}:verdict:<prober>` | hash | node -> JSON | that prober | none |
| `{P}:beat` | hash | writer -> `count time period` | probe, feed | none |
| `{P}:override` | hash | node -> JSON (state, percent, until, since, who, why) | `geosteer node` | none |
| `{P}:lock` | string | the publisher's token | publish | the lease |
| `{P}:journal` | stream | per event: kind, at, who, subject, before, after, what, why, by | who changes answers | bounded |
| `{P}:session` | hash | stream and peer -> JSON (state, prefixes, losses, at) of BGP sessions | follow | none |
| `{P}:failure` | hash | since, when, who, guard, why: of the last publish, if it failed | publish | none |

Per table, `current` has the root digests T.v4 and T.v6, and T.source, T.built, T.prefixes, T.ranges.
A node's hash has state, since, reason, failing, shed, and `before`: the state before this one, `down` after an outage.

Verdicts expire when their prober has been silent for long. The JSON of one has:
- `state` (up, down), `since`, `checked`, `expires`, `failing` (true, else absent), `reason`, `warning`;
- `counters`: check -> `state`, `failures`, `successes`, `checked`, `seconds` (that the last probe took), `certificate_ends`;
- of a feed that reports loads: `load` (in the unit of its capacity), `loaded` (when), `shed`, `stepped` (its last step).

T.built is the date of the data, T.builder what made the pages, T.rpki (JSON) what its routes were judged by; `swept` and
`restored` say when orphans were looked for, and which generation a rollback went back to; `journalled`, which generation the
journal knows last, and since when publishes of BGP sessions alone follow it. Of the history `bytes` is what was written for a
generation, `total` for all until then, and `live` marks one in which nothing changed but tables that follow BGP sessions.
`P` is braced, so that on Redis Cluster all keys share a slot.
"""

from __future__ import annotations

from geosteer.cmodules import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 1
"""The meaning of `current` that this code knows; readers refuse a higher one and ignore unknown fields."""

TABLES = ("geo", "bgp", "path", "rtt", "nets")
"""The published prefix tables."""

FAMILIES = {"v4": 32, "v6": 128}
"""Field suffix in `current` -> address bits."""

FUNCTION_LIBRARY = "geosteer"
"""Name of the Redis Function library."""


class Keys:
    """Key names under one prefix, for example `{geosteer}:current`."""

    __slots__ = (
        "beat",
        "braced",
        "current",
        "failure",
        "history",
        "journal",
        "lock",
        "nodes",
        "object",
        "override",
        "session",
        "verdicts",
    )

    def __init__(self, prefix: str) -> None:
        self.braced = base = "{" + prefix + "}"
        self.current = base + ":current"
        self.object = base + ":object"
        self.history = base + ":history"
        self.journal = base + ":journal"
        self.beat = base + ":beat"
        self.override = base + ":override"
        self.lock = base + ":lock"
        self.session = base + ":session"
        self.failure = base + ":failure"
        self.nodes = base + ":node:"
        self.verdicts = base + ":verdict:"

    def node(self, name: str) -> str:
        """Key of one node's state."""
        return self.nodes + name

    def verdict(self, prober: str) -> str:
        """Key of one prober's verdicts."""
        return self.verdicts + prober


def digest(data: bytes) -> bytes:
    """The 16-byte name of a page or document: BLAKE2b-128 of its bytes (RFC 7693)."""
    return blake2b(data, digest_size=16).digest()


def root_field(table: str, bits: int) -> str:
    """Field of `current` that names a table's root page, for example `geo.v4`."""
    return f"{table}.v4" if bits == 32 else f"{table}.v6"


def own_fields(current: Mapping[str, str], table: str) -> dict[str, str]:
    """The fields of `current` that belong to one table."""
    return {key: value for key, value in current.items() if key.startswith(table + ".")}


def roots(current: Mapping[str, str]) -> list[str]:
    """Digests of the root pages that `current`, or an entry of the history, names."""
    fields = [root_field(table, bits) for table in TABLES for bits in FAMILIES.values()]
    return [current[name] for name in fields if name in current]
