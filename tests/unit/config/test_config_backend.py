"""conf/backend.toml as `check-config --backend` sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from geosteer_loader.config import config
from support.config_file import without_lines

GOOD = """
[redis]
url = "unix:///run/redis/redis.sock"
[fallback.zones."cdn.example.net"]
soa = { mname = "ns1.example.net", rname = "hostmaster.example.net" }
ns = ["ns1.example.net"]
services = ["www.cdn.example.net", "img", "*.video", { name = "dl.cdn.example.net", answer = "cname" }]
records = [{ name = "txt", type = "TXT", content = "x" }]
[[fallback.servers]]
name = "lon1"
a = ["192.0.2.1"]
hostname = "lon1.cdn.example.net"
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def problems(text: str) -> list[str]:
    Path("b.toml").write_text(text)
    return without_lines(config.check_backend(Path("b.toml")))


@pytest.mark.parametrize("text", ["", GOOD, 'max_stale = "5m"\n' + GOOD], ids=["empty", "good", "duration"])
def test_a_good_file_has_no_problems(text):
    assert problems(text) == []


def test_secrets_are_not_resolved_since_they_are_the_workers():
    assert problems('[redis]\npassword = "${NOT_SET_HERE}"\n') == []
    assert problems('[redis]\npassword_file = "not-here"\n') == []


CASES = {
    "unknown": ("snapsot = 'x'\n", 'snapsot: unknown setting; did you mean "snapshot"?'),
    "timeout": ("timeout = 0\n", "timeout: must be a duration from 1 to 60000 ms, not 0"),
    "cache": ("cache = 1\n", "cache: must be a whole number from 65536 to 1099511627776, not 1"),
    "password": ('[redis]\npassword = "${}"\n', "redis.password: must be of the form ${NAME} to name an environment variable"),
    "loader's own": ("[redis]\ntimeout = 5\n", "redis.timeout: unknown setting"),
    "debug network": (
        '[debug]\nnetworks = ["192.0.2.1/24"]\n',
        "debug.networks[1]: 192.0.2.1/24 has host bits set; the network is 192.0.2.0/24",
    ),
    "log sample": ("[log]\nsample = 2\n", "log.sample: must be a number from 0 to 1, not 2; 2 % is 0.02"),
    "server with nothing": (
        '[[fallback.servers]]\nname = "x"\n',
        "fallback.servers[1]: has neither an address (a, aaaa) nor a hostname",
    ),
    "weight": (
        GOOD + "weight = 0\n",
        "fallback.servers[1].weight: must be a whole number from 1 to 1000000, not 0",
    ),
    "service elsewhere": (
        GOOD.replace('"img"', '"img.example.org."'),
        'fallback.zones."cdn.example.net".services[2]: "img.example.org." is not in the zone cdn.example.net',
    ),
    "service of the wrong kind": (
        GOOD.replace('"img"', "7"),
        'fallback.zones."cdn.example.net".services[2]: must be a name, a glob or a table, not a whole number',
    ),
    "service with more": (
        GOOD.replace('answer = "cname"', 'ttl = 3'),
        'fallback.zones."cdn.example.net".services[4]: unknown setting "ttl"; name, answer, https and svcb are known',
    ),
    "CNAME to no node": (
        GOOD.replace('hostname = "lon1.cdn.example.net"', ""),
        ('fallback.zones."cdn.example.net".services[4]: is answered by a CNAME, but no server in fallback.servers has a '
        "hostname"),
    ),
    "record": (
        GOOD.replace('"TXT"', '"A"'),
        ('fallback.zones."cdn.example.net".records[1].content: is not valid A data: '
        "Text input is malformed; it is written as in '192.0.2.1'"),
    ),
    "CNAME at the apex": (
        GOOD.replace('"txt", type = "TXT"', '"@", type = "CNAME"'),
        'fallback.zones."cdn.example.net".records[1]: a CNAME is not allowed at the apex of a zone (RFC 1034, 3.6.2)',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_mistake_is_named_with_file_place_and_reason(text, expected):
    assert problems(text) == [f"b.toml: {expected}"]


def test_servers_without_an_address_cannot_answer_services_by_address():
    assert problems(GOOD.replace('a = ["192.0.2.1"]', "")) == [
        f'b.toml: fallback.zones."cdn.example.net".services[{number}]: is answered by addresses, but no server in '
        "fallback.servers has one"
        for number in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("network", "warned"),
    [
        ("127.0.0.1", True), ("127.0.0.0/8", True), ("127.4.0.0/16", True), ("126.0.0.0/7", True), ("0.0.0.0/0", True),
        ("::1", True), ("::/0", True), ("::/127", True), ("::ffff:127.0.0.0/120", True), ("::ffff:0.0.0.0/96", True),
        ("192.0.2.0/24", False), ("126.0.0.0/8", False), ("128.0.0.0/8", False), ("::2", False), ("2001:db8::/32", False),
        ("::ffff:192.0.2.0/120", False),
    ],
)  # fmt: skip
def test_debug_networks_that_hold_loopback_addresses_are_warned_of(network: str, warned: bool):
    text = f'[debug]\nnetworks = ["203.0.113.9", "{network}"]\n'
    assert problems(text) == []
    warnings = without_lines(config.backend_warnings(Path("b.toml")))
    assert [line.partition(" holds ")[0] for line in warnings] == ["b.toml: debug.networks[2]:"] * warned


def test_a_file_that_is_not_toml_or_not_there_is_a_problem_not_an_error():
    assert problems("[redis\n") == [
        "b.toml: line 1, column 7: Expected ']' at the end of a table declaration"
    ]
    assert config.check_backend(Path("none.toml")) == ["none.toml: cannot be read: No such file or directory"]
