"""nginx, HAProxy and Varnish with the files of conf/ before geosteer-http: right for every client, and when it is gone."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from support.data import ROOT
from support.front_servers import (  # fmt: skip
    AMERICAN,
    BRITISH,
    DUTCH,
    NODES,
    TABLES,
    Reply,
    Server,
    ask,
    origins,
    raw,
    start_haproxy,
    start_http,
    start_nginx,
    start_varnish,
)
from support.servers import free_port, wait_until
from support.steering import document, republish, set_state, write_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.servers import RedisServer

NAMES = {name: {"a": [address]} for name, address in NODES.items()}
SHIPPED = {"lon1.cdn.example.net", "ams1.cdn.example.net", "nyc1.cdn.example.net"}
"""The last resort of the shipped files."""


@pytest.fixture(scope="module")
def config(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    republish(redis_server, "fronts", document(nodes=NAMES), tables=TABLES)
    return write_settings(redis_server, "fronts", tmp_path_factory.mktemp("fronts"), "timeout = 5000")


@pytest.fixture(scope="module")
def behind(config: Path) -> Iterator[int]:
    """A geosteer-http that trusts proxies of this host; gives its port."""
    server, port = start_http(config, "--trust", "127.0.0.1", "--trust", "::1")
    with server:
        yield port


STARTS: dict[str, Callable[..., tuple[Server, int]]] = {
    "nginx": lambda port, **options: start_nginx(port, **options)[:2],
    "haproxy": start_haproxy,
    "varnish": start_varnish,
}


@pytest.fixture(scope="module", params=STARTS)
def front(request: pytest.FixtureRequest, behind: int) -> Iterator[int]:
    server, port = STARTS[request.param](behind)
    with server:
        wait_until(lambda: ask(port)["cache-control"] == "private, max-age=60", what="a redirect")
        yield port


def test_each_client_is_redirected_to_its_node_with_path_and_query_as_they_are(front: int) -> None:
    for client, node in ((BRITISH, "lon1"), (DUTCH, "ams1"), (AMERICAN, "nyc1")):
        for path in ("/", "/a//b%20c;d/../e?f=%22&g=//h?", "/a?"):
            reply = ask(front, path, client=client)
            assert (reply.status, reply["location"]) == (302, f"http://{node}.cdn.example.net{path}")
            assert reply["cache-control"] == "private, max-age=60"


def test_a_client_over_ipv6_gets_its_node(front: int) -> None:
    assert ask(front, to="::1")["location"] == "http://ams1.cdn.example.net/"


def test_what_a_client_says_of_itself_does_not_count(front: int) -> None:
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "x-forwarded-for"):
        value = "for=127.2.0.1" if name == "Forwarded" else "127.2.0.1"
        reply = ask(front, client=BRITISH, headers={name: value, "X-Forwarded-Proto": "https"})
        assert reply["location"] == "http://lon1.cdn.example.net/", name


def test_no_answer_is_kept_for_another_client(front: int) -> None:
    for _ in range(3):
        for client, node in ((BRITISH, "lon1"), (DUTCH, "ams1")):
            assert ask(front, "/same", client=client)["location"] == f"http://{node}.cdn.example.net/same"


def test_health_and_explanations_are_not_for_clients(front: int) -> None:
    for path in ("/.geosteer/health", "/.geosteer/explain?client=127.1.0.1"):
        assert ask(front, path).status == 404


def test_a_head_is_redirected_and_a_post_refused(front: int) -> None:
    head = ask(front, "/a", method="HEAD")
    assert (head.status, head["location"], head.body) == (302, "http://lon1.cdn.example.net/a", b"")
    assert ask(front, "/a", method="POST", body=b"x").status == 405


def test_nobody_is_sent_to_a_host_of_the_requests_choice(front: int) -> None:
    for target in (b"//evil.example/", b"/\\evil.example", b"http://evil.example/", b"/%0d%0aX:evil.example"):
        came = raw(
            front, b"GET %s HTTP/1.1\r\nHost: www.cdn.example.net\r\nConnection: close\r\n\r\n" % target
        )
        locations = [line for line in came.lower().split(b"\r\n") if line.startswith(b"location:")]
        assert all(line.startswith(b"location: http://lon1.cdn.example.net/") for line in locations), came


def test_a_host_that_is_no_service_is_not_redirected(front: int) -> None:
    assert ask(front, host="other.cdn.example.net").status == 404


def is_last_resort(reply: Reply) -> bool:
    host = reply["location"].partition("://")[2].partition("/")[0]
    return reply.status == 302 and host in SHIPPED and reply["location"].endswith("/a/b?c=d")


@pytest.mark.parametrize("name", STARTS)
def test_clients_are_redirected_in_turn_while_geosteer_is_gone_and_steered_again_afterwards(
    config: Path, name: str
) -> None:
    server, behind = start_http(config, "--trust", "127.0.0.1")
    front, port = STARTS[name](behind)

    def steered() -> bool:
        return ask(port, "/a/b?c=d")["cache-control"] == "private, max-age=60"

    with server, front:
        wait_until(steered)
        server.stop(signal.SIGKILL)
        wait_until(lambda: is_last_resort(ask(port, "/a/b?c=d")))
        found = [ask(port, "/a/b?c=d") for _ in range(60)]
        assert all(is_last_resort(reply) for reply in found)
        assert {reply["location"].partition("://")[2].partition("/")[0] for reply in found} == SHIPPED
        again, _ = start_http(config, "--trust", "127.0.0.1", port=behind)
        with again:
            wait_until(steered)


FOREIGN = (
    "evil.example",
    "www.cdn.example.net.evil.example",
    "xcdn.example.net",
    "127.0.0.1",
    "cdn.example.net@evil.example",
)


def test_only_hosts_that_are_configured_are_answered(front: int) -> None:
    for host in FOREIGN:
        reply = ask(front, host=host)
        assert reply.status in {400, 404}, host
        assert not reply["location"]


@pytest.mark.parametrize("name", STARTS)
def test_a_geosteer_that_hangs_delays_nobody_for_long(config: Path, name: str) -> None:
    """From the first request on: it waits for half a second at most, and gets the last resort, not an error."""
    server, behind = start_http(config, "--trust", "127.0.0.1")
    front, port = STARTS[name](behind, change=str)
    with server, front:
        wait_until(lambda: ask(port, "/a/b?c=d")["cache-control"] == "private, max-age=60")
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            waits = []
            for _ in range(12):
                begin = time.monotonic()
                reply = ask(port, "/a/b?c=d", timeout=20)
                waits.append(time.monotonic() - begin)
                assert is_last_resort(reply), (reply.status, reply.fields)
            assert sorted(waits)[len(waits) // 2] < 5, waits  # the middle one, on a busy machine
            for host in FOREIGN:
                reply = ask(port, host=host, timeout=20)
                assert reply.status in {400, 404}, host
                assert not reply["location"]
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        wait_until(lambda: ask(port, "/a/b?c=d")["cache-control"] == "private, max-age=60")


def test_haproxy_hands_on_that_a_map_refuses(redis_server: RedisServer, tmp_path: Path) -> None:
    """A 503 of geosteer-http is an answer, not a failure."""
    republish(redis_server, "refuses", document(maps={"default": {"all_down": "none"}}), tables=TABLES)
    for node in NODES:
        set_state(redis_server, "refuses", node, "down")
    server, behind = start_http(write_settings(redis_server, "refuses", tmp_path), "--trust", "127.0.0.1")
    with server:
        front, port = start_haproxy(behind)
        with front:
            wait_until(lambda: ask(port).status == 503)
            reply = ask(port)
            assert (reply.status, reply["retry-after"], reply["location"]) == (503, "10", "")


def test_nginx_can_fetch_from_the_clients_node_itself(config: Path) -> None:
    with origins() as origin:
        server, behind = start_http(config, "--trust", "127.0.0.1", "--to", "address", "--port", str(origin))
        with server:
            front, _, port = start_nginx(behind)
            with front:
                for client, node in ((BRITISH, "lon1"), (DUTCH, "ams1"), (AMERICAN, "nyc1")):
                    reply = ask(port, "/a/b%20c?d=%22", client=client)
                    assert reply.status == 200
                    told = reply.json()
                    assert (told["node"], told["path"]) == (node, "/a/b%20c?d=%22")
                    assert told["headers"]["Host"] == "www.cdn.example.net"
                    assert told["headers"]["X-Forwarded-For"] == client


def gunicorn(config: Path, *options: str, gateway: str) -> tuple[Server, int]:
    """The redirector on gunicorn, in place of geosteer-http."""
    pytest.importorskip("gunicorn")
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-b",
        f"127.0.0.1:{port}",
        "--log-level",
        "warning",
        *options,
    ]
    return Server([*command, f"geosteer.redirect.apps:{gateway}('--config', '{config}')"]).ready(port), port


@pytest.mark.parametrize("options", [["asgi", "-k", "asgi"], ["wsgi", "-k", "gthread"]], ids=["asgi", "wsgi"])
def test_the_client_comes_by_the_proxy_protocol_where_the_server_speaks_it(
    config: Path, options: list[str]
) -> None:
    """Gunicorn does; HAProxy speaks it to the server, and nothing in a request can pretend to be somebody else."""
    server, behind = gunicorn(
        config, *options[1:], "--proxy-protocol", "--forwarded-allow-ips", "", gateway=options[0]
    )
    with server:
        front, port = start_haproxy(behind, "send-proxy check-send-proxy")
        with front:
            wait_until(lambda: ask(port)["cache-control"] == "private, max-age=60", what="a redirect")
            for client, node in ((BRITISH, "lon1"), (DUTCH, "ams1")):
                reply = ask(port, "/a//b%20c?d=//e", client=client, headers={"X-Forwarded-For": "127.3.0.1"})
                assert reply["location"] == f"http://{node}.cdn.example.net/a//b%20c?d=//e"


def test_every_file_that_is_tested_here_is_shipped() -> None:
    for name in ("squid.conf", "nginx.conf", "haproxy.cfg", "varnish.vcl"):
        assert (ROOT / "conf" / name).is_file()
