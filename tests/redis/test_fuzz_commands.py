"""Whatever lies in Redis under geosteer's names: every command says what is wrong in words, and ours repair what they own."""

from __future__ import annotations

import contextlib
import json
import random
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import redis
from geosteer.errors import GeosteerError
from geosteer.keys import digest
from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.web.observer import Observer
from support.long import LONG
from support.publishing import current_of, make_config, write_csv

if TYPE_CHECKING:
    from support.servers import RedisServer

ROUNDS = 400 if LONG else 6
"""States of the store that every command meets, in each of two ways to make them."""
LONG_YEAR = f"{'9' * 400}-01-01T00:00:00Z"
WORDS: tuple[bytes, ...] = (
    b"", b"0", b"-1", b"1", b"nan", b"inf", b"1e999", b"up", b"yes", b"\xff\0\n", b"x" * 5000, b"9" * 5000, b"null", b"[]",
    b"{}", b"[1]", b"[" * 100_000, b'{"a":' * 50_000, b'"\\ud800"', b'{"state":"down"', b"{state: down}", b'{"state":"down",}',
    b'{"state":"down","until":"2126-01-01T00:00:00Z","why":"\\ud800","who":7,"since":[]}',
    b'{"state":"drain","percent":true}', b'{"state":"up","percent":' + b"9" * 5000 + b"}", b'[{"file":7},{"sha256":[]},5]',
    LONG_YEAR.encode(), b"2126-01-01T00:00:00Z", b"2026-13-41T99:99:99Z", b"0" * 32, b"zz" * 16,
    b"1 2126-01-01T00:00:00Z 5", b"1 " + LONG_YEAR.encode() + b" 5", b"9" * 5000 + b" 2026-02-01T00:00:00Z 5",
    b"1 2026-02-01T00:00:00Z nan", b"1 2026-02-01T00:00:00Z 1e308", b"1 2026-02-01T00:00:00Z 5",
    b'{"state":"up","since":"2126-01-01T00:00:00Z","checked":"2126-01-01T00:00:00Z","expires":"2126-01-01T00:00:00Z"}',
    b'{"state":"up","load":1e400,"counters":{"a":{"state":"up","failures":1e300}},"reason":"\\ud800"}',
)  # fmt: skip
ESCAPES = "\x1b]0;x\x07\x1b[2J\x9b2J\u202e"
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
"""What a terminal acts upon; tests see no colours."""
FIELDS = (
    b"state", b"since", b"shed", b"failing", b"reason", b"before", b"lon1", b"ams1", b"p", b"\xff", b"",
    b"when", b"who", b"why", b"guard",
)  # fmt: skip
READ_ONLY = (
    ["status"],
    ["status", "--json"],
    ["status", "--check", "--max-age", "1d"],
    ["history"],
    ["history", "--json"],
    ["lookup", "192.0.2.1", "2001:db8::1"],
    ["explain", "www.example.net", "192.0.2.0/24", "--json"],
    ["explain", "www.example.net", "192.0.2.0/24"],
    ["explain", "www.example.net", "192.0.2.0/24", "--plan"],
    ["plan"],
    ["plan", "--json"],
    ["verify"],
    ["verify", "--json"],
    ["export", "fallback", "-"],
    ["who", "www.example.net", "--json"],
    ["who", "www.example.net"],
    ["map", "www.example.net"],
)
MORE = """
[nodes.nyc1]
a = ["192.0.2.4"]
well_connected = 1
[zones."example.net"]
soa = { mname = "ns1.example.net", rname = "hostmaster.example.net" }
ns = ["ns1.example.net"]
[services."www.example.net"]
map = "default"
"""


