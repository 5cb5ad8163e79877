"""The helper protocol of Squid: every line gets one reply, under its own ID, whatever the line is."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from geosteer.library.chooser import Chooser
from geosteer.process import below, why_not_startable
from geosteer.redirect.arguments import Options
from geosteer.redirect.routes import Routes, Target
from geosteer.redirect.squid_protocol import LONGEST, Requests, Rewriter
from geosteer.sync.tier import Tier
from support.data import ROOT
from support.servers import wait_until
from support.steering import document, make_settings, republish, set_state, wait_live, write_settings
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.servers import RedisServer

LON = "http://lon1.cdn.example.net"
HASHED = {"hash.cdn.example.net": {"map": "ties", "policy": "hash"}}
TIES = {"ties": {"default": {"lon1": 100, "ams1": 100, "nyc1": 100}}}


@pytest.fixture(scope="module")
def tier(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tier]:
    republish(redis_server, "squid", document(services=HASHED, maps=TIES))
    folder = tmp_path_factory.mktemp("squid")
    found = Tier(make_settings(redis_server, "squid", folder, timeout=5000), below)
    found.start()
    wait_live(found)
    yield found
    found.close()


@pytest.fixture
def ask(tier: Tier) -> Callable[..., str]:
    def ask(
        line: str | bytes, *, target: Target | None = None, routes: Routes | None = None, **how: object
    ) -> str:
        chooser = Chooser(tier, below, lambda: 0.5, lambda _: None)
        rewriter = Rewriter(chooser, target or Target(), routes or Routes(), **how)  # type: ignore[arg-type]
        reply = rewriter.reply(line if isinstance(line, bytes) else line.encode(), time.monotonic())
        assert reply.endswith(b"\n")
        assert reply.count(b"\n") == 1
        return reply[:-1].decode("ascii")

    return ask


def ok(url: str, node: str = "lon1", ttl: int = 60) -> str:
    return f'OK status=302 url="{url}" node_={node} tier_=live ttl_={ttl}'


REQUESTS = {
    "with an ID": ("7 http://www.cdn.example.net/a 192.0.2.1/- - GET", f"7 {ok(LON + '/a')}"),
    "ID 0": ("0 http://www.cdn.example.net/a 192.0.2.1/- - GET", f"0 {ok(LON + '/a')}"),
    "without an ID": ("http://www.cdn.example.net/a 192.0.2.1/- - GET", ok(LON + "/a")),
    "extras": (
        "1 http://www.cdn.example.net/a 192.0.2.1/vm.example.net joe GET myip=10.0.0.1 myport=3128 x=y",
        f"1 {ok(LON + '/a')}",
    ),
    "no more than the address": ("http://www.cdn.example.net/a 192.0.2.1/-", ok(LON + "/a")),
    "HEAD": ("http://www.cdn.example.net/a 192.0.2.1/- - HEAD", ok(LON + "/a")),
    "IPv6": ("2 http://www.cdn.example.net/a 2001:db8:b::7/- - GET", f"2 {ok('http://ams1.cdn.example.net/a', 'ams1')}"),
    "no address": ("http://www.cdn.example.net/a -/- - GET", ok("http://nyc1.cdn.example.net/a", "nyc1")),
    "a port": ("http://www.cdn.example.net:8080/a 192.0.2.1/- - GET", ok(LON + "/a")),
    "another case": ("HTTP://WWW.CDN.example.NET./A/b 192.0.2.1/- - GET", ok(LON + "/A/b")),
    "https": ("https://www.cdn.example.net/a 192.0.2.1/- - GET", ok("https://lon1.cdn.example.net/a")),
    "no path": ("http://www.cdn.example.net 192.0.2.1/- - GET", ok(LON + "/")),
    "a query and no path": ("http://www.cdn.example.net?x=/y 192.0.2.1/- - GET", ok(LON + "/?x=/y")),
    "path and query as they are": (
        "http://www.cdn.example.net/a%20b//c/../d;e?f=%0A&g=http://x/%22?h 192.0.2.1/- - GET",
        ok(LON + "/a%20b//c/../d;e?f=%0A&g=http://x/%22?h"),
    ),
    "quotes and backslashes": ('http://www.cdn.example.net/"a\\b 192.0.2.1/- - GET', ok(LON + "/%22a%5Cb")),
    "brackets of a tag": ("http://www.cdn.example.net/<a> 192.0.2.1/- - GET", ok(LON + "/%3Ca%3E")),
    "controls": ("http://www.cdn.example.net/\r\t\x7fa 192.0.2.1/- - GET", ok(LON + "/%0D%09%7Fa")),
    "not ASCII": ("http://www.cdn.example.net/ä 192.0.2.1/- - GET", ok(LON + "/%C3%A4")),
    "a line that ends with CR": ("3 http://www.cdn.example.net/a 192.0.2.1/- - GET\r", f"3 {ok(LON + '/a')}"),
    "a name that is not a service": ("4 http://www.example.org/ 192.0.2.1/- - GET", "4 ERR"),
    "a node's own name": ("4 http://lon1.cdn.example.net/ 192.0.2.1/- - GET", "4 ERR"),
    "an address": ("http://192.0.2.1/ 192.0.2.1/- - GET", "ERR"),
    "an IPv6 address": ("http://[2001:db8::1]:80/ 192.0.2.1/- - GET", "ERR"),
    "a user": ("http://www.cdn.example.net@evil.example/ 192.0.2.1/- - GET", "ERR"),
    "another port in front": ("http://www.cdn.example.net:x/ 192.0.2.1/- - GET", "ERR"),
    "no host": ("http:///a 192.0.2.1/- - GET", "ERR"),
    "CONNECT": ("5 www.cdn.example.net:443 192.0.2.1/- - CONNECT", "5 ERR"),
    "ftp": ("ftp://www.cdn.example.net/a 192.0.2.1/- - GET", "ERR"),
    "urn": ("urn:www.cdn.example.net 192.0.2.1/- - GET", "ERR"),
    "POST": ("http://www.cdn.example.net/a 192.0.2.1/- - POST", "ERR"),
    "PURGE": ("http://www.cdn.example.net/a 192.0.2.1/- - PURGE", "ERR"),
    "nothing": ("", 'BH message="no request"'),
    "an ID alone": ("9", 'BH message="no request"'),
    "an ID and a blank": ("9 ", '9 BH message="no request"'),
    "blanks": ("9    ", '9 BH message="no request"'),
    "a URL alone": ("http://www.cdn.example.net/", 'BH message="no request"'),
}  # fmt: skip


@pytest.mark.parametrize("case", REQUESTS)
def test_a_line_gets_its_reply(ask: Callable[..., str], case: str) -> None:
    line, reply = REQUESTS[case]
    assert ask(line) == reply


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
def test_the_status_of_redirects_can_be_chosen(ask: Callable[..., str], status: str) -> None:
    line = "1 http://www.cdn.example.net/a 192.0.2.1/- - GET"
    assert ask(line, status=status).startswith(f'1 OK status={status} url="{LON}/a"')


@pytest.mark.parametrize(
    ("status", "redirected"), [("302", False), ("303", False), ("307", True), ("308", True)]
)
def test_a_post_is_redirected_only_where_it_stays_a_post(
    ask: Callable[..., str], status: str, redirected: bool
) -> None:
    reply = ask("http://www.cdn.example.net/a 192.0.2.1/- - POST", status=status)
    assert reply.startswith("OK") == redirected


def test_squid_itself_fetches_from_the_node_when_asked_to(ask: Callable[..., str]) -> None:
    for method in ("GET", "POST"):
        reply = ask(f"1 http://www.cdn.example.net/a?b 192.0.2.1/- - {method}", rewrite=True)
        assert reply == f'1 OK rewrite-url="{LON}/a?b" node_=lon1 tier_=live'


TARGETS = {
    "its address": (Target(by_address=True), "192.0.2.1", "http://192.0.2.1/a"),
    "its IPv6 address": (Target(by_address=True), "2001:db8:a::1", "http://[2001:db8:1::1]/a"),
    "a port": (Target(port=8080), "192.0.2.1", "http://lon1.cdn.example.net:8080/a"),
    "a port of an IPv6 address": (
        Target(port=81, by_address=True),
        "2001:db8:a::1",
        "http://[2001:db8:1::1]:81/a",
    ),
    "https": (Target("https"), "192.0.2.1", "https://lon1.cdn.example.net/a"),
}


@pytest.mark.parametrize("case", TARGETS)
def test_the_nodes_url_can_be_made_otherwise(ask: Callable[..., str], case: str) -> None:
    target, client, url = TARGETS[case]
    assert ask(f"http://www.cdn.example.net/a {client}/- - GET", target=target) == ok(url)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://files.example.org/video/x", True),
        ("http://files.example.org/video", True),
        ("http://files.example.org/video?x", True),
        ("http://files.example.org/videos", False),
        ("http://files.example.org/", False),
        ("http://other.example.org/video/", False),
        ("http://other.example.org/any/x", True),
    ],
)
def test_hosts_and_paths_can_belong_to_a_service_of_another_name(
    ask: Callable[..., str], url: str, found: bool
) -> None:
    routes = Routes(["files.example.org/video=www.cdn.example.net", "*/any/=www.cdn.example.net"])
    assert ask(f"{url} 192.0.2.1/- - GET", routes=routes).startswith("OK") == found


def test_the_policy_hash_goes_by_the_path_without_the_query(ask: Callable[..., str]) -> None:
    def node(path: str, client: str = "192.0.2.1", **how: object) -> str:
        reply = ask(f"http://hash.cdn.example.net{path} {client}/- - GET", **how)
        return reply.partition("node_=")[2].partition(" ")[0]

    paths = [f"/{number}" for number in range(30)]
    assert {node(path) for path in paths} == {"lon1", "ams1", "nyc1"}
    assert [node(path) for path in paths] == [node(f"{path}?q=1", "198.51.100.1") for path in paths]
    assert len({node(path, by_path=False) for path in paths}) == 1


def test_a_map_that_refuses_leaves_the_url_as_it_is(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document(maps={"default": {"all_down": "none"}}))
    for node in ("lon1", "ams1", "nyc1"):
        set_state(redis_server, prefix, node, "down")
    path = write_settings(redis_server, prefix, tmp_path)
    assert talk(path, b"1 http://www.cdn.example.net/a 192.0.2.1/- - GET\n") == b"1 ERR\n"


# ---------------------------------------------------------------------- lines


def test_lines_come_out_whole_however_the_bytes_arrive() -> None:
    data = b"1 http://a/ 192.0.2.1/- - GET\n\n2 http://b/\n3 x\n4 begun"
    lines = [b"1 http://a/ 192.0.2.1/- - GET", b"", b"2 http://b/", b"3 x"]
    assert Requests().feed(data) == lines
    for size in (1, 2, 7, 11):
        requests = Requests()
        found = [line for at in range(0, len(data), size) for line in requests.feed(data[at : at + size])]
        assert found == lines
        assert requests.feed(b"\n") == [b"4 begun"]


@pytest.mark.parametrize("size", [100, 4096, 1 << 20])
def test_a_line_that_is_too_long_is_not_kept_but_answered_under_its_id(
    ask: Callable[..., str], size: int
) -> None:
    requests = Requests()
    data = b"12 http://www.cdn.example.net/" + b"a" * (3 * LONGEST) + b" 192.0.2.1/- - GET\n13 next\n"
    lines = []
    for at in range(0, len(data), size):
        lines += requests.feed(data[at : at + size])
        assert len(requests._pending) <= LONGEST + size
    assert [line[:3] for line in lines] == [b"12 ", b"13 "]
    assert ask(lines[0]) == '12 BH message="line too long"'


def test_every_line_of_noise_gets_exactly_one_reply_of_one_line(ask: Callable[..., str]) -> None:
    dice = random.Random(7)
    words = [
        "1",
        "http://www.cdn.example.net/",
        "192.0.2.1/-",
        "-",
        "GET",
        "",
        "\0",
        "%",
        "\xff",
        '"',
        "://",
        "[::1]",
    ]
    for _ in range(2000):
        line = " ".join(dice.choice(words) * dice.randrange(1, 3) for _ in range(dice.randrange(7)))
        reply = ask(line.encode("latin-1"))
        start = reply.split(" ")[1] if reply[0].isdigit() else reply
        assert start.startswith(("OK", "ERR", "BH")), (line, reply)


# ---------------------------------------------------------------------- the program


def start(path: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [str(ROOT / "bin" / "geosteer-squid"), "--config", str(path), *options]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def talk(path: Path, lines: bytes, *options: str) -> bytes:
    """What the helper says to lines that arrive together."""
    process = start(path, *options)
    out, _ = process.communicate(lines, timeout=60)
    assert process.returncode == 0
    return out


def read_line(process: subprocess.Popen[bytes], seconds: float = 5) -> bytes:
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        assert select.select([process.stdout], [], [], seconds)[0], line
        data = os.read(process.stdout.fileno(), 1 << 16)
        assert data, line
        line += data
    return line


def test_the_helper_answers_line_by_line_and_ends_with_its_input(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document())
    process = start(write_settings(redis_server, prefix, tmp_path))
    assert process.stdin is not None
    for number, path in enumerate(("/a", "/b", "/c")):
        process.stdin.write(f"{number} http://www.cdn.example.net{path} 192.0.2.1/- - GET\n".encode())
        process.stdin.flush()
        assert read_line(process) == f"{number} {ok(LON + path)}\n".encode()
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == (b"", b"", 0)


def test_many_requests_at_once_are_answered_under_their_ids(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document())
    path = write_settings(redis_server, prefix, tmp_path)
    lines = [
        f"{number} http://www.cdn.example.net/{number} 192.0.2.{number % 256}/- - GET"
        for number in range(5000)
    ]
    out = talk(path, "\n".join(lines).encode() + b"\n", "--status", "307", "--scheme=https", "--port", "444")
    answers = dict(line.split(" ", 1) for line in out.decode().splitlines())
    assert len(answers) == 5000
    for number, answer in answers.items():
        assert answer.startswith(f'OK status=307 url="https://lon1.cdn.example.net:444/{number}" '), answer


def test_a_helper_follows_node_states_and_outlives_redis(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
        client.save()
    process = start(write_settings(own_redis, "geosteer", tmp_path, "max_stale = 3"))
    assert process.stdin is not None

    def tier_and_node() -> tuple[str, str]:
        assert process.stdin is not None
        process.stdin.write(b"http://www.cdn.example.net/ 192.0.2.1/- - GET\n")
        process.stdin.flush()
        notes = dict(word.split("=", 1) for word in read_line(process).decode().split() if "_=" in word)
        return notes.get("tier_", ""), notes.get("node_", "")

    wait_until(lambda: tier_and_node() == ("live", "lon1"))
    set_state(own_redis, "geosteer", "lon1", "down")
    wait_until(lambda: tier_and_node() == ("live", "ams1"))
    own_redis.stop()
    wait_until(lambda: tier_and_node() == ("stale", "ams1"))
    wait_until(lambda: tier_and_node()[0] == "fallback")
    assert {tier_and_node()[1] for _ in range(30)} == {"lon1", "ams1"}
    own_redis.start()
    wait_until(lambda: tier_and_node()[0] == "live")
    process.communicate(timeout=60)


def test_a_hangup_reloads_the_settings_in_place_and_says_so(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document())
    path = write_settings(redis_server, prefix, tmp_path)
    good = path.read_text()
    process = start(path)
    assert process.stdin is not None
    assert process.stderr is not None
    stderr = process.stderr

    def works(number: int) -> bool:
        assert process.stdin is not None
        process.stdin.write(b"%d http://www.cdn.example.net/ 192.0.2.1/- - GET\n" % number)
        process.stdin.flush()
        return read_line(process).startswith(b"%d OK " % number)

    def line() -> str:
        assert select.select([stderr], [], [], 10)[0]
        return os.read(stderr.fileno(), 1 << 16).decode()

    assert works(1)
    path.write_text(good + "nonsense = 1\n")
    process.send_signal(signal.SIGHUP)
    assert "not reloaded: " in line()
    assert works(2)
    path.write_text(good)
    process.stdin.write(b"3 http://www.cdn.exam")  # a line that has begun is answered first
    process.stdin.flush()
    time.sleep(0.2)
    process.send_signal(signal.SIGHUP)
    process.stdin.write(b"ple.net/ 192.0.2.1/- - GET\n")
    process.stdin.flush()
    assert read_line(process).startswith(b"3 OK ")
    assert line() == f"geosteer-squid[{process.pid}]: reloaded\n"
    assert Path(f"/proc/{process.pid}/comm").read_text() == "geosteer-squid\n"
    assert works(4)
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == (b"", b"", 0)


def test_a_program_that_cannot_be_started_does_not_take_this_ones_place(tmp_path: Path) -> None:
    """An interpreter or a library that is gone would end a helper that replaces itself."""
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 9\n")
    slow.chmod(0o755)
    assert why_not_startable([str(tmp_path / "gone")]) == f"{tmp_path}/gone: No such file or directory"
    assert why_not_startable([str(broken)]) == f"{broken} ends with exit code 3"
    assert why_not_startable([str(slow)], seconds=0.2) == f"{slow} does not start within 0.2 s"
    assert why_not_startable([str(ROOT / "bin" / "geosteer-squid"), "--config", "/nowhere"]) == ""


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--status", "300"], "--status 300: must be one of 301, 302, 303, 307, 308"),
        (["--port", "x"], "--port x: must be a whole number from 0 to 65535"),
        (["--port"], "--port: needs a value"),
        (["--route", "x"], "--route x: must be HOST=SERVICE"),
        (["--rewrite=yes"], "--rewrite=yes: no such option"),
        (["what"], "what: no such option"),
        (["--config", "/nowhere/backend.toml"], "/nowhere/backend.toml: No such file"),
    ],
)
def test_a_wrong_command_line_is_told_on_stderr_with_exit_code_2(
    redis_server: RedisServer, tmp_path: Path, options: list[str], reason: str
) -> None:
    process = start(write_settings(redis_server, "x", tmp_path), *options)
    out, err = process.communicate(timeout=60)
    assert (out, process.returncode) == (b"", 2)
    assert reason in err.decode()


def test_help_tells_every_option() -> None:
    done = subprocess.run(
        [ROOT / "bin" / "geosteer-squid", "--help"], capture_output=True, text=True, timeout=10
    )
    assert done.returncode == 0
    for option in ("--config", "--rewrite", "--status", "--scheme", "--port", "--to", "--route", "--hash-by"):
        assert option in done.stdout


def test_options_are_read_with_and_without_an_equals_sign() -> None:
    options = Options(["--port=8", "--to", "address", "--flag", "--port", "9"], ("port", "to"), ("flag",))
    assert (options.number("port", 0, 0, 99), options.text("to"), "flag" in options) == (9, "address", True)
    assert options.all("port") == ["8", "9"]


HEAVY = {
    "socket", "ssl", "json", "hashlib", "re", "enum", "typing", "dataclasses", "argparse", "ipaddress", "logging",
    "threading", "random", "tomllib", "pathlib", "subprocess", "asyncio",
}  # fmt: skip


def test_the_helper_starts_without_heavy_modules(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document())
    path = write_settings(redis_server, prefix, tmp_path)
    talk(path, b"")  # the settings are parsed once, and a checked copy is kept
    code = (
        "import sys; sys.argv[1:] = ['--config', sys.argv[1]]\n"
        "from geosteer.redirect.squid import main\nmain()\nprint(*sys.modules, file=sys.stderr)"
    )
    line = b"1 http://www.cdn.example.net/ 192.0.2.1/- - GET\n"
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "python", "-I", "-c", code, path],
        input=line,
        capture_output=True,
        timeout=10,
    )
    assert done.stdout.startswith(b"1 OK ")
    assert HEAVY & set(done.stderr.decode().split()) == set()
