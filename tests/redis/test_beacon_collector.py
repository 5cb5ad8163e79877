"""Candidates and reports: who is asked to measure what, what is taken of the answers, and what each refusal says."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from geosteer import ConfigError
from geosteer.library.chooser import NotReady
from geosteer.redirect.apps import WSGI
from geosteer.redirect.beacons.collector import Collector
from geosteer.redirect.beacons.selection import TURN
from geosteer.redirect.beacons.settings import NUMBERS, read
from geosteer.redirect.beacons.tokens import Tokens
from geosteer.redirect.bodies import BodyWanted
from geosteer.redirect.cors import Cors
from geosteer.redirect.forwarded import Proxies
from geosteer.redirect.redirector import Redirector
from geosteer_loader.rtt.inputs.formats import FORMATS
from geosteer_loader.rtt.inputs.line import Scene
from geosteer_loader.rtt.sample import Tally
from support.data import ROOT
from support.steering import WWW, document, live_steering, republish
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer import Steering
    from geosteer.redirect.replies import Reply
    from support.servers import RedisServer

KEYS = (b"current key of this test, 32 chars",)
NOW = 1_790_000_000.25
MANY = [f"n{number:02}" for number in range(16)]
NODES = {
    name: {"a": [f"192.0.2.{100 + at}"], "hostname": f"{name}.cdn.example.net"}
    for at, name in enumerate(MANY)
}
MAPS = {"many": {"order": [], "all_down": "all", "default": {name: 100 - at for at, name in enumerate(MANY)}}}
SERVICES = {
    "many.cdn.example.net": {"map": "many"},
    "only.cdn.example.net": {"map": "only"},
    "*.wild.example.org": {"map": "many"},
}
ONLY = {"only": {"order": [], "all_down": "none", "default": {"lon1": 100}}}
TARGET = {"scheme": "same", "port": 0, "to": "name"}
CLIENT = "192.0.2.7"
WRONG: list[Any] = ["5", True, float("nan"), None, []]
"""No numbers."""


@pytest.fixture(scope="module")
def steering(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steering]:
    republish(redis_server, "beacons", document(services=SERVICES, maps={**MAPS, **ONLY}, nodes=NODES))
    with live_steering(redis_server, "beacons", tmp_path_factory.mktemp("beacons"), timeout=5000) as made:
        yield made


class Site:
    """A redirector with a collector whose clock and draws the test sets."""

    def __init__(
        self, steering: Steering, folder: Path, options: dict[str, Any] | None = None, **settings: Any
    ) -> None:
        self.folder, self.now, self.draw = folder, NOW, 0.0
        self.draws: list[float] = []
        """Instead of `draw`, the first ones."""
        self.counts: dict[str, int] = {}
        table = {"key_file": "key", "spool": str(folder), **settings}
        self.collector = Collector(
            read(table, str(folder / "backend.toml"), TARGET), KEYS, steering,
            clock=lambda: self.now, steady=lambda: self.now, draw=lambda: self.draws.pop(0) if self.draws else self.draw,
        )  # fmt: skip
        self.redirector = Redirector(steering, collector=self.collector, **(options or {}))

    def ask(
        self, method: str, target: str, body: bytes | None = None, *, host: str = WWW, peer: str | None = CLIENT,
        headers: tuple[tuple[bytes, bytes], ...] = (), scheme: str = "http", length: int | None = None,
    ) -> Reply:  # fmt: skip
        fields = [(b"host", host.encode()), *headers]
        try:
            return self.redirector.reply(method, target.encode(), scheme, peer, fields)
        except BodyWanted as wanted:
            sent = body or b""
            early = wanted.begin(len(sent) if length is None else length)
            return early or (wanted.finish(sent) if len(sent) <= wanted.limit else wanted.too_long())

    def candidates(self, **more: Any) -> dict[str, Any]:
        reply = self.ask("GET", "/.geosteer/candidates", **more)
        assert reply.status == 200, reply.body
        return json.loads(reply.body)  # type: ignore[no-any-return]

    def report(self, token: str, *, peer: str = CLIENT, **more: Any) -> int:
        body = json.dumps({"token": token, **more}).encode()
        return self.ask("POST", "/.geosteer/beacon", body, peer=peer).status

    def spooled(self, *, failures: bool = False) -> list[dict[str, Any]]:
        self.collector.close()
        lines = []
        for path in sorted(self.folder.glob("*.jsonl")):
            lines += [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            line.pop("segment", None)
        return [line for line in lines if ("reports" in line) == failures]


@pytest.fixture
def site(steering: Steering, tmp_path: Path) -> Iterator[Site]:
    made = Site(steering, tmp_path)
    yield made
    made.collector.close()


def field(reply: Reply, name: bytes) -> list[bytes]:
    return [value for key, value in reply.headers if key == name]


def counted(steering: Steering) -> dict[tuple[str, ...], int]:
    with steering.held() as (tier, _):
        counters = tier.counters
        return {key: counters.cells[slot] for key, slot in counters._slots.items() if key[0] == "beacon"}


# ---------------------------------------------------------------------- candidates


@pytest.mark.parametrize(
    ("draws", "third"),
    [
        ((0.0, 0.0), "n02"),
        ((0.0, 0.0999), "n02"),
        ((0.0, 0.1), "n03"),
        ((0.7499, 0.5), "n07"),
        ((0.0, 0.9999999), "n11"),
    ],
)
def test_the_node_in_use_the_next_best_and_one_of_the_ten_after_them(
    site: Site, draws: tuple[float, float], third: str
) -> None:
    nearby, one_of_ten = draws
    site.draws = [nearby, 0.0, 0.0, one_of_ten]  # between them the ticket, and whether it is sampled
    told = site.candidates(host="many.cdn.example.net")
    assert [node["node"] for node in told["nodes"]] == ["n00", "n01", third]
    assert site.draws == []


def test_now_and_then_the_third_is_the_one_of_the_rest_whose_turn_it_is(site: Site) -> None:
    site.draw = 0.75
    thirds = []
    for _ in MANY:
        first, second, third = site.candidates(host="many.cdn.example.net")["nodes"]
        assert (first["node"], second["node"]) == ("n00", "n01")
        assert site.candidates(host="many.cdn.example.net")["nodes"][2] == third, "the same for all"
        thirds.append(third["node"])
        site.now += TURN
    assert set(thirds) == {"n12", "n13", "n14", "n15"}
    few = site.candidates()["nodes"]
    assert 1 <= len(few) <= 3, "nothing is beyond the ten"
    assert len({node["node"] for node in few}) == len(few)


def test_the_first_is_where_the_client_is_redirected(site: Site) -> None:
    for peer, node in (
        ("192.0.2.1", "lon1"),
        ("198.51.100.1", "ams1"),
        ("8.8.8.8", "nyc1"),
        ("2001:db8:b::1", "ams1"),
    ):
        assert site.candidates(peer=peer)["nodes"][0]["node"] == node
        location = field(site.ask("GET", "/x", peer=peer), b"location")[0].decode()
        assert location.startswith(f"http://{node}.")


def test_the_service_may_be_named(site: Site) -> None:
    reply = site.ask("GET", "/.geosteer/candidates?service=many.cdn.example.net", host="other.example")
    assert json.loads(reply.body)["service"] == "many.cdn.example.net"
    reply = site.ask("GET", "/.geosteer/candidates?service=", host=WWW)
    assert json.loads(reply.body)["service"] == WWW
    assert site.candidates(host="a.wild.example.org")["service"] == "*.wild.example.org"
    for query in (
        "?service=none.example",
        "?service=%00",
        "?service=a%0ab",
        "?service=a&service=b",
        "?service=" + "x" * 300,
    ):
        assert site.ask("GET", "/.geosteer/candidates" + query).status == 404
    assert site.ask("GET", "/.geosteer/candidates", host="none.example").status == 404
    assert site.ask("GET", "/.geosteer/candidates?" + "&".join(["a=b"] * 20)).status == 400


def test_a_service_with_one_node_has_one_candidate(site: Site) -> None:
    assert [node["node"] for node in site.candidates(host="only.cdn.example.net")["nodes"]] == ["lon1"]


def test_urls_are_made_as_the_settings_say(steering: Steering, tmp_path: Path) -> None:
    services = {"MANY.cdn.example.net.": {"object": "/o.gif", "to": "address", "scheme": "same"}}
    site = Site(steering, tmp_path, object="/p", scheme="https", port=8443, services=services)
    assert site.candidates()["nodes"][0]["url"] == "https://lon1.cdn.example.net:8443/p"
    assert site.candidates(host="many.cdn.example.net")["nodes"][0]["url"] == "http://192.0.2.100:8443/o.gif"


def test_the_answer_may_be_read_by_pages_and_is_kept_by_nobody(steering: Steering, tmp_path: Path) -> None:
    origin = (b"origin", b"https://page.example")
    for site in (
        Site(steering, tmp_path),
        Site(steering, tmp_path, options={"cors": Cors(["https://other.example"])}),
    ):
        reply = site.ask("GET", "/.geosteer/candidates", headers=(origin,))
        assert field(reply, b"access-control-allow-origin") == [b"*"]
        assert field(reply, b"cache-control") == [b"no-store"]
        assert field(reply, b"content-length") == [str(len(reply.body)).encode()]
        preflight = (origin, (b"access-control-request-method", b"POST"))
        for path, methods in (("beacon", b"POST"), ("reports", b"POST"), ("candidates", b"GET, HEAD")):
            reply = site.ask("OPTIONS", f"/.geosteer/{path}", headers=preflight)
            assert reply.status == 204
            assert field(reply, b"access-control-allow-methods") == [methods]
            assert field(reply, b"access-control-allow-headers") == [b"content-type"]
            assert field(reply, b"access-control-allow-origin") == [b"*"]


def test_only_pages_of_listed_origins_may_measure_where_there_is_a_list(
    steering: Steering, tmp_path: Path
) -> None:
    site = Site(steering, tmp_path, origins=["https://www.example.net"])
    good, bad = (b"origin", b"https://www.example.net"), (b"origin", b"https://evil.example")
    reply = site.ask("GET", "/.geosteer/candidates", headers=(good,))
    assert (reply.status, field(reply, b"access-control-allow-origin")) == (200, [b"https://www.example.net"])
    for method, path in (("GET", "candidates"), ("POST", "beacon")):
        reply = site.ask(method, f"/.geosteer/{path}", b"{}", headers=(bad,))
        assert (reply.status, field(reply, b"access-control-allow-origin")) == (403, [])
    # Failures are reported from the origins of nodes.
    assert site.ask("POST", "/.geosteer/reports", b"[]", headers=(bad,)).status == 204


def test_a_part_of_the_page_views_measures(steering: Steering, tmp_path: Path) -> None:
    site = Site(steering, tmp_path, sample=0.25)
    for draw, status in ((0.0, 200), (0.2499, 200), (0.25, 204), (0.99, 204)):
        site.draw = draw
        assert site.ask("GET", "/.geosteer/candidates").status == status


def test_a_request_that_is_not_ready_at_first_is_drawn_once(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
    spool = tmp_path / "spool"
    spool.mkdir()
    with live_steering(own_redis, "geosteer", tmp_path, timeout=20_000) as steering:
        site = Site(steering, spool, sample=0.25)
        site.draw = 0.99
        own_redis.freeze()
        try:
            with pytest.raises(NotReady):
                site.redirector.reply(
                    "GET", b"/.geosteer/candidates", "http", CLIENT, [(b"host", WWW.encode())], wait=False
                )
        finally:
            own_redis.thaw()
        site.draw = 0.0
        assert site.ask("GET", "/.geosteer/candidates").status == 200
        counts = counted(steering)
        assert counts["beacon", "candidates", "given"] == 1
        assert ("beacon", "candidates", "not_sampled") not in counts
        site.collector.close()


def test_without_steering_nobody_measures(redis_server: RedisServer, tmp_path: Path) -> None:
    from geosteer import Steering
    from support.steering import make_settings

    with Steering.open(
        make_settings(redis_server, "nothing published here", tmp_path), log=lambda _: None
    ) as nothing:
        site = Site(nothing, tmp_path)
        assert site.ask("GET", "/.geosteer/candidates").status in {404, 503}
        assert site.ask("POST", "/.geosteer/reports", json.dumps([REPORT]).encode()).status == 204
        assert site.spooled(failures=True) == []


# ---------------------------------------------------------------------- beacons


def test_times_and_failures_are_spooled_with_the_clients_network_alone(site: Site) -> None:
    told = site.candidates()
    token = told["token"]
    first, second, third = [node["node"] for node in told["nodes"]]
    site.now += 5
    assert site.report(token, ms={first: 12.34567, third: 60000}, failed=[second]) == 204
    shared = {"time": NOW + 5, "client": "192.0.2.0"}
    assert site.spooled() == [
        {**shared, "node": first, "ms": 12.346}, {**shared, "node": third, "ms": 60000},
        {**shared, "node": second, "failed": True},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("peer", "stored"),
    [
        ("203.0.113.77", "203.0.113.0"), ("::ffff:203.0.113.77", "203.0.113.0"), ("2001:db8:a:bcde:f012::77", "2001:db8:a::"),
        ("64:ff9b::203.0.113.77", "203.0.113.0"), ("2002:cb00:714d::77", "203.0.113.0"), ("fe80::77%eth0", "fe80::"),
    ],
)  # fmt: skip
def test_no_longer_part_of_an_address_is_stored(site: Site, peer: str, stored: str) -> None:
    told = site.candidates(peer=peer)
    assert site.report(told["token"], peer=peer, ms={told["nodes"][0]["node"]: 5}) == 204
    (line,) = site.spooled()
    assert line["client"] == stored
    assert "77" not in "".join(path.read_text().partition('"segment"')[0] for path in site.folder.iterdir())


def test_a_token_serves_its_own_network_once_while_it_is_fresh(site: Site) -> None:
    told = site.candidates()
    token, ms = told["token"], {told["nodes"][0]["node"]: 5}
    assert site.report(token, peer="192.0.3.7", ms=ms) == 403
    assert site.report(token, peer="2001:db8::1", ms=ms) == 403
    assert site.report(token, peer="192.0.2.200", ms=ms) == 204  # a neighbour within the /24
    assert site.report(token, ms=ms) == 403
    late = site.candidates()["token"]
    site.now += 600
    assert site.report(late, ms=ms) == 403
    assert len(site.spooled()) == 1


def test_only_the_nodes_of_the_token_are_taken_and_a_mistake_does_not_use_it_up(site: Site) -> None:
    told = site.candidates(host="many.cdn.example.net")
    token = told["token"]
    for more in (
        {"ms": {"n00": 5, "n09": 5}},
        {"failed": ["n15"]},
        {"ms": {"n00": 0}},
        {"ms": {"n00": 60001}},
        {},
    ):
        assert site.report(token, **more) == 400
    assert site.report(token, ms={"n00": 5, "n01": 6, "n02": 7}) == 204


def test_forged_tokens_are_refused(site: Site) -> None:
    token = site.candidates()["token"]
    payload, _, mac = token.partition(".")
    for forged in (
        "",
        "x",
        payload,
        payload + ".",
        "." + mac,
        payload + "." + mac[::-1],
        mac + "." + mac,
        "A" * 1500,
    ):
        assert site.report(forged, ms={"lon1": 5}) == 403
    other = Tokens([b"x" * 32])
    assert (
        site.report(
            other.issue(Tokens(KEYS).check(token, "192.0.2.0/24", NOW), "192.0.2.0/24"), ms={"lon1": 5}
        )
        == 403
    )
    assert site.spooled() == []


def test_several_redirectors_take_each_others_tokens(steering: Steering, tmp_path: Path) -> None:
    one, other = Site(steering, tmp_path), Site(steering, tmp_path)
    told = one.candidates()
    assert other.report(told["token"], ms={told["nodes"][0]["node"]: 5}) == 204


def test_a_long_body_is_refused_by_its_length_or_by_what_comes(site: Site) -> None:
    assert site.ask("POST", "/.geosteer/beacon", b"", length=2049).status == 413
    assert site.ask("POST", "/.geosteer/beacon", b" " * 2049, length=5).status == 413
    assert site.ask("POST", "/.geosteer/beacon", b" " * 2048).status == 400
    assert site.ask("POST", "/.geosteer/reports", b"", length=32769).status == 413


def test_one_network_and_all_together_have_a_rate(steering: Steering, tmp_path: Path) -> None:
    site = Site(steering, tmp_path, network_rate=0.1, rate=5)
    statuses = [site.report("x", failed=["a"]) for _ in range(4)]
    assert statuses == [403, 403, 429, 429]
    assert [site.report("x", failed=["a"], peer=f"198.51.{number}.1") for number in range(4)] == [
        403,
        403,
        403,
        429,
    ]
    site.now += 1
    assert site.report("x", failed=["a"], peer="198.51.77.1") == 403
    site.now += 20
    assert site.report("x", failed=["a"]) == 403
    # Browsers' reports have rates of their own.
    assert site.ask("POST", "/.geosteer/reports", b"[]").status == 204


def test_candidates_have_a_rate_of_their_own_as_reports_have(steering: Steering, tmp_path: Path) -> None:
    site = Site(steering, tmp_path, network_rate=0.1, rate=5)
    statuses = [site.ask("GET", "/.geosteer/candidates").status for _ in range(4)]
    assert statuses == [200, 200, 429, 429]
    assert [site.ask("GET", "/.geosteer/candidates", peer=f"198.51.{n}.1").status for n in range(4)] == [
        200,
        200,
        200,
        429,
    ]
    site.now += 20
    assert site.ask("GET", "/.geosteer/candidates").status == 200
    assert site.report("x", failed=["a"]) == 403, "reports are counted by themselves"


def test_other_methods_and_paths_are_refused(site: Site) -> None:
    for method, path, status, allowed in (
        ("GET", "beacon", 405, b"POST"), ("GET", "reports", 405, b"POST"), ("POST", "candidates", 405, b"GET, HEAD"),
        ("POST", "beacon.js", 405, b"GET, HEAD"), ("PUT", "beacon", 405, b"GET, HEAD"), ("POST", "health", 405, b"GET, HEAD"),
    ):  # fmt: skip
        reply = site.ask(method, f"/.geosteer/{path}", b"{}")
        assert (reply.status, field(reply, b"allow")) == (status, [allowed])
    assert site.ask("GET", "/.geosteer/pixel").status == 404
    assert site.ask("POST", "/", b"{}").status == 405


def test_another_transfer_encoding_is_refused(site: Site) -> None:
    reply = site.ask("POST", "/.geosteer/beacon", b"{}", headers=((b"transfer-encoding", b"gzip"),))
    assert reply.status == 400


def test_the_client_is_whom_a_trusted_proxy_names(steering: Steering, tmp_path: Path) -> None:
    site = Site(steering, tmp_path, options={"proxies": Proxies(["10.0.0.0/8"])})
    named = ((b"x-forwarded-for", b"198.51.100.9"),)
    told = json.loads(site.ask("GET", "/.geosteer/candidates", peer="10.1.1.1", headers=named).body)
    body = json.dumps({"token": told["token"], "ms": {"ams1": 4}}).encode()
    assert site.ask("POST", "/.geosteer/beacon", body, peer="10.1.1.1").status == 403
    assert site.ask("POST", "/.geosteer/beacon", body, peer="203.0.113.5", headers=named).status == 403
    assert site.ask("POST", "/.geosteer/beacon", body, peer="10.1.1.1", headers=named).status == 204
    assert site.spooled()[0]["client"] == "198.51.100.0"


def test_an_unknown_client_is_refused(site: Site) -> None:
    for method, path in (("GET", "candidates"), ("POST", "beacon"), ("POST", "reports")):
        assert site.ask(method, f"/.geosteer/{path}", b"{}", peer=None).status == 403


def test_without_a_collector_there_are_no_such_paths(steering: Steering) -> None:
    redirector = Redirector(steering)
    for method, status in (("GET", 404), ("POST", 405), ("OPTIONS", 405)):
        for path in (b"candidates", b"beacon", b"reports", b"beacon.js"):
            reply = redirector.reply(method, b"/.geosteer/" + path, "http", CLIENT, [(b"host", WWW.encode())])
            assert reply.status == status


# ---------------------------------------------------------------------- failures that browsers report

REPORT: dict[str, Any] = {
    "age": 4, "type": "network-error", "url": "https://n3.test/secret", "user_agent": "Browser",
    "body": {
        "phase": "connection", "sampling_fraction": 0.5, "server_ip": "192.0.2.100", "status_code": 0, "type": "tcp.refused",
        "referrer": "https://page.test/secret", "elapsed_time": 83,
    },
}  # fmt: skip


def test_failures_of_published_nodes_are_spooled_without_urls(site: Site) -> None:
    ok = {**REPORT, "body": {**REPORT["body"], "type": "ok", "phase": "application"}}
    stranger = {**REPORT, "body": {**REPORT["body"], "server_ip": CLIENT}}
    body = json.dumps([REPORT, ok, stranger, {"type": "csp-violation"}, 5]).encode()
    reply = site.ask(
        "POST", "/.geosteer/reports", body, headers=((b"content-type", b"application/reports+json"),)
    )
    assert reply.status == 204
    kept = {
        key: REPORT["body"][key] for key in ("type", "phase", "server_ip", "status_code", "sampling_fraction")
    }
    assert site.spooled(failures=True) == [
        {"time": NOW, "client": "192.0.2.0", "reports": [{"type": "network-error", "age": 4, "body": kept}]}
    ]
    assert all(
        "secret" not in path.read_text() and CLIENT not in path.read_text() for path in site.folder.iterdir()
    )


def test_a_delivery_without_failures_leaves_nothing(site: Site) -> None:
    assert site.ask("POST", "/.geosteer/reports", b"[]").status == 204
    assert site.ask("POST", "/.geosteer/reports", b"{}").status == 400
    assert site.spooled(failures=True) == []


def shape(value: object) -> object:
    """Names of fields, without what is in them."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else None


