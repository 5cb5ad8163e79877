"""What the sections of a run share: a folder, the data, a Redis with the country table published, questions."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from geosteer_loader.sources.countries import CONTINENT
from support.servers import RedisServer

from . import database, mmdb, synthetic, zone
from .machine import HERE, PYTHON, ROOT, Cores, Programs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .progress import Progress

WIDE, HOT = 100_000, 2_000
"""Clients of the two client sets."""
STREAM = 400_000
"""Questions of a file for coprocesses; it is asked from the beginning again when it ends."""
GUARDS = ("max_shrink", "max_country_change", "max_impact", "empty_country", "canaries", "vanished")
PUBLISH = [
    str(ROOT / "bin" / "geosteer"), "publish", *(word for guard in GUARDS for word in ("--force", guard)), "--config",
]  # fmt: skip
"""To be followed by a configuration; made-up tables, one after the other, are what guards are there to refuse."""
WORKER = ROOT / "bin" / "geosteer-pipe"


class Stage:
    """Everything is made when it is first used, and ended by `close`."""

    def __init__(
        self, folder: Path, progress: Progress, *, quick: bool, rounds: int, pinned: bool, given: Path | None
    ) -> None:
        self.folder = folder
        self.say, self.detail = progress.say, progress.detail
        self.quick = quick
        self.rounds = rounds
        self.cores = Cores(pinned=pinned)
        self._given = given
        self._exit = contextlib.ExitStack()

    def close(self) -> None:
        """End what was started."""
        self._exit.close()

    def scaled(self, full: int, quick: int) -> int:
        """A number of the whole run, or that of a quick one."""
        return quick if self.quick else full

    @cached_property
    def programs(self) -> Programs:
        """The programs in C."""
        return Programs(self.folder)

    @cached_property
    def country(self) -> database.Country:
        """The country table."""
        return database.Country(self._given, self.folder, self.quick)

    def redis(self, *arguments: str, pinned: bool = True) -> RedisServer:
        """A new Redis, on the servers' core unless it is not *pinned*, ended with the run."""
        with self.cores.serving() if pinned else contextlib.nullcontext():
            return self._exit.enter_context(RedisServer(*arguments))

    @cached_property
    def server(self) -> RedisServer:
        """The Redis that has the country table."""
        self.detail("publishing the country table")
        server = self.redis()
        config = zone.geosteer_toml(self.folder / "geosteer.toml", server.url, {"geo": self.country.shared})
        publish(config)
        return server

    @cached_property
    def backend(self) -> Path:
        """Settings of workers that follow it."""
        return zone.backend_toml(self.folder / "backend.toml", self.server.url)

    @cached_property
    def many(self) -> Path:
        """Settings of workers that follow a Redis with the same table and several services of the same map."""
        server = self.redis()
        folder = self.folder / "many"
        folder.mkdir()
        publish(
            zone.geosteer_toml(
                folder / "geosteer.toml", server.url, {"geo": self.country.shared}, names=zone.NAMES
            )
        )
        return zone.backend_toml(folder / "backend.toml", server.url)

    @property
    def city_size(self) -> int:
        """Networks of the largest city table."""
        return self.scaled(5_000_000, 30_000)

    @property
    def route_count(self) -> int:
        """Routes of the made-up routing table."""
        return self.scaled(1_200_000, 8000)

    def city(self, size: int) -> Path:
        """A made-up city database of so many networks."""
        path = self.folder / f"city{size}.mmdb"
        if not path.exists():
            self.say(f"making a city database of {size:,} networks")
            mmdb.write(path, synthetic.city(size), "GeoLite2-City")
        return path

    @cached_property
    def routes(self) -> Path:
        """A made-up routing table, as pyasn writes it."""
        self.say(f"making {self.route_count:,} routes")
        return synthetic.write_routes(self.folder / "routes", self.route_count)

    @cached_property
    def large(self) -> Large:
        """Tables many times as large, in a Redis of their own."""
        return Large(self)

    @cached_property
    def networks(self) -> list[int]:
        """The clients, as first addresses of /24, in the order of their rank."""
        self.detail("drawing clients")
        return database.routed(self.country.tables, self.scaled(WIDE, 4000), self.quick)

    def clients_of(self, name: str) -> int:
        """How many clients a set has: few in `hot`, all in the others."""
        return min(HOT, len(self.networks) // 4) if name == "hot" else len(self.networks)

    @cached_property
    def clients(self) -> Path:
        """The generator's file: networks, and the address each must be given."""
        path = self.folder / "clients"
        path.write_bytes(
            b"".join(network.to_bytes(4, "big") + self._expected(network, 32) for network in self.networks)
        )
        return path

    @cached_property
    def clients6(self) -> Path:
        """The same of as many IPv6 clients, as /48."""
        self.detail("drawing IPv6 clients")
        drawn = database.addresses(self.country.tables, 128, len(self.networks), synthetic.SEED, self.quick)
        path = self.folder / "clients6"
        path.write_bytes(
            b"".join(
                network.to_bytes(16, "big")[:6] + self._expected(network, 128)
                for network in (int(IPv6Address(text)) >> 80 << 80 for text in drawn)
            )
        )
        return path

    def _expected(self, network: int, bits: int) -> bytes:
        return IPv4Address(zone.ipv4(self.node(network, bits))).packed

    def node(self, network: int, bits: int = 32) -> str:
        """The node that a client must be given."""
        region = self.country.record(bits, network).partition(" ")[0]
        country = "" if region.startswith("@") else region[:2]
        return zone.node_of(country, CONTINENT.get(country, region[1:]))

    def questions(self, name: str) -> Path:
        """A file of questions as PowerDNS puts them to coprocesses: client set `wide` or `hot`, or `all` once each."""
        path = self.folder / f"{name}.questions"
        if not path.exists():
            order: Sequence[int] = range(len(self.networks))
            if name != "all":
                count = self.clients_of(name)
                sums = list(accumulate(1 / rank for rank in range(1, count + 1)))
                order = random.Random(1).choices(
                    range(count), cum_weights=sums, k=self.scaled(STREAM, 20_000)
                )
            lines = [zone.question(f"{IPv4Address(network)}/24") for network in self.networks]
            path.write_bytes(b"".join([lines[number] for number in order]))
        return path

    def ask(self, port: int, name: str, seconds: float, seed: int, **options: Any) -> dict[str, Any]:
        """Let the generator ask a server on *port* as a client set; *options* are its own (`r`: a rate, `o`: a file).

        Set `v6` is `wide` of IPv6; `services` is `wide` that ask for several services.
        """
        command: list[object] = ["-p", port, "-n", self.clients_of(name), "-t", seconds, "-s", seed]
        command += ["-6", "-f", self.clients6] if name == "v6" else ["-f", self.clients]
        for service in zone.NAMES if name == "services" else (zone.NAME,):
            command += ["-q", service]
        for key, value in options.items():
            command += [f"-{key}", value]
        with self.cores.asking():
            return self.programs.run("generator", *command)

    def drive(self, questions: Path, command: list[str], **options: Any) -> dict[str, Any]:
        """Let the driver run a coprocess; *options* are its own; None leaves one out, True is one without a value."""
        arguments: list[object] = []
        for key, value in options.items():
            if value is not None:
                arguments += [f"-{key}"] if value is True else [f"-{key}", value]
        with self.cores.serving():
            return self.programs.run("driver", *arguments, questions, "--", *command)

    def python(self, script: str, *arguments: object) -> dict[str, Any]:
        """What a program of this folder prints in JSON, run on the servers' core, with what it took (see `timed`).

        Raises: RuntimeError: it failed.
        """
        said, usage = self.timed([str(PYTHON), str(HERE / script), *map(str, arguments)])
        return {**json.loads(said), **usage}

    def timed(self, command: list[str]) -> tuple[str, dict[str, float]]:
        """What a program prints, run on the servers' core; `seconds`, `cpu` seconds and `peak` memory in MiB.

        Raises: RuntimeError: it failed.
        """
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        report = self.folder / "usage.json"
        with self.cores.serving():
            done = subprocess.run(
                [str(self.programs.path("usage")), str(report), *command], capture_output=True, text=True, env=environment
            )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
        usage = json.loads(report.read_text())
        return done.stdout, {**usage, "peak": usage["peak"] / 1024}


class Large:
    """A City and a BGP table, published by `geosteer publish` from the files that one would have."""

    def __init__(self, stage: Stage) -> None:
        self._folder = stage.folder / "large"
        self._folder.mkdir()
        files = {"geo": stage.city(stage.city_size), "bgp": stage.routes}
        stage.say("publishing both")
        self.server = stage.redis()
        config = zone.geosteer_toml(self._folder / "geosteer.toml", self.server.url, files, asns=True)
        publish(config)
        self.backend = zone.backend_toml(self._folder / "backend.toml", self.server.url)
        with self.server.client(decode_responses=True) as client:
            fields = client.hgetall("{geosteer}:current")
        self.ranges = int(fields["geo.ranges"]) + int(fields["bgp.ranges"])

    def addresses(self, count: int, seed: int) -> list[str]:
        """Addresses all over the tables, as text."""
        dice = random.Random(seed)
        return [str(IPv4Address(dice.randint(*synthetic.UNICAST))) for _ in range(count)]


def publish(config: Path) -> str:
    """Run `geosteer publish`; what it says.

    Raises: RuntimeError: it failed.
    """
    done = subprocess.run([*PUBLISH, str(config)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"geosteer publish: exit {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout.strip()
