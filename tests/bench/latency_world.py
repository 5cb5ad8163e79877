"""A synthetic world of nodes, client networks and the round-trip times between them; everything follows from its seed."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

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
"""With the city in which GeoIP places some of their clients."""
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
EVENING = 25.0
"""Milliseconds that congestion adds in the evening."""
FIRST = {32: 11 << 24, 128: 0x2A00 << 112}
"""Where the prefixes of a family begin."""
KEPT = {32: 24, 128: 48}
"""Address bits -> length of a client network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What kind of world."""

    seed: int = 1
    networks: int = 4000
    nodes: int = 30
    bits: int = 32
    unmeasured: float = 0.3
    """Part of the networks that nobody ever measures."""
    scattered: bool = False
    """They are single networks; else half of them are whole ASes."""
    dominant: float = 0.0
    """Part of the networks that belong to one AS."""
    jitter: float = 3.0
    """Milliseconds, the mean of an exponential distribution."""
    outliers: float = 0.02
    """Part of the measurements that take 2 to 6 times as long."""


@dataclass(slots=True)
class System:
    """An AS in one country."""

    number: int
    country: str
    stretch: dict[str, float]
    """Node -> length of the path to it, of the great circle's."""
    detour: dict[str, float]
    """Node -> milliseconds by way of a remote hub."""
    evening: frozenset[str]
    """Nodes whose paths are congested in the evening."""
    measured: bool = True


@dataclass(slots=True)
class Net:
    """A /24, or a /48."""

    number: int
    bits: int
    first: int
    """First address."""
    system: System
    place: tuple[float, float]
    guessed: tuple[float, float]
    """Where GeoIP places it."""
    last_mile: float
    """Milliseconds."""
    weight: float = 0.0
    """Its part of all clients."""
    measured: bool = True
    base: dict[str, float] = field(default_factory=dict)
    """Node -> milliseconds without congestion."""

    @property
    def address(self) -> str:
        """One of its hosts."""
        return str(IPv4Address(self.first + 7) if self.bits == 32 else IPv6Address(self.first + 7))


