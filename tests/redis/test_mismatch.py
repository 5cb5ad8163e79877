"""`geosteer mismatch`: how many clients get another node than by their own address, and how much farther it is."""

from __future__ import annotations

import gzip
import io
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import SourceError
from geosteer.keys import Keys
from geosteer_loader.cli.main import main
from geosteer_loader.config.redis import RedisSettings
from geosteer_loader.query import context, explain
from geosteer_loader.query.mismatch import measure, pairs_of, read_pairs
from geosteer_loader.store.store import connect
from support.tiny import DOCUMENT, publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from support.servers import RedisServer

NODES = {
    "lon1": {"a": ["192.0.2.1"], "location": [51.5, -0.1]},
    "ams1": {"a": ["192.0.2.2"], "location": [52.4, 4.9]},
    "nyc1": {"a": ["192.0.2.3"], "location": [40.7, -74.0]},
    "lost": {"a": ["192.0.2.4"]},
}
MAP = {
    "order": ["countries"],
    "countries": {"GB": {"lon1": 100}, "NL": {"ams1": 100}, "US": {"nyc1": 100}, "DE": {"lost": 100}},
    "default": {"nyc1": 100},
}
SPREAD = {
    "order": ["countries"],
    "countries": {"GB": {"lon1": 3, "ams1": 1}, "NL": {"lon1": 1, "ams1": 3}, "US": {"nyc1": 1}},
    "default": {"lon1": 1},
}
REFUSING = {"order": [], "all_down": "none", "default": {"lon1": 100}}
GEO = {
    "20.0.0.0/8": "GB 51.5 -0.1", "21.0.0.0/8": "NL 52.4 4.9", "22.0.0.0/8": "US 40.7 -74", "23.0.0.0/8": "DE",
    "2a00::/16": "NL 52.4 4.9",
}  # fmt: skip
GB, NL, US, DE = "20.1.1.1", "21.1.1.1", "22.1.1.1", "23.1.1.1"
NAME = "www.cdn.example.net"


def document() -> dict[str, Any]:
    services = {
        NAME: {"map": "m"},
        "spread.cdn.example.net": {"map": "spread", "policy": "weighted"},
        "hash.cdn.example.net": {"map": "spread", "policy": "hash"},
        "strict.cdn.example.net": {"map": "strict"},
    }
    maps = {"m": MAP, "spread": SPREAD, "strict": REFUSING}
    return {**DOCUMENT, "nodes": NODES, "maps": maps, "services": services}


class World:
    """What is published, and measured upon."""

    def __init__(self, server: RedisServer, prefix: str) -> None:
        self.server, self.prefix = server, prefix
        with server.client() as client:
            publish_tiny(client, prefix, document(), {"geo": GEO})

    def __call__(self, lines: Sequence[str], name: str = NAME) -> dict[str, Any]:
        with connect(RedisSettings(url=self.server.url, prefix=self.prefix)) as store:
            seen = context.live(store)
            service = explain.find_service(seen.model, name)
            return measure(seen, service, "A", read_pairs(enumerate(lines, 1), Path("pairs"))).to_json()


@pytest.fixture
def world(redis_server: RedisServer, prefix: str) -> World:
    return World(redis_server, prefix)


@pytest.mark.parametrize(
    ("lines", "differ", "mean"),
    [
        ([f"{GB} {GB}"], 0, 0),
        ([f"{US} {GB}"], 1, 5570),
        ([f"{US} {GB}", f"{GB} {GB}"], 0.5, 2785),
        ([f"{US} {GB} 1", f"{GB} {GB} 3"], 0.25, 1392.5),
        ([f"{NL} {GB}", f"{GB} {NL}"], 1, 357),
        ([f"20.9.9.9 {GB}/32"], 0, 0),
        ([f"2a00::53 {NL}/24"], 0, 0),
        (["30.1.1.1 22.0.0.1"], 0, 0),
    ],
)
def test_clients_whose_resolver_gets_another_node_count_with_their_detour(
    world: World, lines: list[str], differ: float, mean: float
) -> None:
    found = world(lines)
    assert found["differ_share"] == differ
    assert found["mean_extra_km"] == pytest.approx(mean, abs=5)
    assert found["located_share"] == 1
    assert found["pairs"] == len(lines)


def test_another_region_may_have_the_same_node(world: World) -> None:
    found = world([f"30.1.1.1 {US}"])
    assert found["region_share"] == 1
    assert found["differ_share"] == 0


def test_percentiles_count_clients_and_the_worst_resolvers_are_named(world: World) -> None:
    found = world([f"{GB} {GB} 90", f"{NL} {GB} 6", f"{US} {GB} 4", f"22.2.2.2 {NL} 1"])
    assert found["clients"] == 101
    assert found["extra_km"]["p50"] == 0
    assert found["extra_km"]["p90"] == pytest.approx(357, abs=5)
    assert found["extra_km"]["p99"] == pytest.approx(5570, abs=10)
    assert found["extra_km"]["max"] == pytest.approx(5870, abs=20)
    assert [one["resolver"] for one in found["resolvers"]] == [f"{NL}/32", f"{US}/32", "22.2.2.2/32"]
    assert found["resolvers"][0]["differ_share"] == 1
    assert found["differ"] == 11


def test_a_client_network_that_asks_for_privacy_tells_nothing_and_is_left_out(world: World) -> None:
    found = world([f"{US} {GB}", f"{GB} 0.0.0.0/0 3", f"::/0 {GB}"])
    assert (found["pairs"], found["clients"], found["unknown"]) == (3, 1, 4)
    assert found["differ_share"] == 1


