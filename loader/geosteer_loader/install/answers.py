"""What `geosteer init` has to know, and how it is written on the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from geosteer_loader.config.dns_names import host
from geosteer_loader.sources.countries import COUNTRIES
from geosteer_loader.sources.geography import COUNTRY_PLACES

if TYPE_CHECKING:
    from geosteer_loader.install.servers import Server

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
WEIGHTS = (100, 50, 25, 10)
"""Of the nodes that a country is given, the first listed first."""


@dataclass(frozen=True, slots=True)
class Node:
    """A content server, or a name server: a name with addresses."""

    name: str
    addresses: tuple[str, ...]
    place: tuple[float, float] | None = None
    """Latitude and longitude in degrees."""

    @property
    def a(self) -> list[str]:
        """IPv4 addresses."""
        return [address for address in self.addresses if ":" not in address]

    @property
    def aaaa(self) -> list[str]:
        """IPv6 addresses."""
        return [address for address in self.addresses if ":" in address]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """All of it, checked."""

    zone: str
    services: tuple[str, ...]
    """Names in the zone, without it."""
    nodes: tuple[Node, ...]
    name_servers: tuple[Node, ...]
    countries: tuple[tuple[str, tuple[str, ...]], ...]
    """Country -> names of its nodes, best first."""
    listen: tuple[str, ...]
    """Addresses that PowerDNS answers on."""
    port: int
    prefix: str
    socket: str
    """Path of Redis's unix socket."""
    server: Server
    redis_user: str
    """What the names of its users in Redis begin with."""
    system_user: str
    """Who publishes and probes."""
    pdns_user: str
    check: str
    """Type of the nodes' health check: `none`, `http`, `https`, `tcp:PORT`."""
    cron: bool
    """A line for cron in place of a systemd timer."""

    @property
    def example(self) -> str:
        """The first service, as clients ask for it."""
        return f"{self.services[0]}.{self.zone}"


def node(text: str) -> Node:
    """`lon1=192.0.2.1[,2001:db8::1][@GB]`, or `@51.5/-0.1` in place of the country.

    Raises: ValueError: says what is wrong.
    """
    name, equals, rest = text.partition("=")
    listed, at, where = rest.partition("@")
    if not equals or not listed:
        raise ValueError(f"must be NAME=ADDRESS[,ADDRESS6][@COUNTRY], not {text!r}")
    if not _NAME.fullmatch(name):
        raise ValueError(f"invalid name {name!r}: use letters, digits and '-'")
    return Node(name, tuple(map(address, listed.split(","))), _place(where) if at else None)


def address(text: str) -> str:
    """An address, as it is usually written. Raises: ValueError."""
    try:
        return str(ip_address(text.strip()))
    except ValueError as exc:
        raise ValueError(f"not an address: {text!r}") from exc


def country(text: str) -> tuple[str, tuple[str, ...]]:
    """`GB=lon1,ams1`, the best node first. Raises: ValueError."""
    code, equals, rest = text.partition("=")
    names = tuple(name.strip() for name in rest.split(",") if name.strip())
    if not equals or not names or len(names) > len(WEIGHTS):
        raise ValueError(f"must be COUNTRY=NODE[,NODE...], at most {len(WEIGHTS)} nodes, not {text!r}")
    if code.upper() not in COUNTRIES:
        raise ValueError(f"unknown country code {code!r}")
    return code.upper(), names


def domain(text: str) -> str:
    """A name of the DNS in lower case, without a final dot. Raises: ValueError."""
    return host(text.strip())


def word(text: str) -> str:
    """A prefix or the name of a user. Raises: ValueError."""
    if not _WORD.fullmatch(text):
        raise ValueError(f"use up to 64 of letters, digits, '_', '-', '.' and ':', not {text!r}")
    return text


def check(text: str) -> str:
    """A type of health check. Raises: ValueError."""
    kind, colon, port = text.partition(":")
    if text in {"none", "http", "https"} or (
        kind == "tcp" and colon and port.isdigit() and 0 < int(port) < 65536
    ):
        return text
    raise ValueError(f"must be none, http, https or tcp:PORT, not {text!r}")


def _place(text: str) -> tuple[float, float]:
    if text.upper() in COUNTRY_PLACES:
        return COUNTRY_PLACES[text.upper()]
    lat, slash, lon = text.partition("/")
    try:
        place = float(lat), float(lon)
    except ValueError:
        slash = ""
    if not slash or not (-90 <= place[0] <= 90 and -180 <= place[1] <= 180):
        raise ValueError(f"must be a country code or LATITUDE/LONGITUDE, not {text!r}")
    return place
