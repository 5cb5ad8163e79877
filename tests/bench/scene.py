"""What goes on while answers are timed: tables published in a loop, generations that change, a Redis that goes away."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from . import mmdb, rivals, zone
from .machine import HERE, PYTHON
from .stage import PUBLISH, WORKER, publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.servers import RedisServer

    from .stage import Stage

RATE = 2000
"""Questions a second."""
FLIP = 0.2
"""Seconds between two generations where they change without a publish."""


class Scene:
    """A PowerDNS whose workers follow a Redis of their own, and two country tables that take turns in it."""

    def __init__(
        self,
        stage: Stage,
        redis: RedisServer,
        configs: tuple[Path, Path],
        database: Path,
        clients: Path,
        port: int,
    ) -> None:
        self.redis = redis
        self._database = database
        self.rate = stage.scaled(RATE, 500)
        self.published = 0
        self.timelines: dict[str, bytes] = {}
        """Phase -> samples of its last round."""
        self._stage, self._configs, self._clients, self._port = stage, configs, clients, port

    def phase(
        self, name: str, seconds: float, disturbance: Callable[[], Any]
    ) -> Callable[[int], dict[str, Any]]:
        """What a round does: ask for some seconds, while something goes on."""

        def one(number: int) -> dict[str, Any]:
            samples = self._stage.folder / "samples"
            with disturbance():
                result = self._stage.ask(
                    self._port, "wide", seconds, number + 1, r=self.rate, f=self._clients, o=samples
                )
            self.timelines[name] = samples.read_bytes()
            time.sleep(0.3)
            return result

        return one

    def restart(self) -> None:
        """Start Redis again, with what it had saved."""
        with self._stage.cores.serving():
            self.redis.start()

    @contextlib.contextmanager
    def publishing(self) -> Iterator[None]:
        """`geosteer publish` again and again, of one table and the other in turn."""
        with _meanwhile(self._publish_once):
            yield

    def _publish_once(self) -> None:
        config = self._configs[self.published % 2]
        with self._stage.cores.asking():
            command = ["chrt", "--idle", "0", *PUBLISH, str(config)]
            subprocess.run(command, check=True, capture_output=True)
        self.published += 1

    @contextlib.contextmanager
    def burning(self) -> Iterator[None]:
        """The publisher's work without its writes, on its core and at its priority: what of the rest is the machine's."""
        with self._stage.cores.asking():
            program = [str(PYTHON), str(HERE / "burner.py"), str(self._database)]
            burner = subprocess.Popen(["chrt", "--idle", "0", *program])
        try:
            yield
        finally:
            burner.kill()
            burner.wait()

    @contextlib.contextmanager
    def flipping(self) -> Iterator[None]:
        """`current` set to two whole generations in turn: adoption alone, far more often than anybody publishes."""
        with self.redis.client() as client:
            key = "{geosteer}:current"
            generations = []
            for config in self._configs:
                publish(config)
                generations.append(client.hgetall(key))
            turn = 0

            def flip() -> None:
                nonlocal turn
                turn += 1
                fields = {
                    **generations[turn % 2],
                    b"generation": str(int(generations[1][b"generation"]) + turn).encode(),
                }
                with client.pipeline(transaction=True) as together:
                    together.delete(key)
                    together.hset(key, mapping=fields)
                    together.execute()
                time.sleep(FLIP)

            with _meanwhile(flip):
                yield
            with client.pipeline(transaction=True) as together:
                together.delete(key)
                together.hset(key, mapping=generations[1])
                together.execute()


@contextlib.contextmanager
def opened(stage: Stage) -> Iterator[Scene]:
    """Everything set up, and every page met once."""
    country = stage.country
    redis = stage.redis()
    shared = [country.shared, mmdb.write(stage.folder / "earlier.mmdb", country.earlier)]
    configs = tuple(
        zone.geosteer_toml(stage.folder / f"day{number}.toml", redis.url, {"geo": path}, keep=8)
        for number, path in enumerate(shared)
    )
    for config in configs:
        publish(config)
    with redis.client() as client:
        client.save()  # so that it comes back with what it had
    folder = stage.folder / "quiet"
    folder.mkdir()
    backend = zone.backend_toml(folder / "backend.toml", redis.url)
    with stage.cores.serving():
        server = rivals.Pipe(f"{WORKER} --config {backend}")
    try:
        clients = _steady_clients(stage)
        scene = Scene(stage, redis, (configs[0], configs[1]), shared[0], clients, server.port)
        stage.ask(server.port, "wide", stage.scaled(4, 1), 99, w=16, f=clients)
        yield scene
    finally:
        server.close()


def _steady_clients(stage: Stage) -> Path:
    """The generator's file, in which clients whose answer depends on the day may get any."""
    out = bytearray()
    for network in stage.networks:
        same = stage.country.record(32, network) == stage.country.record(32, network, earlier=True)
        expected = IPv4Address(zone.ipv4(stage.node(network))).packed if same else bytes(4)
        out += network.to_bytes(4, "big") + expected
    path = stage.folder / "steady-clients"
    path.write_bytes(out)
    return path


@contextlib.contextmanager
def broken(seconds: float, breaking: Callable[[], object], mending: Callable[[], object]) -> Iterator[None]:
    """Break something after a third of the time, mend it after two thirds."""

    ended = threading.Event()

    def work() -> None:
        if not ended.wait(seconds / 3):
            breaking()
            ended.wait(seconds / 3)
            mending()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    except BaseException:
        ended.set()
        raise
    finally:
        worker.join()


@contextlib.contextmanager
def _meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Do something over and over in a thread, until the end of the context.

    Raises: whatever *work* raised.
    """
    ended = threading.Event()
    failures: list[BaseException] = []

    def loop() -> None:
        try:
            while not ended.is_set():
                work()
        except (OSError, RuntimeError, subprocess.CalledProcessError) as exc:
            failures.append(exc)

    worker = threading.Thread(target=loop)
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()
    if failures:
        raise failures[0]
