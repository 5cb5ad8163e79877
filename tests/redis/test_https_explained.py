"""`geosteer explain` of a service with HTTPS and SVCB records: what a client's question for them gets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.settings import load
from geosteer.sync import snapshot
from geosteer_loader.cli.main import main
from geosteer_loader.query.onlooker import Onlooker
from support.dns_setup import backend_toml
from support.steering import WWW, document
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.servers import RedisServer

GB = "192.0.2.7"
DOT = f"_dns.{WWW}"
MADE = document(
    services={
        WWW: {
            "map": "drawn", "policy": "weighted", "ttl": 60, "https": [{"alpn": ["h3"]}],
            "svcb": [{"name": "_dns", "alpn": ["dot"]}],
        }
    },
    maps={"drawn": {"default": {"lon1": 50, "ams1": 50}}},
)  # fmt: skip


@pytest.fixture
def explain(
    redis_server: RedisServer, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    with redis_server.client() as client:
        publish_tiny(client, prefix, MADE)
    config = backend_toml(tmp_path, redis_server, prefix=prefix)

    def run(*words: str, code: int = 0) -> Any:
        got = main(["explain", *words, "--backend", str(config), "--json"])
        out, err = capsys.readouterr()
        assert got == code, err
        return json.loads(out) if code == 0 else err

    return run


def by_type(answer: list[dict[str, Any]]) -> dict[str, str]:
    return {record["type"]: record["content"] for record in answer}


def test_each_type_is_shown_and_the_draw_is_the_clients_own(explain: Callable[..., Any]) -> None:
    seen = set()
    for number in range(1, 30):
        client = f"10.{number}.0.0/24" if number % 2 else f"2001:db8:{number}::/48"
        everything = by_type(explain(WWW, client)["answer"])
        assert everything["HTTPS"] == f"1 . alpn=h3 ipv4hint={everything['A']} ipv6hint={everything['AAAA']}"
        seen.add(everything["A"])
    assert seen == {"192.0.2.1", "192.0.2.2"}
    told = explain(WWW, GB, "--type", "HTTPS")
    assert (told["type"], list(by_type(told["answer"])), told["ticket"]) == (
        "HTTPS",
        ["HTTPS"],
        explain(WWW, GB)["ticket"],
    )
    assert list(by_type(explain(WWW, GB, "--type", "a")["answer"])) == ["A"]


def test_a_draw_may_be_given(explain: Callable[..., Any]) -> None:
    drawn = {by_type(explain(WWW, GB, "--ticket", ticket)["answer"])["HTTPS"] for ticket in ("0.1", "0.9")}
    assert len(drawn) == 2


def test_names_below_a_service_are_explained_too(explain: Callable[..., Any]) -> None:
    told = explain(DOT, GB)
    assert [record["type"] for record in told["answer"]] == ["SVCB"]
    assert told["answer"][0]["content"].startswith(f"1 {WWW}. alpn=dot ipv4hint=192.0.2.")
    assert (told["name"], told["service"]) == (DOT, WWW)
    assert f"{DOT}: has no A, only SVCB" in explain(DOT, GB, "--type", "A", code=2)
    assert f"{WWW}: has no SVCB, only A, AAAA, HTTPS" in explain(WWW, GB, "--type", "SVCB", code=2)


def test_without_redis_a_client_has_one_server(
    explain: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Onlooker.look, "__defaults__", (0.1,))  # there is nothing to wait for
    config = tmp_path / "backend.toml"
    config.write_text(config.read_text().replace("unix://", "unix:///nowhere"))
    settings = load(str(config))
    current = {"generation": "1", "published": "2026-02-01T00:00:00Z"}
    assert not snapshot.write(settings.snapshot, settings.origin, current, json.dumps(MADE), {}, {})
    seen = set()
    for number in range(4):
        first, again = (explain(WWW, f"40.{number}.0.0/24") for _ in range(2))
        assert first["tier"] == "fallback"
        assert first["answer"] == again["answer"]
        assert (first["scope"], [record["ttl"] for record in first["answer"]]) == (24, [10, 10, 10])
        everything = by_type(first["answer"])
        assert everything["HTTPS"] == f"1 . alpn=h3 ipv4hint={everything['A']} ipv6hint={everything['AAAA']}"
        seen.add(everything["A"])
    assert len(seen) == 2
