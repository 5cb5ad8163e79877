"""The zone that every competitor serves: one name, ten nodes, and which client gets which of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.sources.countries import CONTINENT

from .peers.constants import CONTINENTS, COUNTRIES, DEFAULT, NAME, NAMES, NODES, TTL, ZONE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["ASNS", "CONTINENTS", "COUNTRIES", "DEFAULT", "NAME", "NAMES", "NODES", "TTL", "ZONE"]

ASNS = {"AS3320": "fra1", "AS2856": "lon1", "AS1136": "ams1", "AS7018": "nyc1"}


def ipv4(node: str) -> str:
    """A node's address."""
    return NODES[node][0]


def ipv6(node: str) -> str:
    """A node's address."""
    return NODES[node][1]


def node_of(country: str, continent: str) -> str:
    """The node of a client."""
    return COUNTRIES.get(country) or CONTINENTS.get(continent) or DEFAULT


def continent_of(country: str) -> str:
    """The continent that the databases of a run say."""
    return CONTINENT[country]


def question(network: str, qtype: str = "ANY") -> bytes:
    """A line of the pipe backend's protocol, as PowerDNS sends it."""
    return f"Q\t{NAME}\tIN\t{qtype}\t1\t127.0.0.1\t127.0.0.1\t{network}\n".encode()


def geosteer_toml(
    path: Path, url: str, sources: Mapping[str, Path], *, asns: bool = False, keep: int = 2, feeds: Path | None = None,
    names: tuple[str, ...] = (NAME,), remember: bool = True,
) -> Path:  # fmt: skip
    """The loader's configuration; with *asns* some origins have a node of their own, so that workers ask the BGP table.

    *feeds* is a folder with a file for each vantage point, as `bgpdump -m` writes it. Each of *names* is a service.
    *remember*: whether what is read is kept for the next publish.
    """
    kept = f'[sources]\ncache = "{path.parent / "copies"}"\n' + ("" if remember else "remember = false\n")
    listed = "".join(
        f'[[sources.{table}]]\nformat = "{"mmdb" if table == "geo" else "pyasn"}"\npath = "{source}"\n'
        for table, source in sources.items()
    )
    for feed in sorted(feeds.iterdir()) if feeds else ():
        listed += f'[[sources.path]]\nformat = "bgpdump"\npath = "{feed}"\nvantage = "{feed.name}"\n'
    nodes = "".join(
        f'[nodes.{node}]\na = ["{ipv4(node)}"]\naaaa = ["{ipv6(node)}"]\nwell_connected = 10\n'
        for node in NODES
    )

    services = "".join(f'[services."{name}"]\nmap = "default"\nttl = {TTL}\n' for name in names)

    def layer(entries: Mapping[str, str]) -> str:
        return "{ " + ", ".join(f"{key} = {{ {node} = 100 }}" for key, node in entries.items()) + " }"

    path.write_text(
        f'[redis]\nurl = "{url}"\n{kept}{listed}{nodes}'
        f"[maps.default]\n{f'asns = {layer(ASNS)}' if asns else ''}\ncountries = {layer(COUNTRIES)}\ncontinents = {layer(CONTINENTS)}\n"  # noqa: E501
        f"default = {{ {DEFAULT} = 100, ams1 = 50 }}\n"
        f'[zones."{ZONE}"]\nsoa = {{ mname = "ns1.example.net", rname = "hostmaster.example.net" }}\n'
        f'ns = ["ns1.example.net", "ns2.example.net"]\n{services}'
        f"[guard]\nmax_shrink = 1.0\nmax_country_change = 1.0\nmax_impact = 1.0\nkeep = {keep}\ngrace = 0\n"
    )
    return path


def backend_toml(path: Path, url: str, more: str = "") -> Path:
    """A worker's settings: the shipped ones, with a Redis and a snapshot of our own; *more* lines about the Redis."""
    path.write_text(f'snapshot = "{path.parent}/last-good.json"\n[redis]\nurl = "{url}"\n{more}\n')
    return path