class Site:
    """A small configuration, published."""

    def __init__(self, folder: Path, server: RedisServer, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.url = server.url
        self.client: redis.Redis = server.client()
        geo = write_csv(folder / "geo.csv")
        config = make_config(folder, server.url, geo=[geo], networks={"lab": ["10.0.0.0/8"]}, more=MORE)
        self.config = str(config.path)
        self.capsys = capsys
        (folder / "pairs.txt").write_text("192.0.2.1 198.51.100.7 3\n")
        (folder / "demand.txt").write_text("GB 10\nUS-CA 5\n")
        assert self.run("publish")[0] == 0
        self.good = {key: self.client.dump(key) for key in self.client.keys("{geosteer}:*")}

    def reset(self) -> None:
        """All as it was published."""
        self.client.delete(*(self.client.keys("{geosteer}:*") or [b"-"]))
        for key, value in self.good.items():
            if value is not None:
                self.client.restore(key, 0, value)

    def run(self, *words: str) -> tuple[int, str]:
        """Exit code, and everything printed."""
        code = main([*words, "--config", self.config])
        out, err = self.capsys.readouterr()
        return code, out + err

    def looks(self, *, codes: tuple[int, ...] = (0, 1, 2, 3)) -> None:
        """Every command that only reads ends in words."""
        files = [
            ["mismatch", "www.example.net", str(self.folder / "pairs.txt"), "--json"],
            ["shares", str(self.folder / "demand.txt"), "--no-closing"],
            *(
                ["export", kind, str(self.folder / kind), "--lossy"]
                for kind in ("pdns-geoip", "gdnsd", "geo-map")
            ),
        ]
        for words in (*READ_ONLY, *files):
            code, told = self.run(*words)
            assert code in codes, (words, told[-500:])
            assert "Traceback" not in told
            assert not OBEYED.search(told), (words, told[-500:])
            assert "Error(" not in told
        self.page()

    def page(self) -> None:
        """All that `geosteer web` shows comes as JSON, or is refused in words."""
        page = Observer(lambda: load(Path(self.config), {}))
        for ask in (
            lambda: page.now("www.example.net"),
            page.timeline,
            lambda: page.past("www.example.net", time.time()),
            lambda: page.journal(None),
            lambda: page.plan("www.example.net"),
        ):
            with contextlib.suppress(GeosteerError):
                assert json.dumps(ask()).encode(errors="replace")
        page.close()

    def publish_document(self, text: bytes) -> None:
        """Put other bytes in the place of the published configuration, under their right digest."""
        self.client.hset("{geosteer}:object", digest(text).hex(), text)
        self.client.hset("{geosteer}:current", "config", digest(text).hex())


@pytest.fixture
def site(tmp_path: Path, own_redis: RedisServer, capsys: pytest.CaptureFixture[str]) -> Site:
    return Site(tmp_path, own_redis, capsys)


def test_every_command_survives_any_value_in_any_key(site: Site) -> None:
    dice = random.Random(1)
    mutable = [
        f"{{geosteer}}:{name}"
        for name in ("override", "beat", "verdict:p", "node:lon1", "node:ams1", "node:x", "failure")
    ]
    for _ in range(ROUNDS):
        site.reset()
        for _ in range(dice.randrange(1, 8)):
            kind = dice.random()
            if kind < 0.1:
                leave(site.client, dice.choice(mutable), dice.choice(TYPES))
            elif kind < 0.6:
                with contextlib.suppress(redis.ResponseError):  # of another type by now
                    site.client.hset(dice.choice(mutable), dice.choice(FIELDS), dice.choice(WORDS))
            elif kind < 0.85:
                named = dice.choice(
                    [*current_of(site.client), "restored", "held", "swept", "bgp.v4", "geo.v5"]
                )
                site.client.hset("{geosteer}:current", named, dice.choice(WORDS))
            elif kind < 0.95:
                field = dice.choice((b"generation", b"config", b"geo.v4", b"who", b"\xff"))
                site.client.execute_command("XADD", "{geosteer}:history", "*", field, dice.choice(WORDS))
            else:
                site.client.set("{geosteer}:lock", dice.choice(WORDS))
        site.looks()


PAST = (
    ["journal"],
    ["journal", "--full"],
    ["journal", "--since", "9d", "--node", "*", "--json"],
    ["journal", "--check"],
    ["history", "--diff", "1", "2", "--json"],
    ["explain", "www.example.net", "192.0.2.0/24", "--at", "-1s"],
    ["explain", "www.example.net", "192.0.2.0/24", "--generation", "2", "--json"],
)
EVENT = (b"kind", b"at", b"who", b"subject", b"before", b"after", b"what", b"why", b"by", b"\xff", b"")
KINDS_AND_NODES = (
    b"state",
    b"override",
    b"ended",
    b"expired",
    b"publish",
    b"rollback",
    b"shed",
    b"prober",
    b"lon1",
    b"ams1",
)


def test_every_command_that_tells_the_past_survives_any_event_in_the_journal(site: Site) -> None:
    dice = random.Random(2)
    site.run("node", "drain", "ams1", "--percent", "50", "--yes")
    make_config(
        site.folder,
        site.url,
        geo=[site.folder / "geo.csv"],
        networks={"lab": ["10.0.0.0/8"]},
        more=MORE,
        weight=50,
    )
    assert site.run("publish")[0] == 0
    key = "{geosteer}:journal"
    made = site.client.dump(key)
    assert made is not None
    for _ in range(ROUNDS):
        site.client.delete(key)
        site.client.restore(key, 0, made)
        for _ in range(dice.randrange(1, 9)):
            fields: dict[bytes, bytes] = {}
            for name in dice.sample(EVENT, dice.randrange(1, len(EVENT))):
                plain = name in {b"kind", b"subject"} and dice.random() < 0.8
                fields[name] = dice.choice(KINDS_AND_NODES if plain else (*WORDS, ESCAPES.encode()))
            id_ = f"{dice.choice((10**14, 10**15 - 1, 2**63))}-1" if dice.random() < 0.1 else "*"
            with contextlib.suppress(redis.ResponseError):  # behind an id of the future
                site.client.execute_command(
                    "XADD", key, id_, *(word for pair in fields.items() for word in pair)
                )
        for words in PAST:
            code, told = site.run(*words)
            assert code in {0, 1}, (words, told[-500:])
            assert "Traceback" not in told
            assert "Error(" not in told
            assert not OBEYED.search(told), (words, told[-500:])
        site.page()


TYPES = ("string", "list", "set", "zset", "stream", "hash")


def leave(client: redis.Redis, key: str, kind: str) -> None:
    """What another program may leave under a name of ours."""
    client.delete(key)
    match kind:
        case "string":
            client.set(key, "text")
        case "list":
            client.rpush(key, "text")
        case "set":
            client.sadd(key, "text")
        case "zset":
            client.zadd(key, {"text": 1})
        case "stream":
            client.xadd(key, {"text": "text"})
        case "hash":
            client.hset(key, "text", "text")


def test_no_value_in_redis_commands_a_terminal(site: Site) -> None:
    words = ESCAPES.encode()
    said = json.dumps(
        {"state": "drain", "percent": 5, "who": ESCAPES, "why": ESCAPES, "since": "2026-02-01T00:00:00Z"}
    )
    site.client.hset("{geosteer}:override", mapping={b"lon1": said, words: said})
    site.client.hset("{geosteer}:node:ams1", mapping={"state": "down", "reason": words, "since": words})
    site.client.hset("{geosteer}:beat", words, "1 2026-02-01T00:00:00Z 5")
    site.client.hset(
        "{geosteer}:failure", mapping=dict.fromkeys(("since", "when", "who", "guard", "why"), words)
    )
    site.client.hset("{geosteer}:current", mapping={"held": words, "geo.built": words, words: words})
    site.client.execute_command(
        "XADD", "{geosteer}:history", "*", "generation", "1", "who", words, "held", words
    )
    site.looks()
    for command in (["publish"], ["node", "list"], ["node", "down", "*"], ["feed", "--forget", "x"]):
        assert not OBEYED.search(site.run(*command)[1]), command
    told = site.run("status", "--json")[1]
    assert ESCAPES in json.loads(told)["failure"]["why"]
    assert site.run("status", "--check")[1].count("\n") == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("current", "string"),
        ("object", "list"),
        ("history", "hash"),
        ("override", "set"),
        ("beat", "zset"),
        ("node:lon1", "stream"),
        ("verdict:p", "string"),
        ("verdict:feed", "list"),
        ("lock", "hash"),
        ("failure", "zset"),
        ("journal", "string"),
    ],
)
def test_a_key_of_another_type_is_named_and_replaced_by_who_writes_there(
    site: Site, name: str, kind: str
) -> None:
    site.client.hset("{geosteer}:beat", mapping=dict.fromkeys(("p", "feed"), "1 2026-02-01T00:00:00Z 5"))
    key = f"{{geosteer}}:{name}"
    leave(site.client, key, kind)
    for words in (["explain", "www.example.net", "192.0.2.0/24"], ["plan"], ["history"], ["node", "list"]):
        assert site.run(*words)[0] in {0, 1}, words
    if name not in {"history", "journal"}:  # which status does not read
        code, line = site.run("status", "--check")
        assert code == 2
        assert key in line
    assert site.run("status")[0] == (1 if name in {"current", "object"} else 0)  # nothing is known then
    assert site.run("publish")[0] == 0
    code, told = site.run("node", "drain", "lon1", "--percent", "50", "--why", "disks")
    assert code == 0, told
    states = site.folder / "states.json"
    states.write_text('{"nodes": {"lon1": {"state": "up", "load": 0.5}, "ams1": {"state": "down"}}}')
    assert site.run("feed", str(states))[0] == 0
    code, told = site.run("status", "--json")
    status = json.loads(told)
    assert (code, status["foreign"]) == (0, [])
    assert (status["nodes"]["lon1"]["state"], status["nodes"]["lon1"]["share"]) == ("up", 0.5)
    assert status["nodes"]["ams1"]["state"] == "down"
    assert "feed" in status["beats"]
    assert site.run("history")[0] == 0
    assert site.run("verify")[1].rstrip().endswith("no problems")
    assert site.run("publish")[1].startswith("nothing changed")


