"""Names in checks: real look-ups against a name server of our own, in a network namespace with its own resolv.conf."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.health.checks import resolver
from geosteer_loader.health.checks.resolver import CannotResolve, Endpoint, NoSuchName, Resolver, interleaved
from geosteer_loader.health.checks.result import Result
from geosteer_loader.health.checks.run import Probes
from geosteer_loader.health.watchlist import Subject, read
from support.data import ROOT
from support.name_server import BLACK_HOLE, NameServer
from support.servers import need

if TYPE_CHECKING:
    from collections.abc import Callable

PROFILE = {"up": 3, "ok": 3, "down": 2}
SETUP = (
    "mount --bind {conf} /etc/resolv.conf && ip link set lo up && ip -6 addr add 2001:db8::1/128 dev lo && "
    "nft add table ip6 t && nft add chain ip6 t in '{{ type filter hook input priority 0; }}' && "
    "nft add rule ip6 t in ip6 daddr 2001:db8::1 drop"
)


def node(*hosts: str, kind: str = "tcp", timeout: float = 1.0, port: int = 80) -> Subject:
    """A node with one check, by name."""
    spec = {"interval": 10, "timeout": timeout, "profile": PROFILE, "type": kind}
    spec |= {"port": port} if kind == "tcp" else {"url": f"{kind}://{hosts[0]}:{port}/", "status": [200]}
    made = read({"nodes": {"n": {"a": [], "checks": [spec]}}, "maps": {}, "services": {}}).nodes["n"]
    return Subject(name="n", addresses=hosts, checks=made.checks, capacity=1, settle=1)


async def serve() -> int:
    """A port that answers HTTP."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


async def looks(probes: Probes, subject: Subject) -> Result:
    return await probes.probe(subject, subject.checks[0])


async def scene_answers(server: NameServer) -> None:
    """What each kind of answer makes of a node."""
    port = await serve()
    for kind in ("tcp", "http"):
        probes = Probes(time.time)
        assert await looks(probes, node("good.example", kind=kind, port=port, timeout=20)) == Result(True)
        for name in ("servfail.example", "refused.example"):
            found = await looks(probes, node(name, kind=kind, port=port, timeout=8))
            assert found.good is None, (name, found)
            assert found.reason.startswith(f"this prober cannot check: {name} does not resolve: "), found
        found = await looks(probes, node("nothere.example", kind=kind, port=port, timeout=20))
        assert found.good is False
        assert found.reason.startswith("nothere.example does not resolve: "), found
        found = await looks(probes, node("hang.example", kind=kind, port=port))
        assert found == Result(None, "this prober cannot check: hang.example did not resolve within 0.5 s")


async def scene_families(server: NameServer) -> None:
    """An AAAA that is a black hole does not fail a check by name; a check of configured addresses it does."""
    port = await serve()
    for kind in ("tcp", "http"):
        began = time.monotonic()
        dual = node("dual.example", kind=kind, port=port, timeout=20)
        assert await looks(Probes(time.time), dual) == Result(True)
        assert time.monotonic() - began < 15
        assert await looks(Probes(time.time), node("dead.example", kind=kind, port=port)) == Result(
            False, "no answer in 1 s"
        )
    assert await looks(Probes(time.time), node("127.0.0.1", BLACK_HOLE, port=port)) == Result(
        False, "no answer in 1 s"
    )
    found = await looks(Probes(time.time), node("dual.example", port=1))
    assert found == Result(False, "no answer in 1 s")  # the A refuses, the AAAA may still answer


async def scene_hanging(server: NameServer) -> None:
    """Two hundred names whose server does not answer delay no other check, and each has one look-up at a time."""
    port = await serve()
    probes = Probes(time.time)
    for seconds in (8, 1):
        hanging = [node(f"hang{number}.example", timeout=seconds) for number in range(200)]
        tasks = [asyncio.create_task(looks(probes, one)) for one in hanging]
        await asyncio.sleep(0.1)
        assert await looks(probes, node("good.example", port=port, timeout=20)) == Result(True)
        assert seconds == 1 or not any(task.done() for task in tasks)
        assert {result.good for result in await asyncio.gather(*tasks)} == {None}
    assert threading.active_count() < 200 + 20


