"""Behind a real PowerDNS whose workers are killed on the way: workers count what clients get, answer by answer."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import socket
import struct
import time
from collections import Counter
from typing import TYPE_CHECKING

import dns.edns
import dns.message

from geosteer.counters.reading import read_folder
from support.dns_setup import document, serving
from support.long import LONG
from support.tiny import DOCUMENT

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import PowerDNS, RedisServer

QUESTIONS, KILLS = (100_000, 20) if LONG else (3_000, 6)
THREADS = 3
UNDER_WAY = 24
"""Questions that wait for an answer at the same time."""
SOCKETS = 4
PATIENCE = 30.0
"""Seconds without any answer after which the test fails. No question is sent twice: both might be answered, and counted."""
SERVICES = ("www.example.net", "img.example.net")
"""Each is a zone, so that a worker gets one question per client's question. Below a zone PowerDNS asks for the SOA first, and
where a worker dies over that, it waits `pipe-timeout` for a reply of the next one, which it has not asked."""
NODES = {b"\xc0\x00\x02\x01": "lon1", b"\xc0\x00\x02\x02": "ams1", b"\xc0\x00\x02\x03": "nyc1"}
CLIENTS = {"2001:db8:a::/64": "lon1", "2001:db8:b::/64": "ams1", "2001:db8:c::/64": "nyc1"}
"""First network of 65,536 whose clients get the same node. Every other question comes from a network that asks only once, the
rest from a few that ask all the time: workers have a way of their own for what they remember."""
REGULARS = 4
EMPTY = "empty"
"""PowerDNS takes the silence of a worker that was killed while idle for an empty answer; no worker has seen that question."""

Given = Counter[tuple[str, str]]
"""Answers by service and node."""


class Killer:
    """Kills a worker now and then that has answered questions; one before its banner would take PowerDNS along."""

    def __init__(self, folder: Path) -> None:
        self.kills = 0
        self._folder, self._chance = folder, random.Random(15)
        self._first_seen: dict[int, int] = {}
        """What stood in a worker's file when it was first seen: counts of those that had the file before."""

    def look(self, answers: int) -> None:
        """Kill one worker if it is time to, after so many answers."""
        if self.kills == KILLS or answers * (KILLS + 1) < QUESTIONS * (self.kills + 1):
            return
        alive = [(worker.pid, worker.questions) for worker in read_folder(self._folder)[0] if worker.pid]
        busy = [pid for pid, questions in alive if questions > self._first_seen.setdefault(pid, questions)]
        if busy:
            time.sleep(self._chance.uniform(0, 0.002))  # they go on with what is under way
            os.kill(self._chance.choice(busy), signal.SIGKILL)
            self.kills += 1


def templates() -> list[tuple[str, str, bytes]]:
    """Service, node that its clients get, and a question without its ID that ends with the number of the client."""
    made = []
    for service in SERVICES:
        for subnet, node in CLIENTS.items():
            option = dns.edns.ECSOption.from_text(f"ECS {subnet}/0")
            wire = dns.message.make_query(service, "A", use_edns=0, options=[option]).to_wire()
            made.append((service, node, wire[2:-2]))
    return made


def ask(server: PowerDNS, killer: Killer) -> Given:
    """Ask all questions, each once, and return the answers, of which there has to be one for each question."""
    got: Given = Counter()
    asked, kinds = 0, templates()
    waiting: dict[int, tuple[str, str]] = {}
    poller = select.poll()
    with contextlib.ExitStack() as stack:
        sockets = {}
        for _ in range(SOCKETS):
            asking = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            asking.connect((server.addresses[0], server.port))
            poller.register(asking, select.POLLIN)
            sockets[asking.fileno()] = asking
        senders = list(sockets.values())
        while asked < QUESTIONS or waiting:
            while asked < QUESTIONS and len(waiting) < UNDER_WAY:
                service, node, wire = kinds[asked % len(kinds)]
                mark = asked & 0xFFFF
                waiting[mark] = service, node
                client = asked // len(kinds)
                if client % 2:
                    client %= 2 * REGULARS
                senders[asked % SOCKETS].send(struct.pack("!H", mark) + wire + struct.pack("!H", client))
                asked += 1
            ready = poller.poll(PATIENCE * 1000)
            assert ready, f"{len(waiting)} questions without an answer\n{server.log[-4000:]}"
            for fd, _ in ready:
                mark, given = understood(sockets[fd].recv(4096))
                service, node = waiting.pop(mark)  # KeyError: answered twice
                assert given in {node, EMPTY}
                got[service, given] += 1
                if got.total() % 8 == 0:
                    killer.look(got.total())
    return got


def understood(reply: bytes) -> tuple[int, str]:
    """A reply's ID, and the node in it."""
    mark, _, _, answers = struct.unpack("!4H", reply[:8])
    nodes = [node for address, node in NODES.items() if b"\0\4" + address in reply]
    if answers == 1 and not reply[3] & 15 and len(nodes) == 1:
        return mark, nodes[0]
    return mark, EMPTY if not answers and reply[3] & 15 in {0, 3, 5} else f"code {reply[3] & 15}"


def counted(folder: Path) -> Given:
    """What all workers have counted."""
    workers, damaged = read_folder(folder)
    assert damaged == []
    assert len(workers) <= THREADS + 1, "a new worker goes on in the file of a dead one"
    given: Given = Counter()
    for worker in workers:
        for answer, count in worker.answers():
            assert answer.tier == "live"
            given.update({(answer.service, node): count for kind, node, _ in answer.given if kind == "A"})
    return given


def test_counters_are_what_clients_got_although_workers_are_killed(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    more = f'timeout = 5000\n---[metrics]\nfolder = "{folder}"\n'
    # What waits behind a worker that starts anew is not given up (queue-limit), however slow the machine is.
    settings = {"pipe-timeout": 20_000, "queue-limit": 60_000}
    # SOAs are kept; no answer comes out of a cache.
    settings |= {"query-cache-ttl": 3600, "negquery-cache-ttl": 0, "cache-ttl": 0}
    zone = DOCUMENT["zones"]["cdn.example.net"]
    what = document(
        zones={name: {"soa": zone["soa"], "ns": zone["ns"]} for name in SERVICES},
        services={name: {"map": "default", "ttl": 60} for name in SERVICES},
    )
    killer = Killer(folder)
    with serving(tmp_path, own_redis, what, more, threads=THREADS, settings=settings) as server:
        before = [int(server.control("show", name)) for name in ("udp-queries", "udp-answers")]
        got = ask(server, killer)
        after = [int(server.control("show", name)) for name in ("udp-queries", "udp-answers")]
        counts = counted(folder)
        retries = server.log.count("retry once")
        lost = server.control("show", "timedout-packets")
    assert [end - start for start, end in zip(before, after, strict=True)] == [QUESTIONS, QUESTIONS]
    assert lost == "0"
    assert killer.kills == KILLS
    empty = sum(count for (_, node), count in got.items() if node == EMPTY)
    assert empty <= KILLS
    answers = Counter({key: count for key, count in got.items() if key[1] != EMPTY})
    assert len(answers) == len(SERVICES) * len(CLIENTS)
    # A worker that is killed between the count and the write has counted an answer that PowerDNS asks the next one for.
    assert retries + empty <= KILLS
    assert not answers - counts, "an answer was not counted"
    assert (counts - answers).total() <= retries, (counts, answers)
    print(
        KILLS, "kills:", retries, "asked again,", empty, "empty,", (counts - answers).total(), "counted twice"
    )
