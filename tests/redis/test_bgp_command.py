"""`geosteer bgp`, and what `explain` says of routes that were passed over."""

from __future__ import annotations

import json
import socket
import threading
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.cli.main import main
from geosteer_loader.follow.configuration import FollowedConfiguration
from geosteer_loader.follow.service import Follower
from geosteer_loader.query import live_routes
from geosteer_loader.query.live_routes import Unanswered
from geosteer_loader.store.store import connect
from support.exabgp_lines import Exabgp
from support.mrt_writer import peers, rib
from support.publishing import write_config
from support.servers import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

ROUTES = [
    rib("5.0.0.0/8", [3356, 10], [3356, 20]),
    rib("5.1.0.0/16", [3356, 1, 666]),
    rib("6.0.0.0/8", [3356, 1, {7, 8}]),
    rib("10.0.0.0/8", [3356, 10]),
    rib("2a00:1::/32", [3356, 30]),
]
MORE = """
[sources]
cache = "cache"
[[sources.bgp]]
format = "mrt"
path = "rib.mrt"
[[sources.bgp]]
format = "pyasn"
path = "late.dat"
[[sources.path]]
format = "mrt"
path = "rib.mrt"
vantage = "lon"
[[sources.path]]
format = "bgpdump"
path = "rib.txt"
vantage = "ams"
[rpki]
roas = "roas.json"
"""
ROAS = [
    {"asn": "AS10", "prefix": "5.0.0.0/8", "maxLength": 8},
    {"asn": "AS10", "prefix": "5.1.0.0/16", "maxLength": 24},
]


