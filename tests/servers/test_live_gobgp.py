"""A real GoBGP's monitor, read as `geosteer follow` reads it."""

from __future__ import annotations

import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.rib.messages import prefix_number
from geosteer_loader.rib.stream import Stream
from support.servers import _Server, free_port, need, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = """
[global.config]
as = 65003
router-id = "127.0.0.3"
port = -1
"""


class GoBGP(_Server):
    """A gobgpd without neighbours: its routes are put in by hand."""

    def start(self) -> None:
        self._port = free_port()
        (self.directory / "gobgpd.toml").write_text(SETTINGS)
        api = f"127.0.0.1:{self._port}"
        self._launch([need("gobgpd"), "-f", "gobgpd.toml", "--api-hosts", api, "--pprof-disable"])
        wait_until(lambda: self.rib("summary").returncode == 0, what="a gobgpd that answers")

    def rib(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self.command("global", "rib", *words), capture_output=True, check=False)

    def command(self, *words: str) -> list[str]:
        return [need("gobgp"), "-p", str(self._port), *words]


@pytest.fixture
def gobgp() -> Iterator[GoBGP]:
    with GoBGP() as server:
        yield server


def test_the_monitor_of_the_best_routes_is_followed(gobgp: GoBGP) -> None:
    gobgp.rib("add", "5.1.0.0/16", "aspath", "65004,3356")
    gobgp.rib("add", "5.2.0.0/16", "aspath", "65004,{100,200}")
    gobgp.rib("add", "-a", "ipv6", "2a00:1::/32", "aspath", "65004,174")
    stream = Stream("gobgp", families=(32, 128), min_routes=0.9, forget=1e9, now=0.0)
    stream.connected(0.0)
    monitor = subprocess.Popen(
        gobgp.command("monitor", "global", "rib", "-j", "--current"), stdout=subprocess.PIPE
    )

    def read() -> None:
        assert monitor.stdout is not None
        for line in monitor.stdout:
            stream.line(line, 1.0)

    def origins(prefix: str) -> list[tuple[int, ...]]:
        return [path.origins for path in stream.paths(*prefix_number(prefix), ())]

    clock = iter(range(10, 10_000_000, 10))

    def counts(prefix: str, *wanted: tuple[int, ...]) -> bool:
        stream.tick(float(next(clock)))  # the number of routes has settled
        return origins(prefix) == [*wanted]

    reader = threading.Thread(target=read)
    reader.start()
    try:
        wait_until(lambda: counts("5.1.0.0/16", (3356,)), what="a session that counts")
        wait_until(lambda: counts("5.2.0.0/16", (100, 200)), what="an AS set")
        wait_until(lambda: counts("2a00:1::/32", (174,)), what="a route of IPv6")
        gobgp.rib("add", "5.1.0.0/16", "aspath", "65004,15169")
        gobgp.rib("del", "-a", "ipv6", "2a00:1::/32")
        wait_until(lambda: counts("5.1.0.0/16", (15169,)), what="another origin")
        wait_until(lambda: counts("2a00:1::/32"), what="a withdrawal")
        assert stream.counts.bad == 0
    finally:
        monitor.terminate()
        reader.join(60)
        monitor.wait()
