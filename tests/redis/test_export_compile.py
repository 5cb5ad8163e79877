"""What exports are made of: tables put together, chances that are exact, and MMDB files that any reader reads."""

from __future__ import annotations

import ipaddress
import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import maxminddb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.cmodules import Address
from geosteer.decision.client import Client
from geosteer.decision.director import Director
from geosteer.decision.distribution import Distribution
from geosteer.decision.model import Model
from geosteer.decision.node_state import NodeState, Override
from geosteer.timestamps import format_time
from geosteer_loader.config.config import check
from geosteer_loader.export import atomic_files
from geosteer_loader.export.client_classes import Answers
from geosteer_loader.export.compiled_tables import Spans, prefixes
from geosteer_loader.export.mmdb_writer import ALIASES, Unsigned, database, encode
from geosteer_loader.export.published_state import Picture
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.store import connect
from support.long import examples
from support.made_database import country_database
from support.publishing import make_config, write_csv
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geosteer_loader.config.config import RedisSettings
    from support.servers import RedisServer

NOW = 1_790_000_000.0
NODES = ("n0", "n1", "n2", "n3", "n4")
NEAR = ("nearest", "latency")
TIMES = "n3=20 n0=21 n1=22 n2=90"


def model(
    policy: str, countries: Mapping[str, int], continents: Mapping[str, int], default: Mapping[str, int]
) -> Model:
    return Model(
        {
            "format": 1,
            "nodes": {
                name: {"a": [f"192.0.2.{at}"], "location": [at * 10, 0], "ramp": 100, "aaaa": ["2001:db8::1"] * (at % 2)}
                for at, name in enumerate(NODES)
            },
            "maps": {"m": {"order": ["countries", "continents"], "countries": {"GB": countries},
                           "continents": {"EU": continents}, "default": default or {"n0": 1}}},
            "services": {"s": {"map": "m", "policy": policy, "bias": {"n0": -50, "n3": 45},
                               "offsets": {"n1": {"add": 150, "edge": 2000, "keep": 0.3},
                                           "n2": {"add": 5, "edge": 2000, "keep": 0.6}} if policy in NEAR else {}}},
            "continents": {"GB": "EU"},
        }
    )  # fmt: skip


def state(text: str) -> NodeState:
    """`down`, `drain 0.3`, `down-drain 0.3` (override), `shed 0.3`, `ramp 0.3`, `put down`, `put up`, else up."""
    made = NodeState()
    word, _, share = text.partition(" ")
    fields = {"state": "down" if word.startswith("down") else "up", "since": format_time(0)}
    if word == "shed":
        fields["shed"] = share
    if word == "ramp":
        fields |= {"before": "down", "since": format_time(NOW - 100 * float(share))}
    made.update(fields)
    if word.endswith("drain"):
        made.override = Override("drain", 100 * float(share))
    if word == "put":
        made.override = Override(share, 100)
    return made


def answers(made: Model, record: str, states: Mapping[str, NodeState]) -> Answers:
    """What the service answers to clients of whom `geo` says that, and `rtt` `TIMES`."""
    distribution = Distribution(made, states, NOW)
    records = {"geo": record, "rtt": TIMES}
    return Answers(Director(made), distribution, made.services["s"], records, states, NOW)


def compare(policy: str, made: Model, states: Mapping[str, NodeState], record: str = "GB 5 0") -> None:
    """Fail where the chances are not what the Director does over many networks."""
    director, service = Director(made), made.services["s"]
    walk = answers(made, record, states)
    settled = walk.settled()
    dice = random.Random(policy)
    rounds = 600
    counted: dict[str, Counter[str]] = {kind: Counter() for kind in service.kinds}
    for _ in range(rounds):
        who = Client(32, dice.randrange(1 << 24) << 8, 24)
        decision = director.decide(
            service, who, lambda table: (TIMES if table == "rtt" else record, 1), states, NOW, dice.random()
        )
        for kind, nodes in decision.answer.items():
            counted[kind].update(node.name for node in nodes[:1])
    for kind in service.kinds:
        chances = {node.name: part for node, part in walk.chances(kind).items()}
        assert sum(chances.values()) == (pytest.approx(1) if counted[kind] else 0)
        if settled is not None and settled[kind]:
            assert counted[kind] == {settled[kind][0].name: rounds}
            assert chances == {settled[kind][0].name: pytest.approx(1)}
        assert counted[kind].keys() <= chances.keys()
        for name, part in chances.items():
            spread = (rounds * part * (1 - part)) ** 0.5
            assert abs(counted[kind][name] - rounds * part) <= 5.5 * spread + 1e-6, (
                kind,
                chances,
                counted[kind],
            )