def test_a_lock_that_would_never_run_out_gets_as_long_as_ours(site: Site) -> None:
    site.client.set("{geosteer}:lock", "by hand")
    code, told = site.run("publish")
    assert (code, "somebody (by hand)" in told) == (3, True)
    assert 0 < site.client.pttl("{geosteer}:lock") <= 30_000


def test_values_that_cannot_be_believed_are_told_by_name_and_repaired(site: Site) -> None:
    site.client.hset("{geosteer}:override", mapping={"lon1": '{"state":"down"', "gone": "[]"})
    site.client.hset(
        "{geosteer}:node:lon1", mapping={"state": "up", "since": LONG_YEAR, "shed": "nan", "failing": "maybe"}
    )
    site.client.hset("{geosteer}:node:ams1", mapping={"state": "ok", "since": "2126-01-01T00:00:00Z"})
    site.client.hset("{geosteer}:beat", mapping={"feed": "1 2126-01-01T00:00:00Z 5", "q": "x"})
    site.client.hset(
        "{geosteer}:verdict:feed",
        mapping={"lon1": "{", "ams1": '{"state":"up","checked":"2126-01-01T00:00:00Z"}'},
    )
    site.client.hset(
        "{geosteer}:current", mapping={"published": LONG_YEAR, "geo.ranges": "many", "nets.built": "x"}
    )
    named = (
        "override lon1", "override gone", "node lon1: since", "node lon1: shed", "node lon1: failing", "node ams1: state",
        "node ams1: since", "beat feed", "beat q", "verdict of feed on lon1", "verdict of feed on ams1", "current: published",
        "current: geo.ranges", "current: nets.built",
    )  # fmt: skip
    for words in (["status"], ["status", "--json"], ["status", "--check"]):
        code, told = site.run(*words)
        assert code == (1 if "--check" in words else 0)
        for name in named:
            assert name in told, name
    assert site.run("node", "auto", "*")[0] == 0
    states = site.folder / "states.json"
    states.write_text(
        json.dumps({"nodes": {name: {"state": "up"} for name in ("lon1", "lon2", "ams1", "nyc1")}})
    )
    assert site.run("feed", str(states))[0] == 0
    assert site.run("publish")[0] == 0
    site.client.hdel("{geosteer}:beat", "q")
    code, told = site.run("status", "--check")
    assert (code, told[:4]) == (0, "OK -"), told
    assert site.run("publish")[1].startswith("nothing changed")