def test_docs_show_the_lines_that_are_written(site: Site) -> None:
    told = site.candidates()
    first, second, *_ = [node["node"] for node in told["nodes"]]
    assert site.report(told["token"], ms={first: 5}, failed=[second]) == 204
    assert site.ask("POST", "/.geosteer/reports", json.dumps([REPORT]).encode()).status == 204
    site.collector.close()
    (path,) = site.folder.glob("*.jsonl")
    page = (ROOT / "docs" / "beacons.md").read_text()
    shown = page.partition("```text\n")[2].partition("```")[0]
    written = [shape(json.loads(line)) for line in path.read_text().splitlines()]
    assert [shape(json.loads(line)) for line in shown.splitlines()] == written


def test_the_ingest_takes_every_line_that_is_written(site: Site) -> None:
    told = site.candidates(peer="2001:db8:a:b:c::9")
    first, second, *_ = [node["node"] for node in told["nodes"]]
    assert site.report(told["token"], peer="2001:db8:a:b:c::9", ms={first: 5.25}, failed=[second]) == 204
    assert site.ask("POST", "/.geosteer/reports", json.dumps([REPORT]).encode()).status == 204
    site.collector.close()
    (path,) = site.folder.glob("*.jsonl")
    names = [*MANY, "lon1", "ams1", "nyc1"]
    scene = Scene({**dict(zip(names, names, strict=True)), "192.0.2.100": "n00"}, NOW + 5)
    tally = Tally()
    samples = [
        sample for line in path.read_text().splitlines() for sample in FORMATS["json"](line, scene, tally)
    ]
    assert [(sample.node, sample.milliseconds, sample.bits) for sample in samples[:2]] == [
        (first, 5.25, 128), (second, None, 128),
    ]  # fmt: skip
    assert (samples[2].node, samples[2].milliseconds, samples[2].weight) == ("n00", None, 2)
    assert len(samples) == 3
    assert not tally.dropped


