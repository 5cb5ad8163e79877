"""The parts of the published configuration document; the shipped example explains each field."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

Number = int | float
Weights = dict[str, int]
"""Node -> weight, 0 to 1000000."""


class Profile(TypedDict):
    """How many probes in a row change a node's state (as gdnsd's `up_thresh`, `ok_thresh`, `down_thresh`)."""

    up: int
    ok: int
    down: int


class Node(TypedDict):
    """One content server."""

    a: list[str]
    aaaa: list[str]
    hostname: str | None
    weight: int
    location: list[Number] | None
    well_connected: int | None
    capacity: Number | None
    assume: str | None
    ramp: Number
    settle: Number | None
    near_km: Number | None
    vantage: str | None
    checks: list[dict[str, Any]]


class Map(TypedDict):
    """One redirection table."""

    order: list[str]
    all_down: str
    max_down: Number
    networks: dict[str, Weights]
    asns: dict[str, Weights]
    subdivisions: dict[str, Weights]
    countries: dict[str, Weights]
    continents: dict[str, Weights]
    default: Weights


class Soa(TypedDict):
    """A zone's SOA, without its serial."""

    mname: str
    rname: str
    refresh: int
    retry: int
    expire: int
    minimum: int
    ttl: int


class Record(TypedDict):
    """One static record; content in presentation form, as PowerDNS reads it."""

    name: str
    type: str
    content: str
    ttl: int


class Zone(TypedDict):
    """What a served zone holds beside services and nodes."""

    soa: Soa
    ns: list[str]
    ns_ttl: int
    records: list[Record]


class Binding(TypedDict, total=False):
    """One HTTPS or SVCB record of a service; hints are added to each answer."""

    name: str
    """Labels before the service's name, for `svcb`."""
    priority: int
    target: str
    alpn: list[str]
    no_default_alpn: bool
    port: int
    ech: str
    dohpath: str
    mandatory: list[str]


class Service(TypedDict):
    """One name that is answered by a map and a policy."""

    map: str
    policy: str
    ttl: int
    ttl_min: int | None
    near_km: Number
    equal_ms: Number
    equal_percent: Number
    country_middle: bool
    answer: str
    max_answers: int
    bias: NotRequired[dict[str, int]]
    """Node -> -99 to 99, of those that have one."""
    https: NotRequired[list[Binding]]
    svcb: NotRequired[list[Binding]]
    max_share: NotRequired[dict[str, Number]]
    """Node -> the part of the clients that it may have, 0.001 to 1, of those that have a limit."""
    offsets: NotRequired[dict[str, dict[str, Number]]]
    """Node -> `add`, `edge`, `keep`: how far it is pushed away for its `max_share`; made at publish."""
