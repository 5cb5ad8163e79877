"""A small world: every country has clients, and nine nodes serve them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.sources.countries import CONTINENT

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = "www.cdn.example.net"
DOWNLOADS = "downloads.cdn.example.net"
LARGE = {
    "US": 24,
    "CN": 12,
    "JP": 8,
    "DE": 7,
    "GB": 7,
    "FR": 5,
    "KR": 5,
    "BR": 5,
    "CA": 4,
    "IT": 4,
    "AU": 3,
    "NL": 3,
    "IN": 3,
    "RU": 3,
}
"""Countries with more than one /16."""
NODES = {
    "nyc1": (40.71, -74.01), "sjc1": (37.34, -121.89), "gru1": (-23.55, -46.63), "lon1": (51.51, -0.13), "fra1": (50.11, 8.68),
    "jnb1": (-26.2, 28.05), "sin1": (1.35, 103.82), "tyo1": (35.68, 139.69), "syd1": (-33.87, 151.21),
}  # fmt: skip
"""Node -> latitude and longitude."""
SHAPE = """
[redis]
url = "{url}"
prefix = "{prefix}"
timeout = 3
[[sources.geo]]
format = "csv"
path = "{geo}"
{nodes}
[maps.world]
[maps.world.countries]
US = {{ nyc1 = 60, sjc1 = 40 }}
CA = {{ nyc1 = 100, sjc1 = 100 }}
MX = {{ sjc1 = 100 }}
GB = {{ lon1 = 100 }}
IE = {{ lon1 = 100 }}
FR = {{ lon1 = 50, fra1 = 50 }}
ES = {{ lon1 = 100 }}
PT = {{ lon1 = 100 }}
IN = {{ sin1 = 70, fra1 = 30 }}
ZA = {{ jnb1 = 100 }}
{more}
[maps.world.continents]
EU = {{ fra1 = 100, lon1 = 10 }}
NA = {{ nyc1 = 100, sjc1 = 10 }}
SA = {{ gru1 = 100, nyc1 = 10 }}
AS = {{ sin1 = 60, tyo1 = 40 }}
OC = {{ syd1 = 100, sin1 = 10 }}
AF = {{ jnb1 = 100, fra1 = 60 }}
AN = {{ syd1 = 100 }}
[maps.world.default]
fra1 = 100
nyc1 = 100
[zones."cdn.example.net"]
soa = {{ mname = "ns1.example.net", rname = "hostmaster.example.net" }}
ns = ["ns1.example.net"]
[services."{service}"]
map = "world"
policy = "weighted"
[services."{downloads}"]
map = "world"
[guard]
max_impact = 1.0
max_country_change = 1.0
keep = 8
"""


def write_world(folder: Path, url: str, prefix: str = "geosteer", *, more: str = "", shift: int = 0) -> Path:
    """A `geosteer.toml` and its table.

    Args: more: further countries of the map (`NL = { lon1 = 100 }`); shift: so many /16s of the United States are Canada's.
    """
    lines, network = [], 1 << 8
    for country in sorted(CONTINENT):
        for number in range(LARGE.get(country, 1)):
            owner = "CA" if country == "US" and number < shift else country
            lines.append(f"{network >> 8}.{network & 255}.0.0/16,{owner}")
            network += 1
        lines.append(f"2001:{network:x}::/32,{country}")
    geo = folder / "world.csv"
    geo.write_text("\n".join(lines) + "\n")
    nodes = [
        f'[nodes.{name}]\na = ["192.0.2.{number}"]\naaaa = ["2001:db8::{number}"]\nlocation = [{lat}, {lon}]\n'
        f"{'well_connected = 1' if number < 3 else ''}\n"
        for number, (name, (lat, lon)) in enumerate(NODES.items(), 1)
    ]
    path = folder / "geosteer.toml"
    path.write_text(
        SHAPE.format(
            url=url,
            prefix=prefix,
            geo=geo,
            nodes="".join(nodes),
            more=more,
            service=SERVICE,
            downloads=DOWNLOADS,
        )
    )
    return path