# ---------------------------------------------------------------------- counters, settings, other servers


def test_everything_is_counted_and_nothing_as_a_question(site: Site, steering: Steering) -> None:
    before = counted(steering)
    told = site.candidates()
    site.report(told["token"], ms={told["nodes"][0]["node"]: 5}, failed=[told["nodes"][1]["node"]])
    site.report(told["token"], ms={told["nodes"][0]["node"]: 5})
    site.report("forged", failed=["a"])
    site.report(told["token"], failed=["a"])
    site.ask("POST", "/.geosteer/beacon", b"", length=5000)
    after = counted(steering)
    assert {key[1:]: count - before.get(key, 0) for key, count in after.items() if count != before.get(key, 0)} == {
        ("candidates", "given"): 1, ("beacon", "taken"): 1, ("beacon", "used"): 1, ("beacon", "forged"): 1,
        ("beacon", "invalid"): 1, ("beacon", "too_long"): 1, ("spool", "written"): 2,
    }  # fmt: skip


def test_the_script_is_small_and_needs_no_markup(site: Site) -> None:
    reply = site.ask("GET", "/.geosteer/beacon.js", peer=None)
    assert (reply.status, field(reply, b"content-type")) == (200, [b"text/javascript"])
    assert len(reply.body) <= 1000
    assert b"eval" not in reply.body
    assert b"cookie" not in reply.body


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"colour": 1}, "colour"), ({"object": "pixel"}, "object"), ({"object": "/a?b"}, "object"), ({"object": 5}, "object"),
        ({"port": 65536}, "port"), ({"port": True}, "port"), ({"scheme": "ftp"}, "scheme"), ({"to": "nobody"}, "to"),
        ({"origins": "x"}, "origins"), ({"origins": ["www.example.net"]}, "origins"), ({"origins": ["é"]}, "origins"),
        ({"spool": ""}, "spool"), ({"spool": 5}, "spool"), ({"services": 5}, "services"),
        ({"services": {"a": 5}}, "services.a"), ({"services": {"a": {"rate": 5}}}, "services.a.rate"),
        ({"services": {"a": {"port": "x"}}}, "services.a.port"),
        *(({key: low - 0.0001}, key) for key, (low, _, _) in NUMBERS.items()),
        *(({key: high + 1}, key) for key, (_, high, _) in NUMBERS.items()),
        *(({key: value}, key) for key in NUMBERS for value in WRONG),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigError, match=rf"^/x/backend\.toml: beacon\.{place}: "):
        read({"key_file": "key", **changes}, "/x/backend.toml", TARGET)


