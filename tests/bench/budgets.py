"""The bars: what geosteer promises of itself, each as a ratio within one run, or as a number of its own.

A run shows all of its sections, in this order, also those that could not be measured; its JSON file has all there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .report import Table
from .rounds import Spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .report import Section


@dataclass(frozen=True, slots=True)
class Bar:
    """What must be reached, and what is aimed at; either may be missing."""

    key: str
    """`section.name`"""
    name: str
    must: float | None
    aim: float | None = None
    at_least: bool = False
    """The bar is a least value; else a greatest one."""
    unit: str = ""

    @property
    def section(self) -> str:
        """Where it is measured."""
        return self.key.partition(".")[0]


BARS = (
    Bar("dns.wide.python", "answers/s through PowerDNS, wide, of Python's do-nothing", 0.95, 1.0, True),
    Bar("dns.wide.c", "answers/s through PowerDNS, wide, of C's do-nothing", 0.65, 0.8, True),
    Bar("dns.hot.python", "answers/s through PowerDNS, hot, of Python's do-nothing", 0.95, 1.0, True),
    Bar("dns.hot.c", "answers/s through PowerDNS, hot, of C's do-nothing", 0.75, 0.9, True),
    Bar("dns.wide.peer", "answers/s through PowerDNS, wide, of the peer worker's", 1.15, None, True),
    Bar("dns.hot.peer", "answers/s through PowerDNS, hot, of the peer worker's", 1.15, None, True),
    Bar(
        "dns.wide.pure",
        "answers/s through PowerDNS, wide, all in Python, of the peer worker's",
        0.95,
        None,
        True,
    ),
    Bar(
        "dns.hot.pure",
        "answers/s through PowerDNS, hot, all in Python, of the peer worker's",
        1.05,
        None,
        True,
    ),
    Bar("dns.v6.peer", "answers/s through PowerDNS, IPv6, of the peer worker's", 1.15, None, True),
    Bar("dns.v6.python", "answers/s through PowerDNS, IPv6, of Python's do-nothing", 0.95, 1.0, True),
    Bar("dns.v6.pure", "answers/s through PowerDNS, IPv6, all in Python, of the peer's", 0.95, None, True),
    Bar("dns.services.peer", "answers/s through PowerDNS, eight services, of the peer's", 1.15, None, True),
    Bar("worker.cpu.wide", "worker CPU per question, wide, of the bare Python loop", 3, 2),
    Bar("worker.cpu.hot", "worker CPU per question, hot, of the bare Python loop", 3, 2),
    Bar("worker.start", "worker start to first answer, of the peer worker's", 0.4, 0.33),
    Bar("worker.tls.start", "worker start over TLS, more than over a unix socket", None, unit=" ms"),
    Bar("worker.tls.memory", "worker memory over TLS, more than over a unix socket", None, unit=" MiB"),
    Bar("worker.memory", "worker memory (PSS, 8 workers, all clients), of the peer worker's", 0.6),
    Bar("worker.large.memory", "worker memory with city and BGP tables, of the country table's", 1.3, 1.1),
    Bar("worker.large.cpu", "worker CPU per question with city and BGP tables, of the country table's", 6),
    Bar("worker.miss.trips", "round trips of a lookup that misses the cache there", 1),
    Bar("worker.miss.time", "p50 of a lookup that misses the cache there, of a GET's", 3),
    Bar("worker.lookups.v4", "warm lookups/s, IPv4, of maxminddb's C get", 1.0, 1.14, True),
    Bar("worker.lookups.v6", "warm lookups/s, IPv6, of maxminddb's C get", 0.85, 1.0, True),
    Bar("worker.lookups.pure.v4", "the same all in Python, IPv4", None, None, True),
    Bar("worker.lookups.pure.v6", "the same all in Python, IPv6", None, None, True),
    Bar("table.country.bytes", "Redis memory a range, country", 8, unit=" bytes"),
    Bar("table.bgp.bytes", "Redis memory a range, origin AS", 12, unit=" bytes"),
    Bar("table.path.bytes", "Redis memory a range, AS-path lengths", 12, unit=" bytes"),
    Bar("table.country.peak", "loader's peak memory, country", 600, unit=" MiB"),
    Bar("table.bgp.peak", "loader's peak memory, BGP", 700, unit=" MiB"),
    Bar("table.path.peak", "loader's peak memory, AS-path lengths", 1536, unit=" MiB"),
    Bar("table.city.peak", "loader's peak memory, city", 4096, unit=" MiB"),
    Bar("table.city.change", "publishing 1 % of a city table changed, CPU, of its first publish", 0.5),
    Bar("loader.two.memory", "two city databases of a family each, peak memory, of the sum of both", 1.3),
    Bar("loader.two.time", "two city databases of a family each, CPU, of the sum of both", 1.3),
    Bar(
        "loader.corrected.memory", "a city database corrected by a short list, peak memory, of it alone", 1.3
    ),
    Bar("loader.corrected.time", "a city database corrected by a short list, CPU, of it alone", 1.3),
    Bar("loader.read.first", "publishing a city database, CPU, of one pass of maxminddb over it", None),
    Bar("loader.read.change", "publishing 1 % of it changed, CPU, of one pass of maxminddb over it", None),
    Bar("loader.change", "publishing 1 % of it changed, CPU, of its first publish", 0.5),
    Bar("loader.change.plain", "the same with `[sources] remember = false`, CPU", None),
    Bar("loader.change.memory", "publishing it first, CPU, of that with `[sources] remember = false`", 1.05),
    Bar("loader.change.recut", "publishing other prefixes for 1 % of it, CPU, of its first publish", None),
    Bar("loader.unchanged", "publishing it unchanged, CPU", 1, unit=" s"),
    Bar("loader.plan.countries", "plan of a map of 238 countries with 500 nodes each, CPU", 10, unit=" s"),
    Bar("loader.plan.services", "plan of 2,000 services of one map, CPU", 3, unit=" s"),
    Bar("loader.node", "geosteer node beside 3 million networks, CPU", 0.3, unit=" s"),
    Bar("loader.status", "geosteer status beside 3 million networks, CPU", 0.3, unit=" s"),
    Bar("loader.probe", "geosteer probe --once beside 3 million networks, CPU", 0.3, unit=" s"),
    Bar("loader.journal", "geosteer journal beside 3 million networks, CPU", 0.3, unit=" s"),
    Bar("loader.networks.time", "publishing 3 million networks, CPU", 20, unit=" s"),
    Bar("loader.networks.peak", "publishing 3 million networks, peak memory", 600, unit=" MiB"),
    Bar("loader.export", "from a node down to the files of an export, 512,000 routes, CPU", 1, unit=" s"),
    Bar("freshness.state.direct", "status write to changed answer, p99, directly", 5, 2, unit=" ms"),
    Bar(
        "freshness.state.replica", "status write to changed answer, p99, through a replica", 5, 2, unit=" ms"
    ),
    Bar("freshness.override.direct", "override to changed answer, p99, directly", 5, 2, unit=" ms"),
    Bar("freshness.override.replica", "override to changed answer, p99, through a replica", 5, 2, unit=" ms"),
    Bar("freshness.crowd", "state or override to changed answer, p99, 64 workers", 15, 5, unit=" ms"),
    Bar("freshness.control", "a message to 64 bare processes that read one key each, p99", None, unit=" ms"),
    Bar("latency.excess", "excess time of policy latency, of nearest's", 0.25, 0.15),
    Bar("latency.known", "the same in ASes that are measured", 0.15, 0.1),
    Bar("latency.changes", "networks that change their node in a day, steady worlds", 0.5, unit=" %"),
    Bar("latency.left", "until 90 % of the clients have left a node that got worse", 16, unit=" h"),
    Bar("latency.left.plenty", "the same with 300 samples of a network and day", 6, unit=" h"),
    Bar("publish.p99", "p99 answer time while publishing in a loop, of idle", 1.5, 1.1),
    Bar("publish.control", "the same while the publisher's work is done without Redis", None),
    Bar("publish.flips", "the same with a new generation every 200 ms", None, 1.5),
    Bar("worker.trips", "Redis round trips for a warm answer", 0),
    Bar("http.ratio", "redirects of geosteer-http a core-second, of nginx's fixed 302", 0.18, 0.3, True),
    Bar("http.uvicorn", "redirects of geosteer-http a core-second, of uvicorn's fixed 302", 0.85, 1.0, True),
    Bar(
        "http.nginx",
        "redirects of nginx with exported files a core-second, of its fixed 302",
        0.8,
        0.95,
        True,
    ),
    Bar(
        "http.haproxy",
        "redirects of HAProxy with exported files a core-second, of its fixed 302",
        0.8,
        0.95,
        True,
    ),
)


@dataclass(frozen=True, slots=True)
class Budget:
    """A bar, and what was measured."""

    bar: Bar
    measured: Spread | float | None = None
    note: str = ""

    @property
    def value(self) -> float | None:
        """The number that is judged: the median."""
        return self.measured.middle if isinstance(self.measured, Spread) else self.measured

    def meets(self, limit: float | None) -> bool | None:
        """Whether the limit is kept; None where nothing was measured, or there is no limit."""
        value = self.value
        if value is None or limit is None:
            return None
        return value >= limit if self.bar.at_least else value <= limit

    def to_json(self) -> dict[str, Any]:
        """Everything, with the verdicts."""
        bar = self.bar
        return {
            "key": bar.key, "name": bar.name, "measured": self.value,
            "spread": self.measured.to_json() if isinstance(self.measured, Spread) else None, "unit": bar.unit.strip(),
            "must": bar.must, "aim": bar.aim, "at_least": bar.at_least, "met": self.meets(bar.must),
            "aim_met": self.meets(bar.aim), "note": self.note,
        }  # fmt: skip


def judged(sections: Sequence[Section]) -> list[Budget]:
    """Every bar, with what the sections found."""
    found: Mapping[str, tuple[Spread | float, str]] = {
        key: value for section in sections for key, value in section.measured.items()
    }
    assert found.keys() <= {bar.key for bar in BARS}
    return [Budget(bar, *found.get(bar.key, (None, ""))) for bar in BARS]


def budget_table(budgets: Sequence[Budget]) -> Table:
    """Every bar: measured, must, aim, met or not."""
    table = Table("Budgets", ["what", "measured", "must", "aim", "met", "aim met"])
    words = {True: "yes", False: "NO", None: "-"}
    for one in budgets:
        bar = one.bar
        sign = "at least" if bar.at_least else "at most"
        table.rows.append(
            [
                bar.name + (f" ({one.note})" if one.note else ""),
                _measured(one),
                "" if bar.must is None else f"{sign} {bar.must:g}{bar.unit}",
                "" if bar.aim is None else f"{bar.aim:g}{bar.unit}",
                words[one.meets(bar.must)] if bar.must is not None else "",
                words[one.meets(bar.aim)] if bar.aim is not None else "",
            ]
        )
    table.notes.append(
        "medians of the rounds (least-greatest), of short slices with a 95 % interval; not met is a finding, not an error"
    )
    return table


def _measured(one: Budget) -> str:
    if one.measured is None:
        return "not measured"
    value = one.value or 0
    return f"{one.measured:.{0 if value >= 100 else 2}f}" + one.bar.unit
