"""Probes against real servers on loopback: TCP, HTTP, TLS with a private authority, and plug-ins."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import resource
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer_loader.health.checks import certificate, plugin
from geosteer_loader.health.checks.result import Result
from geosteer_loader.health.checks.run import Probes
from geosteer_loader.health.watchlist import Subject, read
from support.data import ROOT
from support.servers import free_port, need

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

OK = b"HTTP/1.1 200 OK\r\n"
PROFILE = {"up": 3, "ok": 3, "down": 2}


def subject(*addresses: str, **spec: Any) -> Subject:
    """A node with one check."""
    check = {"interval": 10, "timeout": 2, "profile": PROFILE, "status": [200], **spec}
    v4, v6 = [one for one in addresses if ":" not in one], [one for one in addresses if ":" in one]
    document = {"nodes": {"n": {"a": v4, "aaaa": v6, "checks": [check]}}, "maps": {}, "services": {}}
    return read(document).nodes["n"]


async def probe(node: Subject, environ: dict[str, str] | None = None, now: float | None = None) -> Result:
    probes = Probes(lambda: time.time() if now is None else now, {**os.environ, **(environ or {})})
    return await probes.probe(node, node.checks[0])


def run(node: Subject, environ: dict[str, str] | None = None) -> Result:
    return asyncio.run(probe(node, environ))


@contextlib.asynccontextmanager
async def serving(
    answer: bytes | None, ssl: Any = None, seen: list[bytes] | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """A server that reads a request head and sends *answer* as it is; None: it never answers. Gives its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            if seen is not None:
                seen.append(head)
            if answer is None:
                await asyncio.sleep(30)
            writer.write(answer or b"")
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(handle, host, 0, ssl=ssl)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def ask(
    answer: bytes | None,
    environ: dict[str, str] | None = None,
    seen: list[bytes] | None = None,
    path: str = "/health",
    **spec: Any,
) -> Result:
    async def main() -> Result:
        async with serving(answer, seen=seen) as port:
            return await probe(
                subject("127.0.0.1", type="http", url=f"http://127.0.0.1:{port}{path}", **spec), environ
            )

    return asyncio.run(main())


# ---- tcp


def test_an_open_port_is_good_and_a_closed_one_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert run(subject("127.0.0.1", type="tcp", port=port)) == Result(True)
    assert run(subject("127.0.0.1", type="tcp", port=port)) == Result(False, "connection refused")


def test_every_address_of_a_node_has_to_accept() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = run(subject("127.0.0.1", "127.0.0.2", type="tcp", port=port))
    assert found == Result(False, "127.0.0.2: connection refused")


def test_a_node_without_addresses_is_reached_by_its_name() -> None:
    document: dict[str, Any] = {
        "nodes": {
            "n": {
                "hostname": "localhost",
                "checks": [{"type": "tcp", "port": 1, "interval": 10, "timeout": 2, "profile": PROFILE}],
            }
        }
    }
    with socket.create_server(("127.0.0.1", 0)) as server:
        document["nodes"]["n"]["checks"][0]["port"] = server.getsockname()[1]
        node = read({**document, "maps": {}, "services": {}}).nodes["n"]
        assert run(node) == Result(True)


def test_a_name_that_does_not_resolve_is_a_failure() -> None:
    node = subject(type="tcp", port=80)
    found = run(
        Subject(name="n", addresses=("no-such-name.invalid",), checks=node.checks, capacity=1, settle=1)
    )
    assert found.good is False
    assert found.reason.startswith("no-such-name.invalid does not resolve") or "no answer" in found.reason


def test_a_server_that_takes_no_connections_counts_as_no_answer_after_the_timeout() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = []
        for _ in range(4):  # fill the queue: from then on the kernel drops what comes
            one = socket.socket()
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(server.getsockname())
            waiting.append(one)
        began = time.monotonic()
        found = run(subject("127.0.0.1", type="tcp", port=server.getsockname()[1], timeout=0.3))
        assert found == Result(False, "no answer in 0.3 s")
        assert 0.25 < time.monotonic() - began < 30
        for one in waiting:
            one.close()


def test_an_address_that_this_machine_has_no_way_to_says_nothing_of_the_node() -> None:
    """In a network namespace of its own, where there is not even a loopback."""
    code = """
import test_checks as t
result = t.run(t.subject('192.0.2.1', '2001:db8::1', type='tcp', port=80))
print((result.good, result.reason))
"""
    command = [need("unshare"), "-rn", sys.executable, "-c", code]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
    )
    if "unshare" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    assert done.stdout.strip() == str((None, "this prober cannot check: Network is unreachable"))


