"""`--backend` follows whatever connection workers have: TLS with certificates of both sides, Sentinel, Cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from geosteer_loader.cli.main import main
from support.constellations import Cluster, Watched
from support.dns_setup import backend_toml
from support.servers import wait_until
from support.tiny import publish_tiny
from support.tls_redis import tls_redis, worker_settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from support.certificates import Certificates

WWW, CLIENT = "www.cdn.example.net", "192.0.2.0/24"


def looks(backend: Path, capsys: pytest.CaptureFixture[str], redis: str) -> None:
    """Each of the three commands gives what workers answer."""

    def run(*words: str) -> str:
        code = main([*words, "--backend", str(backend)])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    status = json.loads(run("status", "--json"))
    assert (status["worker"]["tier"], status["worker"]["troubles"]) == ("live", [])
    assert status["worker"]["redis"] == redis
    assert status["generation"] == 1
    assert "nodes" in status
    explained = json.loads(run("explain", WWW, CLIENT, "--json"))
    assert (explained["tier"], explained["answer"][0]["content"]) == ("live", "192.0.2.1")
    assert json.loads(run("lookup", CLIENT.partition("/")[0], "--json"))[0]["geo"]["record"] == "GB"


def test_behind_tls_with_certificates_on_both_sides(
    certificates: Certificates, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificates.sign("named", "DNS:localhost")
    with tls_redis(certificates, "named") as server:
        looks(
            worker_settings(tmp_path, server, certificates, cert="client"),
            capsys,
            f"rediss://localhost:{server.port}",
        )
        backend = worker_settings(tmp_path, server, certificates)
        assert main(["status", "--check", "--backend", str(backend)]) == 2
        assert "certificate required" in capsys.readouterr().out


def test_behind_sentinel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Watched() as watched:
        with watched.primary.client() as client:
            publish_tiny(client, "geosteer")
        backend = backend_toml(tmp_path, watched.url)
        looks(backend, capsys, f"redis://127.0.0.1:{watched.primary.port}")
        watched.failover()
        wait_until(watched.agreed, what="a failover")
        looks(backend, capsys, f"redis://127.0.0.1:{watched.replica.port}")


def test_in_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Cluster(replicas=0) as cluster:
        owner = cluster.owner("{geosteer}:current")
        with owner.client() as client:
            publish_tiny(client, "geosteer")
        other = next(node for node in cluster.nodes if node is not owner)
        looks(backend_toml(tmp_path, cluster.url(other)), capsys, f"redis://127.0.0.1:{owner.port}")
