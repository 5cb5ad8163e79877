"""Nodes, maps and services as a decision uses them, made from the published configuration document. No I/O."""

from __future__ import annotations

from geosteer.cmodules import pack_address
from geosteer.decision.records import NO_PLACES
from geosteer.errors import CorruptPage
from geosteer.process import finished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from geosteer.decision.service_binding import Binding
    from geosteer.process import Steps

    Entries = tuple[tuple["Node", float], ...]

LAYER_TABLE = {
    "networks": "nets", "asns": "bgp", "subdivisions": "geo", "countries": "geo", "continents": "geo",
}  # fmt: skip
"""Which table tells what a layer of a map asks."""

RAMP = 60
"""Seconds until a node that came back has its whole share, unless its configuration says otherwise."""

NEARNESS = frozenset(("nearest", "latency"))
"""Policies that go by distance, always or where nothing else is known."""
MOST_BIAS = 99
"""Of a node, either way."""
KM_A_MS = 100.0
"""Kilometres that stand for a millisecond of offset where `latency` goes by distance: there and back in glass fibre."""
MOST = 2**31 - 1
"""Of any weight, time or distance; of a TTL too (RFC 2181, 8)."""

FEW = 8
"""Nodes or services that are made in one step."""
SOME = 128
"""Entries of a map that are made in one step."""

LONGEST_DOUBT = 300
"""Characters of what is told of a service that cannot be used as it stands."""

FORMAT = 1
"""The configuration document's format that this code reads."""


class Node:
    """A content server."""

    __slots__ = (
        "a", "aaaa", "assume", "hostname", "kinds", "location", "name", "near_km", "ramp", "vantage", "weight",
        "well_connected",
    )  # fmt: skip

    def __init__(self, name: str, spec: Mapping[str, Any]) -> None:
        self.name = name
        self.a = _addresses(spec.get("a"), 4)
        self.aaaa = _addresses(spec.get("aaaa"), 16)
        self.hostname = _host_name(spec.get("hostname"))
        contents = (("A", self.a), ("AAAA", self.aaaa), ("CNAME", self.hostname))
        self.kinds = tuple(kind for kind, content in contents if content)
        """The record types that it can be an answer of."""
        self.weight = _number(spec.get("weight", 100))
        """Per cent."""
        place = spec.get("location")
        self.location = _place(place) if place else None
        self.well_connected = _whole(spec.get("well_connected") or 0)
        """Weight in the round robin of last resort; 0: not used there."""
        self.assume: str | None = spec.get("assume")
        """What `unknown` counts as."""
        near = spec.get("near_km")
        self.near_km = None if near is None else _number(near)
        """Kilometres further than the nearest node at which it still counts as equal; None: as the service says."""
        self.ramp = _number(spec.get("ramp", RAMP))
        """Seconds until a node that came back has its whole share."""
        self.vantage: str | None = spec.get("vantage")

    def has(self, kind: str) -> bool:
        """Whether the node can be an answer of type A, AAAA or CNAME."""
        return kind in self.kinds

    def contents(self, kind: str) -> tuple[str, ...]:
        """The record contents of type A, AAAA or CNAME."""
        return self.a if kind == "A" else self.aaaa if kind == "AAAA" else (self.hostname or "",)


class Map:
    """The redirection table: which nodes, with which weights, for which clients."""

    __slots__ = (
        "alike", "all_down", "default", "everyone", "kinds", "layers", "name", "nodes", "usable",
    )  # fmt: skip

    def __init__(self, name: str, spec: Mapping[str, Any], nodes: Mapping[str, Node]) -> None:
        finished(self._make(name, spec, nodes))

    @classmethod
    def in_steps(cls, name: str, spec: Mapping[str, Any], nodes: Mapping[str, Node]) -> Steps[Map]:
        """The same, made key by key."""
        made = cls.__new__(cls)
        yield from made._make(name, spec, nodes)
        return made

    def _make(self, name: str, spec: Mapping[str, Any], nodes: Mapping[str, Node]) -> Steps[None]:
        self.name = name
        self.all_down: str = spec.get("all_down", "all")
        layers = []
        for layer in spec.get("order") or ():
            if layer in LAYER_TABLE and spec.get(layer):
                keys = {}
                for key in spec[layer]:
                    keys[key] = yield from _entries(spec[layer][key], nodes)
                    yield
                layers.append((layer, LAYER_TABLE[layer], keys))
        self.layers: tuple[tuple[str, str, dict[str, Entries]], ...] = tuple(layers)
        """(layer, table that it asks, key -> nodes and weights), in the order asked."""
        self.default: Entries = yield from _entries(spec["default"], nodes)
        highest: dict[Node, float] = {}
        for entries in (self.default, *(some for *_, layer in self.layers for some in layer.values())):
            for count, (node, weight) in enumerate(entries, 1):
                highest[node] = max(weight, highest.get(node, 0.0))
                if not count % SOME:
                    yield
            yield
        self.everyone: Entries = tuple(highest.items())
        """Every node of the map with its highest weight: the layer `any`."""
        self.nodes = tuple(highest)
        self.usable = tuple([node for node in highest if highest[node] > 0]) or self.nodes
        """Nodes that some weight lets be chosen: they say which record types a service has."""
        yield
        kinds: set[str] = set()
        self.alike = True
        """For every client the types of address have the same nodes."""
        for count, node in enumerate(self.usable, 1):
            kinds.update(node.kinds)
            if node.has("A") != node.has("AAAA"):
                self.alike = False
            if not count % SOME:
                yield
        self.kinds: tuple[str, ...] = tuple([kind for kind in ("A", "AAAA") if kind in kinds])
        """Types of address that a service has, for every client."""
        self.alike = self.alike and len(self.kinds) > 1


