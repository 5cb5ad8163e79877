"""One service of each policy, the tables that tell their clients apart, and clients of each kind."""

from __future__ import annotations

from typing import Any

from support.steering import document

POLICIES: dict[str, dict[str, Any]] = {
    "best": {},
    "several": {"max_answers": 2},
    "ties": {"map": "ties"},
    "hash": {"map": "ties", "policy": "hash"},
    "nearest": {"map": "ties", "policy": "nearest"},
    "path": {"map": "ties", "policy": "path"},
    "latency": {"map": "ties", "policy": "latency"},
    "biased": {"map": "ties", "policy": "nearest", "bias": {"ams1": 80, "nyc1": -20}},
    "cname": {"map": "ties", "answer": "cname"},
}
PLACES = {"lon1": [51.5, -0.1], "ams1": [52.4, 4.9], "nyc1": [40.7, -74.0]}
TABLES = {
    "geo": {
        "192.0.2.0/24": "GB 51.5 -0.1", "198.51.100.0/24": "NL 52.4 4.9", "203.0.113.0/25": "FR",
        "203.0.113.128/25": "US-CA 37.75 -122.42", "2001:db8:a::/48": "GB", "2001:db8:b::/48": "NL 52.4 4.9",
        "10.200.0.0/16": "GB 51.5 -0.1", "fd00:9::/32": "GB",
    },
    "path": {"192.0.2.0/24": "nyc1=1 lon1=4", "2001:db8::/32": "ams1=2"},
    "rtt": {"192.0.2.0/25": "ams1=7 lon1=9 nyc1=80", "198.51.100.0/24": "nyc1=30", "2001:db8:a::/48": "nyc1=11 lon1=30"},
}  # fmt: skip
CLIENTS = [
    f"{net}{host}" for net in ("192.0.2.", "198.51.100.", "203.0.113.", "8.8.8.") for host in (1, 77, 200)
]
CLIENTS += [f"10.{net}.0.1" for net in range(40)]
CLIENTS += [
    "2001:db8:a::1",
    "2001:db8:b::9",
    "2001:db8:c::1",
    "2a00::1",
    "::ffff:192.0.2.9",
    "2002:c000:0201::1",
    # Private ones that something published names, and others.
    "10.200.3.4",
    "::ffff:10.200.3.4",
    "fd00:9::9",
    "fd00:77::7",
    "192.168.1.1",
]


def every_policy() -> dict[str, Any]:
    """A configuration document with `<policy>.cdn.example.net` for each of `POLICIES`."""
    everyone = dict.fromkeys(PLACES, 100)
    ties = {"order": ["countries"], "countries": {"GB": everyone}, "default": everyone}
    services = {f"{name}.cdn.example.net": {"map": "default", **spec} for name, spec in POLICIES.items()}
    nodes = {name: {"location": place, "vantage": name} for name, place in PLACES.items()}
    return document(services=services, maps={"ties": ties}, nodes=nodes)