def test_a_wsgi_server_reads_bodies_too(site: Site) -> None:
    from io import BytesIO

    application = WSGI(site.redirector)
    told = site.candidates()
    body = json.dumps({"token": told["token"], "ms": {told["nodes"][0]["node"]: 5}}).encode()
    statuses: list[str] = []

    def ask(sent: bytes, **more: Any) -> None:
        environ = {
            "REQUEST_METHOD": "POST", "PATH_INFO": "/.geosteer/beacon", "wsgi.url_scheme": "http", "REMOTE_ADDR": CLIENT,
            "HTTP_HOST": WWW, "wsgi.input": BytesIO(sent), **more,
        }  # fmt: skip
        assert application(environ, lambda status, _: statuses.append(status)) is not None  # type: ignore[arg-type]

    ask(body, CONTENT_LENGTH=str(len(body)))
    ask(b"x" * 3000, **{"wsgi.input_terminated": True})
    ask(b"x" * 3000, CONTENT_LENGTH="3000")
    ask(b"x" * 3000)
    assert [status[:3] for status in statuses] == ["204", "413", "413", "400"]


def test_reports_of_ever_new_networks_take_no_more_memory(steering: Steering, tmp_path: Path) -> None:
    site = Site(steering, tmp_path, rate=100_000)

    def used() -> int:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def flood(second: int, times: int) -> None:
        for number in range(times):
            site.report("x.y", failed=["a"], peer=f"{second}.{number >> 8}.{number & 255}.1")

    flood(11, 1_000)
    before = used()
    flood(12, 6_000)
    assert used() - before < 4 << 20
