"""The Redis Function library says what Python says, for every address and every way of writing one."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import redis
from geosteer.cmodules import Address, pack_address
from geosteer.decision.client import parse
from geosteer.tables import page_format
from geosteer_loader.publish.publish import publish
from geosteer_loader.store import functions
from geosteer_loader.store.store import connect
from support.data import shared
from support.long import examples
from support.publishing import current_of, make_config, write_csv

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.servers import RedisServer

KEYS = ("{geosteer}:current", "{geosteer}:object")


class Library:
    """Tables in a Redis, looked up by the Function and by Python's trie."""

    def __init__(self, server: RedisServer) -> None:
        self.client = server.client(protocol=2)
        self.pages: dict[bytes, page_format.Page] = {}

    def ask(self, address: str, *tables: str) -> list[str]:
        answer = self.client.execute_command("FCALL_RO", "geosteer_lookup", 2, *KEYS, address, *tables)
        return [word.decode() for word in answer]

    def expected(self, address: str, table: str = "geo") -> list[str]:
        """Table, widest prefix with one record, and the record, walked with Python's pages."""
        who = parse(address)
        fields = current_of(self.client)
        name = bytes.fromhex(fields[f"{table}.v4" if who.bits == 32 else f"{table}.v6"])
        while True:
            if name not in self.pages:
                self.pages[name] = page_format.decode(self.client.hget(KEYS[1], name.hex()))
            page = self.pages[name]
            entry = page.find(who.address)
            value = page.value(entry)
            if isinstance(value, str):
                length = page.uniform(who.address, entry)
                first = who.address >> (who.bits - length) << (who.bits - length)
                return [table, f"{Address(first.to_bytes(who.bits // 8, 'big'))}/{length}", value]
            name = value


