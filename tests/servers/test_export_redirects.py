"""`geosteer export nginx` and `haproxy`: the servers redirect each client as geosteer-http does, whatever is broken."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.cmodules import Address
from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.export import haproxy, nginx, watch
from geosteer_loader.export.haproxy_socket import MapSocket
from geosteer_loader.export.published_state import Picture
from geosteer_loader.export.redirects import Manner
from geosteer_loader.export.watch import Writer
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.generation_view import View
from geosteer_loader.store.store import connect
from support.data import ROOT
from support.dns_setup import document, set_override, set_state
from support.export_oracle import LONG, NAME, REAL, Oracle, edges, tiny_config
from support.front_servers import Server, ask, raw, start_http
from support.made_database import country_database
from support.redirect_servers import HAProxy, Nginx, asked_as, run
from support.servers import RedisServer, free_port, wait_until
from support.steering import write_settings
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

EXPORTERS: dict[str, type[nginx.Exporter | haproxy.Exporter]] = {
    "nginx": nginx.Exporter,
    "haproxy": haproxy.Exporter,
}
KINDS = ("nginx", "haproxy")
NODES = {
    "lon1": "192.0.2.1",
    "ams1": "192.0.2.2",
    "fra1": "192.0.2.3",
    "nyc1": "192.0.2.4",
    "sin1": "192.0.2.5",
}
CARRIED = [
    "::ffff:8.8.8.8", "2002:808:808::1", "2002:c000::5", "2002::1", "64:ff9b::808:808", "64:ff9b::5", "64:ff9b::",
    "2002:5bc6:ae00:1:2:3:4:5", "64:ff9b::5bc6:ae01", "64:ff9b:0:0:1::1", "::", "::1", "10.1.2.3", "0.0.0.0",
    "255.255.255.255", "1.2.3.4", "8.8.9.9", "2a00::1", "2001:db8::1",
]  # fmt: skip
"""Addresses that carry another one, and some that are nobody's."""


def export(kind: str, config: Path, folder: Path, *more: str) -> int:
    return main(["export", kind, str(folder), "--config", str(config), "--quiet", *more])


@contextmanager
def serving(
    kind: str, exported: Path
) -> Iterator[tuple[Nginx | HAProxy, Callable[[Mapping[str, bytes | str]], None]]]:
    """The server, and what tells it of the files that an export wrote."""
    if kind == "nginx":
        with Nginx(exported) as server:
            yield server, lambda _: watch.run(server.reload)
    else:
        with HAProxy(exported) as proxy:
            socket = MapSocket(str(proxy.socket), exported)
            yield (
                proxy,
                lambda files: socket.push({name: files[name] for name in (haproxy.NODES, haproxy.DRAWS)}),
            )


def options_of(server: Nginx | HAProxy) -> list[str]:
    """The options with which an export tells the server."""
    if isinstance(server, Nginx):
        return ["--reload", shlex.join(server.reload)]
    return ["--socket", str(server.socket)]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, RedisServer, int]]:
    """The real country table; gives its configuration, its Redis, and the port of a geosteer-http."""
    folder = tmp_path_factory.mktemp("real")
    with RedisServer() as redis:
        path = folder / "geosteer.toml"
        path.write_text(REAL.format(url=redis.url, geo=country_database()))
        config = load(path, {})
        with connect(config.redis) as store:
            publish(config, store)
        settings = write_settings(redis, "geosteer", folder, "timeout = 5000")
        http, port = start_http(settings, "--trust", "127.0.0.1")
        with http:
            yield path, redis, port