async def scene_kept(server: NameServer) -> None:
    """The last good addresses stand in while the resolver is dead, and a node that fails there does fail."""
    port = await serve()
    probes = Probes(time.time)
    clock = [1000.0]
    probes._resolver = Resolver(lambda: clock[0])
    subject = node("good.example", kind="http", port=port, timeout=2)
    assert await looks(probes, subject) == Result(True)
    server.mode = "hang"
    assert await looks(probes, subject) == Result(True)
    clock[0] += resolver.SLOW + 1
    found = await looks(probes, subject)
    assert found.good is True
    assert found.warning == "good.example did not resolve within 0.4 s; checked at its last known addresses"
    assert await looks(probes, node("good.example", port=1)) == Result(False, "connection refused")
    clock[0] += resolver.KEEP
    assert (await looks(probes, subject)).good is None


SCENES = {"answers": scene_answers, "families": scene_families, "hanging": scene_hanging, "kept": scene_kept}


def play(name: str) -> None:
    """Run a scene; the namespace is there already."""
    server = NameServer()
    server.start()
    asyncio.run(SCENES[name](server))


@pytest.mark.parametrize("name", SCENES)
def test_with_a_name_server_of_our_own(name: str, tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
    need("nft")
    code = f"import test_resolver; test_resolver.play({name!r})"
    inside = SETUP.format(conf=conf) + ' && exec "$0" -c "$1"'
    done = subprocess.run(
        [need("unshare"), "-rnm", "sh", "-c", inside, sys.executable, code],
        cwd=Path(__file__).parent, env={**os.environ, "PYTHONPATH": str(ROOT / "tests")}, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    if "unshare" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr


# ---- without a server


def looked_up(lookup: Callable[[str], Any], host: str = "lon1.example.net", **more: Any) -> Any:
    return asyncio.run(Resolver(time.monotonic, lookup, **more).resolve(host, 80, 1))


@pytest.mark.parametrize("host", ["lon1..example.net", "x" * 64 + ".example.net", ".example.net", "a\0b"])
def test_a_name_that_idna_refuses_is_no_error(host: str) -> None:
    with pytest.raises((CannotResolve, NoSuchName)):
        looked_up(resolver.look_up, host)


def test_an_error_of_the_machine_says_nothing_of_the_node() -> None:
    def lookup(_host: str) -> Any:
        raise OSError(24, "Too many open files")

    with pytest.raises(CannotResolve, match="Too many open files"):
        looked_up(lookup)


def test_families_take_turns() -> None:
    v6 = [Endpoint(socket.AF_INET6, (f"2001:db8::{number}", 0, 0, 0)) for number in range(1, 4)]
    v4 = [Endpoint(socket.AF_INET, (f"192.0.2.{number}", 0)) for number in range(1, 3)]
    assert interleaved([*v6, *v4]) == [v6[0], v4[0], v6[1], v4[1], v6[2]]
    assert interleaved([*v4, *v6, *v4]) == [v4[0], v6[0], v4[1], v6[1], v6[2]]
    assert len(interleaved(v6 * 10 + [Endpoint(2, (f"10.0.0.{number}", 0)) for number in range(100)])) == 16
    assert interleaved([]) == []


def test_a_literal_address_needs_no_look_up() -> None:
    def lookup(host: str) -> Any:
        raise AssertionError(host)

    (found,) = looked_up(lookup, "2001:db8::1").found
    assert (found.family, found.host, found.address[1]) == (socket.AF_INET6, "2001:db8::1", 80)


@pytest.mark.parametrize("kind", ["tcp", "http"])
def test_a_name_still_being_looked_up_when_the_check_ends_says_nothing_of_the_node(kind: str) -> None:
    """Both time limits, of the look-up and of the check, may end at once where the prober gets no processor."""
    go_on = threading.Event()
    probes = Probes(time.time)

    def lookup(_host: str) -> list[Endpoint]:
        go_on.wait(20)
        return []

    probes._resolver = Resolver(time.monotonic, lookup)

    async def stalled() -> Result:
        task = asyncio.create_task(looks(probes, node("lon1.example.net", kind=kind, timeout=0.2)))
        await asyncio.sleep(0.05)
        time.sleep(0.3)  # the whole prober stands still
        return await task

    try:
        found = asyncio.run(stalled())
    finally:
        go_on.set()
    assert found == Result(None, "this prober cannot check: lon1.example.net did not resolve in time")
