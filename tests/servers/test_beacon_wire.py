"""Beacons through geosteer-http as a program: refusals, slow and lying clients, restarts, and what is written down."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.metrics.exporter import Exporter
from support.front_servers import (
    BRITISH,
    DUTCH,
    TABLES,
    ask,
    start_haproxy,
    start_http,
    start_nginx,
    start_varnish,
)  # fmt: skip
from support.servers import need, wait_until
from support.steering import document, republish, write_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.servers import RedisServer

HOST = b"Host: www.cdn.example.net\r\n"
REPORT = {
    "age": 4, "type": "network-error", "url": "https://lon1.cdn.example.net/secret", "user_agent": "Browser",
    "body": {"phase": "connection", "sampling_fraction": 1.0, "server_ip": "192.0.2.1", "status_code": 0,
             "type": "tcp.refused"},
}  # fmt: skip


class Setup:
    """Settings of a geosteer-http with beacons."""

    def __init__(self, redis_server: RedisServer, folder: Path, more: str = "") -> None:
        self.folder, self.spool = folder, folder / "spool"
        self.spool.mkdir()
        self.key = folder / "key"
        self.key.write_text("k" * 32)
        self.key.chmod(0o600)
        (folder / "counters").mkdir()
        self.config = write_settings(redis_server, "wire", folder)
        self.config.write_text(
            f'{self.config.read_text()}[metrics]\nfolder = "counters"\n'
            f'[beacon]\nkey_file = "key"\nspool = "spool"\nnetwork_rate = 100\n{more}'
        )

    def lines(self, pattern: str = "*") -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for path in sorted(self.spool.glob(pattern))
            for line in path.read_text().splitlines()
        ]

    def counts(self) -> dict[str, float]:
        """What `geosteer metrics` shows."""
        text = Exporter(folder=str(self.folder / "counters")).text().decode()
        found = re.findall(r'geosteer_beacon_events_total\{outcome="(\w+)",what="(\w+)"\} (\S+)', text)
        return {f"{what} {outcome}": float(count) for outcome, what, count in found}


@pytest.fixture(scope="module")
def published(redis_server: RedisServer) -> RedisServer:
    republish(redis_server, "wire", document(), tables=TABLES)
    return redis_server


@pytest.fixture(scope="module")
def setup(published: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Setup:
    return Setup(published, tmp_path_factory.mktemp("wire"))


@pytest.fixture(scope="module")
def port(setup: Setup) -> Iterator[int]:
    server, port = start_http(setup.config)
    with server:
        yield port


def candidates(port: int, client: str = BRITISH) -> dict[str, Any]:
    told: dict[str, Any] = ask(port, "/.geosteer/candidates", client=client).json()
    return told


def beacon(port: int, client: str = BRITISH, **changes: Any) -> bytes:
    told = candidates(port, client)
    return json.dumps({"token": told["token"], "ms": {told["nodes"][0]["node"]: 12.5}, **changes}).encode()


def post(body: bytes, *fields: bytes, path: bytes = b"beacon", length: int | None = None) -> bytes:
    lines = [b"POST /.geosteer/" + path + b" HTTP/1.1\r\n", HOST, *[field + b"\r\n" for field in fields]]
    if length is not None:
        lines.append(b"Content-Length: %d\r\n" % length)
    return b"".join(lines) + b"\r\n" + body


def answered(port: int, data: bytes, count: int) -> list[bytes]:
    """Status codes of the first so many answers."""
    with socket.create_connection(("127.0.0.1", port), 60, (BRITISH, 0)) as link:
        link.sendall(data)
        came = b""
        while len(status(came)) < count and (part := link.recv(4096)):
            came += part
    return status(came)


def status(came: bytes) -> list[bytes]:
    return re.findall(rb"^HTTP/1\.1 (\d{3}) ", came, re.MULTILINE)


def test_curl_sees_each_refusal(port: int, setup: Setup, tmp_path: Path) -> None:
    def curl(path: str, body: bytes | None = None, *options: str, client: str = BRITISH) -> str:
        (tmp_path / "body").write_bytes(body or b"")
        command = [
            need("curl"),
            "-s",
            "-o",
            str(tmp_path / "reply"),
            "-w",
            "%{http_code}",
            "--interface",
            client,
        ]
        command += [*options, "-H", "Host: www.cdn.example.net", f"http://127.0.0.1:{port}/.geosteer/{path}"]
        command += [] if body is None else ["--data-binary", f"@{tmp_path / 'body'}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout

    before = setup.counts()
    good = beacon(port)
    assert curl("beacon", good) == "204"
    assert curl("beacon", good) == "403"
    assert curl("beacon", beacon(port), client=DUTCH) == "403"
    assert curl("beacon", beacon(port, token="forged")) == "403"
    assert curl("beacon", b"{}") == "400"
    assert curl("beacon", beacon(port, ms={"lon1": 60001})) == "400"
    assert curl("beacon", beacon(port, failed=["stranger"])) == "400"
    assert curl("beacon", b" " * 2049) == "413"
    assert curl("beacon", b" " * 3_000_000) == "413"
    assert curl("beacon", b" " * 2049, "-H", "Transfer-Encoding: chunked") == "413"
    assert curl("beacon", beacon(port), "-H", "Transfer-Encoding: chunked") == "204"
    assert curl("beacon") == "405"
    assert curl("candidates", b"x") == "405"
    assert curl("candidates?service=none.example") == "404"
    delivery = json.dumps([REPORT]).encode()
    assert curl("reports", delivery, "-H", "Content-Type: application/reports+json") == "204"
    assert curl("reports", b"[") == "400"
    assert curl("reports", b" " * 32769) == "413"
    assert curl("beacon.js") == "200"
    assert len((tmp_path / "reply").read_bytes()) <= 1000
    after = setup.counts()
    assert {key: count - before.get(key, 0) for key, count in after.items()} == {
        "candidates given": 6, "candidates no_service": 1, "beacon taken": 2, "beacon used": 1, "beacon forged": 2,
        "beacon invalid": 3, "beacon too_long": 3, "reports taken": 1, "reports invalid": 1, "reports too_long": 1,
        "spool written": 3,
    }  # fmt: skip


def test_redirects_and_beacons_share_a_connection(port: int) -> None:
    body = beacon(port)
    redirect = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
    asked = b"GET /.geosteer/candidates HTTP/1.1\r\n" + HOST + b"\r\n"
    together = redirect + redirect + asked + post(body, length=len(body)) + redirect + asked + redirect
    assert answered(port, together, 7) == [b"302", b"302", b"200", b"204", b"302", b"200", b"302"]


def test_a_body_that_does_not_come_is_not_waited_for(port: int) -> None:
    def attempt(data: bytes) -> tuple[bytes, float]:
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), 60, (BRITISH, 0)) as link:
            link.sendall(data)
            came = b""
            while part := link.recv(4096):
                came += part
        return came, time.monotonic() - began

    attempts = [post(b"", length=100), post(b'{"tok', length=100)]
    attempts += [post(size + b"\r\n{", b"Transfer-Encoding: chunked") for size in (b"5", b"ffffffffffffff")]
    with ThreadPoolExecutor(4) as pool:
        for came, took in pool.map(attempt, attempts):
            assert status(came) == [b"408"]
            assert took > 4
    assert ask(port, "/a").status == 302


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (post(b"{}" + b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n", length=2), [b"400", b"302"]),
        (post(b"{}", length=2) + b"rubbish\r\n\r\n", [b"400"]),
        (post(b"2\r\n{}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"), [b"400"]),
        (post(b"zz\r\n{}", b"Transfer-Encoding: chunked"), [b"400"]),
        (post(b"{}", b"Transfer-Encoding: gzip"), [b"400"]),
        (post(b"{}", b"Content-Length: -2"), [b"400"]),
        (post(b"{}", b"Content-Length: 99999999999999999999999"), [b"400"]),
        (post(b"{}", b"Content-Length: 999999999999"), [b"413"]),
        (post(b""), [b"400"]),
        (b"POST /.geosteer/beacon HTTP/1.0\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}", [b"400"]),
    ],
)  # fmt: skip
def test_bodies_of_every_shape(port: int, data: bytes, statuses: list[bytes]) -> None:
    assert answered(port, data, len(statuses)) == statuses
    assert ask(port, "/a").status == 302


def test_nothing_longer_than_a_network_is_written_anywhere(
    published: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    setup = Setup(published, tmp_path_factory.mktemp("private"))
    setup.config.write_text(
        setup.config.read_text().replace("[metrics]", '[log]\nsample = 1\nfile = "decisions"\n[metrics]')
    )
    server, port = start_http(setup.config, "--access-log")
    client = "127.1.0.77"
    with server:
        ask(port, "/.geosteer/beacon", method="POST", body=beacon(port, client), client=client)
        ask(port, "/.geosteer/beacon", method="POST", body=b"{", client=client)
        delivery = json.dumps([REPORT, {**REPORT, "body": {**REPORT["body"], "server_ip": client}}]).encode()  # type: ignore[dict-item]
        ask(port, "/.geosteer/reports", method="POST", body=delivery, client=client)
        ask(port, "/a", client=BRITISH)
        server.stop()
        assert BRITISH in server.log  # redirects are logged as the operator wants
        assert client not in server.log
    assert [line["client"] for line in setup.lines("*.jsonl")] == ["127.1.0.0"] * 2
    for path in setup.folder.rglob("*"):
        assert not path.is_file() or client.encode() not in path.read_bytes(), path


def test_segments_are_closed_at_the_end_and_after_a_kill(
    published: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    setup = Setup(published, tmp_path_factory.mktemp("ends"))
    for how in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        server, port = start_http(setup.config)
        with server:
            assert ask(port, "/.geosteer/beacon", method="POST", body=beacon(port)).status == 204
            assert len(list(setup.spool.glob("*.part"))) == 1
            server.stop(how)
    assert list(setup.spool.glob("*.part")) == []
    assert len(setup.lines("*.jsonl")) == 3
    assert len({path.read_bytes() for path in setup.spool.iterdir()}) == 3


def test_workers_and_other_redirectors_take_each_others_tokens_while_keys_change(
    published: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    setup = Setup(published, tmp_path_factory.mktemp("keys"))
    first, port = start_http(setup.config, "--workers", "2")
    with first:
        wait_until(lambda: ask(port, "/.geosteer/health").status == 200, 20, "workers")

        def both_collect() -> bool:  # each with a segment, and with the keys that it read as it began
            ask(port, "/.geosteer/beacon", method="POST", body=beacon(port))
            return len(list(setup.spool.glob("*.part"))) == 2

        wait_until(both_collect, 30, "two workers that collect")
        old = [beacon(port) for _ in range(6)]
        statuses = [ask(port, "/.geosteer/beacon", method="POST", body=body).status for body in old[:4]]
        assert statuses == [204] * 4
        setup.key.write_text(f"{'n' * 32}\n{'k' * 32}\n")
        second, other = start_http(setup.config)
        with second:
            assert ask(other, "/.geosteer/beacon", method="POST", body=old[4]).status == 204
            assert ask(port, "/.geosteer/beacon", method="POST", body=beacon(other)).status == 403
            first.process.send_signal(signal.SIGHUP)
            wait_until(lambda: re.search(r"reloaded", first.log) is not None, 30, "a reload")
            assert ask(port, "/.geosteer/beacon", method="POST", body=beacon(other)).status == 204
            assert ask(port, "/.geosteer/beacon", method="POST", body=old[5]).status == 204


@pytest.mark.parametrize("trouble", ["gone", "link", "fifo"])
def test_a_spool_that_cannot_be_used_costs_reports_and_nothing_else(
    published: RedisServer, tmp_path_factory: pytest.TempPathFactory, trouble: str
) -> None:
    setup = Setup(published, tmp_path_factory.mktemp("trouble"))
    setup.spool.rmdir()
    elsewhere = setup.folder / "elsewhere"
    elsewhere.mkdir()
    if trouble == "link":
        setup.spool.symlink_to(elsewhere)
    elif trouble == "fifo":
        os.mkfifo(setup.spool)
    server, port = start_http(setup.config)
    with server:
        for _ in range(3):
            assert ask(port, "/.geosteer/beacon", method="POST", body=beacon(port)).status == 204
        assert ask(port, "/a").status == 302
        assert setup.counts()["spool lost"] == 3
        assert server.log.count("what clients report is lost") == 1
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ('lifetime = "x"', "lifetime"), ('colour = "red"', "beacon.colour: unknown setting"), ("rate = 0", "beacon.rate"),
        ('object = "pixel"', "beacon.object"),
    ],
)  # fmt: skip
def test_mistakes_are_reported_at_the_start(
    published: RedisServer, tmp_path_factory: pytest.TempPathFactory, change: str, complaint: str
) -> None:
    setup = Setup(published, tmp_path_factory.mktemp("mistakes"), change)
    with pytest.raises(RuntimeError, match=complaint):
        start_http(setup.config)


def test_a_key_that_others_may_read_is_refused_at_the_start(
    published: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    setup = Setup(published, tmp_path_factory.mktemp("mode"))
    setup.key.chmod(0o644)
    with pytest.raises(RuntimeError, match=r"key_file: .*is open to others \(mode 644\)"):
        start_http(setup.config)


@pytest.mark.parametrize("front", ["nginx", "haproxy", "varnish"])
def test_the_shipped_settings_of_proxies_let_beacons_through(
    published: RedisServer, tmp_path_factory: pytest.TempPathFactory, front: str
) -> None:
    setup = Setup(published, tmp_path_factory.mktemp(front))
    server, behind = start_http(setup.config, "--trust", "127.0.0.1")
    with server:
        starts: dict[str, Any] = {"nginx": start_nginx, "haproxy": start_haproxy, "varnish": start_varnish}
        before, port, *_ = starts[front](behind)
        with before:
            wait_until(
                lambda: ask(port, "/.geosteer/beacon.js").status == 200, 20, "the script through the proxy"
            )
            body = beacon(port)
            assert ask(port, "/.geosteer/beacon", method="POST", body=body, client=DUTCH).status == 403
            assert ask(port, "/.geosteer/beacon", method="POST", body=body).status == 204
            assert (
                ask(port, "/.geosteer/reports", method="POST", body=json.dumps([REPORT]).encode()).status
                == 204
            )
            assert ask(port, "/.geosteer/health").status == 404
    assert {line["client"] for line in setup.lines("*.jsonl")} == {"127.1.0.0"}