weights = st.dictionaries(st.sampled_from(NODES), st.sampled_from([0, 1, 1, 2]), max_size=4)
conditions = st.sampled_from(
    [
        "up",
        "up",
        "down",
        "drain 0",
        "drain 0.3",
        "drain 0.9",
        "down-drain 0",
        "shed 0.5",
        "shed 1",
        "ramp 0.4",
        "put down",
        "put up",
    ]
)


@pytest.mark.no_cover
@settings(max_examples=examples(100), deadline=None)
@given(
    st.sampled_from(["best", "best", "nearest", "weighted", "hash", "latency"]), weights, weights, weights,
    st.lists(conditions, min_size=5, max_size=5),
)  # fmt: skip
def test_chances_are_what_the_director_does_over_many_networks(
    policy: str,
    countries: dict[str, int],
    continents: dict[str, int],
    default: dict[str, int],
    said: list[str],
) -> None:
    made = model(policy, countries, continents, default)
    if policy in {"weighted", "hash"}:
        said = [text.replace("drain 0.9", "drain 0.3") for text in said]
    compare(policy, made, {name: state(text) for name, text in zip(NODES, said, strict=True)})


def test_of_equals_each_is_first_as_often_as_the_others_keep_nobody() -> None:
    made = model("best", {"n0": 1, "n1": 1, "n2": 1}, {}, {"n3": 1})
    states = {"n0": state("drain 0.5"), "n1": state("up"), "n2": state("up")}
    walk = answers(made, "GB", states)
    chances = {node.name: part for node, part in walk.chances("A").items()}
    # n0 is first, second or last with a third each, but n1 and n2 leave nothing: 1/3 x 1/2; the rest is theirs in halves.
    assert chances == pytest.approx({"n0": 1 / 6, "n1": 5 / 12, "n2": 5 / 12})


def test_whom_nobody_keeps_goes_to_the_highest_share_and_equals_part_those_evenly() -> None:
    made = model("best", {"n0": 2, "n1": 1, "n2": 1}, {}, {"n0": 1})
    states = {"n0": state("drain 0.2"), "n1": state("drain 0.5"), "n2": state("drain 0.5")}
    walk = answers(made, "GB", states)
    chances = {node.name: part for node, part in walk.chances("A").items()}
    assert chances == pytest.approx({"n0": 0.2, "n1": 0.4, "n2": 0.4})


def test_a_ranking_goes_through_all_layers_and_names_every_node_once() -> None:
    made = model("best", {"n0": 2, "n1": 1, "n2": 1}, {"n2": 9, "n3": 5}, {"n4": 1, "n0": 7})
    walk = answers(made, "GB", {})
    assert [{one.node.name for one in group} for group in walk.ranking()] == [
        {"n0"},
        {"n1", "n2"},
        {"n3"},
        {"n4"},
    ]


# ---------------------------------------------------------------------------------------------------------- tables


def test_tables_are_put_together_without_losing_an_edge(redis_server: RedisServer, prefix: str) -> None:
    tables = {
        "geo": {"192.0.2.0/24": "GB", "192.0.2.64/26": "NL", "2001:db8::/32": "GB"},
        "nets": {"192.0.2.96/27": "lab", "198.51.100.0/24": "lab"},
    }
    with redis_server.client() as client:
        publish_tiny(client, prefix, tables=tables)
    with connect(_settings(redis_server, prefix)) as store:
        picture = Picture(store)
        cells = picture.cells(["nets", "geo", "bgp"])
        assert cells.tables == ["geo", "bgp", "nets"]
        found = {
            Address(start.to_bytes(4, "big")): cells.combinations[number]
            for start, _, number in cells.spans[32]
        }
        assert found == {
            "0.0.0.0": ("", "", ""), "192.0.2.0": ("GB", "", ""), "192.0.2.64": ("NL", "", ""),
            "192.0.2.96": ("NL", "", "lab"),
            "192.0.2.128": ("GB", "", ""), "192.0.3.0": ("", "", ""), "198.51.100.0": ("", "", "lab"),
            "198.51.101.0": ("", "", ""),
        }  # fmt: skip
        names, mapped = cells.classes(lambda records: bool(records[2]))
        assert names == [False, True]
        assert [(start >> 8, number) for start, _, number in cells.spread(mapped)[32]] == [
            (0, 0), (0xC00002, 1), (0xC00002, 0), (0xC63364, 1), (0xC63365, 0),
        ]  # fmt: skip