@pytest.fixture(scope="module")
def country(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    from support.servers import RedisServer

    source = shared("country-2026-02-01.mmdb")
    with RedisServer() as server:
        config = make_config(tmp_path_factory.mktemp("country"), server.url, geo=[source])
        with connect(config.redis) as store:
            publish(config, store)
        yield Library(server)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    from support.servers import RedisServer

    folder = tmp_path_factory.mktemp("small")
    lines = ["192.0.2.0/24,GB", "192.0.2.128/25,US-CA,37.75,-122.42", "2001:db8::/32,NL", "64:ff9a::/32,DE"]
    with RedisServer() as server:
        config = make_config(
            folder, server.url, geo=[write_csv(folder / "geo.csv", lines)], networks={"lab": ["192.0.2.1/32"]}
        )
        with connect(config.redis) as store:
            publish(config, store)
        yield Library(server)


@pytest.mark.parametrize(("table", "bits"), [("geo.v4", 32), ("geo.v6", 128)])
def test_it_agrees_with_python_at_the_edges_of_real_ranges(country: Library, table: str, bits: int) -> None:
    rng = random.Random(table)
    starts = boundaries(country, current_of(country.client)[table])
    assert len(starts) > 30_000
    for start in rng.sample(starts, 1500):
        for address in (start - 1, start, start + 1, start + rng.randrange(1 << (bits // 2))):
            text = Address((address % (1 << bits)).to_bytes(bits // 8, "big"))
            assert country.ask(text) == country.expected(text)


def boundaries(library: Library, root: str) -> list[int]:
    """First addresses of all entries of all leaves."""
    found: list[int] = []
    todo = [(root, 0)]
    while todo:
        name, base = todo.pop()
        page = page_format.decode(library.client.hget(KEYS[1], name))
        for start, value in page.spans(base):
            if isinstance(value, bytes):
                todo.append((value.hex(), start))
            else:
                found.append(start)
    return found


@pytest.mark.parametrize("bits", [32, 128])
def test_it_agrees_with_python_on_the_first_and_the_last_address(country: Library, bits: int) -> None:
    for address in (0, 1, (1 << bits) - 1):
        text = Address(address.to_bytes(bits // 8, "big"))
        assert country.ask(text) == country.expected(text)


def test_a_miss_has_a_prefix_and_an_empty_record(small: Library) -> None:
    assert small.ask("198.51.100.1", "geo") == ["geo", "196.0.0.0/6", ""]


def test_all_tables_are_answered_unless_some_are_named(small: Library) -> None:
    assert small.ask("192.0.2.1") == ["geo", "192.0.2.0/25", "GB", "nets", "192.0.2.1/32", "lab"]
    assert small.ask("192.0.2.1", "nets") == ["nets", "192.0.2.1/32", "lab"]
    assert small.ask("192.0.2.200", "geo") == ["geo", "192.0.2.128/25", "US-CA 37.75 -122.42"]


@pytest.mark.parametrize(
    "text",
    [
        "::ffff:192.0.2.200", "::ffff:c000:2c8", "64:ff9b::192.0.2.200", "64:ff9b::c000:2c8", "2002:c000:2c8::1",
        "2001:0:5ef5:79fd:0:59d:3fff:fd37", "192.0.2.200/32", "192.0.2.255/25", "::ffff:192.0.2.200/121",
        "2002:c000:0280::/41", "fe80::1%eth0", "2001:db8::/32", "2001::/32", "::/0", "0.0.0.0/0", "::ffff:0:0/96",
        "2002::/16", "2002::/15", "::/95", "2001:db8::192.0.2.1", "::1", "::", "::1:0", "0:0:0:0:0:ffff::", "64:ff9b::/95",
        "2001:DB8::A", "1::", "::1.2.3.4",
    ],
)  # fmt: skip
def test_addresses_are_taken_as_python_takes_them(small: Library, text: str) -> None:
    assert small.ask(text, "geo") == small.expected(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/x", "1.2.3.4/-1",
        " 1.2.3.4", "1.2.3.4 ", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::", "::1.2.3",
        "1.2.3.4::", "::1/129", ":1::2", "1::2:", "1:2:3:4:5:6:7::8", "::1.2.3.4:5", "1.2.3.4/1/2", "1,2,3,4", "/8", "%",
        "1:2:3:4:5:6:7:1.2.3.4", "1..2.3", "0x1.2.3.4", "1.2.3.4\n",
    ],
)  # fmt: skip
def test_what_is_no_address_is_an_error_for_both(small: Library, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # its text is the input
        parse(text)
    with pytest.raises(redis.ResponseError, match="not a"):
        small.ask(text)


@settings(
    max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text("0123456789abcdefABCDEF:./%", max_size=24) | st.ip_addresses().map(str) | st.from_regex(
    r"([0-9a-f]{0,4}:){1,7}([0-9a-f]{0,4}|1\.2\.3\.4)(/[0-9]{1,3})?", fullmatch=True))  # fmt: skip
def test_any_text_is_an_address_for_both_or_for_neither(small: Library, text: str) -> None:
    try:
        expected = small.expected(text)
    except ValueError:
        with pytest.raises(redis.ResponseError, match="not a"):
            small.ask(text)
    else:
        assert small.ask(text, "geo") == expected


@settings(
    max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from([0, 0, 1, 0xFFFF, 0x2C8]), min_size=8, max_size=8))
def test_prefixes_are_written_as_inet_ntop_writes_them(country: Library, groups: list[int]) -> None:
    packed = b"".join(group.to_bytes(2, "big") for group in groups)
    text = Address(packed)
    assert pack_address(text) == packed
    assert country.ask(text, "geo") == country.expected(text)


def test_errors_say_what_is_wrong(small: Library, own_redis: RedisServer) -> None:
    for tables, message in ((("bgp",), "no table bgp is published"), (("",), "no table  is published")):
        with pytest.raises(redis.ResponseError, match=message):
            small.ask("192.0.2.1", *tables)
    empty = own_redis.client(protocol=2)
    empty.execute_command("FUNCTION", "LOAD", functions.code())
    call = ("FCALL_RO", "geosteer_lookup", 2, *KEYS)
    with pytest.raises(redis.ResponseError, match="nothing is published"):
        empty.execute_command(*call, "192.0.2.1")
    with pytest.raises(redis.ResponseError, match="expected 2"):
        empty.execute_command(*call)
    empty.hset(KEYS[0], mapping={"schema": 1, "geo.v4": "ab" * 16})
    with pytest.raises(redis.ResponseError, match=r"page (ab)+ is missing"):
        empty.execute_command(*call, "192.0.2.1")
    empty.hset(KEYS[0], "schema", 2)
    with pytest.raises(redis.ResponseError, match="schema 2"):
        empty.execute_command(*call, "192.0.2.1")


def test_a_damaged_page_is_an_error_and_never_an_answer_from_nowhere(
    small: Library, own_redis: RedisServer
) -> None:
    client = own_redis.client(protocol=2)
    client.execute_command("FUNCTION", "LOAD", functions.code())
    page = small.client.hget(KEYS[1], current_of(small.client)["geo.v4"])
    client.hset(KEYS[0], mapping={"schema": 1, "geo.v4": "root"})
    right = small.ask("192.0.2.200", "geo")
    call = ("FCALL_RO", "geosteer_lookup", 2, *KEYS, "192.0.2.200", "geo")
    client.hset(KEYS[1], "root", page)
    assert [word.decode() for word in client.execute_command(*call)] == right
    for length in range(len(page)):
        client.hset(KEYS[1], "root", page[:length])
        (answer,) = client.pipeline().execute_command(*call).execute(raise_on_error=False)
        if isinstance(answer, redis.ResponseError):
            assert "geosteer: " in str(answer)
            assert "user_function" not in str(answer)
        else:  # only a record that follows the one asked for is cut off
            assert [word.decode() for word in answer] == right


def test_it_works_on_a_read_only_replica(tmp_path: Path) -> None:
    from support.servers import RedisServer, wait_until

    with RedisServer("--repl-diskless-sync-delay", "0", tcp=True) as primary:
        config = make_config(tmp_path, primary.url, geo=[write_csv(tmp_path / "geo.csv")])
        with connect(config.redis) as store:
            publish(config, store)
        with RedisServer("--replicaof", "127.0.0.1", str(primary.port)) as replica:
            wait_until(lambda: replica.client().info("replication")["master_link_status"] == "up")
            assert Library(replica).ask("192.0.2.1") == ["geo", "192.0.2.0/24", "GB"]
