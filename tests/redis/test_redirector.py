"""What one HTTP request is answered with: redirects, refusals, and what may be said to whom."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from geosteer import ConfigError, Steering
from geosteer.redirect.cors import Cors
from geosteer.redirect.forwarded import Proxies
from geosteer.redirect.redirector import Redirector
from geosteer.redirect.request_target import LONGEST
from geosteer.redirect.routes import OddHost, Routes, Target, host_of, resolved
from support.steering import WWW, document, live_steering, make_settings, republish, set_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from geosteer.redirect.replies import Reply
    from support.servers import RedisServer

LON, AMS = b"http://lon1.cdn.example.net", b"http://ams1.cdn.example.net"
HASHED = {"hash.cdn.example.net": {"map": "ties", "policy": "hash"}, "*.wild.example.org": {"map": "default"}}
TIES = {"ties": {"default": {"lon1": 100, "ams1": 100, "nyc1": 100}}}


@pytest.fixture(scope="module")
def steering(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steering]:
    republish(redis_server, "http", document(services=HASHED, maps=TIES))
    with live_steering(redis_server, "http", tmp_path_factory.mktemp("http"), timeout=5000) as found:
        yield found


def get(
    steering: Steering, target: bytes = b"/", *, host: str | None = WWW, peer: str | None = "192.0.2.7", method: str = "GET",
    headers: tuple[tuple[bytes, bytes], ...] = (), scheme: str = "http", **options: object,
) -> Reply:  # fmt: skip
    fields = [*headers] if host is None else [(b"host", host.encode("latin-1")), *headers]
    return Redirector(steering, **options).reply(method, target, scheme, peer, fields)  # type: ignore[arg-type]


def field(reply: Reply, name: bytes) -> bytes | None:
    values: list[bytes] = [value for key, value in reply.headers if key == name]
    assert len(values) <= 1
    return values[0] if values else None


def test_a_client_is_redirected_to_its_node_and_may_keep_that_for_the_ttl(steering: Steering) -> None:
    reply = get(steering, b"/a/b?c=d")
    assert reply.status == 302
    assert reply.headers == [
        (b"location", LON + b"/a/b?c=d"), (b"cache-control", b"private, max-age=60"), (b"content-length", b"0")
    ]  # fmt: skip
    assert reply.body == b""


@pytest.mark.parametrize(
    ("peer", "origin"),
    [
        ("192.0.2.1", LON), ("198.51.100.1", AMS), ("2001:db8:b::1", AMS), ("::ffff:192.0.2.1", LON),
        ("8.8.8.8", b"http://nyc1.cdn.example.net"), (None, b"http://nyc1.cdn.example.net"), ("fe80::1%eth0", b"http://nyc1.cdn.example.net"),
    ],
)  # fmt: skip
def test_the_client_is_the_other_end_of_the_connection(
    steering: Steering, peer: str | None, origin: bytes
) -> None:
    assert field(get(steering, b"/x", peer=peer), b"location") == origin + b"/x"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [302, 307, 308])
def test_the_status_can_be_chosen_and_a_head_gets_the_same_as_a_get(
    steering: Steering, method: str, status: int
) -> None:
    reply = get(steering, method=method, status=status)
    assert (reply.status, field(reply, b"location")) == (status, LON + b"/")
    assert field(reply, b"cache-control") == b"private, max-age=60"


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get", "PURGE"]
)
def test_other_methods_are_refused(steering: Steering, method: str) -> None:
    reply = get(steering, method=method)
    assert (reply.status, field(reply, b"allow"), field(reply, b"location")) == (405, b"GET, HEAD", None)


KEPT = [
    b"/", b"/a/b/c", b"/a//b", b"/a/../b/./c", b"/%2e%2e/", b"/a%20b", b"/%zz", b"/a;b=c,d", b"/?",
    b"/?a=/b//c?d", b"/a?url=http://x/", b"/a?x=%22%3C%3E", b"/a:b@c", b"/{a}|b^`~", b"/%E4%BD%A0",
    b"/a'b(c)*!$&+", b"/.geosteerx", b"/.geosteer", b"/a?b[]=c", b"//evil.example/", b"//evil.example",
    b"///x", b"/a?b=%0D", b"/?a=%0d%0aX:%20y", b"/?%00", b"/x/../.geosteer/health", b"/%2egeosteer/health",
]  # fmt: skip


@pytest.mark.parametrize("target", KEPT)
def test_path_and_query_are_kept_byte_for_byte(steering: Steering, target: bytes) -> None:
    reply = get(steering, target)
    assert (reply.status, field(reply, b"location")) == (302, LON + target)


ODD = [
    b"", b"*", b"a", b"javascript:alert(1)", b"ftp://www.cdn.example.net/", b"http:///", b"http://",
    b"http:/www.cdn.example.net/", b"http://a@www.cdn.example.net/", b"http://www.cdn.example.net:x/",
    b"http://www.cdn.example.net\\evil/", b"www.cdn.example.net:443", b"?a=b", b"@evil.example/",
    b"/\\evil.example", b"\\\\evil.example", b"/a\\b", b"/a b", b"/a\tb", b"/a\r\nX: y", b"/a\nX: y",
    b"/a\0b", b"/a\x7f", b"/%0d%0aSet-Cookie:%20a=b", b"/%0A", b"/a%00b", b"/a?b c", b"/a?b\tc",
    b"/a?b\r\nX: y", b"/a?b#c", b'/a"b', b"/a<b", b"/a>b", b"/a#b",
]  # fmt: skip


@pytest.mark.parametrize("target", ODD)
def test_targets_that_are_no_plain_path_are_refused(steering: Steering, target: bytes) -> None:
    reply = get(steering, target)
    assert (reply.status, field(reply, b"location"), field(reply, b"cache-control")) == (
        400,
        None,
        b"no-store",
    )


ENCODED = {
    b"/\xc3\xa4": b"/%C3%A4",
    b"/\xe4?\xff": b"/%E4?%FF",
    b"/\xe5\x98\x8a\xe5\x98\x8dX:y": b"/%E5%98%8A%E5%98%8DX:y",
    b'/?a="b"': b"/?a=%22b%22",
    b"/?a=<b>\\c": b"/?a=%3Cb%3E%5Cc",
    b"/a%20\xc3\xa4?%zz": b"/a%20%C3%A4?%zz",
}


@pytest.mark.parametrize("target", ENCODED)
def test_bytes_that_may_not_stand_in_a_url_are_percent_encoded(steering: Steering, target: bytes) -> None:
    reply = get(steering, target)
    assert (reply.status, field(reply, b"location")) == (302, LON + ENCODED[target])


ABSOLUTE = {
    b"http://www.cdn.example.net/a?b": b"/a?b",
    b"HTTP://WWW.cdn.example.net:80/a": b"/a",
    b"https://www.cdn.example.net/a": b"/a",
    b"http://www.cdn.example.net": b"/",
    b"http://www.cdn.example.net?a": b"/?a",
    b"http://www.cdn.example.net//evil.example/a": b"//evil.example/a",
}


@pytest.mark.parametrize("target", ABSOLUTE)
def test_the_host_of_an_absolute_form_counts_whatever_host_says(steering: Steering, target: bytes) -> None:
    """RFC 9112, 3.2.2."""
    for host in (WWW, "other.example.org"):
        reply = get(steering, target, host=host)
        assert (reply.status, field(reply, b"location")) == (302, LON + ABSOLUTE[target])
    assert get(steering, target, host=None).status == 400
    assert get(steering, target, host="a b").status == 400
    assert get(steering, b"http://evil.example/a").status == 404


def test_a_request_of_http_1_0_without_host_goes_where_any_host_goes(steering: Steering) -> None:
    routes = Routes([f"*={WWW}", f"*/films/new={WWW}", "files.example.org=hash.cdn.example.net"])

    def ask(redirector: Redirector, version: str, target: bytes = b"/a") -> int:
        return redirector.reply("GET", target, "http", "192.0.2.7", [], version=version).status

    assert ask(Redirector(steering, routes=routes), "1.0") == 302
    assert ask(Redirector(steering, routes=routes), "1.1") == 400
    assert ask(Redirector(steering, routes=Routes([f"*/films={WWW}"])), "1.0") == 400
    assert ask(Redirector(steering, routes=Routes([f"*/films={WWW}"])), "1.0", b"/x/../films/a") == 302
    assert ask(Redirector(steering), "1.0") == 400
    assert ask(Redirector(steering), "1.0", b"http://www.cdn.example.net/a") == 302


DOTS = {
    "/": "/", "/a/b": "/a/b", "/.": "/", "/..": "/", "/a/.": "/a/", "/a/..": "/", "/a/../b": "/b", "/a/./b": "/a/b",
    "/../../a": "/a", "/a/%2e%2E/b": "/b", "/a/.%2e/b": "/b", "/a/%2e": "/a/", "/a//../b": "/a/b", "//a/../b": "//b",
    "/a/...": "/a/...", "/.a/b.": "/.a/b.", "/a%2f..%2fb": "/a%2f..%2fb", "/a%2fb": "/a%2fb", "/a/b/../../..": "/",
}  # fmt: skip


@pytest.mark.parametrize("path", DOTS)
def test_dot_segments_are_resolved(path: str) -> None:
    assert resolved(path) == DOTS[path]


def test_routes_go_by_the_resolved_path_and_the_node_gets_it_as_it_came(steering: Steering) -> None:
    routes = Routes([f"files.example.org/video={WWW}"])
    for path, status in ((b"/video/../x", 404), (b"/x/../video/y", 302), (b"/x/%2e%2e/video/y", 302)):
        reply = get(steering, path, host="files.example.org", routes=routes)
        assert reply.status == status, path
        assert status == 404 or field(reply, b"location") == LON + path


def test_scripts_of_other_sites_may_follow_redirects_where_that_is_set(steering: Steering) -> None:
    allow = b"access-control-allow-origin"
    site, other = (b"origin", b"https://www.example.net"), (b"origin", b"https://evil.example")
    assert field(get(steering, headers=(site,)), allow) is None
    for cors in (Cors(["*"]), Cors(["*", "https://www.example.net"])):
        assert field(get(steering, headers=(other,), cors=cors), allow) == b"*"
    cors = Cors(["https://www.example.net", "null"])
    reply = get(steering, headers=(site,), cors=cors)
    assert (reply.status, field(reply, allow), field(reply, b"vary")) == (302, site[1], b"Origin")
    for headers in ((), (other,), ((b"origin", b"https://www.example.net.evil.example"),)):
        reply = get(steering, headers=headers, cors=cors)
        assert (reply.status, field(reply, allow), field(reply, b"vary")) == (302, None, b"Origin")
    first = (b"access-control-request-method", b"GET")
    preflight = get(steering, method="OPTIONS", headers=(site, first), cors=cors)
    assert (preflight.status, field(preflight, allow), field(preflight, b"access-control-allow-methods")) == (
        204, site[1], b"GET, HEAD"
    )  # fmt: skip
    refused = get(steering, method="OPTIONS", headers=(other, first), cors=cors)
    assert (field(refused, allow), field(refused, b"access-control-allow-methods")) == (None, None)
    assert get(steering, method="OPTIONS", headers=(site,), cors=cors).status == 405
    assert get(steering, method="OPTIONS", headers=(site, first)).status == 405


@pytest.mark.parametrize(
    "origin", ["", "www.example.net", "https://www.example.net/", "https://a b", "https://x\r\nY: z", "*.net"]
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ConfigError, match="--cors"):
        Cors([origin])


def test_a_target_that_is_too_long_is_refused(steering: Steering) -> None:
    assert get(steering, b"/" + b"a" * (LONGEST - 1)).status == 302
    assert get(steering, b"/" + b"a" * LONGEST).status == 414
    assert get(steering, b"/" + b"\xff" * (LONGEST // 3 + 1)).status == 414


@pytest.mark.parametrize(
    "host",
    ["www.cdn.example.net", "WWW.cdn.EXAMPLE.net", "www.cdn.example.net.", "www.cdn.example.net:8080",
     "www.cdn.example.net:", " www.cdn.example.net:80 \t", "a.b.wild.example.org"],
)  # fmt: skip
def test_the_host_names_the_service(steering: Steering, host: str) -> None:
    assert field(get(steering, host=host), b"location") == LON + b"/"


@pytest.mark.parametrize(
    "host",
    ["", " ", "www.cdn.example.net evil", "www.cdn.example.net/evil", "a@www.cdn.example.net", "www.cdn.example.net:80:80",
     "www.cdn.example.net:99999", "www.cdn.example.net:-1", "www.cdn.example.net,evil", "ü.example", "[::1", "::1", "[x]",
     "www..net", ".net", "a" * 300, "www.cdn.example.net\\", "www.cdn.example.net%00", "[::1]evil", "*"],
)  # fmt: skip
def test_odd_hosts_are_refused(steering: Steering, host: str) -> None:
    reply = get(steering, host=host)
    assert (reply.status, field(reply, b"location")) == (400, None)
    with pytest.raises(OddHost):
        host_of(host)


def test_no_host_and_two_hosts_are_refused(steering: Steering) -> None:
    assert get(steering, host=None).status == 400
    assert get(steering, headers=((b"host", b"www.cdn.example.net"),)).status == 400


@pytest.mark.parametrize(
    "host", ["www.example.org", "lon1.cdn.example.net", "192.0.2.1", "[2001:db8::1]:80", "localhost"]
)
def test_a_host_that_is_no_service_is_not_found(steering: Steering, host: str) -> None:
    reply = get(steering, host=host)
    assert (reply.status, field(reply, b"location"), field(reply, b"cache-control")) == (
        404,
        None,
        b"no-store",
    )


def test_the_scheme_is_kept_or_as_configured(steering: Steering) -> None:
    assert field(get(steering, scheme="https"), b"location") == b"https://lon1.cdn.example.net/"
    reply = Redirector(steering, target=Target("http")).reply(
        "GET", b"/", "https", "192.0.2.7", [(b"host", WWW.encode())]
    )
    assert field(reply, b"location") == LON + b"/"


TARGETS: dict[str, tuple[Target, str, bytes]] = {
    "its address": (Target(by_address=True), "192.0.2.1", b"http://192.0.2.1/"),
    "its IPv6 address": (Target(by_address=True), "2001:db8:a::1", b"http://[2001:db8:1::1]/"),
    "a port": (Target(port=8443), "192.0.2.1", b"http://lon1.cdn.example.net:8443/"),
}


@pytest.mark.parametrize("case", TARGETS)
def test_the_nodes_url_can_be_made_otherwise(steering: Steering, case: str) -> None:
    target, peer, location = TARGETS[case]
    redirector = Redirector(steering, target=target)
    reply = redirector.reply("GET", b"/", "http", peer, [(b"host", WWW.encode())])
    assert field(reply, b"location") == location


def test_a_route_gives_a_host_and_path_to_a_service_of_another_name(steering: Steering) -> None:
    routes = Routes([f"files.example.org/video={WWW}"])
    assert get(steering, b"/video/x", host="files.example.org", routes=routes).status == 302
    assert get(steering, b"/videos", host="files.example.org", routes=routes).status == 404
    for wrong in ("x", "=y", "h=", "h/p", "a b=c"):
        with pytest.raises(ConfigError, match="--route"):
            Routes([wrong])


def test_hash_puts_an_object_on_one_node_for_all_clients(steering: Steering) -> None:
    def place(path: str, peer: str = "192.0.2.7", **options: Any) -> bytes:
        reply = get(steering, path.encode(), host="hash.cdn.example.net", peer=peer, **options)
        return (field(reply, b"location") or b"").split(b"/")[2]

    paths = [f"/film/{number}" for number in range(30)]
    assert len({place(path) for path in paths}) == 3
    assert [place(path) for path in paths] == [place(f"{path}?t=1", "198.51.100.7") for path in paths]
    assert len({place(path, by_path=False) for path in paths}) == 1


def test_the_next_best_nodes_are_named_when_asked_for(steering: Steering) -> None:
    """RFC 6249, 3: lower is better; the node of the Location is the first."""
    assert field(get(steering, peer="203.0.113.1"), b"link") is None
    reply = get(steering, b"/a?b", peer="203.0.113.1", duplicates=5)
    assert field(reply, b"location") == AMS + b"/a?b"
    assert [value for name, value in reply.headers if name == b"link"] == [
        b"<http://lon1.cdn.example.net/a?b>; rel=duplicate; pri=2",
        b"<http://nyc1.cdn.example.net/a?b>; rel=duplicate; pri=3",
    ]
    one = get(steering, b"/a?b", peer="203.0.113.1", duplicates=1)
    assert field(one, b"link") == b"<http://lon1.cdn.example.net/a?b>; rel=duplicate; pri=2"


# ---------------------------------------------------------------------- failures


def test_a_map_that_refuses_is_service_unavailable_for_a_while(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document(maps={"default": {"all_down": "none"}}))
    for node in ("lon1", "ams1", "nyc1"):
        set_state(redis_server, prefix, node, "down")
    with live_steering(redis_server, prefix, tmp_path) as steering:
        reply = get(steering)
        assert (reply.status, field(reply, b"retry-after"), field(reply, b"location")) == (503, b"10", None)
        assert field(reply, b"cache-control") == b"no-store"


def test_knowing_nothing_is_service_unavailable_not_not_found(own_redis: RedisServer, tmp_path: Path) -> None:
    own_redis.stop()
    with Steering.open(make_settings(own_redis, "geosteer", tmp_path), log=lambda _: None) as steering:
        assert get(steering).status == 503
        assert get(steering, b"/.geosteer/health").status == 503
        assert json.loads(get(steering, b"/.geosteer/health").body) == {
            "tier": "fallback",
            "generation": None,
        }


def test_without_redis_clients_are_redirected_in_turn_for_a_short_time(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    own_redis.stop()
    servers = [{"name": "a", "a": ["192.0.2.1"], "hostname": "a.example.net"}]
    zone = {
        "soa": {"mname": "ns1.example.net", "rname": "h.example.net"},
        "ns": ["ns1.example.net"],
        "services": ["www"],
    }
    fallback = {"zones": {"cdn.example.net": zone}, "servers": servers}
    settings = make_settings(own_redis, "geosteer", tmp_path, fallback=fallback)
    with Steering.open(settings, log=lambda _: None) as steering:
        reply = get(steering, b"/x")
        assert field(reply, b"location") == b"http://a.example.net/x"
        assert field(reply, b"cache-control") == b"private, max-age=10"
        assert get(steering, b"/.geosteer/health").status == 200
        assert get(steering, host="other.example.org").status == 503


# ---------------------------------------------------------------------- its own paths

TOKEN = "0123456789abcdef"
BEARER = ((b"authorization", b"Bearer " + TOKEN.encode()),)


def test_health_is_told_on_every_host(steering: Steering) -> None:
    for host in (WWW, "192.0.2.1", "x", None):
        reply = get(steering, b"/.geosteer/health", host=host)
        assert (reply.status, field(reply, b"cache-control")) == (200, b"no-store")
        assert json.loads(reply.body) == {"tier": "live", "generation": 1}


@pytest.mark.parametrize(
    "target", [b"/.geosteer/", b"/.geosteer/x", b"/.geosteer/explain?client=192.0.2.1", b"/.geosteer/healthy"]
)
def test_nothing_else_is_there_unless_a_token_is_set(steering: Steering, target: bytes) -> None:
    assert get(steering, target, headers=BEARER).status == 404


@pytest.mark.parametrize(
    "value",
    [None, b"", b"Bearer", b"Bearer wrong", b"Basic " + TOKEN.encode(), b"Bearer \xff", TOKEN.encode()],
)
def test_explanations_are_for_who_has_the_token(steering: Steering, value: bytes | None) -> None:
    headers = ((b"authorization", value),) if value is not None else ()
    reply = get(steering, b"/.geosteer/explain?client=192.0.2.1", headers=headers, token=TOKEN)
    assert (reply.status, field(reply, b"www-authenticate")) == (401, b"Bearer")


def explain(steering: Steering, query: str, host: str = WWW) -> Reply:
    return get(steering, f"/.geosteer/explain?{query}".encode(), headers=BEARER, token=TOKEN, host=host)


def test_an_explanation_tells_layer_tables_candidates_and_answer(steering: Steering) -> None:
    told = json.loads(explain(steering, "client=192.0.2.1").body)
    assert (told["layer"], told["key"]) == ("countries", "GB")
    assert told["matched"] == {"geo": {"prefix": "192.0.2.0/24", "record": "GB"}}
    assert (told["name"], told["client"], told["tier"], told["generation"]) == (
        WWW,
        "192.0.2.1/32",
        "live",
        1,
    )
    assert told["nodes"] == ["lon1"]
    assert told["answer"] == [
        {"type": "A", "content": "192.0.2.1", "ttl": 60}, {"type": "AAAA", "content": "2001:db8:1::1", "ttl": 60}
    ]  # fmt: skip
    assert {candidate["node"]: candidate["excluded"] for candidate in told["candidates"]} == {"lon1": None}


def test_an_explanation_is_of_what_that_client_gets_for_that_service_and_path(steering: Steering) -> None:
    for number in range(5):
        told = json.loads(explain(steering, f"client=10.0.0.1&name=hash.cdn.example.net&path=/{number}").body)
        reply = get(steering, f"/{number}".encode(), host="hash.cdn.example.net", peer="10.0.0.1")
        assert (field(reply, b"location") or b"").startswith(f"http://{told['nodes'][0]}.".encode())


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 400), ("client=x", 400), ("client=192.0.2.1&ticket=1", 400), ("client=192.0.2.1&ticket=x", 400),
     ("client=192.0.2.1&name=no.example", 404), ("client=192.0.2.1&name=", 200), ("client=2001:db8:a::1", 200)],
)  # fmt: skip
def test_a_question_for_an_explanation_that_makes_no_sense_is_refused(
    steering: Steering, query: str, status: int
) -> None:
    assert explain(steering, query).status == status


# ---------------------------------------------------------------------- proxies


def through(header: str, *trusted: str) -> Callable[..., str]:
    proxies = Proxies(trusted, header)

    def client(peer: str | None, *values: str) -> str:
        return str(proxies.client(peer, [value.encode("latin-1") for value in values])).partition("/")[0]

    return client


CHAINS = {
    "nobody is trusted": ((), "203.0.113.9", ["192.0.2.1"], "203.0.113.9"),
    "a stranger's word": (("10.0.0.0/8",), "203.0.113.9", ["192.0.2.1"], "203.0.113.9"),
    "a proxy's word": (("10.0.0.0/8",), "10.1.1.1", ["192.0.2.1"], "192.0.2.1"),
    "no word": (("10.0.0.0/8",), "10.1.1.1", [], "10.1.1.1"),
    "empty members of the list": (("10.0.0.0/8",), "10.1.1.1", [",192.0.2.1, ,", " ", "10.3.3.3,"], "192.0.2.1"),
    "an empty word": (("10.0.0.0/8",), "10.1.1.1", [""], "10.1.1.1"),
    "what the client made up": (("10.0.0.0/8",), "10.1.1.1", ["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
    "what the client made up in a field of its own": (("10.0.0.0/8",), "10.1.1.1", ["6.6.6.6", "192.0.2.1"], "192.0.2.1"),
    "a chain of proxies": (("10.0.0.0/8",), "10.1.1.1", ["192.0.2.1, 10.2.2.2,10.3.3.3"], "192.0.2.1"),
    "a chain broken by a stranger": (("10.0.0.0/8",), "10.1.1.1", ["192.0.2.1, 8.8.8.8, 10.3.3.3"], "8.8.8.8"),
    "a client that is a proxy": (("10.0.0.0/8",), "10.1.1.1", ["10.4.4.4"], "10.4.4.4"),
    "noise in front": (("10.0.0.0/8",), "10.1.1.1", ["x y, 192.0.2.1"], "192.0.2.1"),
    "noise at the end": (("10.0.0.0/8",), "10.1.1.1", ["192.0.2.1, unknown"], "10.1.1.1"),
    "noise behind a proxy": (("10.0.0.0/8",), "10.1.1.1", ["192.0.2.1, \0, 10.3.3.3"], "10.3.3.3"),
    "a port": (("10.0.0.0/8",), "10.1.1.1", ["192.0.2.1:1234"], "192.0.2.1"),
    "IPv6": (("10.0.0.0/8",), "10.1.1.1", ["2001:db8::7"], "2001:db8::7"),
    "IPv6 in brackets": (("10.0.0.0/8",), "10.1.1.1", ["[2001:db8::7]:80"], "2001:db8::7"),
    "a proxy on a socket for both families": (("10.0.0.0/8",), "::ffff:10.1.1.1", ["192.0.2.1"], "192.0.2.1"),
    "an IPv6 proxy": (("2001:db8::/32",), "2001:db8::1", ["192.0.2.1"], "192.0.2.1"),
    "6to4 of a trusted address": (("10.0.0.0/8",), "2002:0a01:0101::1", ["192.0.2.1"], "10.1.1.1"),
    "Teredo of a trusted address": (("0.0.0.0/0",), "2001:0:1::f5fe:fefe", ["192.0.2.1"], "10.1.1.1"),
    "a unix socket": (("unix",), None, ["192.0.2.1"], "192.0.2.1"),
    "a unix socket that is not trusted": (("10.0.0.0/8",), None, ["192.0.2.1"], "None"),
    "a network in place of an address": (("10.0.0.0/8",), "10.1.1.1", ["192.0.2.0/24"], "10.1.1.1"),
}  # fmt: skip


@pytest.mark.parametrize("case", CHAINS)
def test_x_forwarded_for_counts_as_far_as_proxies_are_trusted(case: str) -> None:
    trusted, peer, values, client = CHAINS[case]
    assert through("X-Forwarded-For", *trusted)(peer, *values) == client


FORWARDED = {
    "an address": (["for=192.0.2.1"], "192.0.2.1"),
    "an address and more": (['for=192.0.2.1;proto=https;by=10.0.0.1;host="x"'], "192.0.2.1"),
    "any case": (["FOR=192.0.2.1"], "192.0.2.1"),
    "a quoted port": (['for="192.0.2.1:80"'], "192.0.2.1"),
    "IPv6": (['for="[2001:db8::7]:80"'], "2001:db8::7"),
    "IPv6 with blanks around": ([' for="[2001:db8::7]" ; proto=http '], "2001:db8::7"),
    "a chain": (["for=192.0.2.1, for=10.2.2.2"], "192.0.2.1"),
    "made up in front": (["for=6.6.6.6, for=192.0.2.1"], "192.0.2.1"),
    "made up in a field of its own": (["for=6.6.6.6", "for=192.0.2.1"], "192.0.2.1"),
    "an open quote in front": (['for="6.6.6.6, for=192.0.2.1'], "192.0.2.1"),
    "an open quote in a field of its own": (['for="6.6.6.6', "for=192.0.2.1"], "192.0.2.1"),
    "noise in front": (["=;;\0, for=192.0.2.1"], "192.0.2.1"),
    "a comma in quotes": (['for="a,b", for=192.0.2.1'], "192.0.2.1"),
    "an escape": (['for="192\\.0.2.1"'], "192.0.2.1"),
    "hidden": (["for=_hidden"], "10.1.1.1"),
    "unknown": (["for=192.0.2.1, for=unknown"], "10.1.1.1"),
    "no for": (["proto=https"], "10.1.1.1"),
    "noise at the end": (["for=192.0.2.1, x"], "10.1.1.1"),
    "empty members of the list": ([",,for=192.0.2.1, ,", ",", "for=10.2.2.2,"], "192.0.2.1"),
    "nothing": ([""], "10.1.1.1"),
}


@pytest.mark.parametrize("case", FORWARDED)
def test_forwarded_counts_likewise(case: str) -> None:
    values, client = FORWARDED[case]
    assert through("Forwarded", "10.0.0.0/8")("10.1.1.1", *values) == client


def test_only_the_one_header_counts_since_proxies_hand_on_the_others(steering: Steering) -> None:
    headers = (
        (b"x-forwarded-for", b"198.51.100.1"),
        (b"forwarded", b"for=192.0.2.1"),
        (b"x-real-ip", b"2001:db8::1"),
    )
    for header, origin in (
        ("x-forwarded-for", AMS),
        ("forwarded", LON),
        ("X-Real-IP", b"http://nyc1.cdn.example.net"),
    ):
        proxies = Proxies(["10.0.0.0/8"], header)
        reply = get(steering, peer="10.1.1.1", headers=headers, proxies=proxies)
        assert field(reply, b"location") == origin + b"/"
    assert (
        field(get(steering, peer="10.1.1.1", headers=headers), b"location") == b"http://nyc1.cdn.example.net/"
    )


def test_a_trusted_proxy_tells_the_scheme_and_nobody_else_does(steering: Steering) -> None:
    proxies = Proxies(["10.0.0.0/8"])
    headers = ((b"x-forwarded-for", b"192.0.2.1"), (b"x-forwarded-proto", b"http, HTTPS"))
    assert (
        field(get(steering, peer="10.1.1.1", headers=headers, proxies=proxies), b"location")
        == LON.replace(b":", b"s:") + b"/"
    )
    assert field(get(steering, peer="192.0.2.9", headers=headers, proxies=proxies), b"location") == LON + b"/"
    odd = ((b"x-forwarded-for", b"192.0.2.1"), (b"x-forwarded-proto", b"javascript"))
    assert field(get(steering, peer="10.1.1.1", headers=odd, proxies=proxies), b"location") == LON + b"/"
    said = ((b"forwarded", b"for=192.0.2.1;proto=https"),)
    reply = get(steering, peer="10.1.1.1", headers=said, proxies=Proxies(["10.0.0.0/8"], "forwarded"))
    assert field(reply, b"location") == b"https://lon1.cdn.example.net/"


def test_vary_names_the_headers_that_count_and_there_is_none_where_none_does(steering: Steering) -> None:
    assert field(get(steering), b"vary") is None
    assert field(get(steering, proxies=Proxies(["::1"])), b"vary") == b"X-Forwarded-For, X-Forwarded-Proto"
    assert field(get(steering, proxies=Proxies(["::1"], "forwarded")), b"vary") == b"Forwarded"


def test_a_network_that_is_none_cannot_be_trusted() -> None:
    with pytest.raises(ConfigError) as caught:
        Proxies(["10.0.0.0/8", "x", "10.0.0.0/33"])
    assert len(caught.value.problems) == 2


def test_what_clients_make_up_is_not_kept(steering: Steering) -> None:
    """A field may have thousands of bytes, and each request another one."""
    redirector = Redirector(steering, proxies=Proxies(["10.0.0.0/8"]))
    for peer in ("10.1.1.1", "192.0.2.1"):
        for number in range(20):
            for name in (b"x-forwarded-for", b"x-forwarded-proto"):
                fields = [(b"host", b"www.cdn.example.net"), (name, b"x" * 4000 + b", 192.0.2.%d" % number)]
                assert redirector.reply("GET", b"/", "http", peer, fields).status == 302
    assert redirector._asker.cache_info().currsize == 0


def test_a_chain_without_end_costs_no_more_than_a_long_one() -> None:
    client = through("X-Forwarded-For", "10.0.0.0/8")
    begin = time.process_time()
    assert client("10.1.1.1", ", ".join(["192.0.2.1", *["10.1.1.1"] * 5000])) == "10.1.1.1"
    forwarded = through("Forwarded", "10.0.0.0/8")
    for noise in ('for="' * 5000, "for=\\" * 5000, ";" * 20000, ",=" * 10000, 'for="' + "\\" * 20000):
        forwarded("10.1.1.1", noise)
    assert time.process_time() - begin < 10