def clients_of(view: View, count: int) -> list[str]:
    """Clients of both families: at the edges of networks, in between, and odd ones."""
    dice = random.Random(5)
    found = [text.partition("/")[0] for text in edges(view, count // 8)]
    dice.shuffle(found)
    del found[count // 2 :]
    while len(found) < count:
        if dice.random() < 0.3:
            value = 0x2000 << 112 | dice.getrandbits(125)
            if value >> 96 == 0x20010000:
                continue  # Teredo
            found.append(Address(value.to_bytes(16, "big")))
        else:
            found.append(Address(dice.getrandbits(32).to_bytes(4, "big")))
    return [text for text in found if not text.startswith("2001:0:")] + CARRIED


def compare(
    view: View,
    clients: Sequence[str],
    given: Sequence[tuple[int, str, str]],
    right: Sequence[tuple[int, str, str]],
) -> int:
    """Fail where a client is sent elsewhere than by geosteer-http, unless a draw settles that; the number of such draws."""
    oracle, split = Oracle(view), 0
    for client, got, wanted in zip(clients, given, right, strict=True):
        if got == wanted:
            continue
        decision = oracle.decide(client)
        assert decision.split, (client, got, wanted)
        split += 1
        tied = {"http://192.0.2.1", "http://192.0.2.5", "http://[2001:db8:1::1]", "http://[2001:db8:5::1]"}
        tied |= {"http://192.0.2.2", "http://192.0.2.4", "http://[2001:db8:4::1]"}
        assert got[1].partition("/a/")[0] in tied, (client, got, wanted)
        assert (got[0], got[2]) == (wanted[0], wanted[2])
    return split


@pytest.mark.no_cover
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", KINDS)
def test_every_client_is_sent_where_geosteer_http_sends_it_whichever_node_is_down(
    published: tuple[Path, RedisServer, int], tmp_path: Path, kind: str
) -> None:
    config, redis, http = published
    for node in NODES:
        set_state(redis, node, "up", since="2026-01-01T00:00:00Z")
    settings = load(config, {}).redis
    with connect(settings) as store:
        picture = Picture(store)
        exporter = EXPORTERS[kind](picture, tmp_path, Manner(trusted=("127.0.0.1/32",)))
        view, files = View(store), Writer(exporter.bundle, tmp_path, "", lambda _: True)
        assert len(files.once(lossy=False)[1]) == (4 if kind == "nginx" else 6)
        with serving(kind, tmp_path) as (server, tell):
            clients = clients_of(view, 100_000 if LONG else 800)
            fewer = clients if LONG else random.Random(2).sample(clients, 150) + CARRIED
            right = asked_as(http, clients, NAME)
            assert {status for status, _, _ in right} == {302}
            split = compare(view, clients, asked_as(server.port, clients, NAME), right)
            assert split < len(clients) / 20
            assert len({location.partition("/a/")[0] for _, location, _ in right}) >= (8 if LONG else 6)
            for node, address in NODES.items():
                at = next(at for at, (_, location, _) in enumerate(right) if f"//{address}/" in location)
                one, stays = [clients[at]], asked_as(server.port, [clients[at]], NAME)
                set_state(redis, node, "down")
                assert picture.refresh()
                assert set(files.once(lossy=False)[1]) <= {"nodes.conf", "nodes.map", "draws.map"}
                tell(exporter.bundle().files)
                wait_until(partial(_moved, http, one, [right[at]]), what=node)
                wait_until(partial(_moved, server.port, one, stays), what=node)
                now = asked_as(http, fewer, NAME)
                assert not any(f"//{address}/" in location for _, location, _ in now)
                # After a reload the workers of before go on taking clients for a moment.
                wait_until(
                    partial(_agree, View(store), fewer, server.port, now), 20, what="the same everywhere"
                )
                set_state(redis, node, "up", since="2026-01-01T00:00:00Z")


def _agree(view: View, clients: Sequence[str], port: int, right: Sequence[tuple[int, str, str]]) -> bool:
    try:
        compare(view, clients, asked_as(port, clients, NAME), right)
    except AssertionError:
        return False
    return True


def _moved(port: int, clients: Sequence[str], before: Sequence[tuple[int, str, str]]) -> bool:
    return asked_as(port, clients, NAME) != before


def _goes(port: int, node: str) -> bool:
    return ask(port)["location"] == f"http://{node}.cdn.example.net/"


TABLES = {"geo": {"127.1.0.0/16": "GB", "127.2.0.0/16": "NL", "127.3.0.0/16": "US", "::1/128": "NL"}}


def put(redis: RedisServer, what: dict[str, Any], generation: int = 1) -> None:
    with redis.client() as client:
        publish_tiny(client, "geosteer", what, generation=generation, tables=TABLES)


@pytest.mark.parametrize("kind", KINDS)
def test_requests_are_answered_as_by_geosteer_http(
    emptied_redis: RedisServer, tmp_path: Path, kind: str
) -> None:
    what = document()
    what["services"] |= {
        "*.img.cdn.example.net": {"map": "default", "ttl": 20},
        "*.b.img.cdn.example.net": {"map": "none"},
    }
    what["maps"]["none"] = {"default": {"nyc1": 100}, "all_down": "none"}
    what["services"]["none.cdn.example.net"] = {"map": "none"}
    what["services"][f"{'long-' * 11}name.cdn.example.net"] = {"map": "default", "ttl": 7}
    put(emptied_redis, what)
    set_state(emptied_redis, "nyc1", "down")
    with emptied_redis.client() as client:
        client.hset(
            "{geosteer}:node:ams1", mapping={"state": "up", "failing": "yes", "since": "2026-01-01T00:00:00Z"}
        )
    options = ["--trust", "127.3.0.0/16", "--port", "8080"]
    assert export(kind, tiny_config(tmp_path, emptied_redis), tmp_path / "x", *options) == 0
    port = free_port(["127.0.0.1", "::1"])
    settings = write_settings(emptied_redis, "geosteer", tmp_path, "timeout = 5000")
    http, _ = start_http(settings, "--listen", f"[::1]:{port}", *options, port=port)
    with http, serving(kind, tmp_path / "x") as (server, _):
        wait_until(lambda: ask(port)["cache-control"] == "private, max-age=60", what="a redirect")

        def same(*fields: str, **request: Any) -> Any:
            wanted, given = ask(port, **request), ask(server.port, **request)
            assert given.status == wanted.status, request
            for field in ("location", "cache-control", *fields):
                if field == "location" or wanted.status == 302:
                    assert given[field] == wanted[field], (request, field)
            return given

        for client in ("127.1.0.9", "127.2.0.9", "127.9.0.9"):
            for path in ("/", "/a//b%20c;d/../e?f=%22&g=//h?", "/a?"):
                same("vary", client=client, path=path)
        assert same(client="127.2.0.9")["cache-control"] == "private, max-age=30"
        assert same(to="::1")["location"] == "http://ams1.cdn.example.net:8080/"
        for host in (
            "WWW.cdn.example.net", "www.cdn.example.net:80", "www.cdn.example.net.", "x.img.cdn.example.net",
            "y.x.img.cdn.example.net", "x.b.img.cdn.example.net", "img.cdn.example.net", "other.example",
            "none.cdn.example.net", "cname.cdn.example.net", f"{'long-' * 11}name.cdn.example.net",
        ):  # fmt: skip
            same("retry-after", host=host)
        assert same(host="none.cdn.example.net").status == 503
        for method in ("HEAD", "POST", "DELETE"):
            same("allow", method=method)
        same(path="/.geosteer/x")
        for chain in (
            "127.1.0.1", "127.2.0.1", "127.1.0.1, 127.2.0.1", "127.2.0.1,127.3.0.1", "127.1.0.1, x", "::ffff:127.2.0.1",
            "x, 127.3.0.1, 127.2.0.1", "127.2.0.1, junk, 127.3.0.7", "127.2.0.1, 127.3.0.1, 127.3.0.2", "127.2.0.1:4711",
            "2002:7f01:1::1",
        ):  # fmt: skip
            for client in ("127.3.0.1", "127.1.0.9"):
                same(client=client, headers={"X-Forwarded-For": chain})
        for proto in ("https", "http", "HTTPS", "http, https", "ftp", ""):
            for client in ("127.3.0.1", "127.1.0.9"):
                same(client=client, headers={"X-Forwarded-For": "127.1.0.1", "X-Forwarded-Proto": proto})
        for target in (b"//evil.example/", b"http://evil.example/"):
            came = raw(
                server.port,
                b"GET %s HTTP/1.1\r\nHost: www.cdn.example.net\r\nConnection: close\r\n\r\n" % target,
            )
            places = [line for line in came.lower().split(b"\r\n") if line.startswith(b"location:")]
            assert all(line.startswith(b"location: http://lon1.cdn.example.net:8080/") for line in places), (
                came
            )


@pytest.mark.parametrize(
    "trusted",
    [
        ("127.3.0.0/16",),
        ("127.2.128.0/17", "127.2.0.0/15", "127.1.0.7/32", "127.0.0.1/32"),
        ("127.0.0.0/9", "2001:db8::/33", "::1/128"),
        ("127.3.0.0/16", "::/0"),
        ("127.3.0.0/16", "::ffff:127.1.0.0/112"),
        (*(f"127.3.{at}.0/24" for at in range(128)), "2002:7f01::/32"),
    ],
)
def test_haproxy_follows_whichever_proxies_are_trusted(
    emptied_redis: RedisServer, tmp_path: Path, trusted: tuple[str, ...]
) -> None:
    what = document()
    what["maps"]["default"]["default"] = {"ams1": 1}  # nothing is drawn
    what["services"] |= {  # of two kinds of answers
        "ttl.cdn.example.net": {"map": "default", "ttl": 7},
        "a.cdn.example.net": {"map": "default"},
        "*.b.cdn.example.net": {"map": "default"},
    }
    put(emptied_redis, what)
    set_state(emptied_redis, "nyc1", "down")
    options = [word for network in trusted for word in ("--trust", network)]
    assert export("haproxy", tiny_config(tmp_path, emptied_redis), tmp_path / "x", *options) == 0
    port = free_port(["127.0.0.1", "::1"])
    settings = write_settings(emptied_redis, "geosteer", tmp_path, "timeout = 5000")
    http, _ = start_http(settings, "--listen", f"[::1]:{port}", *options, port=port)
    dice = random.Random(str(trusted))
    found: Counter[str] = Counter()
    with http, HAProxy(tmp_path / "x") as proxy:
        wait_until(lambda: ask(port).status == 302, what="a redirect")
        for _ in range(400 if LONG else 150):
            hops = [
                dice.choice(
                    (
                        f"127.{dice.randrange(1, 4)}.{dice.choice((0, 128, 255))}.{dice.choice((1, 7))}",
                        dice.choice(
                            (
                                "2001:db8::1",
                                "2001:db8:8000::1",
                                "::1",
                                "64:ff9b::7f01:1",
                                "2002:7f03:1::1",
                                "::ffff:127.3.0.1",
                                "junk",
                            )
                        ),
                    )
                )
                for _ in range(dice.randrange(4))
            ]
            headers = {"X-Forwarded-For": ", ".join(hops)} if hops else {}
            if dice.random() < 0.3:
                headers["X-Forwarded-Proto"] = dice.choice(("https", "http", ""))
            to, client = dice.choice(
                [("::1", "127.1.0.9"), *(("127.0.0.1", f"127.{dice.randrange(4)}.{at}.7") for at in (0, 200))]
            )
            request: dict[str, Any] = {
                "to": to,
                "client": client,
                "headers": headers,
                "host": f"{dice.choice(('www', 'ttl', 'a', 'x.b', 'none'))}.cdn.example.net",
                "path": dice.choice(("/", "/a?b", "/.geosteer/x")),
                "method": dice.choice(("GET", "GET", "HEAD", "POST")),
            }
            wanted, given = ask(port, **request), ask(proxy.port, **request)
            fields = ("location", "cache-control") if wanted.status == 302 else ()
            assert given.status == wanted.status, request
            assert [given[field] for field in fields] == [wanted[field] for field in fields], request
            found[wanted["location"] if wanted.status == 302 else str(wanted.status)] += 1
    assert len(found) > 5, found


@pytest.mark.parametrize("kind", KINDS)
def test_draws_have_the_shares_of_the_workers_and_keep_a_network_at_its_node(
    emptied_redis: RedisServer, tmp_path: Path, kind: str
) -> None:
    what = document()
    what["services"][NAME] |= {"policy": "weighted"}
    what["maps"]["default"]["countries"]["GB"] = {"lon1": 100, "ams1": 200, "nyc1": 100}
    put(emptied_redis, what)
    assert export(kind, tiny_config(tmp_path, emptied_redis), tmp_path / "x", "--trust", "127.0.0.1") == 0
    with serving(kind, tmp_path / "x") as (server, _):
        tell = options_of(server)
        clients = [f"127.1.{at}.{at}" for at in range(256)]
        once, again = asked_as(server.port, clients, NAME), asked_as(server.port, clients, NAME)
        assert once == again
        counts = Counter(location[7:11] for _, location, _ in once)
        assert counts.keys() == {"lon1", "ams1", "nyc1"}
        assert 98 <= counts["ams1"] <= 158  # 128 is to be expected, 8 the standard deviation
        assert 36 <= counts["lon1"] <= 92
        set_override(emptied_redis, "ams1", state="drain", percent=0)
        assert (
            export(kind, tiny_config(tmp_path, emptied_redis), tmp_path / "x", "--trust", "127.0.0.1", *tell)
            == 0
        )
        wait_until(lambda: "ams1" not in str(asked_as(server.port, clients, NAME)), what="ams1 drained")


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_said_is_refused(
    emptied_redis: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    what = document()
    what["services"][NAME] |= {"policy": "hash"}
    put(emptied_redis, what)
    config = tiny_config(tmp_path, emptied_redis)
    assert export(kind, config, tmp_path / "x") == 3
    assert "hash: a path has no node of its own" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    assert export(kind, config, tmp_path / "x", "--lossy") == 0
    assert export(kind, config, tmp_path / "x", "--lossy", "--trust", "nonsense") == 2


@contextmanager
def reloading(kind: str, exported: Path) -> Iterator[tuple[int, Callable[[], bool], Callable[[], None]]]:
    """The port, a check of the files, and what makes the server read them whether they are right or not."""
    if kind == "nginx":
        with Nginx(exported) as server:
            process = server.server.process
            yield (
                server.port,
                lambda: run(server.command("-t")).returncode == 0,
                lambda: os.kill(process.pid, signal.SIGHUP),
            )
    else:
        # One process alone: two would share the port.
        with HAProxy(exported, "-W") as proxy:
            master = proxy.server.process
            yield (
                proxy.port,
                lambda: run(proxy.command("-c")).returncode == 0,
                lambda: os.kill(master.pid, signal.SIGUSR2),
            )


@pytest.mark.parametrize("kind", KINDS)
def test_a_reload_with_a_damaged_or_missing_file_leaves_the_server_as_it_is(
    emptied_redis: RedisServer, tmp_path: Path, kind: str
) -> None:
    put(emptied_redis, document())
    config, out = tiny_config(tmp_path, emptied_redis), tmp_path / "x"
    assert export(kind, config, out) == 0
    damaged: dict[str, dict[str, bytes | None]] = {
        "nginx": {"networks.conf": b"127.1.0.0/16 {", "nodes.conf": b"map $geosteer_class {\n    default"},
        # A map of texts may hold anything: HAProxy takes each line as it is.
        "haproxy": {"networks.map": b"127.1.0.0/99 x\n", "services.map": b"www.cdn.example.net/ x\n", "nodes.map": None},
    }  # fmt: skip
    with reloading(kind, out) as (port, check, reload):
        for name, content in damaged[kind].items():
            whole = (out / name).read_bytes()
            for broken in (content, None):
                (out / name).unlink(missing_ok=True)
                if broken is not None:
                    (out / name).write_bytes(broken)
                assert not check(), (name, broken)
                reload()
                for _ in range(20):
                    assert ask(port)["location"] == "http://lon1.cdn.example.net/", (name, broken)
                    time.sleep(0.02)
            (out / name).write_bytes(whole)
        set_state(emptied_redis, "lon1", "down")
        assert export(kind, config, out) == 0
        assert check()
        looks = count()

        def elsewhere() -> bool:
            # HAProxy's master loses a signal that comes while it still executes itself anew for the one before.
            if next(looks) % 100 == 0:
                reload()
            return ask(port)["location"] == "http://ams1.cdn.example.net/"

        wait_until(elsewhere, what="another node")


def test_a_broken_file_leaves_nginx_as_it_is(
    emptied_redis: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(emptied_redis, document())
    config, out = tiny_config(tmp_path, emptied_redis), tmp_path / "x"
    assert export("nginx", config, out) == 0
    with Nginx(out) as server:
        assert ask(server.port)["location"] == "http://lon1.cdn.example.net/"
        networks = out / "networks.conf"
        whole = networks.read_bytes()
        for broken in (whole[: len(whole) // 2 + 3], b"127.1.0.0/16 {", b"\0" * 100):
            (tmp_path / "broken").write_bytes(broken)
            (tmp_path / "broken").replace(networks)  # at once: the server may be reading it
            assert run(server.command("-t")).returncode != 0
            assert run(server.reload).returncode != 0
            os.kill(server.server.process.pid, signal.SIGHUP)  # even so
            assert ask(server.port)["location"] == "http://lon1.cdn.example.net/"
        # The next export mends it, and what the server was not told of before it is told of then.
        set_state(emptied_redis, "lon1", "down")
        (out / "redirect.conf").chmod(0o644)
        assert export("nginx", config, out, "--reload", "false") == 1
        assert "exit status 1" in capsys.readouterr().err
        assert networks.read_bytes() == whole
        assert export("nginx", config, out, "--reload", shlex.join(server.reload)) == 0
        wait_until(
            lambda: ask(server.port)["location"] == "http://ams1.cdn.example.net/", what="another node"
        )
        assert sorted(path.name for path in out.iterdir()) == [
            "http.conf",
            "networks.conf",
            "nodes.conf",
            "redirect.conf",
        ]


def test_haproxy_is_changed_through_its_socket_at_once_and_by_its_files_after_a_restart(
    emptied_redis: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(emptied_redis, document())
    config, out = tiny_config(tmp_path, emptied_redis), tmp_path / "x"
    assert export("haproxy", config, out) == 0
    with HAProxy(out) as proxy:
        pid = proxy.server.process.pid
        command = [
            sys.executable,
            "-m",
            "geosteer_loader",
            "export",
            "haproxy",
            str(out),
            "--config",
            str(config),
        ]
        with (tmp_path / "log").open("w") as log:
            follower = subprocess.Popen(
                [*command, "--watch", "--interval", "0.05", "--reload", "false", "--socket", str(proxy.socket)],
                stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT,
            )  # fmt: skip
        try:
            assert follower.stdout is not None
            follower.stdout.readline()
            for state, node in (("down", "ams1"), ("up", "lon1")):
                began = time.monotonic()
                set_state(emptied_redis, "lon1", state, since="2026-01-01T00:00:00Z")
                wait_until(partial(_goes, proxy.port, node), what=node)
                print(f"{state}: {time.monotonic() - began:.2f} s")
            changed = document()
            changed["maps"]["default"]["countries"]["GB"] = {"nyc1": 1}
            changed["services"]["new.cdn.example.net"] = {"map": "default"}
            put(emptied_redis, changed, 2)
            wait_until(
                lambda: ask(proxy.port, host="new.cdn.example.net").status == 302, what="a new service"
            )
            assert ask(proxy.port)["location"] == "http://nyc1.cdn.example.net/"
            # A process that read the files before they changed, and took the socket over afterwards, has what is old.
            nodes = out / "nodes.map"
            whole = nodes.read_bytes()
            proxy.server.stop()
            nodes.write_bytes(whole.replace(b"nyc1", b"lon1"))
            proxy.server = Server(proxy.command("-db"), folder=proxy.folder).ready(proxy.port)
            nodes.write_bytes(whole)
            wait_until(partial(_goes, proxy.port, "nyc1"), what="what a process that starts missed")
            pid = proxy.server.process.pid
        finally:
            follower.send_signal(signal.SIGTERM)
            assert follower.wait(60) == 143, (tmp_path / "log").read_text()
        assert proxy.server.process.pid == pid
        # A socket that is not there: the files are right, the export says what is missing.
        set_state(emptied_redis, "nyc1", "down")
        assert export("haproxy", config, out, "--socket", str(tmp_path / "none")) == 1
        assert "none: No such file or directory" in capsys.readouterr().err
        assert ask(proxy.port)["location"] == "http://nyc1.cdn.example.net/"
        assert export("haproxy", config, out, "--socket", str(proxy.socket)) == 0
        elsewhere = ask(proxy.port)["location"]
        assert elsewhere in {"http://lon1.cdn.example.net/", "http://ams1.cdn.example.net/"}
        # A broken map is refused by the check before a reload, and a running server does not read it.
        nodes = out / "nodes.map"
        whole = nodes.read_bytes()
        (out / "networks.map").write_text("127.1.0.0/99 x\n")
        assert run(proxy.command("-c")).returncode != 0
        assert ask(proxy.port)["location"] == elsewhere
        assert export("haproxy", config, out) == 0
        assert run(proxy.command("-c")).returncode == 0
        assert nodes.read_bytes() == whole
    with HAProxy(out) as again:
        assert ask(again.port)["location"] == elsewhere
