"""`[guard]`, `[journal]`, `[prober]`: what a publish may change, what is kept, and how this host's prober judges."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geosteer_loader.config.health_checks import GATEWAY, control_target
from geosteer_loader.config.values import address, choice, duration, integer, label, number, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.config.section import Table

DAY = 86400
"""Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What a publish refuses, and what it keeps."""

    max_shrink: float = 0.2
    """0..1: a table may lose this share of the address space that it covers."""
    max_country_change: float = 0.5
    """0..1: a country that a map names may lose or gain this share."""
    max_impact: float = 0.2
    """0..1: this share of a service's clients may move."""
    canaries: Mapping[str, str]
    """Address -> country that table `geo` must give it."""
    keep: int = 8
    """Generations kept for rollback."""
    keep_for: float = 2 * DAY
    """Seconds for which a superseded generation is kept, however many follow; 0: the last `keep` alone."""
    keep_size: int = 64 << 20
    """Bytes that generations kept for `keep_for` alone may take, about."""
    grace: float = 600
    """Seconds that a superseded generation stays whole for slow readers."""
    max_age: Mapping[str, float] = field(default_factory=lambda: MAX_AGE)
    """Table (geo, bgp, path, rtt) -> seconds: older data is a warning of `status --check`, twice as old critical; 0: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """How much of the past the journal holds."""

    keep: float = 30 * DAY
    """Seconds for which an event is kept."""
    max_length: int = 100_000
    """Events that are kept, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prober:
    """This host as a prober, and how the verdicts of several become one."""

    name: str
    """Under which it publishes its verdicts; the host's name by default."""
    control: tuple[str, ...] = (GATEWAY,)
    """`gateway`, `host:port` or URLs: when nearly all nodes fail and none of these answers, the prober's own network is down,
    and it is silent. Empty: it never is."""
    forget: float = 3600
    """Seconds after which the verdict of a prober that fell silent no longer counts."""
    rule: str = "majority"
    """How many probers must call a node down: `majority`, `any` or `all` of those with a verdict."""


MEASUREMENTS = "/var/lib/geosteer/latency/samples.sqlite"
"""Where measured times are kept, if `[latency]` does not say."""
MAX_AGE: Mapping[str, float] = {"geo": 45 * DAY, "bgp": 8 * DAY, "path": 8 * DAY, "rtt": 2 * DAY}
"""By table, in seconds. Country databases come monthly at the slowest; routing tables daily, or weekly where kept by hand."""


def read_guard(table: Table) -> Guard:
    """The guard's limits."""
    share = number(0, 1)
    guard = Guard(
        max_shrink=table.get("max_shrink", share, 0.2),
        max_country_change=table.get("max_country_change", share, 0.5),
        max_impact=table.get("max_impact", share, 0.2),
        canaries=_canaries(table.table("canaries")),
        keep=table.get("keep", integer(1, 1000), 8),
        keep_for=table.get("keep_for", duration(0), 2 * DAY),
        keep_size=table.get("keep_size", size, 64 << 20),
        grace=table.get("grace", duration(0), 600),
        max_age=_max_age(table),
    )
    table.finish()
    return guard


def read_journal(table: Table) -> Journal:
    """The journal's bounds."""
    journal = Journal(
        keep=table.get("keep", duration(60), 30 * DAY),
        max_length=table.get("max_length", integer(1000, 10_000_000), 100_000),
    )
    table.finish()
    return journal


def read_prober(table: Table) -> Prober:
    """The prober's settings."""
    prober = Prober(
        name=table.get("name", label, None) or _host_name() or "prober",
        control=_control(table),
        forget=table.get("forget", duration(1), 3600),
        rule=table.get("rule", choice("majority", "any", "all"), "majority"),
    )
    table.finish()
    return prober


def _control(table: Table) -> tuple[str, ...]:
    if table.raw("control") is None:
        return (GATEWAY,)
    return tuple(target for _, target in table.each("control", control_target))


def _max_age(table: Table) -> Mapping[str, float]:
    """One time for all tables, or a table of them by name."""
    value = table.raw("max_age")
    if not isinstance(value, dict):
        age = table.get("max_age", duration(0), None)
        return MAX_AGE if age is None else dict.fromkeys(MAX_AGE, age)
    ages = table.table("max_age")
    found = {name: ages.get(name, duration(0), default) for name, default in MAX_AGE.items()}
    ages.finish()
    return found


def _canaries(table: Table) -> dict[str, str]:
    if not table.names():
        return {}
    from geosteer_loader.config.maps import country  # and with it much that few commands need

    canaries: dict[str, str] = {}
    for key in table.names():
        code = table.get(key, country, "")
        try:
            canaries[address()(key)] = code
        except ValueError as exc:
            table.add(key, str(exc))
    return canaries


def _host_name() -> str:
    """The host's name as far as it may stand in a key."""
    return "".join(
        char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in os.uname().nodename
    )
