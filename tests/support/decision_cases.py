"""What a decision of the policy `best` comes to, by cases with their right answers: for Python and for the Redis Function."""

from __future__ import annotations

from typing import Any, NamedTuple

TABLES = {
    "geo": {
        "20.0.0.0/8": "GB",
        "30.0.0.0/8": "NL",
        "40.0.0.0/8": "FR",
        "10.1.0.0/16": "NL",
        "fd00:1::/32": "NL",
    },
    "nets": {"192.168.7.0/24": "office"},
}
DOCUMENT: dict[str, Any] = {
    "format": 1,
    "nodes": {
        "lon1": {"a": ["192.0.2.1"], "aaaa": ["2001:db8::1"], "ramp": 0},
        "ams1": {"a": ["192.0.2.2"], "aaaa": ["2001:db8::2"], "ramp": 600},
        "nyc1": {"a": ["192.0.2.3"]},
    },
    "maps": {
        "m": {
            "order": ["countries", "continents"],
            "countries": {"GB": {"lon1": 100, "ams1": 50}, "NL": {"ams1": 100}},
            "continents": {"EU": {"lon1": 100}},
            "default": {"nyc1": 100},
        },
    },
    "services": {"www": {"map": "m"}},
    "continents": {"GB": "EU", "NL": "EU", "FR": "EU"},
}


class Case(NamedTuple):
    """One client network and what is known of the nodes -> the node and the scope of each type."""

    states: dict[str, dict[str, str]]
    overrides: dict[str, dict[str, Any]]
    client: str
    answer: dict[str, tuple[str, int]]


UP = {"state": "up", "since": "2026-01-01T00:00:00Z"}
DOWN = {"state": "down", "since": "2026-01-01T00:00:00Z"}
AHEAD = {"state": "up", "before": "down", "since": "2199-01-01T00:00:00Z"}
"""Came back, by a clock that is ahead of the one that is asked."""

CASES = {
    "first layer": Case({}, {}, "20.1.2.0/24", {"A": ("lon1", 8), "AAAA": ("lon1", 8)}),
    "next of the layer": Case({"lon1": DOWN}, {}, "20.1.2.0/24", {"A": ("ams1", 8), "AAAA": ("ams1", 8)}),
    "next layer": Case({"ams1": DOWN}, {}, "30.1.2.0/24", {"A": ("lon1", 8), "AAAA": ("lon1", 8)}),
    "no such country": Case({}, {}, "40.1.2.0/24", {"A": ("lon1", 8), "AAAA": ("lon1", 8)}),
    "default, and any where it lacks the type": Case(
        {"ams1": DOWN}, {}, "50.0.0.0/24", {"A": ("nyc1", 4), "AAAA": ("lon1", 4)}
    ),
    "put down": Case(
        {"lon1": UP}, {"lon1": {"state": "down"}}, "20.1.2.0/24", {"A": ("ams1", 8), "AAAA": ("ams1", 8)}
    ),
    "put up": Case(
        {"lon1": DOWN}, {"lon1": {"state": "up"}}, "20.1.2.0/24", {"A": ("lon1", 8), "AAAA": ("lon1", 8)}
    ),
    "drained to nothing": Case(
        {}, {"lon1": {"state": "drain"}}, "20.1.2.0/24", {"A": ("ams1", 8), "AAAA": ("ams1", 8)}
    ),
    "all drained": Case(
        {}, {name: {"state": "drain"} for name in ("lon1", "ams1", "nyc1")}, "20.1.2.0/24",
        {"A": ("lon1", 8), "AAAA": ("lon1", 8)},
    ),
    "all down": Case(
        dict.fromkeys(("lon1", "ams1", "nyc1"), DOWN), {}, "30.1.2.0/24", {"A": ("ams1", 8), "AAAA": ("ams1", 8)}
    ),
    "all down, one put down": Case(
        dict.fromkeys(("lon1", "ams1", "nyc1"), DOWN), {"ams1": {"state": "down"}}, "30.1.2.0/24",
        {"A": ("lon1", 8), "AAAA": ("lon1", 8)},
    ),
    "only one type depends on a share": Case(
        {}, {"lon1": {"state": "drain", "percent": 50}}, "50.0.0.0/24", {"A": ("nyc1", 4)}
    ),
    "no ramp and a clock that is behind": Case(
        {"lon1": AHEAD}, {}, "20.1.2.0/24", {"A": ("lon1", 8), "AAAA": ("lon1", 8)}
    ),
    "private, and named": Case({}, {}, "10.1.2.0/24", {"A": ("ams1", 16), "AAAA": ("ams1", 16)}),
    "private, and named in a table that the map does not ask": Case(
        {}, {}, "192.168.7.0/28", {"A": ("nyc1", 24)}
    ),
    "private within IPv6, and named": Case(
        {}, {}, "::ffff:10.1.2.0/120", {"A": ("ams1", 112), "AAAA": ("ams1", 112)}
    ),
    "private in IPv6, and named": Case({}, {}, "fd00:1:2::/48", {"A": ("ams1", 32), "AAAA": ("ams1", 32)}),
    "private, and nothing names it": Case({}, {}, "10.2.3.0/24", {"A": ("nyc1", 15)}),
    "private in IPv6, and nothing names it": Case(
        {}, {}, "fd00:2::/48", {"A": ("nyc1", 31)}
    ),
    "beside a private network": Case({}, {}, "11.0.0.0/24", {"A": ("nyc1", 8)}),
    "all of IPv4 within IPv6": Case({}, {}, "::ffff:0:0/96", {"A": ("nyc1", 128)}),
    "sheds all": Case(
        {"lon1": {**UP, "shed": "1"}}, {}, "20.1.2.0/24", {"A": ("ams1", 8), "AAAA": ("ams1", 8)}
    ),
}  # fmt: skip
