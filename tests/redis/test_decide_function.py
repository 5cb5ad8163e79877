"""The Redis Function `geosteer_decide` gives every client what the Director gives it."""

from __future__ import annotations

import gzip
import json
import os
import random
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import redis
from geosteer.cmodules import Address, pack_address
from geosteer.decision import client as clients
from geosteer.keys import digest
from geosteer.timestamps import format_time
from geosteer_loader.config.config import Config, load
from geosteer_loader.config.redis import RedisSettings
from geosteer_loader.publish.publish import publish
from geosteer_loader.sources.countries import CONTINENT
from geosteer_loader.store import functions
from geosteer_loader.store.generation_view import View
from geosteer_loader.store.store import Store, connect
from support.data import ROOT, shared
from support.decision_cases import CASES, Case
from support.decision_cases import DOCUMENT as CASES_DOCUMENT
from support.decision_cases import TABLES as CASES_TABLES
from support.made_database import country_database
from support.publishing import current_of
from support.servers import RedisServer
from support.tiny import DOCUMENT, publish_tiny

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

LONG = bool(os.environ.get("GEOSTEER_LONG"))
"""Ask at every boundary of the data, not only at some."""
KEYS = ("{geosteer}:current", "{geosteer}:object", "{geosteer}:override", "{geosteer}:node:")
STEP = 400
RESOLVER = "198.51.100.53"
SERVICES = ("best.cdn.example.net", "two.cdn.example.net", "alias.cdn.example.net", "x.wild.cdn.example.net")

SETTINGS = """
[redis]
url = "{url}"
[[sources.geo]]
format = "mmdb"
path = "{geo}"
{bgp}
[networks.lab]
prefixes = ["1.2.3.0/24", "2001:db8::/32", "8.8.0.0/16", "2a00::/16"]
[networks.other]
prefixes = ["8.8.8.0/24", "2a00:1450::/32"]
[nodes.lon1]
a = ["192.0.2.1"]
aaaa = ["2001:db8:1::1", "2001:db8:1::2"]
hostname = "lon1.cdn.example.org"
[nodes.ams1]
a = ["192.0.2.2", "192.0.2.22"]
hostname = "ams1.cdn.example.org"
weight = 50
[nodes.fra1]
a = ["192.0.2.3"]
aaaa = ["2001:db8:3::1"]
hostname = "fra1.cdn.example.org"
ramp = "1d"
[nodes.nyc1]
a = ["192.0.2.4"]
aaaa = ["2001:db8:4::1"]
hostname = "nyc1.cdn.example.org"
well_connected = 1
[nodes.sin1]
aaaa = ["2001:db8:5::1"]
hostname = "sin1.cdn.example.org"
assume = "down"
[nodes.off1]
a = ["192.0.2.6"]
hostname = "off1.cdn.example.org"
weight = 0
[maps.m]
networks = {{ lab = {{ fra1 = 10, off1 = 100 }} }}
asns = {{ AS15169 = {{ nyc1 = 3, fra1 = 3 }}, AS3356 = {{ lon1 = 1 }} }}
subdivisions = {{ US-CA = {{ sin1 = 1 }} }}
countries = {{ GB = {{ lon1 = 100, ams1 = 200 }}, NL = {{ ams1 = 100, fra1 = 50 }}, US = {{ nyc1 = 7 }}, AU = {{ sin1 = 1, fra1 = 1 }}, JP = {{ off1 = 1 }}, FR = {{ lon1 = 1, nyc1 = 0 }} }}
continents = {{ EU = {{ ams1 = 200, lon1 = 100, fra1 = 100 }}, AS = {{ sin1 = 100, lon1 = 20 }}, AF = {{ lon1 = 5, fra1 = 5, nyc1 = 5 }} }}
default = {{ nyc1 = 100, lon1 = 10 }}
[maps.none]
order = ["continents", "countries"]
all_down = "none"
countries = {{ GB = {{ lon1 = 100 }}, US = {{ nyc1 = 7 }} }}
continents = {{ EU = {{ fra1 = 100, lon1 = 100 }} }}
default = {{ nyc1 = 100 }}
[zones."cdn.example.net"]
soa = {{ mname = "ns1.example.net", rname = "h.example.net" }}
ns = ["ns1.example.net"]
[services."best.cdn.example.net"]
map = "m"
[services."two.cdn.example.net"]
map = "m"
max_answers = 2
ttl = 301
ttl_min = 7
[services."alias.cdn.example.net"]
map = "m"
answer = "cname"
[services."*.wild.cdn.example.net"]
map = "none"
ttl = 30
[services."near.cdn.example.net"]
map = "m"
policy = "nearest"
"""  # noqa: E501  # TOML 1.0 wants an inline table on one line


