"""A made-up world of nodes, networks and the times between them, to try policies on; everything follows from its seed."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

CITIES = {
    "ams": (52.4, 4.9), "ath": (38.0, 23.7), "atl": (33.7, -84.4), "bkk": (13.8, 100.5), "bog": (4.7, -74.1),
    "bom": (19.1, 72.9), "bue": (-34.6, -58.4), "cai": (30.0, 31.2), "cph": (55.7, 12.6), "dfw": (32.8, -96.8),
    "dxb": (25.2, 55.3), "fra": (50.1, 8.7), "gru": (-23.5, -46.6), "hkg": (22.3, 114.2), "ist": (41.0, 29.0),
    "jkt": (-6.2, 106.8), "jnb": (-26.2, 28.0), "lax": (34.1, -118.2), "lon": (51.5, -0.1), "los": (6.5, 3.4),
    "mad": (40.4, -3.7), "mel": (-37.8, 145.0), "mex": (19.4, -99.1), "mia": (25.8, -80.2), "mil": (45.5, 9.2),
    "mow": (55.8, 37.6), "nbo": (-1.3, 36.8), "nyc": (40.7, -74.0), "ord": (41.9, -87.6), "osa": (34.7, 135.5),
    "par": (48.9, 2.4), "prg": (50.1, 14.4), "sea": (47.6, -122.3), "sel": (37.6, 127.0), "sin": (1.4, 103.8),
    "sto": (59.3, 18.1), "syd": (-33.9, 151.2), "tpe": (25.0, 121.5), "tyo": (35.7, 139.7), "vie": (48.2, 16.4),
    "waw": (52.2, 21.0), "yyz": (43.7, -79.4), "zrh": (47.4, 8.5),
}  # fmt: skip
"""Real places, degrees."""
COUNTRIES = {
    "AE": "dxb", "AR": "bue", "AT": "vie", "AU": "syd", "BR": "gru", "CA": "yyz", "CH": "zrh", "CO": "bog", "CZ": "prg",
    "DE": "fra", "DK": "cph", "EG": "cai", "ES": "mad", "FR": "par", "GB": "lon", "GR": "ath", "HK": "hkg", "ID": "jkt",
    "IN": "bom", "IT": "mil", "JP": "tyo", "KE": "nbo", "KR": "sel", "MX": "mex", "NG": "los", "NL": "ams", "PL": "waw",
    "RU": "mow", "SE": "sto", "SG": "sin", "TH": "bkk", "TR": "ist", "TW": "tpe", "US": "nyc", "ZA": "jnb",
}  # fmt: skip
"""With the city that GeoIP puts a part of their clients in."""
SPREAD = {
    "US": 2500.0,
    "RU": 2500.0,
    "CA": 2000.0,
    "AU": 1500.0,
    "BR": 1500.0,
    "IN": 1000.0,
    "ID": 1200.0,
    "MX": 800.0,
}
"""Kilometres around that city; 300 elsewhere."""
LIGHT = 100.0
"""Kilometres of glass that a round trip of a millisecond covers."""


@dataclass(slots=True)
class System:
    """An AS in one country."""

    number: int
    country: str
    stretch: dict[str, float]
    """Node -> how much longer its way is than a straight line."""
    detour: dict[str, float]
    """Node -> milliseconds by a hub far away."""
    evening: frozenset[str]
    """Nodes that are slow in the evening."""
    measured: bool = True


@dataclass(slots=True)
class Net:
    """A /24."""

    number: int
    system: System
    prefix: int
    place: tuple[float, float]
    guessed: tuple[float, float]
    """Where GeoIP puts it."""
    last_mile: float
    weight: float
    """Its part of all clients."""
    measured: bool = True
    base: dict[str, float] = field(default_factory=dict)
    """Node -> milliseconds without congestion."""


class World:
    """Nodes, networks and times."""

    def __init__(self, seed: int, networks: int = 5000, nodes: int = 30, *, scattered: bool = False) -> None:
        """Args: scattered: who is never measured are single networks, not half of them in whole ASes."""
        self.chance = random.Random(seed)
        chance = self.chance
        self.nodes = dict(sorted(chance.sample(sorted(CITIES.items()), nodes)))
        self.nets: list[Net] = []
        systems = [self._system(number) for number in range(max(20, networks // 34))]
        sizes = [1 / (rank + 1) ** 0.9 for rank in range(len(systems))]
        prefix = 0
        while len(self.nets) < networks:
            system = chance.choices(systems, sizes)[0]
            prefix += 1
            place = self._near(COUNTRIES[system.country], SPREAD.get(system.country, 300.0))
            for _ in range(min(chance.choice((1, 1, 1, 1, 2, 2, 4, 8, 16, 32)), networks - len(self.nets))):
                self.nets.append(self._net(len(self.nets), system, prefix, place))
        order = list(range(networks))
        chance.shuffle(order)
        for rank, at in enumerate(order):
            self.nets[at].weight = 1 / (rank + 1)
        total = sum(net.weight for net in self.nets)
        for net in self.nets:
            net.weight /= total
        self._hide(systems, 0.3, scattered)
        self.slower: dict[tuple[int, str], float] = {}
        """AS and node -> milliseconds that are added, since something broke."""

    def _system(self, number: int) -> System:
        chance = self.chance
        country = chance.choice(sorted(COUNTRIES))
        stretch = {node: 1.2 * math.exp(abs(chance.gauss(0, 0.35))) for node in self.nodes}
        hubs = sorted(CITIES)
        here = CITIES[COUNTRIES[country]]
        detour = {}
        far = chance.random() < 0.06
        hub = chance.choice([name for name in hubs if distance(here, CITIES[name]) > 2500])
        for node, place in self.nodes.items():
            if (far and chance.random() < 0.8) or chance.random() < 0.06:
                by = CITIES[hub if far else chance.choice(hubs)]
                detour[node] = (distance(here, by) + distance(by, place)) / LIGHT
        evening = frozenset(node for node in self.nodes if chance.random() < 0.08)
        return System(number + 1, country, stretch, detour, evening)

    def _near(self, city: str, kilometres: float) -> tuple[float, float]:
        lat, lon = CITIES[city]
        away, angle = abs(self.chance.gauss(0, kilometres / 2)), self.chance.uniform(0, 2 * math.pi)
        north = away / 111 * math.sin(angle)
        east = away / 111 * math.cos(angle) / max(0.2, math.cos(math.radians(lat)))
        return max(-85.0, min(85.0, lat + north)), (lon + east + 180) % 360 - 180

    def _net(self, number: int, system: System, prefix: int, place: tuple[float, float]) -> Net:
        chance = self.chance
        guessed = CITIES[COUNTRIES[system.country]] if chance.random() < 0.25 else place
        net = Net(
            number,
            system,
            prefix,
            place,
            guessed,
            chance.choice((2, 4, 6, 10, 15, 20, 30, 60)) * chance.uniform(0.7, 1.3),
            0.0,
        )
        for node, where in self.nodes.items():
            way = max(distance(place, where) / LIGHT * system.stretch[node], system.detour.get(node, 0.0))
            net.base[node] = way + net.last_mile
        return net

    def _hide(self, systems: list[System], part: float, scattered: bool) -> None:
        chance = self.chance
        left = int(part * len(self.nets))
        if not scattered:
            of_system: dict[int, list[Net]] = {}
            for net in self.nets:
                of_system.setdefault(net.system.number, []).append(net)
            order = [system for system in systems if system.number in of_system]
            chance.shuffle(order)
            for system in order:
                mine = of_system[system.number]
                if len(mine) <= left - int(part * len(self.nets) / 2):
                    system.measured = False
                    left -= len(mine)
                    for net in mine:
                        net.measured = False
        rest = [net for net in self.nets if net.measured]
        for net in chance.sample(rest, min(left, len(rest))):
            net.measured = False

    def time(self, net: Net, node: str, hour: float) -> float:
        """Milliseconds, without the noise of one measurement; hour: of the day, UTC."""
        total = net.base[node] + self.slower.get((net.system.number, node), 0.0)
        if node in net.system.evening:
            local = (hour + net.place[1] / 15) % 24
            if 18 <= local < 23:
                total += 25.0
        return total

    def sample(self, net: Net, node: str, hour: float) -> float:
        """One measurement: jitter, and now and then an outlier."""
        chance = self.chance
        value = self.time(net, node, hour) + chance.expovariate(1 / 3)
        return value * chance.uniform(2, 6) if chance.random() < 0.02 else value


def distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Kilometres along the sphere."""
    lat1, lon1, lat2, lon2 = map(math.radians, (*one, *other))
    half = (
        math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 12742.0 * math.asin(min(1.0, math.sqrt(half)))