@pytest.fixture
def config(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Path:
    (tmp_path / "rib.mrt").write_bytes(peers(3356) + b"".join(ROUTES))
    (tmp_path / "late.dat").write_text("5.0.0.0/8\t10\n2a00:1::/32\t31\n")
    line = "TABLE_DUMP2|1400824800|B|192.0.2.9|65000|5.0.0.0/8|65000 2 10|IGP|192.0.2.9|0|0||NAG||\n"
    (tmp_path / "rib.txt").write_text(line + line.replace("65000 2 10", "65000 2 3 10"))
    (tmp_path / "roas.json").write_text(json.dumps({"roas": ROAS}))
    path = write_config(tmp_path, redis_server.url, prefix, more=MORE)
    assert main(["publish", "--quiet", "--config", str(path)]) == 0
    return path


def ask(config: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert main([*words, "--json", "--config", str(config)]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_route_is_told_with_what_makes_it_count_or_not(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ask(config, capsys, "bgp", "5.1.2.3")
    assert told["published"] == {
        "bgp": {"prefix": "5.0.0.0/8", "record": "AS10"},
        "path": {"prefix": "5.0.0.0/8", "record": "lon=2 ams=3"},
    }
    assert told["roas"]["vrps"] == 2
    assert told["notes"] == []
    rows = [
        (
            each["table"],
            each["vantage"],
            each["prefix"],
            each["path"],
            each["rpki"],
            each["counts"],
            each["why"],
        )
        for each in told["routes"]
    ]
    invalid = "AS666 rpki invalid, passed over"
    assert rows == [
        ("bgp", None, "5.0.0.0/8", "3356 10", "valid", False, "a later source has the prefix as well"),
        ("bgp", None, "5.0.0.0/8", "3356 20", "invalid", False, "AS20 rpki invalid, passed over"),
        ("bgp", None, "5.0.0.0/8", None, "valid", True, "counts"),
        ("path", "lon", "5.0.0.0/8", "3356 10", "valid", True, "counts"),
        ("path", "lon", "5.0.0.0/8", "3356 20", "invalid", False, "AS20 rpki invalid, passed over"),
        ("path", "ams", "5.0.0.0/8", "65000 2 10", "valid", True, "counts"),
        ("path", "ams", "5.0.0.0/8", "65000 2 3 10", "valid", False, "a shorter path counts"),
        ("bgp", None, "5.1.0.0/16", "3356 1 666", "invalid", False, invalid),
        ("path", "lon", "5.1.0.0/16", "3356 1 666", "invalid", False, invalid),
    ]
    assert told["routes"][0]["peer"] == "AS3356 0.0.0.0"
    assert told["routes"][5]["peer"] == "AS65000 192.0.2.9"


def test_sets_bogons_and_ipv6_are_told_as_well(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (first, _) = ask(config, capsys, "bgp", "6.1.1.1")["routes"]
    assert (first["path"], first["origins"], first["rpki"]) == ("3356 1 {7,8}", [7, 8], "not found")
    (bogon, _) = ask(config, capsys, "bgp", "10.1.1.1")["routes"]
    assert (bogon["counts"], bogon["why"]) == (False, "bogon prefixes")
    routes = ask(config, capsys, "bgp", "2a00:1::1")["routes"]
    assert [(each["origins"], each["counts"]) for each in routes] == [
        ([30], False),
        ([31], True),
        ([30], True),
    ]
    assert main(["bgp", "192.0.2.1", "--config", str(config)]) == 0
    assert "no source has a route to it" in capsys.readouterr().out


def test_what_cannot_be_read_is_a_note_and_no_failure(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (config.parent / "rib.mrt").unlink()
    (config.parent / "roas.json").write_text("{")
    told = ask(config, capsys, "bgp", "5.1.2.3")
    assert ["No such file" in note for note in told["notes"]] == [True, True]
    assert "earlier ones are used" in told["roas"]["trouble"]
    assert {each["prefix"] for each in told["routes"]} == {"5.0.0.0/8"}


def test_explain_names_the_routes_that_were_passed_over(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(config, capsys, "explain", "www.cdn.example.net", "5.1.2.3")["notes"] == [
        "bgp 5.0.0.0/8: AS20 rpki invalid, passed over",
        "bgp 5.1.0.0/16: AS666 rpki invalid, passed over",
        "path 5.0.0.0/8: AS20 rpki invalid, passed over",
        "path 5.1.0.0/16: AS666 rpki invalid, passed over",
    ]
    assert ask(config, capsys, "explain", "www.cdn.example.net", "6.1.2.3")["notes"] == []


LIVE = """
[sources]
cache = "{folder}/cache"
[[sources.bgp]]
format = "exabgp"
socket = "exabgp.sock"
families = ["ipv4"]
[[sources.path]]
format = "exabgp"
socket = "exabgp.sock"
families = ["ipv4"]
peers = ["10.99.0.2"]
vantage = "lon"
[rpki]
roas = "roas.json"
"""


def test_routes_of_sessions_are_asked_of_the_service(
    redis_server: RedisServer, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "roas.json").write_text(json.dumps({"roas": ROAS}))
    config = write_config(tmp_path, redis_server.url, prefix, more=LIVE.format(folder=tmp_path))
    follower = Follower(
        FollowedConfiguration(config, {}), lambda settings: connect(settings.redis), clock=count(0.0).__next__
    )
    writer, first, second = Exabgp(), "10.99.0.1", "10.99.0.2"
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(str(tmp_path / "exabgp.sock"))
        paths: dict[str, list[int | set[int]]] = {first: [3356, 1, 10], second: [3356, 1, {10, 20}]}
        for peer, path in paths.items():
            lines = [
                writer.up(peer),
                writer.announce(peer, path, "5.0.0.0/8"),
                writer.announce(peer, [3356, 666], "5.1.0.0/16", ids=(7,)),
                writer.eor(peer),
            ]
            stream.sendall(b"".join(line + b"\n" for line in lines))
        stream.sendall(writer.up("10.99.0.3") + b"\n")

        def told() -> Any:
            follower.turn()
            return ask(config, capsys, "bgp", "5.1.2.3")

        wait_until(lambda: len(told()["routes"]) == 6 and "path" in told()["published"])
        rows = [
            (each["table"], each["prefix"], each["path"], each["peer"], each["rpki"], each["why"])
            for each in told()["routes"]
        ]
        invalid, shown = "AS666 rpki invalid, passed over", "3356 1 {10,20}"
        of_set = "an AS set rpki invalid, passed over"
        assert rows == [
            ("bgp", "5.0.0.0/8", "3356 1 10", first, "valid", "counts"),
            ("bgp", "5.0.0.0/8", shown, second, "invalid", of_set),
            ("path", "5.0.0.0/8", shown, second, "invalid", of_set),
            ("bgp", "5.1.0.0/16", "3356 666", f"{first} path 7", "invalid", invalid),
            ("bgp", "5.1.0.0/16", "3356 666", f"{second} path 7", "invalid", invalid),
            ("path", "5.1.0.0/16", "3356 666", f"{second} path 7", "invalid", invalid),
        ]
        assert told()["published"]["bgp"] == {"prefix": "5.0.0.0/8", "record": "AS10"}
        assert told()["notes"] == [
            "session 10.99.0.3 does not count: End-of-RIB of ipv4 is missing",
        ]
        assert {each["session"] for each in told()["routes"]} == {"current"}
        stream.sendall(writer.down(first) + b"\n")
        wait_until(lambda: {each["session"] for each in told()["routes"]} == {"current", "lost"})
        assert main(["bgp", "5.1.2.3", "--config", str(config)]) == 0
        assert f"{first} (lost)" in capsys.readouterr().out
        for question in (b"", b"5.1.2.3", b"x" * 1000 + b"\n", b"\0\n", b"1.2.3.4/24\n"):
            with socket.socket(socket.AF_UNIX) as asker:
                asker.settimeout(20)
                asker.connect(str(tmp_path / "follow.sock"))
                asker.sendall(question)
                asker.shutdown(socket.SHUT_WR)
                assert json.loads(asker.makefile().readline()) == {"error": "not an address"}
        assert (tmp_path / "follow.sock").stat().st_mode & 0o777 == 0o660
    follower.stop()
    follower.run()
    after = ask(config, capsys, "bgp", "5.1.2.3")
    assert (after["routes"], after["notes"]) == (
        [],
        ["the routes of BGP sessions are not known: `geosteer follow` does not run here"],
    )


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"", "the answer was cut off"),
        (b'{"version":1', "the answer was cut off"),
        (b"nonsense\n", "Expecting value"),
        (b"[]\n", "malformed answer"),
        (b'{"version":2,"sessions":[]}\n', "answer of version 2"),
        (b'{"version":1,"sessions":[{"stream":"s"}]}\n', "malformed answer"),
        (b'{"error":"not an address"}\n', "not an address"),
        (b"[" * 100_000 + b"\n", "malformed answer"),
        (b'{"error":"\\u001b[2J\\ud800"}\n', r"\\x1b\[2J\\ud800"),
        (
            (
                b'{"version":1,"sessions":[{"stream":"s","peer":"p","state":"current","why":"","routes":'
                b'[{"prefix":"5.0.0.0/8","id":null,"path":"","length":1e999,"origin":1,"origins":[]}]}]}\n'
            ),
            "malformed answer",
        ),
    ],
)
def test_a_service_that_answers_something_else_is_told_of(tmp_path: Path, reply: bytes, reason: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Unanswered, match=reason):
            live_routes.ask(tmp_path / "s", "192.0.2.1")
        thread.join()