class Twin:
    """Published tables, and one client's answer by the Function and by Python."""

    def __init__(self, server: RedisServer, store: Store) -> None:
        self.client = server.client(protocol=2)
        self._store = store
        self.view = View(store)

    def set(
        self, states: Mapping[str, Mapping[str, str]], overrides: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Node states and overrides in place of those before."""
        names = [*self.view.generation.model.nodes, "gone"]
        self.client.delete(KEYS[2], *[KEYS[3] + name for name in names])
        for name, fields in states.items():
            self.client.hset(KEYS[3] + name, mapping=dict(fields))
        for name, said in overrides.items():
            self.client.hset(KEYS[2], name, said if isinstance(said, str) else json.dumps(said))
        self.view = View(self._store)

    def ask(self, asked: Sequence[tuple[str, ...]]) -> list[Any]:
        """For each service and client (and type) the reply, or the error's text."""
        with self.client.pipeline(transaction=False) as calls:
            for words in asked:
                calls.execute_command("FCALL_RO", "geosteer_decide", 4, *KEYS, *words)
            found = calls.execute(raise_on_error=False)
        return [
            str(reply)
            if isinstance(reply, redis.ResponseError)
            else [word if isinstance(word, int) else word.decode() for word in reply]
            for reply in found
        ]

    def _expected_at(self, now: float, words: tuple[str, ...]) -> Any:
        service, text, kind = (*words, "")[:3]
        return self.expected(service, text, kind, now)

    def expected(self, service: str, text: str, kind: str = "", now: float | None = None) -> Any:
        """What the Director says, in the shape of a reply; "refused" for none."""
        who = clients.from_question(text, text, self.cells) if text else None
        hidden = clients.from_question(RESOLVER, text) if text and who is None else None
        scope = (
            hidden.fixed if hidden is not None else 0
        )  # nobody is known, as DNS says nothing of the client, either
        model = self.view.generation.model
        wanted = model.services.get(service) or model.services["*." + service.partition(".")[2]]

        def look(table: str) -> tuple[str, int]:
            assert who is not None
            return self.view.cell(table, who.bits, who.address)

        decision = self.view.generation.director.decide(
            wanted, who, look, self.view.mirror.states, self._store.now() if now is None else now
        )
        if decision.refused:
            return "refused"
        words: list[Any] = ["", decision.ttl]
        if scope := scope if who is None else decision.scope:
            written = text.partition("/")[0].partition("%")[0]
            packed = pack_address(written)
            shift = 8 * len(packed) - scope
            base = int.from_bytes(packed, "big") >> shift << shift
            words[0] = f"{Address(base.to_bytes(len(packed), 'big'))}/{scope}"
        for key, nodes in decision.answer.items():
            if kind in {"", key}:
                words += [
                    word for node in nodes for one in node.contents(key) for word in (key, node.name, one)
                ]
        return words

    def cells(self, network: clients.Client) -> list[tuple[str, int]]:
        """What every published table says of a client."""
        return [
            self.view.cell(table, network.bits, network.address)
            for table, bits in self.view.generation.trees
            if bits == network.bits
        ]

    def agree(self, asked: Sequence[tuple[str, ...]]) -> None:
        """Fail at the first client whom the two give something else."""
        for low in range(0, len(asked), STEP):
            self._agree(asked[low : low + STEP])

    def _agree(self, asked: Sequence[tuple[str, ...]]) -> None:
        before = self._store.now()
        replies = self.ask(asked)
        after = self._store.now()
        for words, reply in zip(asked, replies, strict=True):
            if isinstance(reply, str):
                assert "may serve" in reply, (words, reply)
                reply = "refused"  # noqa: PLW2901
            # Shares grow and TTLs shrink while the calls run.
            assert reply in [
                self._expected_at(moment, words) for moment in (before, after)
            ], (words, reply, self._expected_at(before, words))  # fmt: skip


def configured(folder: Path, url: str, geo: Path, bgp: str = "") -> Config:
    path = folder / "geosteer.toml"
    path.write_text(SETTINGS.format(url=url, geo=geo, bgp=bgp))
    return load(path, {})


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """The real country table and the real origins of AS numbers."""
    folder = tmp_path_factory.mktemp("decide")
    origins = [_some(folder, name) for name in ("ipasn_20140513.dat.gz", "ipasn6_20151101.dat.gz")]
    bgp = "".join(f'[[sources.bgp]]\nformat = "pyasn"\npath = "{path}"\n' for path in origins)
    with RedisServer() as server:
        config = configured(folder, server.url, country_database(), bgp)
        with connect(config.redis) as store:
            publish(config, store)
            yield Twin(server, store)


def _some(folder: Path, name: str) -> Path:
    """The beginning of a file of origins, unless all of it is wanted."""
    whole = shared("bgp") / name
    if LONG:
        return whole
    with gzip.open(whole, "rt") as lines:
        part = folder / name.removesuffix(".gz")
        part.write_text("".join(islice(lines, 20_000)))
    return part


@pytest.fixture(scope="module")
def edges(twin: Twin) -> list[str]:
    """An address before and one at every boundary, or at some of them, of all published tables."""
    dice = random.Random(5)
    found: list[str] = []
    for (_, bits), tree in twin.view.generation.trees.items():
        starts = [start for branch, number in tree.leaves() for start in _starts(twin, branch, number)]
        chosen = starts if LONG else dice.sample(starts, min(len(starts), 500))
        for start in chosen:
            for value in (start - 1, start):
                if 0 <= value < 1 << bits:
                    found.append(Address(value.to_bytes(bits // 8, "big")))
    return found


def _starts(twin: Twin, branch: Any, number: int) -> list[int]:
    from geosteer.tables import page_format

    (data,) = twin.client.hmget(KEYS[1], branch.digest(number).hex())
    return [start for start, _ in page_format.decode(data).spans(branch.bounds(number)[0])]


LATER = format_time(4_000_000_000)
EARLIER = format_time(1_000_000_000)


def scenarios() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Node states and overrides by name; `soon` stands for a time that is to come soon."""
    up = {"state": "up", "since": EARLIER}
    down = {"state": "down", "since": EARLIER, "reason": "refused"}
    every = ("lon1", "ams1", "fra1", "nyc1", "sin1", "off1")
    return {
        "nothing known": ({}, {}),
        "all up": (dict.fromkeys(every, up), {}),
        "some down": ({"ams1": down, "lon1": up, "sin1": up, "nyc1": {**up, "failing": "yes"}}, {}),
        "all down": (dict.fromkeys(every, down), {}),
        "all put down": ({}, {name: {"state": "down"} for name in every}),
        "probes and operators": (
            {"ams1": down, "fra1": down, "sin1": up},
            {"ams1": {"state": "up"}, "lon1": {"state": "down"}, "fra1": {"state": "up", "percent": 35}},
        ),
        "drained": (
            {"sin1": up},
            {"lon1": {"state": "drain", "percent": 30}, "ams1": {"state": "drain", "percent": 62.5},
             "nyc1": {"state": "drain"}},
        ),
        "all drained": ({}, {name: {"state": "drain", "percent": 0} for name in every}),
        "all drained but down": (
            dict.fromkeys(("lon1", "sin1"), down),
            {**{name: {"state": "drain"} for name in every}, "sin1": {"state": "drain", "percent": 10}},
        ),
        "all down, most put down, one drained": (
            dict.fromkeys(every, down), {**{name: {"state": "down"} for name in every}, "fra1": {"state": "drain"}},
        ),
        "shed": (
            {"lon1": {**up, "shed": "0.35"}, "fra1": {**up, "shed": "0.9", "failing": "yes"}, "sin1": {**up, "shed": "1"},
             "nyc1": {**up, "shed": "nan"}, "ams1": {**up, "shed": "7"}},
            {},
        ),
        "ends": (
            {"sin1": up},
            {"lon1": {"state": "down", "until": "soon"}, "ams1": {"state": "down", "until": EARLIER},
             "fra1": {"state": "drain", "percent": 50, "until": LATER}},
        ),
        "damaged": (
            {"lon1": {"state": "sideways", "since": "never", "shed": "much"},
             "sin1": {**up, "since": "2026-13-01T00:00:00Z"}},
            {"lon1": "not JSON", "ams1": {"state": "upside"}, "fra1": {"state": "drain", "percent": 101},
             "gone": {"state": "down"},
             "nyc1": {"state": "down", "until": "tomorrow"}, "sin1": {"state": "drain", "percent": "5"}},
        ),
        "ramping": (
            {"fra1": {"state": "up", "since": "half", "before": "down"},
             "nyc1": {"state": "up", "since": "half", "before": "down"},
             "lon1": {**up, "shed": "0.5"}, "sin1": up},
            {"fra1": {"state": "up", "percent": 80}},
        ),
    }  # fmt: skip


@pytest.mark.no_cover
@pytest.mark.timeout(7200)  # a long run: every boundary, on a machine with other work
@pytest.mark.parametrize("name", scenarios())
def test_it_agrees_with_the_director_at_the_boundaries_of_real_tables(
    twin: Twin, edges: list[str], name: str
) -> None:
    states, overrides = scenarios()[name]
    clock = twin.client.time()[0]
    times = {"half": format_time(clock - 43200), "soon": format_time(clock + 40)}
    for fields in (*states.values(), *overrides.values()):
        if isinstance(fields, dict):
            for key in fields.keys() & {"since", "until"}:
                fields[key] = times.get(fields[key], fields[key])
    twin.set(states, overrides)
    dice = random.Random(name)
    asked = [(dice.choice(SERVICES), text) for text in edges]
    some = 50_000 if LONG else 400
    twin.agree(asked if LONG and name == "drained" else dice.sample(asked, min(some, len(asked))))


@pytest.mark.parametrize(
    "text",
    [
        "", "8.8.8.8", "8.8.8.0/24", "8.8.0.0/16", "::ffff:8.8.8.8", "::ffff:8.8.8.0/120", "64:ff9b::808:808",
        "2002:808:808::/48",
        "2002::/16", "2002::/15", "2001:0:1:2:3:4:f7f7:f7f7", "2001:0:1:2::/64", "2001::/32", "2001:1::", "::1", "::",
        "64:ff9b::/95",
        "64:ff9c::", "2003::", "2000::", "0.0.0.0", "255.255.255.255", "10.0.0.1", "2a00:1450::1", "fe80::1%eth0",
        "2001:db8::/32", "10.0.0.0/8", "192.168.0.0/16", "100.64.1.0/24", "fd00::/8", "fe80::/64", "fc00::/6",
        "::ffff:10.1.2.0/120", "2002:a01::/32",
        "::ffff:0:0/96", "0.0.0.0/0", "::/0", "172.15.0.0/16", "172.32.0.0/24", "9.9.9.0/24",
        "2001:0:1:2:3:4:f5ff:fffe",
    ],
)  # fmt: skip
def test_clients_are_taken_as_dns_takes_them(twin: Twin, text: str) -> None:
    twin.set({"sin1": {"state": "up"}, "lon1": {"state": "up", "shed": "0.5"}}, {})
    twin.agree([(service, text) for service in SERVICES])


@pytest.mark.parametrize("kind", ["A", "AAAA"])
def test_one_type_alone_may_be_asked_for(twin: Twin, kind: str) -> None:
    twin.set({}, {})
    for text in ("81.2.69.160", "2a00:1450::1"):
        (reply,) = twin.ask([("two.cdn.example.net", text, kind)])
        whole = twin.expected("two.cdn.example.net", text, kind)
        assert reply[1:] == whole[1:]
        assert int(reply[0].partition("/")[2]) <= int(whole[0].partition("/")[2])
    (reply,) = twin.ask([("best.cdn.example.net", "81.2.69.160", kind.lower())])
    assert reply[2] == kind


def test_names_of_services_are_taken_as_dns_takes_them(twin: Twin) -> None:
    twin.set({}, {})
    right, *others = twin.ask(
        [("best.cdn.example.net", "8.8.8.8"), ("BEST.cdn.Example.net.", "8.8.8.8"), ("a.b.wild.cdn.example.net", "8.8.8.8"),
         ("x.wild.cdn.example.net", "8.8.8.8")]
    )  # fmt: skip
    assert others[0] == right
    assert others[1] == others[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nobody.example", "8.8.8.8"), "no such service: nobody.example"),
        (("", "8.8.8.8"), "no such service: "),
        (("near.cdn.example.net", "8.8.8.8"), "near.cdn.example.net has the policy nearest, and only best is decided"),
        (("best.cdn.example.net", "8.8.8"), "not an address: 8.8.8"),
        (("best.cdn.example.net", "8.8.8.8", "CNAME"), "best.cdn.example.net has no CNAME"),
        (("alias.cdn.example.net", "8.8.8.8", "A"), "alias.cdn.example.net has no A"),
        (("best.cdn.example.net",), "expected 4"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(twin: Twin, words: tuple[str, ...], message: str) -> None:
    (reply,) = twin.ask([words])
    assert message in reply
    assert "user_function" not in reply


def test_a_map_that_refuses_is_an_error_and_never_an_empty_answer(twin: Twin) -> None:
    twin.set({}, {name: {"state": "down"} for name in ("lon1", "fra1", "nyc1")})
    (reply,) = twin.ask([("x.wild.cdn.example.net", "8.8.8.8")])
    assert reply == 'geosteer: no node may serve *.wild.cdn.example.net (all_down = "none")'


def test_a_new_configuration_counts_at_once_though_the_old_one_is_remembered(own_redis: RedisServer) -> None:
    client = own_redis.client(protocol=2)
    client.execute_command("FUNCTION", "LOAD", functions.code())
    call = ("FCALL_RO", "geosteer_decide", 4, *KEYS, "www.cdn.example.net", "192.0.2.9", "A")
    with pytest.raises(redis.ResponseError, match="nothing is published"):
        client.execute_command(*call)
    fields = [publish_tiny(client, "geosteer")]
    assert client.execute_command(*call)[3] == b"lon1"
    for number in range(8):  # more than are remembered
        names = ("lon1", "ams1", "nyc1")
        changed = json.loads(json.dumps(DOCUMENT))
        changed["maps"]["default"]["countries"]["GB"] = {names[number % 3]: 1 + number}
        fields.append(publish_tiny(client, "geosteer", changed, generation=number + 2))
        assert client.execute_command(*call)[3].decode() == names[number % 3]
    client.hset(KEYS[0], mapping=fields[0])
    assert client.execute_command(*call)[3] == b"lon1"
    client.hdel(KEYS[1], fields[0]["config"])
    assert client.execute_command(*call)[3] == b"lon1"  # its name says what it is
    client.hset(KEYS[0], "config", "ab" * 16)
    with pytest.raises(redis.ResponseError, match="the configuration is missing"):
        client.execute_command(*call)
    client.hset(KEYS[0], "schema", "2")
    with pytest.raises(redis.ResponseError, match="schema 2"):
        client.execute_command(*call)


@pytest.mark.no_cover
def test_every_country_is_found_in_every_way_of_writing_its_record(own_redis: RedisServer) -> None:
    client = own_redis.client(protocol=2)
    client.execute_command("FUNCTION", "LOAD", functions.code())
    document = json.loads(json.dumps(DOCUMENT))
    codes = sorted(CONTINENT)
    document["continents"] = dict(CONTINENT)
    document["nodes"] = {code.lower(): {"a": [f"10.0.{at >> 8}.{at & 255}"]} for at, code in enumerate(codes)}
    document["nodes"]["none"] = {"a": ["10.9.9.9"]}
    document["maps"]["default"] = {
        "order": ["countries"], "countries": {code: {code.lower(): 1} for code in codes}, "default": {"none": 1},
    }  # fmt: skip
    forms = ("{}", "{}-AB", "{} 1 2", "{}-A -1.5 2.25")
    table = {f"10.{at}.{number}.0/24": form.format(code)
             for at, code in enumerate(codes[:250]) for number, form in enumerate(forms)}  # fmt: skip
    table |= {"11.0.0.0/24": "@EU", "11.0.1.0/24": "@EU 50 10"}
    publish_tiny(client, "geosteer", document, {"geo": table})
    for prefix, record in table.items():
        reply = client.execute_command("FCALL_RO", "geosteer_decide", 4, *KEYS, "www.cdn.example.net", prefix)
        assert reply[3].decode() == ("none" if record[0] == "@" else record[:2].lower())


def test_it_works_on_a_read_only_replica_and_for_a_user_who_may_only_read(tmp_path: Path) -> None:
    from support.servers import wait_until

    with RedisServer("--repl-diskless-sync-delay", "0", tcp=True) as primary:
        client = primary.client(protocol=2)
        publish_tiny(client, "geosteer")
        client.execute_command("FUNCTION", "LOAD", functions.code())
        with RedisServer("--replicaof", "127.0.0.1", str(primary.port)) as replica:
            wait_until(lambda: replica.client().info("replication")["master_link_status"] == "up")
            reader = replica.client(protocol=2)
            shipped = (ROOT / "conf" / "users.acl").read_text().splitlines()
            (words,) = [line.split()[2:] for line in shipped if line.startswith("user geosteer-reader ")]
            reader.execute_command("ACL", "SETUSER", "w", "reset", *words, "nopass")
            user = replica.client(protocol=2, username="w", password="x")
            reply = user.execute_command(
                "FCALL_RO", "geosteer_decide", 4, *KEYS, "www.cdn.example.net", "192.0.2.9", "A"
            )
            assert [str(word, "ascii") for word in reply[2:]] == ["A", "lon1", "192.0.2.1"]
            assert current_of(reader)["generation"] == "1"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_decision_is_what_the_table_of_cases_says(own_redis: RedisServer, case: Case) -> None:
    client = own_redis.client(protocol=2)
    client.execute_command("FUNCTION", "LOAD", functions.code())
    publish_tiny(client, "geosteer", CASES_DOCUMENT, CASES_TABLES)
    for name, fields in case.states.items():
        client.hset(KEYS[3] + name, mapping=fields)
    for name, override in case.overrides.items():
        client.hset(KEYS[2], name, json.dumps(override))
    for kind, (node, scope) in case.answer.items():
        reply = client.execute_command("FCALL_RO", "geosteer_decide", 4, *KEYS, "www", case.client, kind)
        assert (reply[3].decode(), reply[0].decode().partition("/")[2]) == (node, str(scope))


RUBBISH = (
    "", "{", "[]", "null", "1", '"down"', "[" * 5000, "\xff", '{"state":', '{"state":["down"]}', '{"state":"down"}',
    '{"state":"down","until":"%s-01-01T00:00:00Z"}' % ("9" * 400), '{"state":"down","until":"10000-01-01T00:00:00Z"}',
    '{"state":"down","until":"2999-02-31T00:00:00Z"}', '{"state":"down","until":"2999-02-28T00:00:00Z"}',
    '{"state":"down","until":0}', '{"state":"down","until":7}', '{"state":"down","until":[]}', '{"state":"down","until":{}}',
    '{"state":"down","until":false}', '{"state":"down","until":true}', '{"state":"drain","percent":true}',
    '{"state":"drain","percent":1e999}', '{"state":"drain","percent":%s}' % ("9" * 400), '{"state":"drain","percent":null}',
    '{"state":"drain","percent":"5"}', '{"state":"drain","percent":-1}', '{"state":"down","why":"%s"}' % ("x" * 5000),
)  # fmt: skip
FIELDS = (
    {"state": "down", "since": "9" * 400 + "-01-01T00:00:00Z"}, {"state": "up", "before": "down", "since": "9" * 400},
    {"state": "up", "before": "down", "since": "2999-02-31T00:00:00Z"}, {"state": "9" * 400}, {"shed": "9" * 400},
    {"state": "up", "shed": "0x1"}, {"state": "up", "shed": "nan"}, {"state": "up", "shed": "-inf"}, {"shed": "1e999"},
    {"state": "up", "shed": "{}"}, {"state": "\xff"}, {"failing": "yes" * 999},
)  # fmt: skip


@pytest.mark.parametrize("text", RUBBISH, ids=range(len(RUBBISH)))
def test_an_override_that_is_rubbish_counts_for_the_function_as_for_a_worker(
    own_redis: RedisServer, text: str
) -> None:
    agreed(own_redis, lambda client: client.hset(KEYS[2], "lon1", text))


@pytest.mark.parametrize("fields", FIELDS, ids=range(len(FIELDS)))
def test_a_state_that_is_rubbish_counts_for_the_function_as_for_a_worker(
    own_redis: RedisServer, fields: dict[str, str]
) -> None:
    agreed(own_redis, lambda client: client.hset(KEYS[3] + "lon1", mapping=fields))


def agreed(server: RedisServer, write: Callable[[Any], object]) -> None:
    client = server.client(protocol=2)
    client.execute_command("FUNCTION", "LOAD", "REPLACE", functions.code())
    publish_tiny(client, "geosteer")
    write(client)
    with connect(RedisSettings(url=server.url, prefix="geosteer")) as store:
        Twin(server, store).agree([("www.cdn.example.net", "192.0.2.9"), ("www.cdn.example.net", "")])


@pytest.mark.parametrize("kind", ["string", "list", "set", "stream"])
@pytest.mark.parametrize("key", [*KEYS[:3], KEYS[3] + "lon1"])
def test_a_key_of_another_type_is_an_error_without_a_line_of_lua(
    own_redis: RedisServer, key: str, kind: str
) -> None:
    client = own_redis.client(protocol=2)
    client.execute_command("FUNCTION", "LOAD", "REPLACE", functions.code())
    publish_tiny(client, "geosteer")
    client.delete(key)
    write = {
        "string": ("SET", "x"),
        "list": ("RPUSH", "x"),
        "set": ("SADD", "x"),
        "stream": ("XADD", "*", "a", "b"),
    }
    command, *values = write[kind]
    client.execute_command(command, key, *values)
    calls: list[tuple[Any, ...]] = [("geosteer_decide", 4, *KEYS, "www.cdn.example.net", "192.0.2.9")]
    if key in KEYS[:2]:
        calls.append(("geosteer_lookup", 2, *KEYS[:2], "192.0.2.9"))
    for call in calls:
        with pytest.raises(redis.ResponseError, match="WRONGTYPE") as caught:
            client.execute_command("FCALL_RO", *call)
        assert "user_function" not in str(caught.value)


@given(document=st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["format", "nodes", "maps", "services", "www.cdn.example.net", "map", "default", "lon1", "a"]),
        inner, max_size=4,
    ),
    max_leaves=20,
).map(lambda inner: {"format": 1, **(inner if isinstance(inner, dict) else {"services": inner})}))  # fmt: skip
@settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
def test_a_document_that_is_none_is_an_error_without_a_line_of_lua(
    own_redis: RedisServer, document: Any
) -> None:
    client = own_redis.client(protocol=2)
    client.execute_command("FUNCTION", "LOAD", "REPLACE", functions.code())
    text = json.dumps(document).encode()
    client.hset(KEYS[1], digest(text).hex(), text)
    client.hset(KEYS[0], mapping={"schema": 1, "config": digest(text).hex()})
    with pytest.raises(redis.ResponseError, match=r"^geosteer: ") as caught:
        client.execute_command("FCALL_RO", "geosteer_decide", 4, *KEYS, "www.cdn.example.net", "192.0.2.9")
    assert "user_function" not in str(caught.value)
