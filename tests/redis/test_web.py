"""`geosteer web` over HTTP: what the page asks for, in the figures of `who` and `plan`, and whom it answers."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

import pytest

from geosteer.timestamps import format_time_ms
from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.publish.plan import plan
from geosteer_loader.publish.publish import publish
from geosteer_loader.query.who import who
from geosteer_loader.store.store import connect
from geosteer_loader.web.moment import clients_of, drawn, live
from geosteer_loader.web.observer import Observer
from support.front_servers import Server, ask, raw
from support.servers import free_port, wait_until
from support.web_site import HERE, Site
from support.world import DOWNLOADS, SERVICE, write_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.servers import RedisServer


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("web"))
    yield site
    site.close()


def test_the_whole_page_is_small_and_loads_nothing_from_elsewhere(site: Site) -> None:
    page = site.get("/")
    assert page.status == 200
    files = re.findall(r'(?:href|src)="([^"#]+)"', page.body.decode())
    assert sorted(files) == ["/icon.svg", "/page.css", "/page.js"]
    texts = [
        page.body,
        *(site.get(path).body for path in files),
        site.get(f"/api/now?service={SERVICE}").body,
    ]
    assert sum(map(len, texts)) < 300_000
    for text in texts:
        assert set(re.findall(rb"https?://[^\"<' ]+", text)) <= {b"http://www.w3.org/2000/svg"}
    assert b" style=" not in page.body
    assert b"<script>" not in page.body
    assert site.get("/favicon.ico").status == 200


def test_every_answer_carries_the_policy(site: Site) -> None:
    for path in ("/", "/page.js", "/api/now", "/api/nothing", "/nothing"):
        reply = site.get(path)
        policy = reply["content-security-policy"]
        assert policy.startswith(
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
        )
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert reply["x-content-type-options"] == "nosniff"


def test_shares_are_those_of_who(site: Site) -> None:
    found = site.api(f"/api/now?service={SERVICE}")
    assert (found["ok"], found["services"]) == (True, [DOWNLOADS, SERVICE])
    with connect(load(site.config, {}).redis) as store:
        parts = who(store, SERVICE).parts
    for part, share in parts.items():
        countries = found["picture"]["parts"][part]
        assert list(countries) == [line.country for line in share.countries]
        for line in share.countries:
            assert dict(countries[line.country]["nodes"]) == pytest.approx(line.nodes, abs=1e-12)
        for node in found["picture"]["nodes"]:
            assert node["clients"][part] == pytest.approx(share.nodes.get(node["name"], 0.0), abs=1e-12)
    assert [table["name"] for table in found["tables"]] == ["geo"]


def test_the_first_service_is_shown_to_who_names_none(site: Site) -> None:
    assert site.api("/api/now")["picture"]["service"] == DOWNLOADS


def test_an_unknown_service_and_malformed_questions_are_told_in_words(site: Site) -> None:
    reply = site.get("/api/now?service=nothing.example.net")
    assert (reply.status, reply.json()["error"].partition(" (")[0]) == (
        400,
        "nothing.example.net: no such service",
    )
    for path in ("/api/past", "/api/past?at=noon", "/api/journal?until=x"):
        assert site.get(path).status == 400
        assert b"a time such as" in site.get(path).body
    assert site.get("/api/now?service=" + "x" * 2000).status == 414
    assert site.get("/api/past?at=2099-01-01T00:00:00Z").status == 400
    early = site.get("/api/past?at=2001-01-01T00:00:00Z")
    assert early.status == 503
    assert "2001-01-01T00:00:00.000Z is out of reach" in early.json()["error"]


def test_only_readers_of_this_host_are_answered(site: Site) -> None:
    for host in ("localhost", f"localhost:{site.port}", "127.0.0.1", "[::1]:80", "LOCALHOST"):
        assert site.get("/", host=host).status == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "", "10.0.0.1", "[::2]"):
        assert site.get("/", host=host).status == 421
        assert site.get("/api/now", host=host).status == 421
    for origin in ("cross-site", "same-site"):
        assert site.get("/api/plan", headers={"Sec-Fetch-Site": origin}).status == 403
    assert site.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status == 200  # a link to the page


def test_nothing_but_get_and_head_is_answered(site: Site) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        reply = site.get("/api/now", method=method)
        assert (reply.status, reply["allow"]) == (405, "GET, HEAD")
    head = site.get("/", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert int(head["content-length"]) == len(site.get("/").body)
    assert raw(site.port, b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", client=HERE).startswith(
        b"HTTP/1.1 400"
    )


def test_what_did_not_change_is_not_sent_again(site: Site) -> None:
    reply = site.get("/page.js")
    again = site.get("/page.js", headers={"If-None-Match": reply["etag"]})
    assert (again.status, again.body) == (304, b"")


def test_overrides_show_at_once_and_the_past_stays(site: Site) -> None:
    before = time.time()
    time.sleep(0.2)
    site.run("node", "down", "nyc1", "--why", "<b>new disks</b>")
    try:
        time.sleep(1.1)  # an answer serves everybody for a second
        picture = site.api(f"/api/now?service={DOWNLOADS}")["picture"]
        nyc1 = next(node for node in picture["nodes"] if node["name"] == "nyc1")
        assert nyc1["excluded"] == "operator: down"
        assert nyc1["override"]["why"] == "<b>new disks</b>"
        assert picture["parts"]["v4"]["US"]["nodes"] == [["sjc1", 1.0]]
        then = site.api(f"/api/past?service={DOWNLOADS}&at={format_time_ms(before)}")["picture"]
        assert then["parts"]["v4"]["US"]["nodes"] == [["nyc1", 1.0]]
        assert all(node["override"] is None for node in then["nodes"])
        events = site.api("/api/journal")["events"]
        assert [(event["kind"], event["subject"]) for event in events[:2]] == [
            ("override", "nyc1"),
            ("publish", ""),
        ]
        assert site.api(f"/api/journal?until={format_time_ms(before)}")["events"][0]["kind"] == "publish"
        assert [each["generation"] for each in site.api("/api/timeline")["generations"]] == [1]
    finally:
        site.run("node", "auto", "nyc1")


def test_the_next_publish_is_that_of_plan(site: Site) -> None:
    write_world(site.folder, site.redis.url, more="NL = { lon1 = 100 }", shift=3)
    try:
        found = site.api(f"/api/plan?service={SERVICE}")
        config = load(site.config, {})
        with connect(config.redis) as store:
            wanted = plan(config, store)
    finally:
        write_world(site.folder, site.redis.url)
    assert found["changed"] == wanted.changed == ["geo", "config"]
    assert found["guarded"] == wanted.moved[SERVICE]
    assert found["config"] == ["+ maps.world.countries.NL: { lon1 = 100 }"]
    impact = wanted.impact[SERVICE]
    for part in ("v4", "v6"):
        assert found["moved"][part]["total"] == pytest.approx(impact[part]["now"]["share_known"], abs=1e-12)
        shares = [
            {node["name"]: node["clients"][part] for node in found[side]["nodes"]}
            for side in ("before", "after")
        ]
        for node, (was, now) in impact[part]["now"]["nodes"].items():
            assert (shares[0][node], shares[1][node]) == pytest.approx((was, now), abs=1e-12)
    assert found["moved"]["v4"]["countries"]["NL"] == pytest.approx(100 / 110)


def test_without_redis_the_last_picture_stays_with_its_age(site: Site) -> None:
    good = site.api(f"/api/now?service={SERVICE}")["picture"]
    site.redis.freeze()
    try:
        time.sleep(1.1)
        found = site.api(f"/api/now?service={SERVICE}")
        assert found["ok"] is False
        assert "no answer in time" in found["error"]
        assert found["age"] > 1
        assert found["picture"]["parts"] == good["parts"]
        begin = time.monotonic()
        assert site.get("/api/timeline").status == 503  # it is not asked again at once
        assert time.monotonic() - begin < 20
    finally:
        site.redis.thaw()
    wait_until(lambda: site.api(f"/api/now?service={SERVICE}")["ok"], what="an answer after the outage")


def test_a_page_without_any_picture_says_why(tmp_path: Path) -> None:
    config = write_world(tmp_path, f"unix://{tmp_path}/nothing.sock")
    page = Observer(lambda: load(config, {}))
    with pytest.raises(Exception, match=r"nothing\.sock"):
        page.now("")
    page.close()


def test_an_address_that_is_taken_is_told(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["web", "--listen", f"{HERE}:{site.port}", "--config", str(site.config)]) == 2
    assert f"--listen {HERE}:{site.port}" in capsys.readouterr().err


def test_sigterm_ends_it_in_good_order(site: Site) -> None:
    port = free_port()
    server = Server([*site.command, "--listen", f"{HERE}:{port}"]).ready(port)
    assert ask(port, "/", host="localhost", client=HERE).status == 200
    server.stop()
    try:
        assert (server.process.returncode, "Traceback" in server.log) == (0, False)
    finally:
        server.close()


def many_nodes(text: str) -> str:
    """A world's configuration with five hundred nodes that share every continent."""
    names = [f"n{number:03}" for number in range(500)]
    nodes = "".join(
        f'[nodes.{name}]\na = ["10.0.{number // 250}.{number % 250 + 1}"]\nwell_connected = 1\n'
        f"location = [{number % 120 - 60}, {number % 300 - 150}]\n"
        for number, name in enumerate(names)
    )
    weights = [f"{name} = {number % 17 + 1}" for number, name in enumerate(names)]
    continents = "".join(
        f"{code} = {{ {', '.join(weights)} }}\n" for code in ("EU", "NA", "SA", "AS", "OC", "AF", "AN")
    )
    default = "\n".join(weights)
    area = f"[maps.world]\n[maps.world.continents]\n{continents}[maps.world.default]\n{default}\n"
    begin, _, rest = text.partition("[nodes.")
    _, zones, rest = rest.partition("[zones")
    return begin + nodes + area + zones + rest


def test_five_hundred_nodes_and_every_country_take_a_few_seconds(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    path = write_world(tmp_path, own_redis.url)
    path.write_text(many_nodes(path.read_text()))
    config = load(path, {})
    with connect(config.redis) as store:
        publish(config, store)
        begin = time.process_time()
        moment = live(store)
        picture = drawn(moment, clients_of(store, moment, SERVICE))
        spent = time.process_time() - begin
    assert len(picture.nodes) == 500
    assert len(picture.parts["v4"]["DE"].nodes) == 12
    assert picture.parts["v4"]["DE"].others > 0.9
    assert len(json.dumps(picture.to_json())) < 500_000
    assert spent < 15, "seconds of processor time"
