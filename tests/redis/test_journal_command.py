"""`geosteer journal`: what is shown, which signs of a stranger's hand it sees, and what it makes of hostile text."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.timestamps import format_time_ms
from geosteer_loader.cli.main import main
from geosteer_loader.health import feed
from geosteer_loader.health.exchange import Exchange
from geosteer_loader.health.transitions import Rule
from geosteer_loader.journal import writing
from geosteer_loader.journal.events import FIELDS, Note
from geosteer_loader.store.store import connect
from support.publishing import make_config, write_config, write_csv

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.servers import RedisServer


class Place:
    """A configuration, and the command on it."""

    def __init__(
        self, folder: Path, server: RedisServer, prefix: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        options: dict[str, Any] = {"geo": [write_csv(folder / "geo.csv")], "more": JOURNAL}
        self.path = write_config(folder, server.url, prefix, **options)
        self.config = make_config(folder, server.url, prefix, **options)
        self.store = connect(self.config.redis, 1000)
        self.client = server.client()
        self.key = self.store.keys.journal
        self._capsys = capsys

    def run(self, *words: str, code: int = 0) -> str:
        self._capsys.readouterr()
        assert main([*words, "--config", str(self.path)]) == code
        self.err = ""
        out, self.err = self._capsys.readouterr()
        return out

    def events(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run("journal", "--json", *words))
        return found

    def feed(self, **states: str) -> None:
        text = json.dumps({"nodes": {name: {"state": state} for name, state in states.items()}})
        feed.publish(Exchange(self.store, "monitor", Rule()), feed.parse(text, "feed"), 60)


JOURNAL = """
[zones."cdn.example.net"]
soa = { mname = "ns1.example.net", rname = "hostmaster.example.net" }
ns = ["ns1.example.net"]
[services."www.cdn.example.net"]
map = "default"
[journal]
keep = "1h"
max_length = 1000
"""


@pytest.fixture
def place(
    tmp_path: Path, redis_server: RedisServer, prefix: str, capsys: pytest.CaptureFixture[str]
) -> Iterator[Place]:
    made = Place(tmp_path, redis_server, prefix, capsys)
    made.run("publish")
    made.feed(lon1="up", lon2="up", ams1="up")
    made.run("node", "drain", "lon1", "--percent", "20", "--for", "2h", "--why", "kernel update")
    with made.store:
        yield made


def test_events_are_listed_oldest_first_with_who_and_why(place: Place) -> None:
    lines = place.run("journal").splitlines()
    assert lines[0].split() == ["TIME", "KIND", "ABOUT", "WHAT", "WHO"]
    assert [line.split()[1] for line in lines[1:]] == [
        "publish",
        "state",
        "state",
        "state",
        "prober",
        "override",
    ]
    assert re.search(r"override +lon1 +drain, 20 %, until 2\S+Z: kernel update +\S+@", lines[-1])
    assert place.err == ""
    assert list(place.events()[0]) == ["id", "time", *FIELDS]
    assert place.events("--kind", "override")[0]["after"]["percent"] == 20
    assert place.events("--kind", "state")[0]["before"] is None


def test_events_are_chosen_by_time_node_and_kind_and_the_newest_are_kept(place: Place) -> None:
    everything = place.events()
    assert [event["subject"] for event in place.events("--node", "LON*")] == ["lon1", "lon2", "lon1"]
    assert place.events("-n", "2") == everything[-2:]
    assert place.events("--node", "lon*", "-n", "1") == everything[-1:]
    assert [event["kind"] for event in place.events("--kind", "publish", "--kind", "prober")] == [
        "publish",
        "prober",
    ]
    assert place.events("--since", "1h") == place.events("--since", "-1h") == everything
    assert place.events("--until", "1h") == []
    middle = everything[1]["time"]
    assert place.events("--until", middle)[-1]["time"] <= middle
    assert place.events("--since", middle)[0]["time"] >= middle
    for number in range(60):
        writing.note(place.store, [Note(kind="prober", subject=str(number), what="came")])
    assert len(place.events()) == 50
    assert len(place.events("--since", "1h")) == len(everything) + 60
    for words in (["--since", "soon"], ["--kind", "rumour"], ["-n", "0"], ["--follow", "--check"]):
        place.run("journal", *words, code=2)


def test_it_is_followed_until_interrupted(place: Place) -> None:
    command = [
        sys.executable,
        "-m",
        "geosteer_loader",
        "journal",
        "-n",
        "1",
        "--follow",
        "--kind",
        "override",
    ]
    with subprocess.Popen(
        [*command, "--config", str(place.path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "drain, 20 %" in process.stdout.readline()
        place.run("node", "down", "lon2", "--why", "fire")
        assert "down: fire" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_control_characters_reach_no_terminal(place: Place) -> None:
    place.client.xadd(
        place.key, {"kind": "\x1b[31mstate", "subject": "\x07lon1\n", "what": "\x9b2J", "who": "\u202eroot"}
    )
    text = place.run("journal", "-n", "1")
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text) is None
    assert len(text.splitlines()) == 2
    place.run("journal", "--check")


def test_what_was_changed_past_the_journal_is_seen(place: Place) -> None:
    assert "nothing was changed past them" in place.run("journal", "--check")
    place.client.hset(place.store.keys.node("lon1"), "state", "down")
    place.feed(lon1="up", lon2="up", ams1="up")
    place.client.hdel(place.store.keys.override, "lon1")
    place.run("node", "down", "lon1")
    place.client.hset(place.store.keys.override, "lon1", "{}")
    place.client.hset(place.store.keys.current, "generation", "7")
    place.run("rollback")
    time.sleep(1.1)
    lines = json.loads(place.run("journal", "--check", "--json", code=1))
    assert [re.sub(r"20\S+Z", "T", line) for line in lines] == [
        "state of lon1: changed past the journal between T and T",
        "override of lon1: changed past the journal between T and T",
        "generation: changed past the journal between T and T",
        "override of lon1: changed past the journal after T",
    ]


def test_a_journal_that_was_cut_is_seen(place: Place) -> None:
    for _ in range(3):
        writing.note(place.store, [Note(kind="prober", what="came")] * 200)
    place.client.xtrim(place.key, maxlen=100, approximate=False)
    place.run("journal")
    assert re.search(r"506 of 606 events are gone, though the oldest .* somebody removed them", place.err)
    place.client.xtrim(place.key, maxlen=0, approximate=False)
    place.run("journal")
    assert "all of the 606 events are gone: somebody removed them" in place.err
    assert "all of the 606" in place.run("journal", "--check", code=1)


def test_its_own_bounds_are_no_sign_of_a_stranger(place: Place) -> None:
    for _ in range(20):
        writing.note(place.store, [Note(kind="prober", what="came")] * 100)
    assert place.client.xlen(place.key) < 1200  # cut by its length
    place.run("journal", "--check")
    place.client.delete(place.key)
    old = int((time.time() - 7200) * 1000)
    for number in range(350):
        fields = {"kind": "prober", "at": format_time_ms(old / 1000 + number)}
        place.client.xadd(place.key, fields, id=f"{old + number * 1000}-0")
    place.run("node", "down", "lon2")
    writing.trim(place.store, 3600)
    assert 1 < place.client.xlen(place.key) < 200  # cut by age
    place.run("journal")
    assert place.err == ""


def test_an_id_of_the_future_is_seen_and_events_count_by_their_own_time(place: Place) -> None:
    ahead = int((time.time() + 7200) * 1000)
    place.client.xadd(place.key, {"kind": "prober", "at": format_time_ms(time.time())}, id=f"{ahead}-0")
    place.run("node", "down", "lon2")
    assert "which is still to come: somebody chose it" in place.run("journal", "--check", code=1)
    last = place.events()[-1]
    assert last["id"] == f"{ahead}-1"
    assert last["time"] == last["at"]
