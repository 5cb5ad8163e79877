"""geosteer-http as a program: what comes back on the wire, however odd what was sent, and whatever happens to Redis."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.data import ROOT
from support.dns_setup import backend_toml
from support.front_servers import AMERICAN, BRITISH, DUTCH, TABLES, ask, raw, start_http
from support.hostile import HostileServer
from support.servers import children, free_port, wait_until
from support.steering import document, republish, set_state, write_settings
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import RedisServer

HASHED = {"hash.cdn.example.net": {"map": "ties", "policy": "hash"}}
TIES = {"ties": {"default": {"lon1": 100, "ams1": 100, "nyc1": 100}}}
HOST = b"Host: www.cdn.example.net\r\n"
LON = "http://lon1.cdn.example.net"


@pytest.fixture(scope="module")
def config(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    republish(redis_server, "serve", document(services=HASHED, maps=TIES), tables=TABLES)
    return write_settings(redis_server, "serve", tmp_path_factory.mktemp("http"))


@pytest.fixture(scope="module")
def port(config: Path) -> Iterator[int]:
    server, port = start_http(config)
    with server:
        yield port


def heads(data: bytes) -> list[bytes]:
    """The status codes of the responses in a stream."""
    return re.findall(rb"^HTTP/1\.1 (\d{3}) ", data, re.MULTILINE)


def test_each_client_is_redirected_to_its_node(port: int) -> None:
    for client, node in ((BRITISH, "lon1"), (DUTCH, "ams1"), (AMERICAN, "nyc1")):
        reply = ask(port, "/a//b%20c/../d?e=%22&f=//g?", client=client)
        assert (reply.status, reply["location"]) == (
            302,
            f"http://{node}.cdn.example.net/a//b%20c/../d?e=%22&f=//g?",
        )
        assert reply["cache-control"] == "private, max-age=60"
        assert reply["content-length"] == "0"
        assert reply["date"]
        assert not reply["server"]


def test_it_listens_on_several_addresses_ipv6_too(config: Path) -> None:
    six, both = free_port(["::1"]), free_port(["127.0.0.1", "::1"])
    server, port = start_http(config, "--listen", f"[::1]:{six}", "--listen", f"[::]:{both}")
    with server:
        for where, to in ((port, "127.0.0.1"), (both, "127.0.0.1")):
            assert ask(where, to=to, client=BRITISH)["location"] == LON + "/"
        for where in (six, both):
            assert ask(where, to="::1")["location"] == "http://ams1.cdn.example.net/"


def test_an_empty_query_is_kept(port: int) -> None:
    assert ask(port, "/a?")["location"] == LON + "/a?"


def test_a_head_is_answered_without_a_body_and_the_connection_goes_on(port: int) -> None:
    came = raw(
        port, (b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\n") + (b"HEAD /%0a HTTP/1.1\r\n" + HOST + b"\r\n")
    )
    assert heads(came) == [b"302", b"400"]
    assert came.endswith(b"\r\n\r\n")
    assert b"invalid path" not in came


def test_requests_sent_ahead_are_answered_in_their_order(port: int) -> None:
    paths = [f"/{number}" for number in range(50)]
    came = raw(port, b"".join(b"GET %s HTTP/1.1\r\n%s\r\n" % (path.encode(), HOST) for path in paths))
    assert re.findall(rb"location: (\S+)", came) == [f"{LON}{path}".encode() for path in paths]


def test_a_request_may_come_byte_by_byte(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 5, (BRITISH, 0)) as connection:
        for byte in b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n":
            connection.sendall(bytes([byte]))
        assert f"location: {LON}/slow\r\n".encode() in connection.recv(4096)


def test_http_1_0_and_close_are_respected(port: int) -> None:
    for data in (b"GET /a HTTP/1.0\r\n" + HOST, b"GET /a HTTP/1.1\r\nConnection: close\r\n" + HOST):
        with socket.create_connection(("127.0.0.1", port), 5, (BRITISH, 0)) as connection:
            connection.sendall(data + b"\r\n")
            came = b""
            while part := connection.recv(4096):
                came += part
        assert heads(came) == [b"302"]
        assert b"connection: close\r\n" in came


def test_who_asks_for_another_protocol_gets_an_answer_in_this_one(port: int) -> None:
    ask_for = b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: %s\r\n\r\n"
    for protocol in (b"websocket", b"h2c"):
        assert heads(raw(port, ask_for % protocol)) == [b"302"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_refused_and_their_bodies_ignored(port: int, method: str) -> None:
    reply = ask(port, "/a", method=method, body=b"GET /x HTTP/1.1\r\n\r\n" * 100)
    assert (reply.status, reply["allow"]) == (405, "GET, HEAD")


def test_a_body_does_not_become_the_next_request(port: int) -> None:
    body = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
    first = b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body)
    came = raw(port, first + body + b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n")
    assert heads(came) == [b"405", b"302"]
    assert b"smuggled" not in came


ODD_HEADS = {
    "absolute form with a user": b"GET http://a@www.cdn.example.net/x HTTP/1.1\r\n" + HOST,
    "absolute form without a host": b"GET http:///x HTTP/1.1\r\n" + HOST,
    "absolute form without Host": b"GET http://www.cdn.example.net/x HTTP/1.1\r\n",
    "absolute form of another scheme": b"GET ftp://www.cdn.example.net/x HTTP/1.1\r\n" + HOST,
    "a backslash": b"GET /\\evil.example HTTP/1.1\r\n" + HOST,
    "an encoded line break": b"GET /%0d%0aSet-Cookie:x HTTP/1.1\r\n" + HOST,
    "a NUL": b"GET /a\0b HTTP/1.1\r\n" + HOST,
    "a method that is not ASCII": b"G\xc3\x89T / HTTP/1.1\r\n" + HOST,
    "a version that is not ASCII": b"GET / HTTP/1.1\xc3\xa4\r\n" + HOST,
    "a host that is not ASCII": b"GET / HTTP/1.1\r\nHost: www.cdn.example.net\xc3\xa4\r\n",
    "a length that is not ASCII": b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\xb2\r\n",
    "a fragment": b"GET /a#b HTTP/1.1\r\n" + HOST,
    "a blank": b"GET /a b HTTP/1.1\r\n" + HOST,
    "authority form": b"GET www.cdn.example.net:80 HTTP/1.1\r\n" + HOST,
    "no target": b"GET  HTTP/1.1\r\n" + HOST,
    "no host": b"GET / HTTP/1.1\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + HOST,
    "an odd host": b"GET / HTTP/1.1\r\nHost: www.cdn.example.net/evil\r\n",
    "a user in the host": b"GET / HTTP/1.1\r\nHost: a@www.cdn.example.net\r\n",
    "a control in the host": b"GET / HTTP/1.1\r\nHost: www.cdn.example.net\x01\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\n" + HOST + b"nonsense\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nHost : www.cdn.example.net\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n",
    "another protocol": b"GET / SPDY/3\r\n" + HOST,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
    "an unknown transfer encoding": b"GET /evil HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n",
    "chunked that is not the last": b"GET / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked, identity\r\n",
    "a length and chunks": b"GET / HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "lines that end with LF alone": b"GET / HTTP/1.1\n" + HOST.replace(b"\r", b"") + b"\n",
    "a folded line": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n",
    "a CR in a header": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rHost: evil.example\r\n",
    "a host that ends with two dots": b"GET / HTTP/1.1\r\nHost: www.cdn.example.net..\r\n",
    "lengths that differ": b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n",
}


@pytest.mark.parametrize("case", ODD_HEADS)
def test_odd_requests_are_refused(port: int, case: str) -> None:
    came = raw(port, ODD_HEADS[case] + b"\r\n" + b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n")
    assert heads(came)[:1] == [b"400"], came
    assert b"location" not in came
    assert b"evil" not in came
    assert ask(port).status == 302


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"a" * 200_000, b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 200_000,
        b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 20_000, b"G" * 200_000, b"\r\n" * 100_000,
    ],
)  # fmt: skip
def test_a_head_without_end_is_cut_off(port: int, data: bytes) -> None:
    came = b""
    with socket.create_connection(("127.0.0.1", port), 5, (BRITISH, 0)) as connection:
        try:
            connection.sendall(data)
            while part := connection.recv(4096):
                came += part
        except ConnectionError:
            pass  # it was closed while we were still sending
    assert heads(came) in ([], [b"400"])
    assert ask(port).status == 302


def test_requests_beyond_number_may_be_sent_at_once(port: int) -> None:
    one = b"GET /%d HTTP/1.1\r\n" + HOST + b"\r\n"
    data = b"".join(one % number for number in range(3000))
    assert len(data) > 2 * 65536
    with socket.create_connection(("127.0.0.1", port), 20, (BRITISH, 0)) as connection:
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        came = b""
        while came.count(b"\r\n\r\n") < 3000:
            part = connection.recv(1 << 16)
            assert part, came[-1000:]
            came += part
        sender.join()
    found = re.findall(rb"location: http://lon1\.cdn\.example\.net/(\d+)\r", came)
    assert found == [b"%d" % number for number in range(3000)]


def test_a_client_that_takes_in_no_answers_is_not_listened_to_for_long(port: int) -> None:
    one = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), 3, (BRITISH, 0)) as connection:
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64_000_000:
                sent += connection.send(one * 1000)
        assert sent < 64_000_000
        assert ask(port).status == 302
        connection.settimeout(20)
        came = b""
        while came.count(b"\r\n\r\n") < min(
            10_000, sent // len(one)
        ):  # it goes on as soon as the client does
            came += connection.recv(1 << 20)


def test_a_client_that_does_not_finish_its_head_is_let_go(port: int) -> None:
    """HEAD_SECONDS, 10 s, after it began, even if it says a little now and then."""
    with socket.create_connection(("127.0.0.1", port), 30, (BRITISH, 0)) as idle:
        with socket.create_connection(("127.0.0.1", port), 30, (BRITISH, 0)) as slow:
            begin = time.monotonic()
            slow.sendall(b"GET / HTTP/1.1\r\n" + HOST)
            slow.settimeout(1)
            while time.monotonic() < begin + 60:
                try:
                    slow.sendall(b"X: y\r\n")
                    if not slow.recv(100):
                        break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
            assert 8 < time.monotonic() - begin < 50
        assert idle.recv(100) == b""


def test_a_page_that_has_to_be_fetched_delays_only_its_own_answer(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """The first answers go through a thread, and come in order all the same."""
    republish(redis_server, "cold", document(), tables=TABLES)
    server, port = start_http(write_settings(redis_server, "cold", tmp_path))
    with server:
        came = raw(port, b"".join(b"GET /%d HTTP/1.1\r\n%s\r\n" % (number, HOST) for number in range(20)))
        assert re.findall(rb"location: \S+/(\d+)", came) == [b"%d" % number for number in range(20)]


def test_many_clients_at_once_each_get_their_own_answer(port: int) -> None:
    clients = [
        (f"127.{net}.0.{host}", node) for host in range(1, 100) for net, node in ((1, "lon1"), (2, "ams1"))
    ]

    def check(one: tuple[str, str]) -> bool:
        return (
            ask(port, f"/{one[0]}", client=one[0])["location"] == f"http://{one[1]}.cdn.example.net/{one[0]}"
        )

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(check, clients * 3))


def test_state_changes_and_outages_show_in_the_next_answer(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer", tables=TABLES)
        client.save()
    server, port = start_http(write_settings(own_redis, "geosteer", tmp_path, "max_stale = 3"))
    with server:
        wait_until(lambda: ask(port)["cache-control"] == "private, max-age=60")
        assert ask(port)["location"] == LON + "/"
        assert ask(port, "/.geosteer/health").json() == {"tier": "live", "generation": 1}
        set_state(own_redis, "geosteer", "lon1", "down")
        wait_until(lambda: "//ams1." in ask(port)["location"])
        own_redis.kill()
        wait_until(lambda: ask(port, "/.geosteer/health").json()["tier"] == "stale")
        assert "//ams1." in ask(port)["location"]
        wait_until(lambda: ask(port, "/.geosteer/health").json()["tier"] == "fallback")
        found = [ask(port) for _ in range(30)]
        assert {reply["cache-control"] for reply in found} == {"private, max-age=10"}
        assert sum("//lon1." in reply["location"] for reply in found) == 10
        own_redis.start()
        wait_until(lambda: ask(port, "/.geosteer/health").json()["tier"] == "live")


CORRUPT = {
    "huge times": b"*2\r\n$400\r\n" + b"9" * 400 + b"\r\n$1\r\n0\r\n",
    "list as a key": b"%1\r\n*1\r\n+a\r\n+b\r\n",
    "not the protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("command", ["HGETALL", "PING"])
def test_health_does_not_say_live_while_redis_answers_nonsense(
    own_redis: RedisServer, tmp_path: Path, command: str
) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer", tables=TABLES)
    with HostileServer(tmp_path, own_redis.socket) as hostile:
        settings = backend_toml(tmp_path, hostile.url, "max_stale = 1")
        server, port = start_http(settings)
        with server:
            for number, answer in enumerate(CORRUPT.values()):
                wait_until(lambda: ask(port, "/.geosteer/health").json() == {"tier": "live", "generation": 1})
                hostile.answer, hostile.command = answer, command
                hostile.clients[-1].shutdown(socket.SHUT_RDWR)  # so that all is asked again
                if command == "HGETALL":  # without PING a connection is live for a moment
                    wait_until(lambda: ask(port, "/.geosteer/health").json()["tier"] == "fallback")
                    reply = ask(port, "/.geosteer/health")
                    assert reply.status == 200, "there is something to redirect to"
                    assert ask(port)["cache-control"] == "private, max-age=10"
                hostile.command = ""
                set_state(own_redis, "geosteer", "lon1", "down" if number % 2 else "up")
                wait_until(lambda: ("//lon1." in ask(port)["location"]) != bool(number % 2))  # noqa: B023
            assert "Traceback" not in server.log


def test_options_reach_the_answers_of_every_process(config: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\nof no account\n")
    options = ["--workers", "2", "--status=307", "--trust", "127.0.0.1", "--duplicates", "2", "--port", "81"]
    options += [
        "--token-file",
        str(token),
        "--route",
        "files.example.org=hash.cdn.example.net",
        "--scheme",
        "https",
    ]
    server, port = start_http(config, *options)
    with server:
        headers = {"X-Forwarded-For": "127.2.0.1", "Authorization": "Bearer 0123456789abcdef"}
        for _ in range(20):
            reply = ask(port, "/a", client="127.0.0.1", headers=headers)
            assert (reply.status, reply["location"]) == (307, "https://ams1.cdn.example.net:81/a")
            assert reply["vary"] == "X-Forwarded-For, X-Forwarded-Proto"
            told = ask(port, "/.geosteer/explain?client=127.1.0.1", headers=headers).json()
            assert told["nodes"] == ["lon1"]
            assert ask(port, "/x", host="files.example.org").all("link")[1].endswith("rel=duplicate; pri=3")


def test_a_worker_process_that_dies_is_replaced(config: Path) -> None:
    server, port = start_http(config, "--workers", "2")
    with server:

        def workers() -> list[int]:
            started = children(server.process.pid)
            return [pid for pid in started if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

        wait_until(lambda: len(workers()) == 2)  # the port is open before they are there
        assert ask(port).status == 302
        os.kill(workers()[0], signal.SIGKILL)
        for _ in range(20):
            assert ask(port).status == 302
            time.sleep(0.05)


def test_it_listens_on_a_unix_socket_whose_users_may_be_trusted(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    server, _ = start_http(config, "--listen", str(path), "--trust", "unix", "--client-header", "Forwarded")
    with server, socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"GET /a HTTP/1.1\r\n" + HOST + b"Forwarded: for=127.2.0.1;proto=https\r\n\r\n")
        assert b"location: https://ams1.cdn.example.net/a\r\n" in connection.recv(4096)


def test_the_socket_of_a_program_that_ended_is_taken_over_and_a_living_one_is_not(
    config: Path, tmp_path: Path
) -> None:
    path = tmp_path / "http.sock"
    first, _ = start_http(config, "--listen", str(path))
    with first:
        done = subprocess.run(
            [ROOT / "bin" / "geosteer-http", "--config", config, "--listen", path], capture_output=True, text=True, timeout=20
        )  # fmt: skip
        assert done.returncode == 2
        assert "another program listens there" in done.stderr
        first.stop(signal.SIGKILL)
    second, _ = start_http(config, "--listen", str(path))
    second.close()


def test_tls_is_spoken_with_a_certificate(config: Path, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=www.cdn.example.net", "-addext", "subjectAltName=DNS:www.cdn.example.net",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    server, port = start_http(config, "--cert", str(cert), "--key", str(key))
    context = ssl.create_default_context(cafile=str(cert))
    with contextlib.ExitStack() as stack:
        stack.enter_context(server)
        plain = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5, (DUTCH, 0)))
        secure = stack.enter_context(context.wrap_socket(plain, server_hostname="www.cdn.example.net"))
        secure.sendall(b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n")
        assert b"location: https://ams1.cdn.example.net/a\r\n" in secure.recv(4096)


def test_the_access_log_is_written_on_request(config: Path) -> None:
    server, port = start_http(config, "--access-log")
    with server:
        assert ask(port, "/logged?x").status == 302
        wait_until(lambda: '"GET /logged?x HTTP/1.1" 302' in server.log)


def test_it_says_nothing_while_all_is_well_and_ends_in_good_order(config: Path) -> None:
    server, port = start_http(config)
    with server:
        assert ask(port).status == 302
        raw(port, b"nonsense\r\n\r\n")
        server.stop(signal.SIGTERM)
        assert server.process.returncode in {0, -signal.SIGTERM}
        assert re.fullmatch(
            rf"(?:geosteer-http\[\d+\]: )listening on 127\.0\.0\.1:{port}, 1 worker process\n"
            r"geosteer-http\[\d+\]: invalid HTTP request from 127\.1\.0\.9 port \d+: Invalid method encountered\n",
            server.log,
        ), server.log


def test_bytes_beyond_ascii_are_encoded_wherever_the_request_is_cut(port: int) -> None:
    """The parser refuses them, so they are encoded before it; bodies and other fields are not touched."""
    request = b"GET /\xc3\xa4/b?\xc3\xbc=\xff HTTP/1.1\r\n" + HOST + b"X: \xc3\xa4\r\n\r\n"
    location = f"location: {LON}/%C3%A4/b?%C3%BC=%FF\r\n".encode()
    for cut in range(1, len(request)):
        with socket.create_connection(("127.0.0.1", port), 5, (BRITISH, 0)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(b"GET /first HTTP/1.1\r\n" + HOST + b"\r\n" + request[:cut])
            time.sleep(0.002)
            connection.sendall(
                request[cut:] + b"GET /\xf6 HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
            )
            came = b""
            while part := connection.recv(4096):
                came += part
        assert (came.count(location), heads(came)) == (1, [b"302"] * 3), cut
        assert came.count(f"location: {LON}/%F6\r\n".encode()) == 1, cut


def test_a_body_that_is_not_ascii_keeps_its_length(port: int) -> None:
    body = b"\xc3\xa4\nGET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n\xff\n"
    first = b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body)
    came = raw(port, first + body + b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n")
    assert heads(came) == [b"405", b"302"]
    assert b"smuggled" not in came
    assert f"location: {LON}/next\r\n".encode() in came


def test_odd_requests_that_mean_something_are_redirected(config: Path) -> None:
    server, port = start_http(config, "--route", "*=www.cdn.example.net", "--access-log")
    with server:
        for request, location in (
            (b"GET //a/b HTTP/1.1\r\n" + HOST, "//a/b"),
            (b"GET http://www.cdn.example.net/x?y HTTP/1.1\r\n" + HOST, "/x?y"),
            (b"GET http://www.cdn.example.net HTTP/1.1\r\n" + HOST, "/"),
            (b"GET /?a=%0A HTTP/1.1\r\n" + HOST, "/?a=%0A"),
            (b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST, "/%C3%A4"),
            (b"GET /a HTTP/1.0\r\n", "/a"),
            (b"GET http://www.cdn.example.net/\xc3\xa4 HTTP/1.0\r\n", "/%C3%A4"),
        ):
            came = raw(port, request + b"Connection: close\r\n\r\n")
            assert f"location: {LON}{location}\r\n".encode() in came, request
        wait_until(lambda: '"GET /%C3%A4 HTTP/1.0" 302' in server.log)


def test_the_first_answers_to_odd_targets_may_wait_for_redis(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """They go the longer way, through uvicorn."""
    for number, target in enumerate(
        (b"http://www.cdn.example.net", b"http://www.cdn.example.net/\xc3\xa4", b"//x")
    ):
        republish(redis_server, f"odd{number}", document(), tables=TABLES)
        server, port = start_http(write_settings(redis_server, f"odd{number}", tmp_path))
        with server:
            came = raw(port, b"GET %s HTTP/1.1\r\n%sConnection: close\r\n\r\n" % (target, HOST))
            assert heads(came) == [b"302"], came


def test_lines_about_invalid_requests_are_few_and_tell_the_peer(config: Path) -> None:
    server, port = start_http(config)
    with server:
        for _ in range(50):
            raw(port, b"\x16\x03\x01\r\n\r\n", client=DUTCH)
        lines = [line for line in server.log.splitlines() if "invalid HTTP request" in line]
        assert 1 <= len(lines) <= 5  # one in ten seconds
        assert "from 127.2.0.9 port " in lines[0]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_hangup_reloads_the_settings_and_loses_no_request(
    redis_server: RedisServer, tmp_path: Path, workers: str
) -> None:
    for name, first in (("before", "lon1"), ("after", "ams1")):
        maps = {"default": {"countries": {"GB": {first: 100}}}}
        republish(redis_server, name, document(maps=maps), tables=TABLES)
    settings = write_settings(redis_server, "before", tmp_path)
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    server, port = start_http(settings, "--workers", workers, "--token-file", str(token))
    with server:
        wait_until(lambda: "//lon1." in ask(port)["location"])
        token.write_text("short\n")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "not reloaded: --token-file" in server.log)
        assert "//lon1." in ask(port)["location"]
        token.write_text("0123456789abcdef\n")
        settings.write_text(settings.read_text().replace("before", "after"))
        lost = []

        def keep_asking() -> None:
            end = time.monotonic() + 30
            while time.monotonic() < end and "reloaded\n" not in server.log.replace("not reloaded", ""):
                try:
                    if ask(port, timeout=10).status != 302:
                        lost.append("status")
                except (OSError, ValueError) as exc:
                    lost.append(repr(exc))

        server.process.send_signal(signal.SIGHUP)
        keep_asking()
        assert lost == []
        wait_until(lambda: "//ams1." in ask(port)["location"])
        assert f"listening on 127.0.0.1:{port}, {workers} worker process" in server.log


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--listen", "127.0.0.1"], "--listen 127.0.0.1:"),
        (["--listen", "192.0.2.1:80"], "--listen 192.0.2.1:80: Cannot assign requested address"),
        (["--status", "301"], "--status 301: must be one of 302, 307, 308"),
        (["--trust", "x"], "--trust x: neither an address nor a network"),
        (["--duplicates", "-1"], "--duplicates -1: must be a whole number"),
        (["--client-header", "X-Real-IP"], "--client-header: needs --trust"),
        (
            ["--trust", "10.0.0.1", "--client-header", "X-Real-IP:"],
            "--client-header X-Real-IP:: not a header name",
        ),
        (["--token-file", "/nowhere"], "--token-file /nowhere: No such file"),
        (["--route", "x"], "--route x: must be"),
        (["--workers", "0"], "--workers 0: must be"),
        (["--cors", "example.net"], "--cors example.net: must be an origin"),
        (["--config", "/nowhere.toml"], "/nowhere.toml: No such file"),
        (["nonsense"], "nonsense: no such option"),
    ],
)
def test_a_wrong_command_line_is_told_with_exit_code_2(config: Path, options: list[str], reason: str) -> None:
    command = [str(ROOT / "bin" / "geosteer-http"), "--config", str(config), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr


def test_help_tells_every_option() -> None:
    done = subprocess.run(
        [ROOT / "bin" / "geosteer-http", "--help"], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0
    from geosteer.redirect.apps import ANSWERS

    for option in (*ANSWERS, "listen", "workers", "cert", "key", "access-log"):
        assert f"--{option} " in done.stdout, option


def test_two_programs_can_share_nothing_but_redis(config: Path) -> None:
    (one, first), (two, second) = start_http(config), start_http(config)
    with one, two:
        assert (
            ask(first, "/a", host="hash.cdn.example.net")["location"]
            == ask(second, "/a", host="hash.cdn.example.net")["location"]
        )