def _settings(server: RedisServer, prefix: str) -> RedisSettings:
    raw = {
        "redis": {"url": server.url, "prefix": prefix},
        "nodes": {"n": {"a": ["192.0.2.1"]}},
        "maps": {"m": {"default": {"n": 1}}},
    }
    return check(raw, Path("geosteer.toml"), {}).redis


@given(st.sampled_from([32, 128]), st.data())
def test_prefixes_make_up_exactly_their_span(bits: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, (1 << bits) - 1))
    end = data.draw(st.integers(start + 1, 1 << bits))
    at = start
    for first, length in prefixes(start, end, bits):
        assert first == at
        assert first % (1 << (bits - length)) == 0
        at += 1 << (bits - length)
    assert at == end


def test_all_of_a_family_is_one_prefix() -> None:
    assert list(prefixes(0, 1 << 32, 32)) == [(0, 0)]
    assert list(prefixes(0, 1 << 128, 128)) == [(0, 0)]


# ------------------------------------------------------------------------------------------------------------ MMDB


def spans(bits: int, entries: Mapping[int, int]) -> Spans:
    made = Spans(bits)
    for start, number in sorted({0: 0, **entries}.items()):
        made.add(start, number)
    return made


def opened(folder: Path, data: bytes) -> maxminddb.Reader:
    path = folder / "x.mmdb"
    path.write_bytes(data)
    return maxminddb.open_database(path)


starts = st.dictionaries(st.integers(0, (1 << 32) - 1), st.integers(0, 3), max_size=12)