def test_running_out_of_file_descriptors_says_nothing_of_the_node() -> None:
    async def main() -> Result:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        taken = []
        try:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            return await probe(subject("127.0.0.1", type="tcp", port=1))
        finally:
            for one in taken:
                os.close(one)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert asyncio.run(main()) == Result(None, "this prober cannot check: Too many open files")


# ---- http


@pytest.mark.parametrize(
    ("answer", "spec", "result"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", {}, Result(True)),
        (b"HTTP/1.1 503 Busy\r\n\r\n", {}, Result(False, "status 503")),
        (b"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", {}, Result(False, "status 301")),
        (b"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", {"status": [200, 301]}, Result(True)),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", {}, Result(True)),
        (b"HTTP/1.0 200 OK\r\n\r\nall fine", {"body": "fine"}, Result(True)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall fine", {"body": "well"}, Result(False, "the body lacks the text")),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n", {"body": "fine"}, Result(True)),
        (OK + b"\r\n" + b"x" * 3_000_000, {"body": "fine"}, Result(False, "the first 1 MiB of the body lack the text")),
        (b"HTTP/1.1 200 OK\r\n\r\n" + "grüße".encode(), {"body": "grüße"}, Result(True)),
    ],
    ids=["ok", "status", "redirect", "status list", "continue", "body", "wrong body", "chunks", "huge", "not ascii"],
)  # fmt: skip
def test_status_and_body_decide(answer: bytes, spec: dict[str, Any], result: Result) -> None:
    assert ask(answer, **spec) == result


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000],
    ids=["ssh", "nothing", "head"],
)
def test_what_is_not_http_is_a_failure(answer: bytes) -> None:
    found = ask(answer)
    assert found.good is False
    assert found.reason.startswith("not HTTP")