DOCUMENTS = (
    b"{}", b"[1]", b"5", b"null", b"", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000,
    b'{"format":' + b"9" * 5000 + b"}", b'{"format":NaN}', b'{"format":2}', b'{"format":1}',
    b'{"format":1,"nodes":[],"maps":{},"zones":{},"services":{}}',
    b'{"format":1,"nodes":{},"maps":{},"zones":{},"services":{}}',
    b'{"format":true,"nodes":{},"maps":{},"zones":{},"services":{}}',
)  # fmt: skip


@pytest.mark.parametrize("text", DOCUMENTS, ids=lambda text: repr(text[:24]))
def test_a_document_that_is_no_configuration_is_told_and_replaced(site: Site, text: bytes) -> None:
    before = current_of(site.client)
    site.publish_document(text)
    site.looks()
    code, told = site.run("node", "down", "lon1")
    assert code in {0, 1, 2, 3}, told
    states = site.folder / "states.json"
    states.write_text('{"nodes": {"lon1": {"state": "up"}}}')
    assert site.run("feed", str(states))[0] in {0, 1, 3}
    assert site.run("probe", "--once")[0] in {0, 1, 3}
    code, told = site.run("publish")
    assert code == 0, told
    after = current_of(site.client)
    assert after["config"] == before["config"]
    assert site.run("verify")[1].rstrip().endswith("no problems")


def test_any_field_of_the_document_may_be_anything(site: Site) -> None:
    dice = random.Random(3)
    good = json.loads(site.client.hget("{geosteer}:object", current_of(site.client)["config"]) or b"")
    odd: tuple[Any, ...] = (
        None,
        True,
        -1,
        1e308,
        10**30,
        "",
        "x",
        "\ud800",
        [],
        [[]],
        {},
        {"a": 1},
        [None],
        ["192.0.2.9"],
    )
    for _ in range(ROUNDS):
        site.reset()
        made = json.loads(json.dumps(good))
        inner = made
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            key = dice.choice(keys)
            if isinstance(inner[key], dict | list) and inner[key] and dice.random() < 0.8:
                inner = inner[key]
                continue
            if dice.random() < 0.2:
                del inner[key]
            else:
                inner[key] = dice.choice(odd)
            break
        site.publish_document(json.dumps(made).encode())
        site.looks()
        assert site.run("node", "drain", "lon1")[0] in {0, 1, 2, 3}
        code, told = site.run("publish", "--force", "max_impact")
        assert code == 0, told
