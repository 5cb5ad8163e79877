"""A configuration in which every country has a node of its own, so that an answer tells the country."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.sources.countries import CONTINENT

if TYPE_CHECKING:
    from pathlib import Path

NAME = "www.cdn.example.net"
NOWHERE = "10.9.9.9"
"""What a client gets of whom the database says nothing."""


def address_of(country: str) -> str:
    """The node's IPv4 address of a country, `NOWHERE` for ""."""
    if not country:
        return NOWHERE
    number = sorted(CONTINENT).index(country)
    return f"10.0.{number // 250}.{number % 250 + 1}"


def write_config(
    path: Path, redis_url: str, database: Path, form: str = "mmdb", prefix: str = "geosteer"
) -> Path:
    """A `geosteer.toml` with the database as its only source."""
    lines = [
        f'[redis]\nurl = "{redis_url}"\nprefix = "{prefix}"\n[[sources.geo]]\nformat = "{form}"\npath = "{database}"\n'
    ]
    for number, country in enumerate(sorted(CONTINENT)):
        more = "well_connected = 1\n" if number < 3 else ""
        lines.append(f'[nodes.n-{country.lower()}]\na = ["{address_of(country)}"]\n{more}')
    countries = ", ".join(f"{country} = {{ n-{country.lower()} = 100 }}" for country in sorted(CONTINENT))
    lines.append(
        f'[nodes.none]\na = ["{NOWHERE}"]\n[maps.m]\ncountries = {{ {countries} }}\ndefault = {{ none = 100 }}\n'
    )
    lines.append('[zones."cdn.example.net"]\nsoa = { mname = "ns1.example.net", rname = "h.example.net" }\n')
    lines.append(f'ns = ["ns1.example.net"]\n[services."{NAME}"]\nmap = "m"\n')
    path.write_text("".join(lines))
    return path
