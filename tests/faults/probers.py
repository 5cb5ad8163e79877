"""The rows whose cause is a prober's own network: what it cannot see changes no answer."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import threading
from functools import partial
from typing import TYPE_CHECKING, Self

from faults.hostile import nobody_dies
from faults.rows import ROWS, row
from faults.scene import AMS, LON, TABLE, document
from support.data import ROOT
from support.name_server import NameServer
from support.servers import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from faults.scene import Scene

__all__ = ["ROWS"]

NODES = ("lon1", "ams1", "nyc1", "bad1", "out1", "spare1", "spare2")
"""So many that a prober may doubt itself when all that answered fail."""
INTERVAL = 0.5
"""Seconds between two checks of a node."""
DOWN = 2
"""Failures in a row that take it down."""
SHORT = 1.0
"""Seconds that a check may take where each one has to fail by its time; elsewhere a busy machine would make some fail."""
LONG = 2 * DOWN * SHORT
"""Seconds in which a prober that believed what it sees would have taken every node down."""


class Port:
    """What a node answers on, and may stop to."""

    def __init__(self) -> None:
        self.number = free_port()
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Take connections from now on."""
        self._listener = socket.create_server(("127.0.0.1", self.number))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse them from now on."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                with listener.accept()[0] as connection, contextlib.suppress(OSError):
                    connection.settimeout(1)
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


class Probed:
    """A scene whose nodes are kept by a `geosteer probe --watch`; BAD answers nothing."""

    def __init__(
        self, scene: Scene, *, host: str = "127.0.0.1", control: str = "", timeout: float = 5
    ) -> None:
        """Args: host: where nodes are looked for; control: a target that tells whether the way there works.

        timeout: of a check, in seconds.
        """
        self.scene = scene
        self.ports = {node: Port() for node in NODES}
        self._host, self._control, self._timeout = host, control, timeout
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for node in NODES:
            if node != "bad1":
                self.ports[node].open()
        made = document(max_down=1)
        for spare in ("spare1", "spare2"):
            made["nodes"][spare] = {"a": ["192.0.2.88"]}
        for node, port in self.ports.items():
            url = f"http://{self._host}:{port.number}/"
            profile = {"up": 1, "ok": 1, "down": DOWN}
            check = {
                "type": "http",
                "url": url,
                "status": [200],
                "interval": INTERVAL,
                "timeout": self._timeout,
            }
            made["nodes"][node].update(checks=[{**check, "profile": profile}], ramp=0)
        self.scene.publish(made, states=False)
        self.start()
        wait_until(lambda: all(self.state(node) == "up" for node in NODES if node != "bad1"), 60, "states")
        wait_until(lambda: self.state("bad1") == "down", 30, what="the state of what answers nothing")
        self.scene.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for port in self.ports.values():
            port.close()

    def start(self) -> None:
        """Start the prober."""
        toml = self.scene.folder / "geosteer.toml"
        toml.write_text(
            f'[redis]\nurl = "{self.scene.redis.url}"\n[nodes.x]\na = ["192.0.2.1"]\n[maps.m]\ndefault = {{ x = 1 }}\n'
            f'[prober]\nname = "lon"\ncontrol = {[self._control] if self._control else []}\n'
        )
        with (self.scene.folder / "probe.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(ROOT / "bin" / "geosteer"), "probe", "--watch", "--config", str(toml)],
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    def state(self, node: str) -> str:
        """As it stands in Redis."""
        with self.scene.client() as client:
            return (client.hget("{geosteer}:node:" + node, "state") or b"").decode()

    @property
    def beat(self) -> bytes:
        """The prober's."""
        with self.scene.client() as client:
            return client.hget("{geosteer}:beat", "lon") or b""

    @property
    def log(self) -> str:
        """What it said."""
        return (self.scene.folder / "probe.log").read_text()

    def judges(self) -> None:
        """Its verdicts count: a node that fails is taken down, one that is back is given again."""
        scene = self.scene
        british = [net for net, where in TABLE.items() if where == "GB"]
        for change, state, right in ((Port.close, "down", AMS), (Port.open, "up", LON)):
            scene.right.update({net: scene.right[net] | {right} for net in british})
            change(self.ports["lon1"])
            wait_until(partial(self.is_, "lon1", state), 60, f"lon1 {state}")
            scene.right.update({net: {right} for net in british})
            wait_until(partial(scene.steered_as_is_right, 12), 30, f"answers with lon1 {state}")

    def is_(self, node: str, state: str) -> bool:
        """Whether that is its state."""
        return self.state(node) == state


@row("a prober is cut off, its control target stays dead", "stale", may="live")
def cut_off(scene: Scene) -> None:
    """It withdraws its verdicts, and comes back when its nodes answer."""
    with Probed(scene, control=f"127.0.0.1:{free_port()}") as probed, nobody_dies(scene):
        ports = [probed.ports[node] for node in NODES if node != "bad1"]
        for port in ports:
            port.close()
        wait_until(lambda: "verdicts are withdrawn" in probed.log, 60, "a prober that doubts itself")
        wait_until(lambda: "frozen" in scene.log, 60, "frozen states")
        beat = probed.beat
        scene.hold(LONG)
        assert probed.beat == beat, "it vouches for nothing"
        scene.mending()
        for port in ports:
            port.open()
        wait_until(lambda: probed.beat != beat, 60, "its next beat")
        assert re.search(r"no longer cut off, [1-6] nodes? answered", probed.log), probed.log
        probed.judges()
        scene.repaired()


@contextlib.contextmanager
def own_resolver(folder: Path) -> Iterator[None]:
    """In a namespace of its own: look-ups ask 127.0.0.1."""
    conf = folder / "resolv.conf"
    conf.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", str(conf), "/etc/resolv.conf"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", "/etc/resolv.conf"], check=True)


def _resolver_dead(how: str, mode: str) -> None:
    @row(f"a prober's resolver {how}", "", may="live stale", alone=True, around=own_resolver)
    def resolver_dead(scene: Scene) -> None:
        """It takes no node down: neither one that knows addresses from before, nor one that starts now."""
        names = NameServer()
        names.start()
        with Probed(scene, host="good.example", timeout=SHORT) as probed, nobody_dies(scene):
            names.mode = mode
            scene.hold(LONG)
            probed.stop()
            probed.start()
            wait_until(lambda: "this prober cannot check" in probed.log, 60, "a prober that cannot look")
            scene.hold(LONG)
            assert [node for node in NODES if not probed.is_(node, "up")] == ["bad1"]
            scene.mending()
            names.mode = None
            probed.judges()
            scene.repaired()


_resolver_dead("fails (EAI_AGAIN)", "servfail")
_resolver_dead("hangs", "hang")
