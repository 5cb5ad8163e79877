"""Any WSGI or ASGI application learns which nodes its client should use."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import urllib.request
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from geosteer.redirect.apps import ASGI, WSGI
from geosteer.redirect.forwarded import Proxies
from geosteer.redirect.middleware import ASGIMiddleware, WSGIMiddleware
from geosteer.redirect.redirector import Redirector
from support.front_servers import BRITISH, DUTCH, TABLES, ask, raw
from support.servers import free_port
from support.steering import WWW, document, live_steering, republish
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer import Steering
    from support.servers import RedisServer

HASHED = {"hash.cdn.example.net": {"map": "ties", "policy": "hash"}}
TIES = {"ties": {"default": {"lon1": 100, "ams1": 100, "nyc1": 100}}}


@pytest.fixture(scope="module")
def steering(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steering]:
    republish(redis_server, "middle", document(services=HASHED, maps=TIES), tables=TABLES)
    with live_steering(redis_server, "middle", tmp_path_factory.mktemp("middle"), timeout=5000) as found:
        yield found


@contextlib.contextmanager
def served(application: Any) -> Iterator[int]:
    """The application on Python's own WSGI server; gives the port."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    port = free_port()
    with make_server("127.0.0.1", port, application, handler_class=Quiet) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield port
        server.shutdown()


def page(environ: dict[str, Any], start: Any) -> list[bytes]:
    """An application that writes its links by what it learnt."""
    choice = environ["geosteer"]
    told = None if choice is None else [[node.name for node in choice.nodes], choice.tier, choice.ttl]
    start("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]


def test_a_wsgi_application_finds_the_nodes_in_its_environ(steering: Steering) -> None:
    with served(WSGIMiddleware(page, steering)) as port:
        assert ask(port, client=BRITISH).json() == [["lon1"], "live", 60]
        assert ask(port, client=DUTCH).json() == [["ams1"], "live", 60]


def test_what_is_no_service_has_no_nodes_and_the_application_runs_all_the_same(steering: Steering) -> None:
    with served(WSGIMiddleware(page, steering)) as port:
        for host in ("www.example.org", "a/b", "", None):
            reply = ask(port, host=host)
            assert (reply.status, reply.json()) == (200, None)


def test_service_proxies_and_number_of_nodes_can_be_given(steering: Steering) -> None:
    middleware = WSGIMiddleware(page, steering, service=WWW, proxies=Proxies(["127.0.0.1"]), limit=9)
    with served(middleware) as port:
        headers = {"X-Forwarded-For": "127.2.0.1"}
        assert ask(port, host="x", client="127.0.0.1", headers=headers).json()[0] == ["ams1", "lon1", "nyc1"]
        assert ask(port, host="x", client=BRITISH, headers=headers).json()[0] == ["lon1", "ams1", "nyc1"]


def call(application: Any, scope: dict[str, Any]) -> list[Any]:
    """What an ASGI application sends for one request."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(application(scope, receive, send))
    return sent


def http_scope(
    client: str | None, path: str = "/", host: bytes = WWW.encode(), **more: Any
) -> dict[str, Any]:
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
    }
    return {**scope, "headers": [(b"host", host)], "client": (client, 1) if client else None, **more}


async def tell(scope: Any, _: Any, send: Any) -> None:
    choice = scope.get("geosteer", "nothing")
    await send(choice if isinstance(choice, str) or choice is None else [node.name for node in choice.nodes])


def test_an_asgi_application_finds_the_nodes_in_its_scope(steering: Steering) -> None:
    application = ASGIMiddleware(tell, steering)
    assert call(application, http_scope(BRITISH)) == [["lon1"]]
    assert call(application, http_scope(DUTCH, type="websocket")) == [["ams1"]]
    assert call(application, http_scope(None)) == [["nyc1"]]
    assert call(application, http_scope(BRITISH, host=b"x.example.org")) == [None]
    assert call(application, {"type": "lifespan"}) == ["nothing"]


def test_the_scope_of_the_server_is_left_alone(steering: Steering) -> None:
    scope = http_scope(BRITISH)
    before = dict(scope)
    call(ASGIMiddleware(tell, steering), scope)
    assert scope == before


def test_waiting_for_redis_does_not_keep_the_loop_from_other_work(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer", tables=TABLES)
    with live_steering(own_redis, "geosteer", tmp_path, timeout=2000) as steering:
        own_redis.freeze()
        ticks = []

        async def both() -> None:
            async def tick() -> None:
                while True:
                    ticks.append(1)
                    await asyncio.sleep(0.01)

            async def send(_: object) -> None:
                pass

            other = asyncio.create_task(tick())
            await ASGIMiddleware(tell, steering)(http_scope(BRITISH), None, send)  # type: ignore[arg-type]
            other.cancel()

        asyncio.run(both())
        own_redis.thaw()
    assert len(ticks) > 10


def test_one_client_gets_one_node_through_middleware_redirector_wsgi_and_asgi(steering: Steering) -> None:
    """For the policy `hash` by path, too, however the servers spell it."""
    redirector = Redirector(steering)
    with served(WSGIMiddleware(page, steering)) as middle, served(WSGI(redirector)) as redirects:
        for host, path in (
            (WWW, "/"),
            ("hash.cdn.example.net", "/a"),
            ("hash.cdn.example.net", "/b%20c?d=e"),
        ):
            for client in (BRITISH, DUTCH):
                scope = http_scope(
                    client,
                    path.partition("?")[0],
                    host.encode(),
                    query_string=path.partition("?")[2].encode(),
                )
                (start, _) = call(ASGI(steering, redirector), scope)
                location = dict(start["headers"])[b"location"].decode()
                assert ask(redirects, path, host=host, client=client)["location"] == location
                (node,) = ask(middle, path, host=host, client=client).json()[0]
                assert location == f"http://{node}.cdn.example.net{path}"
                assert call(ASGIMiddleware(tell, steering), scope) == [[node]]


def test_the_wsgi_redirector_answers_as_the_asgi_one_does(steering: Steering) -> None:
    with served(WSGI(Redirector(steering))) as port:
        assert ask(port, "/", host="x.example.org").status == 404
        assert ask(port, "/.geosteer/health").json() == {"tier": "live", "generation": 1}
        head = ask(port, "/a", method="HEAD")
        assert (head.status, head["location"], head.body) == (302, "http://lon1.cdn.example.net/a", b"")
        came = raw(port, b"GET //evil.example/ HTTP/1.0\r\nHost: www.cdn.example.net\r\n\r\n")
        assert (
            b"400" in came or b"Location: http://lon1.cdn.example.net/evil.example/" in came
        )  # this server drops a slash
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=b"x", headers={"Host": WWW})
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(request, timeout=5)


def test_the_asgi_redirector_follows_its_servers_life(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document(), tables=TABLES)
    with live_steering(redis_server, prefix, tmp_path) as steering:
        events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        sent: list[str] = []

        async def receive() -> Any:
            return next(events)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        asyncio.run(ASGI(steering, Redirector(steering))({"type": "lifespan"}, receive, send))
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        with pytest.raises(RuntimeError, match="closed"):
            steering.decide(WWW)