@settings(max_examples=80, deadline=None)
@given(starts, starts, st.booleans())
def test_a_database_says_everywhere_what_the_spans_say(
    tmp_path_factory: pytest.TempPathFactory, v4: dict[int, int], v6: dict[int, int], deep: bool
) -> None:
    shift = 0 if deep else 96
    wide = {start << shift: number for start, number in v6.items()}
    both = {32: spans(32, v4), 128: spans(128, wide)}
    records = [{"country": {"iso_code": f"c{number}"}} for number in range(4)]
    with opened(tmp_path_factory.mktemp("m"), database(both, records, kind="Test", built=5)) as reader:
        for bits, made in both.items():
            for start, end, number in made:
                for value in (start, end - 1):
                    if bits == 128 and _carries(value):
                        continue
                    address = Address(value.to_bytes(bits // 8, "big"))
                    found, length = reader.get_with_prefix_len(address)
                    assert found == records[number], address
                    assert 0 < length <= bits
                    around = ipaddress.ip_network(f"{address}/{length}", strict=False)
                    assert start <= int(around[0]) or length == 1
        assert reader.get("::ffff:10.1.2.3") == reader.get("2002:a01:203::") == reader.get("64:ff9b::a01:203")
        assert reader.get("10.1.2.3") == reader.get("64:ff9b::a01:203")


def _carries(value: int) -> bool:
    return value >> 32 == 0 or any((value ^ start) >> (128 - length) == 0 for start, length in ALIASES)


def test_the_metadata_say_what_it_is(tmp_path: Path) -> None:
    data = database(
        {32: spans(32, {}), 128: spans(128, {})}, [{"x": "y" * 400}], kind="Test", built=1_769_904_000
    )
    with opened(tmp_path, data) as reader:
        about = reader.metadata()
        assert (about.database_type, about.ip_version, about.build_epoch) == ("Test", 6, 1_769_904_000)
        assert reader.get_with_prefix_len("1.2.3.4") == ({"x": "y" * 400}, 1)


@pytest.mark.parametrize(
    "value", ["", "x" * 28, "x" * 29, "x" * 284, "x" * 285, "x" * 65820, "x" * 65821, ["a", {"b": "é"}],
              {str(n): n for n in range(40)},
              Unsigned(0, 4), Unsigned(1 << 31, 4), Unsigned(1 << 40, 8), 65535],
    ids=lambda value: f"{type(value).__name__} {str(value)[:8]}",
)  # fmt: skip
def test_any_value_comes_back(tmp_path: Path, value: Any) -> None:
    both = {32: spans(32, {1 << 31: 1}), 128: spans(128, {})}
    with opened(tmp_path, database(both, [{"n": "n"}, {"value": value}], kind="Test", built=1)) as reader:
        assert reader.get("200.1.1.1") == {"value": value}
    assert encode("x") == b"Ax"


@pytest.mark.no_cover
def test_the_real_country_table_is_in_it_whole(tmp_path: Path, own_redis: RedisServer) -> None:
    config = make_config(tmp_path, own_redis.url, geo=[country_database()])
    with connect(config.redis) as store:
        publish(config, store)
        cells = Picture(store).cells(["geo"])
    records = [{"country": {"iso_code": records[0]}} for records in cells.combinations]
    with opened(tmp_path, database(cells.spans, records, kind="Test", built=1)) as reader:
        checked = 0
        with maxminddb.open_database(country_database()) as real:
            for address in _some(cells.spans):
                there: Any = real.get(address)
                wanted = there["country"]["iso_code"] if there else ""
                found: Any = reader.get(address)
                assert found["country"]["iso_code"] == wanted, address
                checked += 1
        assert checked > 8000


def _some(both: Mapping[int, Spans]) -> Iterator[str]:
    dice = random.Random(4)
    for bits, made in both.items():
        for start in dice.sample(list(made.starts)[1:], 2500):
            for value in (start - 1, start):
                if bits == 32 or not _carries(value):
                    yield Address(value.to_bytes(bits // 8, "big"))


# ----------------------------------------------------------------------------------------------------------- files


def test_a_picture_sees_what_changed_and_reads_nothing_else_again(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    config = make_config(tmp_path, own_redis.url, geo=[write_csv(tmp_path / "geo.csv")])
    with connect(config.redis) as store, own_redis.client() as client:
        publish(config, store)
        picture = Picture(store)
        cells = picture.cells(["geo"])
        assert not picture.refresh()
        client.hset("{geosteer}:node:lon1", mapping={"state": "down", "since": format_time(NOW)})
        assert picture.refresh()
        assert not picture.refresh()
        assert picture.states["lon1"].state == "down"
        assert picture.due is None
        clock = client.time()[0]
        client.hset(
            "{geosteer}:override", "lon2", f'{{"state": "down", "until": "{format_time(clock + 1)}"}}'
        )
        assert picture.refresh()
        assert picture.due == clock + 1
        assert not picture.refresh()
        while client.time()[0] < clock + 1:
            pass
        assert picture.refresh()
        assert picture.due is None
        client.hset(
            "{geosteer}:node:ams1", mapping={"state": "up", "since": format_time(clock), "before": "down"}
        )
        assert picture.refresh()
        assert picture.due is not None
        assert picture.now < picture.due <= picture.now + 3
        assert picture.cells(["geo"]) is cells
        client.hset("{geosteer}:current", mapping={"generation": "2"})
        assert picture.refresh()
        assert picture.cells(["geo"]) is cells  # the same tables
        (tmp_path / "geo.csv").write_text("192.0.2.0/24,GB\n")
        publish(config, store)
        assert picture.refresh()
        assert picture.cells(["geo"]) is not cells


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert atomic_files.replace(path, "old")
    assert not atomic_files.replace(path, "old")
    (tmp_path / "d").mkdir()
    with pytest.raises(atomic_files.NotWritten, match="Is a directory"):
        atomic_files.replace(tmp_path / "d", "new")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["d", "f"]
    with pytest.raises(atomic_files.NotWritten, match=r"f/x: Not a directory|f/x: File exists"):
        atomic_files.folder(path / "x")
