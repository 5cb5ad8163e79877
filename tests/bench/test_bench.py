"""bin/bench: its programs count what is really there, every bar is a row, and a run leaves its numbers and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from array import array
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import dns.edns
import dns.message
import dns.rcode
import dns.rrset
import pytest

from bench.budgets import BARS, budget_table, judged
from bench.report import Section
from bench.rounds import Rounds, Spread
from support.data import ROOT
from support.servers import children, need, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAME = "www.cdn.example.net"
NETWORKS = [f"198.18.{number}.0" for number in range(40)]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("programs")
    for source in (ROOT / "tests" / "bench").glob("*.c"):
        command = [need("cc"), "-O2", "-Wall", "-Werror", "-o", str(folder / source.stem), str(source), "-lm"]
        subprocess.run(command, check=True)
    return folder


@pytest.fixture
def clients(tmp_path: Path) -> Path:
    """Each is to be given the address 192.0.2.(its third octet)."""
    path = tmp_path / "clients"
    path.write_bytes(
        b"".join(
            IPv4Address(network).packed + bytes((192, 0, 2, number))
            for number, network in enumerate(NETWORKS)
        )
    )
    return path


class Server:
    """A DNS server that treats its questions, counted from 0, as it is told to."""

    def __init__(self, treat: Callable[[int], str]) -> None:
        self._treat = treat
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self.port = self._socket.getsockname()[1]
        self.asked: list[str] = []
        """Client networks."""
        self.names: list[str] = []
        self.treated: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                data, peer = self._socket.recvfrom(4096)
            except TimeoutError:
                continue
            how = self._treat(len(self.asked))
            question = dns.message.from_wire(data)
            (option,) = question.options
            assert isinstance(option, dns.edns.ECSOption)
            assert option.srclen == (48 if option.family == 2 else 24)
            self.asked.append(option.address)
            self.names.append(str(question.question[0].name))
            self.treated.append(how)
            if how == "lost":
                continue
            if how.startswith("stall"):
                time.sleep(float(how.partition(" ")[2]))
            reply = dns.message.make_response(question)
            if how == "failed":
                reply.set_rcode(dns.rcode.SERVFAIL)
            else:
                last = (
                    255
                    if how == "wrong"
                    else int(option.address.split(":" if option.family == 2 else ".")[2])
                )
                reply.answer.append(
                    dns.rrset.from_text(str(question.question[0].name), 60, "IN", "A", f"192.0.2.{last}")
                )
            self._socket.sendto(reply.to_wire(), peer)


def generate(
    programs: Path, server: Server, clients: Path, *options: object, names: Sequence[str] = ("-q", NAME)
) -> dict[str, Any]:
    command = [programs / "generator", "-p", server.port, "-f", clients, *names, *options]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("way", [("-w", 8), ("-r", 300)], ids=["a window", "a rate"])
def test_the_generator_counts_what_came_of_every_question(
    programs: Path, clients: Path, way: tuple[object, ...]
) -> None:
    kinds = {3: "lost", 5: "failed", 7: "wrong"}
    with Server(lambda number: kinds.get(number % 40, "right")) as server:
        found = generate(programs, server, clients, "-t", 0.5, *way)
    assert found["asked"] == len(server.treated)
    for kind in ("lost", "failed", "wrong"):
        assert found[kind] == server.treated.count(kind) > 0, kind
    assert found["answered"] + found["failed"] + found["lost"] == found["asked"]
    assert found["max"] == pytest.approx(3e6), "what is lost counts as the time after which it is given up"


def test_clients_are_asked_for_by_their_rank(programs: Path, clients: Path) -> None:
    with Server(lambda _: "right") as server:
        generate(programs, server, clients, "-t", 1, "-r", 500, "-n", 10)
    counts = [server.asked.count(network) for network in NETWORKS]
    assert sum(counts[:10]) == len(server.asked) > 200
    share = counts[0] / len(server.asked)
    assert 0.24 < share < 0.44, "1 / (1 + 1/2 + ... + 1/10) is 0.34"


def test_ipv6_clients_ask_for_each_of_several_names(programs: Path, tmp_path: Path) -> None:
    clients, names = tmp_path / "clients", ("one.example.net", "other.example.net")
    clients.write_bytes(
        b"".join(
            IPv6Address(f"2001:db8:{number}::").packed[:6] + bytes((192, 0, 2, number)) for number in (1, 2)
        )
    )
    with Server(lambda number: "wrong" if number == 2 else "right") as server:
        options = [word for name in names for word in ("-q", name)]
        found = generate(programs, server, clients, "-6", "-t", 1, "-r", 300, names=options)
    assert set(server.asked) == {"2001:db8:1::", "2001:db8:2::"}
    assert set(server.names) == {f"{name}." for name in names}
    assert found["answered"] == found["asked"] > 100
    assert found["wrong"] == server.treated.count("wrong") > 0


class Quiet:
    """What rounds want of a stage."""

    rounds = 3

    def say(self, text: str) -> None:
        pass

    detail = say


def test_slices_alternate_and_others_are_compared_with_the_means_of_a_round() -> None:
    called: list[str] = []

    def one(name: str, factor: float) -> Any:
        def measure(number: int) -> dict[str, float]:
            called.append(name)
            return {"qps": factor * (1 + number % 2)}

        return measure

    close = {name: one(name, factor) for name, factor in (("a", 2), ("b", 1), ("c", 4))}
    found = Rounds.run_sliced(Quiet(), close, {"d": one("d", 6)}, "", 4)  # type: ignore[arg-type]
    turns = "".join(called).split("d")
    assert [len(turn) for turn in turns] == [12, 12, 12, 0]
    assert {turn[at] for turn in turns for at in range(0, len(turn), 3)} == {"a", "b", "c"}, (
        "each comes first at times"
    )
    assert found.ratio("a", "qps", "b").to_json() == {"median": 2, "low": 2, "high": 2}
    assert found.ratio("d", "qps", "b").to_json() == {"median": 4, "low": 4, "high": 8}, (
        "means of 1 and 2; 6, 12, 6"
    )


def test_the_interval_of_a_median_leaves_out_what_is_seldom() -> None:
    spread = Spread.of_many([*range(100)])
    assert spread.middle == 49.5
    assert (spread.low, spread.high) == (40, 59), "as tables of the binomial distribution have it"
    assert Spread.of_many([3, 1, 2]).to_json() == {"median": 2, "low": 1, "high": 3}


def test_a_server_that_stalls_cannot_hide_it(programs: Path, clients: Path, tmp_path: Path) -> None:
    with Server(lambda number: "stall 0.4" if number == 50 else "right") as server:
        found = generate(programs, server, clients, "-t", 1, "-r", 200, "-o", tmp_path / "samples")
    samples = array("f", (tmp_path / "samples").read_bytes())
    late = sum(latency > 100_000 for latency in samples[1::2])
    assert len(samples) == 2 * found["asked"]
    assert late > 30, "those that were to be asked meanwhile waited too: about 60 of them"
    assert found["stalled"] >= 0
    assert found["p50"] <= found["p90"] <= found["p99"] <= found["p999"] <= found["max"]


def test_the_requester_counts_what_came_of_every_request(programs: Path, clients: Path) -> None:
    asked: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, contextlib.suppress(ConnectionResetError, BrokenPipeError):
            rest = b""
            while data := connection.recv(4096):
                rest += data
                while b"\r\n\r\n" in rest:
                    request, _, rest = rest.partition(b"\r\n\r\n")
                    asked.append(request)
                    network = request.partition(b"X-Forwarded-For: ")[2].split(b".")[2]
                    last = b"255" if len(asked) % 10 == 3 else network
                    status = b"503 Busy" if len(asked) % 10 == 5 else b"302 Found"
                    reply = (
                        b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\nLocation: http://192.0.2." + last
                    )
                    connection.sendall(reply + b"/films/1\r\n\r\nbo")
                    connection.sendall(b"dy")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        port = listener.getsockname()[1]
        command = [str(programs / "requester"), "-p", str(port), "-f", str(clients), "-w", "1", "-t", "1"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        thread.join()
    found = json.loads(done.stdout)
    count = found["answered"]
    assert found["lost"] == 0
    assert found["asked"] == count > 10
    assert found["wrong"] == sum(number % 10 == 3 for number in range(1, count + 1))
    assert found["failed"] == sum(number % 10 == 5 for number in range(1, count + 1))


def test_peak_memory_is_the_programs_own(programs: Path, tmp_path: Path) -> None:
    ballast = bytearray(150 << 20)
    command = [str(programs / "usage"), str(tmp_path / "usage"), "sh", "-c", "exit 3"]
    assert subprocess.run(command).returncode == 3
    used = json.loads((tmp_path / "usage").read_text())
    assert used["peak"] < len(ballast) >> 12, "in KiB"


def test_every_bar_is_a_row_measured_or_not() -> None:
    section = Section("worker")
    section.judge("worker.start", Spread([0.3, 0.5, 0.35]), "a note")
    section.judge("dns.hot.c", 0.7)
    budgets = judged([section])
    rows = {str(row[0]): row[1:] for row in budget_table(budgets).rows}
    assert len(rows) == len(BARS)
    start, hot = (next(row for name, row in rows.items() if name.startswith(begin)) for begin in (
        "worker start to first answer, of the peer", "answers/s through PowerDNS, hot, of C",
    ))  # fmt: skip
    assert start == ["0.35 (0.30-0.50)", "at most 0.4", "0.33", "yes", "NO"]
    assert hot == ["0.70", "at least 0.75", "0.9", "NO", "NO"]
    assert sum(row[0] == "not measured" for row in rows.values()) == len(BARS) - 2


def bench(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    command = [sys.executable, "-m", "bench", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=250, **options)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["nothing"], "no such section: nothing (there are: dns, worker,"),
        (["--rounds", "0"], "--rounds: at least 1"),
        (["--data", "nowhere.mmdb"], "nowhere.mmdb is not a file"),
        (["--data", __file__], "test_bench.py: opening: "),
        (["--json", "nowhere/x"], "nowhere is not a folder"),
        (["--soak", "60", "dns"], "--soak goes with --json alone"),
    ],
)
def test_bad_usage_is_told_before_anything_is_measured(words: list[str], reason: str) -> None:
    done = bench(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr


def test_a_run_writes_what_it_printed(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    done = bench("functions", "--quick", "--rounds", "1", "--json", str(path))
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    assert (found["format"], found["failed"], list(found["sections"])) == (1, {}, ["functions"])
    (table,) = found["sections"]["functions"]["tables"]
    assert table["title"] in done.stdout
    names = [row[0] for row in table["rows"]]
    assert "geosteer_decide, city and BGP" in names
    assert all(set(row[1]) == {"median", "low", "high"} for row in table["rows"])
    assert [budget["key"] for budget in found["budgets"]] == [bar.key for bar in BARS]


def test_a_run_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    with (tmp_path / "err").open("w") as err:
        command = [sys.executable, "-m", "bench", "freshness", "--quick"]
        run = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=err, env=environment, start_new_session=True
        )
    try:
        wait_until(
            lambda: "1 workers, direct" in (tmp_path / "err").read_text(), 120, "the first measurement"
        )
        started = children(run.pid)
        assert started
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 130
    finally:
        run.kill()
        run.wait()
    assert "bin/bench: interrupted" in (tmp_path / "err").read_text()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), 20, "their end")
