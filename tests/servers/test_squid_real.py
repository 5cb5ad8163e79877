"""A real Squid with conf/squid.conf, real origins, and clients who come from their own addresses."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.front_servers import AMERICAN, BRITISH, DUTCH, NODES, TABLES, Server, ask, origins, start_squid
from support.servers import children, wait_until
from support.steering import document, republish, set_state, write_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import RedisServer

NAMES = {name: {"a": [address]} for name, address in NODES.items()}


class Front:
    """Squid, its origins, and the Redis prefix that its helpers follow."""

    def __init__(self, server: Server, port: int, origin: int, prefix: str) -> None:
        self.server, self.port, self.origin, self.prefix = server, port, origin, prefix


@pytest.fixture(scope="module")
def origin() -> Iterator[int]:
    with origins() as port:
        yield port


def front(
    redis_server: RedisServer, folder: Path, origin: int, prefix: str, *options: str
) -> Iterator[Front]:
    republish(redis_server, prefix, document(nodes=NAMES), tables=TABLES)
    server, port = start_squid(write_settings(redis_server, prefix, folder), origin, *options)
    with server:
        # A helper that has just been started answers from the round robin for a moment.
        found = Front(server, port, origin, prefix)
        wait_until(
            lambda: "lon1" in ask(port, client=BRITISH)["location"] + str(ask(port, client=BRITISH).body), 10
        )
        yield found


@pytest.fixture(scope="module")
def redirecting(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory, origin: int
) -> Iterator[Front]:
    yield from front(
        redis_server, tmp_path_factory.mktemp("squid"), origin, "squid302", "--port", str(origin)
    )


@pytest.fixture(scope="module")
def rewriting(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory, origin: int
) -> Iterator[Front]:
    options = ("--rewrite", "--to", "address", "--port", str(origin))
    yield from front(redis_server, tmp_path_factory.mktemp("squid"), origin, "squidrewrite", *options)


def test_each_client_is_redirected_to_its_node_with_path_and_query_as_they_are(redirecting: Front) -> None:
    for client, node in ((BRITISH, "lon1"), (DUTCH, "ams1"), (AMERICAN, "nyc1")):
        reply = ask(redirecting.port, "/a/b%20c;d?x=%22&y=http://z/?", client=client)
        assert reply.status == 302
        port = redirecting.origin
        assert reply["location"] == f"http://{node}.cdn.example.net:{port}/a/b%20c;d?x=%22&y=http://z/?"


def test_only_the_client_itself_may_keep_a_redirect(redirecting: Front) -> None:
    assert ask(redirecting.port)["cache-control"] == "private, max-age=60"
    assert {ask(redirecting.port, client=client)["location"] for client in (BRITISH, DUTCH) * 2} == {
        f"http://{node}.cdn.example.net:{redirecting.origin}/" for node in ("lon1", "ams1")
    }


def test_a_head_is_redirected_and_a_post_goes_to_the_origin(redirecting: Front) -> None:
    assert ask(redirecting.port, method="HEAD").status == 302
    reply = ask(redirecting.port, method="POST", body=b"x")
    assert reply.status == 501  # the origin's own word: it has no POST


def test_what_is_no_service_goes_to_the_origin_or_is_denied(redirecting: Front) -> None:
    assert ask(redirecting.port, "/x", host="files.cdn.example.net").json()["node"] == "nyc1"
    assert ask(redirecting.port, "/x", host="www.example.org").status == 403


def test_a_node_that_goes_down_loses_its_clients(redis_server: RedisServer, redirecting: Front) -> None:
    set_state(redis_server, redirecting.prefix, "lon1", "down")
    wait_until(lambda: "//ams1." in ask(redirecting.port)["location"])
    set_state(redis_server, redirecting.prefix, "lon1", "up")
    wait_until(lambda: "//lon1." in ask(redirecting.port)["location"])


def test_many_clients_at_once_each_get_their_own_answer(redirecting: Front) -> None:
    """Requests overlap in the helpers, told apart by their IDs."""
    clients = [
        (f"127.{net}.0.{host}", node) for host in range(1, 60) for net, node in ((1, "lon1"), (2, "ams1"))
    ]

    def check(one: tuple[str, str]) -> bool:
        client, node = one
        return ask(redirecting.port, f"/{client}", client=client)["location"].startswith(f"http://{node}.")

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(check, clients * 4))


def test_squids_log_tells_node_and_tier(redirecting: Front) -> None:
    ask(redirecting.port, "/logged", client=DUTCH)
    log = redirecting.server.folder / "access.log"
    wait_until(lambda: "/logged" in log.read_text())
    (line,) = [line for line in log.read_text().splitlines() if "/logged" in line]
    assert line.endswith("node=ams1 tier=live")


def test_helpers_are_spoken_to_without_channel_ids_where_squid_is_set_up_so(
    redis_server: RedisServer, prefix: str, tmp_path: Path, origin: int
) -> None:
    republish(redis_server, prefix, document(nodes=NAMES), tables=TABLES)
    config = write_settings(redis_server, prefix, tmp_path, "timeout = 5000")
    server, port = start_squid(config, origin, "--status", "307", channels=False)
    with server:

        def location(client: str, number: int) -> str:
            reply = ask(port, f"/{number}?x", client=client)
            return f"{reply.status} {reply['location']}"

        clients = {BRITISH: "lon1", DUTCH: "ams1", AMERICAN: "nyc1"}
        with ThreadPoolExecutor(8) as pool:
            asked = [(client, number) for number in range(20) for client in clients]
            for (client, number), given in zip(
                asked, pool.map(location, *zip(*asked, strict=True)), strict=True
            ):
                assert given == f"307 http://{clients[client]}.cdn.example.net/{number}?x"


def test_squid_fetches_from_the_clients_node_when_the_helper_rewrites(rewriting: Front) -> None:
    for client, node in ((BRITISH, "lon1"), (DUTCH, "ams1"), (AMERICAN, "nyc1")):
        reply = ask(rewriting.port, "/a/b%20c?x=%22", client=client)
        assert reply.status == 200
        told = reply.json()
        assert (told["node"], told["path"]) == (node, "/a/b%20c?x=%22")
        assert told["headers"]["Host"] == "www.cdn.example.net"  # not the node's address
        assert reply["cache-control"] == "no-store"  # the origin's own, and nothing else


def test_a_helper_that_ends_is_replaced(redirecting: Front) -> None:
    helpers = [
        pid
        for pid in children(redirecting.server.process.pid)
        if b"geosteer.redirect.squid" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert helpers
    os.kill(helpers[0], signal.SIGKILL)
    wait_until(lambda: "//lon1." in ask(redirecting.port)["location"])