def test_a_draw_differs_by_the_part_that_cannot_be_the_same(world: World) -> None:
    found = world([f"{GB} {NL}"], "spread.cdn.example.net")
    assert found["differ_share"] == 0.5
    assert found["mean_extra_km"] == pytest.approx(357 * (0.75 - 0.25), abs=3)
    assert world([f"{US} {NL}"], "spread.cdn.example.net")["differ_share"] == 1
    assert world([f"20.3.3.3 {GB}"], "spread.cdn.example.net")["differ_share"] == 0


def test_a_hash_may_tell_clients_of_one_region_apart(world: World) -> None:
    found = world([f"20.1.{number}.1 20.2.{number}.1" for number in range(250)], "hash.cdn.example.net")
    assert found["region_share"] == 0
    assert found["differ_share"] == pytest.approx(2 * 0.75 * 0.25, abs=0.1)


def test_clients_whose_place_or_whose_nodes_place_is_unknown_have_no_detour(world: World) -> None:
    found = world([f"{GB} 30.1.1.1", f"{GB} {DE}", f"{GB} {GB} 2"])
    assert found["located_share"] == 0.5
    assert found["differ_share"] == 0.5
    assert found["mean_extra_km"] == 0
    assert world([f"{DE} {DE}"])["mean_extra_km"] is None


def test_where_the_map_refuses_to_answer_both_get_nothing(world: World) -> None:
    with world.server.client() as client:
        client.hset(Keys(world.prefix).node("lon1"), mapping={"state": "down"})
    found = world([f"{GB} {US}"], "strict.cdn.example.net")
    assert found["differ_share"] == 0
    assert found["mean_extra_km"] is None


# ---------------------------------------------------------------- files


def read(text: str) -> list[tuple[str, str, float]]:
    found = read_pairs(enumerate(text.splitlines(), 1), Path("pairs"))
    return [(str(pair.resolver), str(pair.client), pair.count) for pair in found]


def test_pairs_are_read_with_or_without_a_count_on_either_side() -> None:
    text = "192.0.2.53 20.0.0.0/24\n 12 192.0.2.53 20.0.0.1\n2001:db8::1,2a00::/48,3 # x\n\n"
    assert read(text) == [
        ("192.0.2.53/32", "20.0.0.0/24", 1), ("192.0.2.53/32", "20.0.0.1/32", 12), ("2001:db8::1/128", "2a00::/48", 3),
    ]  # fmt: skip


def test_every_malformed_line_is_named() -> None:
    lines = [
        "20.0.0.1",
        "20.0.0.1 20.0.0.2 0",
        "a b",
        "20.0.0.1 20.0.0.2 nan",
        "1 2 3 4",
        "20.0.0.1 20.0.0.2",
    ]
    with pytest.raises(SourceError) as refusal:
        read("\n".join(lines))
    assert len(str(refusal.value).splitlines()) == 5
    assert str(refusal.value).startswith(
        "pairs: line 1: not a resolver, a client and maybe a count: '20.0.0.1'\n"
    )


def test_a_compressed_file_will_do(tmp_path: Path) -> None:
    path = tmp_path / "pairs.gz"
    path.write_bytes(gzip.compress(f"{GB} {NL}\n".encode() * 3))
    assert len(list(pairs_of(path))) == 3


# ---------------------------------------------------------------- the command


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def config(world: World, tmp_path: Path) -> Path:
    path = tmp_path / "geosteer.toml"
    path.write_text(
        f'[redis]\nurl = "{world.server.url}"\nprefix = "{world.prefix}"\n'
        '[nodes.lon1]\na = ["192.0.2.1"]\nwell_connected = 1\n[maps.m]\ndefault = { lon1 = 1 }\n'
        '[zones."cdn.example.net"]\nns = ["ns1.example.net"]\n'
        'soa = { mname = "ns1.example.net", rname = "h.example.net" }\n'
        '[networks.office]\nprefixes = ["203.0.113.0/24"]\n'
        f'[services."{NAME}"]\nmap = "m"\n'
    )
    return path


def test_the_command_tells_text_and_json(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(f"{US} {GB}\n{GB} {GB}\n")
    words = ["mismatch", NAME, str(pairs), "--config", str(config)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        f"{NAME} A, policy best: 2 pairs, 2 clients\nanother node than by their own address: 50.0 % "
    )
    assert "22.1.1.1/32  1        100.0 %     5573" in out
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differ_share"] == 0.5
    assert main([*words, "--json", "--plan"]) == 0
    assert json.loads(capsys.readouterr().out)["differ_share"] == 0, "the file's map knows one node"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf3 20.0.0.1 22.0.0.1\n")))
    assert main(["mismatch", NAME, "-", "--json", "--config", str(config)]) == 0
    assert json.loads(capsys.readouterr().out)["clients"] == 3


def test_the_command_refuses_what_it_cannot_answer(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("# nothing\n")
    ending = ["--config", str(config)]
    assert main(["mismatch", NAME, str(pairs), *ending]) == 1  # bad data
    assert main(["mismatch", "other.example.net", str(pairs), *ending]) == 2
    assert main(["mismatch", NAME, str(tmp_path / "absent"), *ending]) == 2
    assert main(["mismatch", NAME, str(pairs), "--type", "CNAME", *ending]) == 2
    assert "has no CNAME, only A" in capsys.readouterr().err
