"""What tests of exports compare with: real data, the Director's word on any client, and clients at each boundary."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

from geosteer.cmodules import Address, pack_address
from geosteer.decision.client import parse
from geosteer_loader.store.pages import Pages, read_table

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.store.generation_view import View
    from support.servers import RedisServer

LONG = bool(os.environ.get("GEOSTEER_LONG"))
REAL = """
[redis]
url = "{url}"
[[sources.geo]]
format = "mmdb"
path = "{geo}"
[networks.lab]
prefixes = ["1.2.3.0/24", "8.8.0.0/16", "2a00::/16", "2001:db8::/32"]
[networks.part]
prefixes = ["8.8.8.0/24", "2a00:1450::/32"]
[nodes.lon1]
a = ["192.0.2.1"]
aaaa = ["2001:db8:1::1"]
[nodes.ams1]
a = ["192.0.2.2"]
[nodes.fra1]
a = ["192.0.2.3", "192.0.2.33"]
aaaa = ["2001:db8:3::1"]
[nodes.nyc1]
a = ["192.0.2.4"]
aaaa = ["2001:db8:4::1"]
well_connected = 1
[nodes.sin1]
a = ["192.0.2.5"]
aaaa = ["2001:db8:5::1"]
[maps.m]
networks = {{ lab = {{ fra1 = 10 }}, part = {{ nyc1 = 1 }} }}
countries = {{ GB = {{ lon1 = 100, ams1 = 200 }}, NL = {{ ams1 = 100, fra1 = 50 }}, US = {{ nyc1 = 7 }}, AU = {{ sin1 = 1, lon1 = 1 }}, FR = {{ lon1 = 3, fra1 = 2 }} }}
continents = {{ EU = {{ ams1 = 200, lon1 = 100 }}, AS = {{ sin1 = 100, lon1 = 20 }}, AF = {{ lon1 = 5, ams1 = 5, nyc1 = 5 }} }}
default = {{ nyc1 = 100, lon1 = 10 }}
[zones."cdn.example.net"]
soa = {{ mname = "ns1.example.net", rname = "h.example.net" }}
ns = ["ns1.example.net"]
[services."www.cdn.example.net"]
map = "m"
"""  # noqa: E501  # TOML 1.0 wants an inline table on one line
NAME = "www.cdn.example.net"


def tiny_config(folder: Path, redis: RedisServer) -> Path:
    """A `geosteer.toml` that names the Redis; what is published there is made by hand."""
    path = folder / "geosteer.toml"
    path.write_text(
        f'[redis]\nurl = "{redis.url}"\n[nodes.x]\na = ["192.0.2.1"]\n[maps.m]\ndefault = {{ x = 1 }}\n'
    )
    return path


def edges(view: View, some: int) -> list[str]:
    """The networks (/24, /56) before and at the boundaries of the published tables, or of some of them."""
    dice, found = random.Random(3), []
    for (_, bits), tree in view.generation.trees.items():
        starts, _ = read_table(Pages(view._store), bits, tree.root.hex())
        chosen = starts if LONG else dice.sample(list(starts), min(some, len(starts)))
        for start in chosen:
            for value in (start - 1, start):
                if 0 <= value < 1 << bits:
                    found.append(f"{Address(value.to_bytes(bits // 8, 'big'))}/{bits}")
    return found


class Oracle:
    """What the Director says of clients, by Redis as it stands."""

    def __init__(self, view: View, name: str = NAME) -> None:
        self._view = view
        self.service = view.generation.model.services[name]

    def decide(self, subnet: str) -> Any:
        who = parse(subnet)
        view = self._view

        def look(table: str) -> tuple[str, int]:
            return view.cell(table, who.bits, who.address)

        return view.generation.director.decide(self.service, who, look, view.mirror.states, view.now)


def ends(subnet: str, length: int) -> list[str]:
    """First and last address of the prefix of that length around a network."""
    packed = pack_address(subnet.partition("/")[0])
    bits = 8 * len(packed)
    low = int.from_bytes(packed, "big") >> (bits - length) << (bits - length)
    return [
        f"{Address(value.to_bytes(bits // 8, 'big'))}/{bits}"
        for value in (low, low + (1 << (bits - length)) - 1)
    ]