class Offset:
    """How far a node is pushed away, so that it has no more clients than its `max_share`."""

    __slots__ = ("add", "edge", "keep")

    def __init__(self, add: float, edge: float, keep: float) -> None:
        self.add = add
        """What is added to its distances or times."""
        self.edge = edge
        """How much more would lose the node those clients that are at the edge of its catchment."""
        self.keep = keep
        """0..1: the part of these that it keeps."""


class Service:
    """A name or URL that is answered by a map and a policy."""

    __slots__ = (
        "bias", "bindings", "choices", "cname", "doubt", "equal_ms", "equal_percent", "factors", "kinds", "map", "max_answers",
        "middles", "name", "near_km", "offsets", "offsets_km", "policy", "spare", "tables", "ttl", "ttl_min",
    )  # fmt: skip

    def __init__(
        self, name: str, spec: Mapping[str, Any], maps: Mapping[str, Map],
        middles: Mapping[str, tuple[float, float]] = NO_PLACES,
    ) -> None:  # fmt: skip
        """Args: middles: country -> latitude and longitude of its middle."""
        self.name = name
        self.map = maps[spec["map"]]
        self.policy: str = spec.get("policy", "best")
        self.middles = middles if self.policy in NEARNESS and spec.get("country_middle", True) else NO_PLACES
        """Where clients are of which the table `geo` knows the country only; empty: unknown."""
        self.ttl = _whole(spec.get("ttl", 60))
        """Seconds."""
        least = spec.get("ttl_min")
        self.ttl_min = min(self.ttl, max(self.ttl // 2, 5) if least is None else _whole(least))
        """Seconds, while a chosen node's checks fail."""
        self.near_km = _number(spec.get("near_km", 100))
        self.equal_ms = _number(spec.get("equal_ms", 3))
        """Milliseconds, and per cent of the best node's time, within which times count as equal."""
        self.equal_percent = _number(spec.get("equal_percent", 5))
        given = spec.get("bias") if self.policy in NEARNESS else None
        self.bias = (
            {node: _number(bias, -MOST_BIAS, MOST_BIAS) for node, bias in given.items()} if given else {}
        )
        """Node -> how much its catchment is stretched (above 0) or shrunk, -99 to 99; the others: 0."""
        self.factors = {node: bias_factor(bias) for node, bias in self.bias.items() if bias}
        """Node -> what its distances and times are multiplied with; the others: 1."""
        pushed = spec.get("offsets") if self.policy in NEARNESS else None
        self.offsets = {node: _offset(offset) for node, offset in pushed.items()} if pushed else {}
        """Node -> how far it is pushed away, in kilometres or milliseconds, as the policy goes by; the others: not."""
        self.offsets_km = self.offsets
        """The same where distances decide."""
        if self.offsets and self.policy == "latency":
            self.offsets_km = {
                node: Offset(offset.add * KM_A_MS, offset.edge * KM_A_MS, offset.keep)
                for node, offset in self.offsets.items()
            }
        self.cname: bool = spec.get("answer") == "cname"
        self.max_answers = _whole(spec.get("max_answers", 1))
        self.spare = False
        """Nodes of the next layers make up for what the layer that answers has too few of; never so in DNS."""
        self.kinds: tuple[str, ...] = ("CNAME",) if self.cname else self.map.kinds
        """The record types that the service has, for every client."""
        together = self.map.alike and not self.cname
        self.choices = (self.kinds,) if together else tuple((kind,) for kind in self.kinds)
        """The record types again, those together for which every client has the same nodes."""
        tables = [table for _, table, _ in self.map.layers]
        tables += {"nearest": ["geo"], "path": ["path"], "latency": ["rtt", "geo"]}.get(self.policy, [])
        self.tables: tuple[str, ...] = tuple(dict.fromkeys(tables))
        """Every table that an answer may need."""
        self.bindings: tuple[Binding, ...] = ()
        """HTTPS and SVCB records, whose hints are the addresses of the answer."""
        self.doubt = ""
        """Why there are none, where the document has some."""
        if spec.get("https") or spec.get("svcb"):
            self._bind(spec)

    def _bind(self, spec: Mapping[str, Any]) -> None:
        """Take in the HTTPS and SVCB records; without those that cannot be used the addresses are answered as ever."""
        from geosteer.decision.service_binding import bindings

        try:
            self.bindings = bindings(self.name, spec) if self.kinds and not self.cname else ()
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            self.doubt = f"no HTTPS and SVCB records for {self.name!r}: {exc}"[:LONGEST_DOUBT]

    @property
    def ranking(self) -> tuple[object, ...]:
        """All settings by which it ranks the nodes of its map: the same for services that rank alike."""
        return (
            self.policy, self.near_km, self.equal_ms, self.equal_percent, bool(self.middles), *self.placement,
        )  # fmt: skip

    @property
    def placement(self) -> tuple[tuple[object, ...], ...]:
        """The part of them that was placed by hand: each node's bias and offset."""
        pushed = [(node, offset.add, offset.edge, offset.keep) for node, offset in self.offsets.items()]
        return tuple(sorted(self.factors.items())), tuple(sorted(pushed))

    def variant(self, kind: str, max_answers: int) -> Service:
        """The service with one record type only, and another number of nodes; of more, the next layers give some."""
        variant = Service.__new__(Service)
        for slot in Service.__slots__:
            setattr(variant, slot, getattr(self, slot))
        variant.kinds, variant.max_answers = (kind,), max_answers
        variant.choices = (variant.kinds,)
        variant.spare = max_answers > self.max_answers
        return variant


class Model:
    """Everything that the published configuration document says about decisions."""

    __slots__ = ("continents", "doubt", "maps", "nodes", "services")

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Raises: CorruptPage: not a configuration document, or a format that this code does not know."""
        finished(self._make(document))

    @classmethod
    def in_steps(cls, document: Mapping[str, Any]) -> Steps[Model]:
        """The same, made piece by piece. Raises: as `Model`."""
        model = cls.__new__(cls)
        yield from model._make(document)
        return model

    def _make(self, document: Mapping[str, Any]) -> Steps[None]:
        try:
            if document["format"] != FORMAT:
                raise CorruptPage(
                    f"configuration document format {document['format']}, this program knows {FORMAT}"
                )
            self.nodes = {}
            for count, (name, spec) in enumerate(document["nodes"].items(), 1):
                self.nodes[name] = Node(name, spec)
                if not count % FEW:
                    yield
            self.maps = {}
            for name, spec in document["maps"].items():
                self.maps[name] = yield from Map.in_steps(name, spec, self.nodes)
            middles = {country: _place(place) for country, place in (document.get("middles") or {}).items()}
            yield
            self.services = {}
            self.doubt = ""
            """What of the services cannot be used, of the first of them."""
            for count, (name, spec) in enumerate(document["services"].items(), 1):
                service = self.services[name] = Service(name, spec, self.maps, middles)
                if service.doubt and not self.doubt:
                    self.doubt = service.doubt
                if not count % FEW:
                    yield
            self.continents: Mapping[str, str] = document.get("continents") or {}
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
            raise CorruptPage(f"configuration document: {type(exc).__name__} {exc}") from exc


def bias_factor(bias: float) -> float:
    """What a node's distances and times are multiplied with, for a bias from -99 to 99.

    Source: Amazon Route 53, geoproximity routing: biased distance = actual distance * (1 - bias / 100) for a bias above 0,
    actual distance / (1 + bias / 100) for one below.
    """
    return 1 - bias / 100 if bias > 0 else 1 / (1 + bias / 100)


def _offset(spec: Mapping[str, Any]) -> Offset:
    """Raises: ValueError, TypeError, KeyError, AttributeError: it is none, or has a number that is out of range."""
    return Offset(_number(spec["add"]), _number(spec["edge"]), _number(spec["keep"], 0, 1))


def _entries(weights: Mapping[str, float], nodes: Mapping[str, Node]) -> Steps[Entries]:
    entries = []
    for name, weight in weights.items():
        entries.append((nodes[name], _number(weight) * nodes[name].weight / 100))
        if not len(entries) % SOME:
            yield
    return tuple(entries)


def _number(value: Any, low: float = 0, high: float = MOST) -> float:
    """The value. Raises: ValueError, TypeError: it is not a number from *low* to *high*."""
    if not low <= value <= high:  # neither is what is not a number
        raise ValueError(f"{value!r} is not from {low} to {high}")
    return value  # type: ignore[no-any-return]


def _place(value: Any) -> tuple[float, float]:
    """Latitude and longitude, degrees. Raises: ValueError, TypeError, IndexError: the value is not a list of them."""
    return _number(value[0], -360, 360), _number(value[1], -360, 360)


def _whole(value: Any) -> int:
    """The value. Raises: ValueError, TypeError: it is not a whole number from 0 to MOST."""
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return int(_number(value))


def _addresses(value: Any, size: int) -> tuple[str, ...]:
    """The value as a tuple. Raises: ValueError, TypeError, AttributeError: not a list of addresses of that many bytes."""
    if not value:
        return ()
    addresses = tuple(value)
    for text in addresses:
        if len(pack_address(text)) != size:
            raise ValueError(f"{value!r} is not of one family")
    return addresses


def _host_name(value: Any) -> str | None:
    """The value. Raises: ValueError, TypeError, AttributeError: it is something that cannot stand in a reply."""
    if value and (not value.isascii() or not value.isprintable() or " " in value or len(value) > 253):
        raise ValueError(f"{value!r} is not a host name")
    return value  # type: ignore[no-any-return]
