"""A Redis that is there and cannot be used: workers, `publish` and `status` say in words why."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.cli.main import main
from support.dns_setup import backend_toml
from support.publishing import write_config, write_csv
from support.servers import RedisServer, wait_until
from support.tls_redis import tls_redis, worker_settings
from support.workers import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from support.certificates import Certificates

WWW = "www.cdn.example.net"
ZONE = """
[zones."cdn.example.net"]
soa = { mname = "ns1.example.net", rname = "h.example.net" }
ns = ["ns1.example.net"]
"""


def said_by_worker(config: Path) -> str:
    worker = Worker(config)
    worker.greet()
    for _ in range(3):
        assert worker.ask(WWW, subnet="192.0.2.0/24") == [["FAIL"]]
        time.sleep(0.1)
    return worker.close().decode()


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_one_that_is_full_of_clients(tmp_path: Path, capsys: pytest.CaptureFixture[str], tcp: bool) -> None:
    with RedisServer(tcp=True) as server, server.client() as client:
        url = server.tcp_url if tcp else server.url
        client.config_set("maxclients", 1)
        log = said_by_worker(backend_toml(tmp_path, url))
        assert "it has no room for another client (maxclients)" in log
        config = write_config(tmp_path, url, geo=[write_csv(tmp_path / "geo.csv")])
        for command in ("publish", "status"):
            assert main([command, "--config", str(config)]) == 1
            assert "no room for another client (maxclients)" in capsys.readouterr().err


def test_one_without_hello(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = RedisServer("--rename-command", "HELLO", "")
    try:
        server.start(wait=False)
        wait_until(lambda: "eady to accept connections" in server.log)
        log = said_by_worker(backend_toml(tmp_path, server.url))
        assert "it has no HELLO, which workers need (older than Redis 6, or renamed)" in log
        config = write_config(tmp_path, server.url, geo=[write_csv(tmp_path / "geo.csv")])
        warning = "workers cannot use this Redis: it has no HELLO"
        for command in ("publish", "status"):
            assert main([command, "--config", str(config)]) == 0
            out, err = capsys.readouterr()
            assert (out + err).count(warning) == 1
    finally:
        server.close()


def test_one_that_wants_a_client_certificate(
    certificates: Certificates, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tls_redis(certificates) as server:
        log = said_by_worker(worker_settings(tmp_path, server, certificates))
        assert "TLS: it wants a client certificate (cert and key)" in log
        config = write_config(
            tmp_path, f"rediss://localhost:{server.port}", geo=[write_csv(tmp_path / "geo.csv")]
        )
        config.write_text(config.read_text().replace("[redis]\n", f'[redis]\nca = "{certificates["ca"]}"\n'))
        for command in ("publish", "status"):
            assert main([command, "--config", str(config)]) == 1
            assert "it wants a client certificate ([redis] cert, key)" in capsys.readouterr().err
