"""What `geosteer explain` tells: the shape of its JSON, as objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def _fields(
    told: Layer | Nearness | PathLength | RoundTrip | Candidate | Equals | Match | Record | Explanation,
) -> dict[str, Any]:
    """By their names; unlike `dataclasses.asdict` without a copy of everything within, which would take most of the time."""
    return {name: getattr(told, name) for name in told.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of the map that was asked."""

    type: str
    """Record type for which it was asked: A, AAAA or CNAME."""
    layer: str
    table: str | None
    """The table that says what the layer goes by; None for `default` and `any`."""
    key: str | None
    """What the layer calls the client; None where it does not name it."""
    outcome: str
    """In words."""


@dataclass(frozen=True, slots=True)
class Nearness:
    """What the policy `nearest` went by."""

    km: float | None
    """Between client and node; None: not known."""
    bias: float | None = None
    """The node's, where it has one."""
    offset: float | None = None
    """Kilometres that are added for the node's `max_share`, where there are any."""
    biased: float | None = None
    """Kilometres that count with both."""


@dataclass(frozen=True, slots=True)
class PathLength:
    """What the policy `path` went by."""

    vantage: str
    """The vantage point that stands for the node."""
    path_length: int | None
    """ASes on the way from there to the client; None: no path is known."""


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What the policy `latency` went by, where the time of any of the map's nodes is known."""

    ms: int | None
    """Milliseconds between client and node; None: not known."""
    fails: str | None = None
    """`fails for 31 % of AS64500`, where it is passed over for that."""
    bias: float | None = None
    """The node's, where it has one."""
    offset: float | None = None
    """Milliseconds that are added for the node's `max_share`, where there are any."""
    biased: float | None = None
    """Milliseconds that count with both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A node that was met on the way, in one layer and for one record type."""

    type: str
    layer: str
    """With its key: `countries GB`."""
    node: str
    weight: float
    """Of the map, times the node's own."""
    share: float
    """0..1: how much of its clients it keeps."""
    state: str
    """What the probes say: up, down or unknown."""
    excluded: str | None
    """Why it may not be given to clients."""
    ignored: str | None
    """Why it would not have served, had there been any other."""
    chance: float | None
    """0..1: its part, for the first answer, of those who come to its layer: of this client's draws (`weighted`), or of all
    clients (`hash`); None: the policy does not draw."""
    shed: float
    """0..1: the part that it gives away for its load."""
    failing: bool
    """Checks fail, which shortens the TTL of its answers."""
    load: float | None
    """In parts of its capacity; None: not reported."""
    went_by: Nearness | PathLength | RoundTrip | None
    """What the policy compared; None where that is the weight."""
    rank: int | None
    """Its place among the answers, from 1."""
    chosen: bool
    spilled: bool
    """It gives this client away, to keep no more than its share of them."""
    unwilling: bool
    """It was chosen all the same, since no node keeps the client."""
    override: dict[str, Any] | None
    """What an operator said, while it is in force."""
    ramps_until: str | None
    """When a node that came back has its whole share, ISO 8601 UTC."""

    def to_json(self) -> dict[str, Any]:
        """The fields above; without `chance` where it is None, and with those of `went_by` in its place.

        A node without a bias has no `bias`, one that is not pushed away for its `max_share` has no `offset`, and one without
        either has no `biased`.
        """
        document = _fields(self)
        del document["went_by"]
        if self.chance is None:
            del document["chance"]
        if self.went_by is not None:
            document.update(_fields(self.went_by))
        for name in ("bias", "offset", "biased"):
            if document.get(name, "") is None:
                del document[name]
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Equals:
    """Candidates between which the policy makes no difference."""

    type: str
    nodes: list[str]
    """In the order in which they are offered the client."""
    reason: str
    """Why in this order."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a table says of the client."""

    prefix: str
    """The widest around the client with one record."""
    record: str | None
    """None on a miss."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the answer."""

    type: str
    content: str
    ttl: int
    """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How one client is answered, and why."""

    name: str
    """As it was asked for."""
    service: str
    type: str
    """The type that was asked for, or ANY."""
    client: str | None
    """As it was asked for; None: nothing is known of the client."""
    tier: str
    """Where the answer comes from: `live`, `stale`, `fallback`, or `planned`."""
    generation: int | None
    """None: it is only planned, or nothing is known."""
    map: str
    policy: str
    ticket: float | None
    """In [0, 1), of a draw."""
    layer: str | None
    """That answered the first type."""
    key: str | None
    """What that layer calls the client."""
    answered_by: Mapping[str, str]
    """Record type -> the layer that answered, with its key."""
    policy_reason: str | None
    """Why the policy could not go by what it is named after."""
    layers: list[Layer]
    matched: Mapping[str, Match]
    """Table -> what it says of the client, for the tables that were needed."""
    scope: int
    scope_reason: str
    """Why the scope is as long as it is."""
    candidates: list[Candidate]
    equals: list[Equals]
    answer: list[Record]
    nodes: list[str]
    """Best first."""
    refused: bool
    """No node may be given."""
    warning: str | None
    """What an operator must hear of."""
    valid_until: str | None
    """When the answer changes by itself, ISO 8601 UTC."""
    at: str | None = None
    """The time that was asked about, ISO 8601 UTC with milliseconds; None: now."""
    notes: Sequence[str] = ()
    """What may have made a worker answer otherwise at that time, or is not certain of it; one line each."""

    def to_json(self) -> dict[str, Any]:
        """As `geosteer explain --json` prints it: the fields above, by their names."""
        return {
            **_fields(self),
            "layers": [_fields(layer) for layer in self.layers],
            "matched": {table: _fields(match) for table, match in self.matched.items()},
            "candidates": [candidate.to_json() for candidate in self.candidates],
            "equals": [_fields(group) for group in self.equals],
            "answer": [_fields(record) for record in self.answer],
        }