def test_a_connection_that_breaks_off_within_the_body_is_a_failure() -> None:
    found = ask(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfi", body="fine")
    assert found.good is False


def test_a_server_that_accepts_and_never_answers_fails_after_the_timeout() -> None:
    assert ask(None, timeout=0.2) == Result(False, "no answer in 0.2 s")


def test_the_request_has_host_headers_login_and_path_as_configured() -> None:
    seen: list[bytes] = []
    ask(
        b"HTTP/1.1 200 OK\r\n\r\n", {"HEALTH_TOKEN": "s3cret/ü"}, seen, path="/a%20b/ü?token=${HEALTH_TOKEN}",
        host="www.cdn.example.net", headers={"Authorization": "Bearer ${HEALTH_TOKEN}", "user-agent": "me"},
    )  # fmt: skip
    lines = seen[0].decode().split("\r\n")
    assert lines[0] == "GET /a%20b/%C3%BC?token=s3cret%2F%C3%BC HTTP/1.1"
    assert "Host: www.cdn.example.net" in lines
    assert "Authorization: Bearer s3cret/ü" in lines
    assert [line for line in lines if line.lower().startswith("user-agent")] == ["user-agent: me"]


def test_a_login_in_the_url_is_sent_as_basic_authorization() -> None:
    async def main() -> list[bytes]:
        seen: list[bytes] = []
        async with serving(b"HTTP/1.1 200 OK\r\n\r\n", seen=seen) as port:
            node = subject("127.0.0.1", type="http", url=f"http://probe:${{PASS}}@127.0.0.1:{port}/")
            assert await probe(node, {"PASS": "p@ss/word"}) == Result(True)
        return seen

    head = asyncio.run(main())[0]
    assert b"Authorization: Basic cHJvYmU6cEBzcy93b3Jk\r\n" in head
    assert b"127.0.0.1:" in head.split(b"Host: ")[1].split(b"\r\n")[0]


def test_variables_may_stand_in_the_host_of_a_url_the_host_header_and_the_body() -> None:
    async def main() -> tuple[list[Result], list[bytes]]:
        seen: list[bytes] = []
        async with serving(b"HTTP/1.1 200 OK\r\n\r\nSesame, please", seen=seen) as port:
            spec = {"type": "http", "url": f"http://${{NODE_Host}}:{port}/", "host": "${NAME}.example.net"}
            node = subject("192.0.2.1", **spec, body="${WORD}")
            environ = {"NODE_Host": "127.0.0.1", "NAME": "www", "WORD": "Sesame"}
            return [await probe(node, environ), await probe(node, {**environ, "WORD": "Mohn"})], seen

    (good, bad), seen = asyncio.run(main())
    assert good == Result(True)
    assert bad == Result(False, "the body lacks the text")
    assert b"\r\nHost: www.example.net\r\n" in seen[0]


def test_a_secret_that_is_not_set_here_says_nothing_of_the_node() -> None:
    assert ask(b"", headers={"X-Token": "${NO_SUCH_VARIABLE}"}) == Result(
        None, "environment variable NO_SUCH_VARIABLE is not set"
    )


def test_a_variable_with_a_line_break_adds_no_header() -> None:
    assert ask(b"", {"TOKEN": "a\r\nX: y"}, headers={"X-Token": "${TOKEN}"}) == Result(
        None, "header X-Token has a line break in its value"
    )


def test_an_answer_that_is_not_compressed_is_asked_for_unless_the_check_says_otherwise() -> None:
    seen: list[bytes] = []
    ask(b"HTTP/1.1 200 OK\r\n\r\n", seen=seen)
    ask(b"HTTP/1.1 200 OK\r\n\r\n", seen=seen, headers={"accept-encoding": "gzip"})
    assert b"\r\nAccept-Encoding: identity\r\n" in seen[0]
    assert [line for line in seen[1].split(b"\r\n") if line.lower().startswith(b"accept-encoding")] == [
        b"accept-encoding: gzip"
    ]


# ---- https


KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """A certificate authority in a folder, made with the openssl program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._openssl = need("openssl")
        self._run("req", "-x509", *KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA")
        self.ca = folder / "ca.pem"

    def issue(self, name: str, days: int, *names: str) -> tuple[Path, Path]:
        """Certificate and key for DNS names and addresses."""
        listed = ",".join(f"IP:{one}" if one.replace(".", "").isdigit() else f"DNS:{one}" for one in names)
        (self.folder / "ext").write_text(f"subjectAltName={listed}\n")
        self._run("req", *KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-days", str(days), "-extfile", "ext")
        self._run("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.pem")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def _run(self, *words: str) -> None:
        subprocess.run([self._openssl, *words], cwd=self.folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def fetch(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Probe a TLS server with a certificate for *names*, which ends in *days*."""
    import ssl

    monkeypatch.setenv(
        "SSL_CERT_FILE", str(authority.ca)
    )  # what OpenSSL takes the system's certificates from

    def fetch(*names: str, days: int = 90, now: float | None = None, **spec: Any) -> Result:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*authority.issue("server", days, *names))

        async def main() -> Result:
            async with serving(b"HTTP/1.1 200 OK\r\n\r\nok", ssl=context) as port:
                url = f"https://127.0.0.1:{port}/"
                return await probe(subject("127.0.0.1", **{"type": "https", "url": url, **spec}), now=now)

        return asyncio.run(main())

    return fetch


def test_a_certificate_for_the_address_or_for_the_name_asked_for_is_good(
    fetch: Callable[..., Result],
) -> None:
    assert fetch("127.0.0.1") == Result(True)
    assert fetch("www.cdn.example.net", sni="www.cdn.example.net", body="ok") == Result(True)


def test_a_certificate_of_another_name_is_a_failure(fetch: Callable[..., Result]) -> None:
    found = fetch("other.example.net", sni="www.cdn.example.net")
    assert found.good is False
    assert found.reason.startswith("certificate: Hostname mismatch")


def test_an_unknown_authority_is_a_failure_unless_nothing_is_verified(
    fetch: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    found = fetch("127.0.0.1")
    assert found.good is False
    assert found.reason.startswith("certificate: ")
    assert fetch("127.0.0.1", verify=False) == Result(True)


def test_an_authority_without_key_usage_is_good_on_every_python_unless_a_check_is_strict(
    fetch: Callable[..., Result],
) -> None:
    assert fetch("127.0.0.1", tls_strict=False) == Result(True)
    found = fetch("127.0.0.1", tls_strict=True)
    assert found.good is False
    assert found.reason.startswith("certificate: ")
    assert fetch("127.0.0.1", tls_strict=True, verify=False) == Result(True)


def test_a_certificate_that_ends_within_two_weeks_is_good_with_a_warning(
    fetch: Callable[..., Result],
) -> None:
    found = fetch("127.0.0.1", days=5)
    assert found.good is True
    assert found.warning.startswith("certificate ends in 5 days, ")
    assert fetch("127.0.0.1", days=20).warning == ""


def test_the_end_of_a_certificate_is_judged_by_the_clock_that_is_given(fetch: Callable[..., Result]) -> None:
    later = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=85)).timestamp()
    assert fetch("127.0.0.1", days=90, now=later).warning.startswith("certificate ends in 5 days")