class World:
    """Nodes, networks and times."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.chance = chance = random.Random(shape.seed)
        self.nodes = dict(sorted(chance.sample(sorted(CITIES.items()), shape.nodes)))
        self.nets: list[Net] = []
        self.prefixes: list[tuple[int, int, System]] = []
        """First address, length and origin of what is announced."""
        self.slower: dict[tuple[int, str], float] = {}
        """AS and node -> milliseconds added since something broke."""
        self.failing: dict[tuple[int, str], float] = {}
        """AS and node -> part of the attempts that fail."""
        self.systems = [self._system(number) for number in range(max(20, shape.networks // 34))]
        self._populate()
        order = list(range(len(self.nets)))
        chance.shuffle(order)
        total = sum(1 / (rank + 1) for rank in range(len(order)))
        for rank, at in enumerate(order):
            self.nets[at].weight = 1 / (rank + 1) / total
        self._hide()

    def _system(self, number: int) -> System:
        chance = self.chance
        country = chance.choice(sorted(COUNTRIES))
        stretch = {node: 1.2 * math.exp(abs(chance.gauss(0, 0.35))) for node in self.nodes}
        here = CITIES[COUNTRIES[country]]
        detour = {}
        far = chance.random() < 0.06
        hub = chance.choice([name for name, place in sorted(CITIES.items()) if distance(here, place) > 2500])
        for node, place in self.nodes.items():
            if (far and chance.random() < 0.8) or chance.random() < 0.06:
                by = CITIES[hub if far else chance.choice(sorted(CITIES))]
                detour[node] = (distance(here, by) + distance(by, place)) / LIGHT
        evening = frozenset(node for node in self.nodes if chance.random() < 0.08)
        return System(1000 + number, country, stretch, detour, evening)

    def _populate(self) -> None:
        """Networks in prefixes of random sizes, each aligned to its size."""
        shape, chance = self.shape, self.chance
        sizes = [1 / (rank + 1) ** 0.9 for rank in range(len(self.systems))]
        at = FIRST[shape.bits]
        step = 1 << (shape.bits - KEPT[shape.bits])
        while len(self.nets) < shape.networks:
            system = (
                self.systems[0]
                if chance.random() < shape.dominant
                else chance.choices(self.systems, sizes)[0]
            )
            place = self._near(COUNTRIES[system.country], SPREAD.get(system.country, 300.0))
            count = min(chance.choice((1, 1, 1, 1, 2, 2, 4, 8, 16, 32)), shape.networks - len(self.nets))
            size = step << (count - 1).bit_length() if shape.bits == 32 else 1 << 96
            at = -(-at // size) * size
            self.prefixes.append((at, shape.bits - (size.bit_length() - 1), system))
            for number in range(count):
                self.nets.append(self._net(at + number * step, system, place))
            at += size

    def _near(self, city: str, kilometres: float) -> tuple[float, float]:
        lat, lon = CITIES[city]
        away, angle = abs(self.chance.gauss(0, kilometres / 2)), self.chance.uniform(0, 2 * math.pi)
        north = away / 111 * math.sin(angle)
        east = away / 111 * math.cos(angle) / max(0.2, math.cos(math.radians(lat)))
        return max(-85.0, min(85.0, lat + north)), (lon + east + 180) % 360 - 180

    def _net(self, first: int, system: System, place: tuple[float, float]) -> Net:
        chance = self.chance
        guessed = CITIES[COUNTRIES[system.country]] if chance.random() < 0.25 else place
        last_mile = chance.choice((2, 4, 6, 10, 15, 20, 30, 60)) * chance.uniform(0.7, 1.3)
        net = Net(len(self.nets), self.shape.bits, first, system, place, guessed, last_mile)
        for node, where in self.nodes.items():
            way = max(distance(place, where) / LIGHT * system.stretch[node], system.detour.get(node, 0.0))
            net.base[node] = way + last_mile
        return net

    def _hide(self) -> None:
        """Choose the networks that are never measured."""
        shape, chance = self.shape, self.chance
        left = int(shape.unmeasured * len(self.nets))
        if not shape.scattered:
            members: dict[int, list[Net]] = {}
            for net in self.nets:
                members.setdefault(net.system.number, []).append(net)
            order = [system for system in self.systems if system.number in members]
            chance.shuffle(order)
            for system in order:
                mine = members[system.number]
                if len(mine) <= left - int(shape.unmeasured * len(self.nets) / 2):
                    system.measured = False
                    left -= len(mine)
                    for net in mine:
                        net.measured = False
        rest = [net for net in self.nets if net.measured]
        for net in chance.sample(rest, min(left, len(rest))):
            net.measured = False

    def time(self, net: Net, node: str, hour: float) -> float:
        """Milliseconds, without the noise of one measurement. Args: hour: of the day, UTC."""
        total = net.base[node] + self.slower.get((net.system.number, node), 0.0)
        if node in net.system.evening and 18 <= (hour + net.place[1] / 15) % 24 < 23:
            total += EVENING
        return total

    def sample(self, net: Net, node: str, hour: float) -> float | None:
        """One measurement, with jitter and now and then an outlier; None: it failed."""
        chance, shape = self.chance, self.shape
        fails = self.failing.get((net.system.number, node), 0.0)
        if fails and chance.random() < fails:
            return None
        value = self.time(net, node, hour) + chance.expovariate(1 / shape.jitter)
        return value * chance.uniform(2, 6) if chance.random() < shape.outliers else value

    def hops(self, net: Net, node: str) -> int:
        """Length of the AS path, which knows detours and little of distance."""
        away = distance(CITIES[COUNTRIES[net.system.country]], self.nodes[node])
        return 2 + (away > 4000) + (net.system.stretch[node] > 1.7) + (node in net.system.detour)


def distance(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Kilometres along the sphere."""
    lat1, lon1, lat2, lon2 = map(math.radians, (*here, *there))
    half = (
        math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 12742.0 * math.asin(min(1.0, math.sqrt(half)))
