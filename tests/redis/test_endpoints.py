"""However Redis is reached, and whether it is Redis or Valkey: published, answered from, told of changes, reached again."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest

from geosteer_loader.config.config import load
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.store import connect
from support.dns_setup import backend_toml
from support.publishing import current_of, write_config, write_csv
from support.servers import REDIS, RedisServer, valkey, wait_until
from support.tiny import publish_tiny
from support.tls_redis import tls_redis
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.certificates import Certificates

WWW = "www.cdn.example.net"
GB = "192.0.2.0/24"


class Endpoint(NamedTuple):
    """A server, and how a worker and the loader get there."""

    server: RedisServer
    url: str
    settings: str = ""
    """More of `[redis]`."""


@pytest.fixture(
    params=[
        "redis unix",
        "redis tcp",
        "redis TLS localhost",
        "redis TLS 127.0.0.1",
        "valkey unix",
        "valkey tcp",
    ]
)
def endpoint(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Endpoint]:
    kind, transport, *host = request.param.split()
    with ExitStack() as stack:
        if transport == "TLS":
            server = stack.enter_context(tls_redis(certificates))
            files = {
                "ca": certificates["ca"],
                "cert": certificates["client"],
                "key": certificates.key("client"),
            }
            settings = "".join(f'{key} = "{path}"\n' for key, path in files.items())
            yield Endpoint(server, f"rediss://{host[0]}:{server.port}", settings)
        else:
            program = valkey() if kind == "valkey" else REDIS
            server = stack.enter_context(RedisServer(tcp=transport == "tcp", program=program))
            with server.client() as client:
                assert client.info("server").get("server_name", "redis") == kind
            yield Endpoint(server, server.tcp_url if transport == "tcp" else server.url)


def test_a_worker_is_told_of_changes_and_again_after_its_connection_was_cut(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    path = backend_toml(tmp_path, endpoint.url, f"---\n{endpoint.settings}")
    with endpoint.server.client() as client:
        publish_tiny(client, "geosteer")
        with Worker(path) as worker:
            wait_until(lambda: worker.ask(WWW, subnet=GB) != [["FAIL"]])
            assert worker.address(WWW, GB) == "192.0.2.1"
            client.hset("{geosteer}:node:lon1", mapping={"state": "down"})
            wait_until(lambda: worker.address(WWW, GB) == "192.0.2.2")
            client.client_kill_filter(_type="normal")
            wait_until(lambda: worker.address(WWW, GB) == "192.0.2.2")
            client.hset("{geosteer}:node:lon1", mapping={"state": "up"})
            wait_until(lambda: worker.address(WWW, GB) == "192.0.2.1")


def test_the_loader_publishes(endpoint: Endpoint, tmp_path: Path) -> None:
    path = write_config(tmp_path, endpoint.url, geo=[write_csv(tmp_path / "geo.csv")], prefix="other")
    path.write_text(path.read_text().replace('prefix = "other"\n', f'prefix = "other"\n{endpoint.settings}'))
    config = load(path, {})
    with connect(config.redis) as store:
        publish(config, store)
    with endpoint.server.client() as client:
        assert current_of(client, "other")["generation"] == "1"
        assert client.execute_command(
            "FCALL_RO", "geosteer_lookup", 2, "{other}:current", "{other}:object", "192.0.2.9"
        )