def test_a_certificate_that_has_ended_is_a_failure_although_nothing_is_verified(
    fetch: Callable[..., Result],
) -> None:
    later = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=95)).timestamp()
    for verify in (True, False):
        found = fetch("127.0.0.1", days=90, now=later, verify=verify)
        assert found.good is False
        assert found.reason.startswith("certificate expired on 2")
        found = fetch("127.0.0.1", days=5, verify=verify)
        assert found.good is True
        assert found.warning.startswith("certificate ends in 5 days, ")


def test_a_check_trusts_its_own_authority_and_says_when_it_cannot_be_read(
    fetch: Callable[..., Result], authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert fetch("127.0.0.1", ca=str(authority.ca)) == Result(True)
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    assert fetch("127.0.0.1", ca=str(missing)) == Result(
        None, f"ca {missing} cannot be read: No such file or directory"
    )
    assert fetch("127.0.0.1", ca=str(empty)) == Result(None, f"ca {empty} has no certificates")


def test_the_end_of_a_certificate_is_read_as_openssl_reads_it(authority: Authority) -> None:
    import ssl

    for days in (1, 400, 12_000, 40_000):  # the years 2050 and later are written another way
        made, _ = authority.issue("far", days, "localhost")
        said = subprocess.run(
            ["openssl", "x509", "-noout", "-enddate", "-in", str(made)],
            capture_output=True,
            text=True,
            check=True,
        )
        end = ssl.cert_time_to_seconds(said.stdout.strip().partition("=")[2])
        assert certificate.not_after(ssl.PEM_cert_to_DER_cert(made.read_text())) == end


@given(st.binary(max_size=60))
def test_a_certificate_that_cannot_be_read_has_no_say(data: bytes) -> None:
    assert certificate.judged(data, 0.0).good is True


@pytest.mark.parametrize(
    "host",
    ["lon1..example.net", "x" * 64 + ".example.net", "\u00fc" * 70 + ".example.net", "192.0.2.300", "a b"],
)
@pytest.mark.parametrize("kind", ["http", "https", "sni", "tcp", "control"])
def test_an_invalid_host_in_a_published_check_is_no_error(
    host: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    if kind == "control":
        assert not asyncio.run(Probes(time.time).answers(f"{host}:80", 0.5))
        assert not asyncio.run(Probes(time.time).answers(f"http://{host}/", 0.5))
        return

    async def main() -> Result:
        async with serving(b"") as port:
            if kind == "tcp":
                node = subject(type="tcp", port=80, timeout=0.5)
                node = Subject(name="n", addresses=(host,), checks=node.checks, capacity=1, settle=1)
                return await probe(node)
            url = f"https://127.0.0.1:{port}/" if kind == "sni" else f"{kind}://{host}/"
            sni = {"sni": host} if kind == "sni" else {}
            return await probe(
                subject(type="https" if kind == "sni" else kind, url=url, timeout=0.5, verify=False, **sni)
            )

    found = asyncio.run(main())
    assert found.good is not True
    assert [record for record in caplog.records if record.name.startswith("geosteer_loader")] == []
    assert "unexpected" not in found.reason


def test_plain_http_behind_https_is_a_failure() -> None:
    async def main() -> Result:
        async with serving(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
            return await probe(
                subject("127.0.0.1", type="https", url=f"https://127.0.0.1:{port}/", timeout=5)
            )

    assert asyncio.run(main()).good is False


# ---- command


def script(folder: Path, text: str) -> str:
    path = folder / "check"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("echo 'OK - 3 users|users=3'", Result(True)),
        ("echo 'WARNING - disk 91 %|disk=91'; exit 1", Result(True, warning="WARNING - disk 91 %")),
        ("exit 1", Result(True, warning="the plug-in warns")),
        ("echo 'CRITICAL - gone'; echo more; exit 2", Result(False, "CRITICAL - gone")),
        ("echo 'UNKNOWN - usage'; exit 3", Result(None, "UNKNOWN - usage")),
        ("exit 22", Result(False, "exit code 22")),
        ("kill -TERM $$", Result(False, "signal 15")),
        ("echo not seen >&2; exit 2", Result(False, "exit code 2")),
        ("head -c 300000 /dev/zero | tr '\\0' x; exit 2", Result(False, "x" * plugin.OUTPUT)),
        (r"printf 'bad \033[31m thing\n'; exit 2", Result(False, "bad ?[31m thing")),
        ('echo "$1"; exit 2', Result(False, "an argument; `with` $HOME")),
    ],
)
def test_a_plug_in_tells_by_exit_code_and_first_line(tmp_path: Path, text: str, result: Result) -> None:
    assert (
        run(
            subject(type="command", command=[script(tmp_path, text), "an argument; `with` $HOME"], timeout=10)
        )
        == result
    )


def test_a_program_that_cannot_be_run_says_nothing_of_the_node(tmp_path: Path) -> None:
    found = run(subject(type="command", command=[str(tmp_path / "missing")]))
    assert found == Result(None, "cannot be run: No such file or directory")


def test_secrets_are_put_into_the_command_and_taken_out_of_what_it_says(tmp_path: Path) -> None:
    command = [
        script(tmp_path, 'test "$1" = --password=hunter2 && echo "bad login $1"; exit 2'),
        "--password=${PASS}",
    ]
    assert run(subject(type="command", command=command), {"PASS": "hunter2"}) == Result(
        False, "bad login --password=${PASS}"
    )


def test_a_plug_in_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    command = [script(tmp_path, f"sleep 60 & echo $! >{tmp_path}/child; wait")]
    assert run(subject(type="command", command=command, timeout=0.5)) == Result(False, "no answer in 0.5 s")
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if (
            not Path(f"/proc/{child}").exists()
            or "Z" in Path(f"/proc/{child}/stat").read_text().split(")")[1]
        ):
            break
        time.sleep(0.02)
    else:
        pytest.fail("the child lives on")


def test_a_hundred_plug_ins_run_at_once_without_a_thread_for_each(tmp_path: Path) -> None:
    import threading

    command = [script(tmp_path, "sleep 0.3; echo fine")]

    async def main() -> tuple[list[Result], int]:
        plugin.watch_children()
        node = subject(type="command", command=command, timeout=10)
        probes = Probes(time.time)
        before = threading.active_count()  # other tests' threads may be there
        tasks = [asyncio.create_task(probes.probe(node, node.checks[0])) for _ in range(100)]
        await asyncio.sleep(0.2)
        threads = threading.active_count() - before
        return await asyncio.gather(*tasks), threads

    found, threads = asyncio.run(main())
    assert found == [Result(True)] * 100
    assert threads < 10


# ---- time


def test_a_prober_that_stood_still_has_no_opinion() -> None:
    async def main() -> Result:
        async with serving(None) as port:
            node = subject("127.0.0.1", type="http", url=f"http://127.0.0.1:{port}/", timeout=0.2)
            task = asyncio.create_task(probe(node))
            await asyncio.sleep(0.1)
            time.sleep(1)  # as a machine does that is short of CPU, or was suspended
            return await task

    assert asyncio.run(main()) == Result(None, "this prober stood still meanwhile")


def test_one_slow_node_delays_no_other() -> None:
    async def main() -> tuple[float, list[bool | None]]:
        async with serving(None) as slow, serving(b"HTTP/1.1 200 OK\r\n\r\n") as quick:
            probes = Probes(time.time)
            nodes = [subject("127.0.0.1", type="http", url=f"http://127.0.0.1:{slow}/", timeout=20)]
            nodes += [
                subject("127.0.0.1", type="http", url=f"http://127.0.0.1:{quick}/", timeout=20)
                for _ in range(20)
            ]
            began = time.monotonic()
            first, *rest = [asyncio.create_task(probes.probe(node, node.checks[0])) for node in nodes]
            found = [(await one).good for one in rest]
            first.cancel()
            return time.monotonic() - began, found

    seconds, found = asyncio.run(main())
    assert found == [True] * 20
    assert seconds < 15


@pytest.mark.parametrize("kind", ["port", "url"])
def test_a_control_target_answers_with_anything_at_all(kind: str) -> None:
    async def main() -> tuple[bool, bool]:
        probes = Probes(time.time)
        form = "{}:{}" if kind == "port" else "http://{}:{}/"
        async with serving(b"HTTP/1.1 404 Not Found\r\n\r\n") as port:
            there = await probes.answers(form.format("127.0.0.1", port), 1)
        return there, await probes.answers(form.format("127.0.0.1", free_port()), 1)

    assert asyncio.run(main()) == (True, False)
