"""Fresh workers that know nothing: their very first answers are decided, however many of them start and however many nodes."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING

import pytest

from geosteer.process import waited_for_processor
from geosteer.resp.link import Link
from geosteer.resp.url import Address
from support.dns_setup import backend_toml
from support.tiny import DOCUMENT, publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

WWW = "www.cdn.example.net"
GB = "192.0.2.0/24"
PATIENT = 'first_wait = "60s"\n'
"""Of a worker's settings: on a busy machine Redis, too, waits for a processor, and a second may pass."""
LONG = bool(os.environ.get("GEOSTEER_LONG"))


def first_contents(config: Path, number: int) -> list[str]:
    """What each of so many workers, all started at once and asked at once, answers first."""
    workers = [Worker(config) for _ in range(number)]
    try:
        for worker in workers:
            worker.send(b"HELO\t3\n" + worker.question(WWW, subnet=GB))
        answers = []
        for worker in workers:
            assert worker.line().startswith(b"OK")
            answers.append(worker.reply()[0].split(b"\t")[-1].decode())
        return answers
    finally:
        for worker in workers:
            worker.close()


@pytest.mark.parametrize("number", [200 if LONG else 40])
def test_many_workers_that_start_at_once_all_steer(
    redis_server: RedisServer, prefix: str, tmp_path: Path, number: int
) -> None:
    with redis_server.client() as client:
        publish_tiny(client, prefix)
    config = backend_toml(tmp_path, redis_server, PATIENT, prefix=prefix)
    assert first_contents(config, number) == ["192.0.2.1"] * number


@pytest.mark.parametrize("nodes", [10_000])
@pytest.mark.parametrize("number", [1, 8])
def test_workers_steer_from_the_first_question_with_thousands_of_nodes(
    redis_server: RedisServer, prefix: str, tmp_path: Path, nodes: int, number: int
) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    for node in range(nodes):
        name, address = f"n{node}", f"10.{node >> 16}.{node >> 8 & 255}.{node & 255}"
        document["nodes"][name] = {"a": [address], "hostname": f"{name}.cdn.example.net"}
    document["maps"]["default"]["continents"]["AS"] = {f"n{node}": 1 for node in range(nodes)}
    with redis_server.client() as client:
        publish_tiny(client, prefix, document)
        with client.pipeline(transaction=False) as pipe:
            for node in range(nodes):
                state = {"state": "up", "since": "2026-01-01T00:00:00Z", "failing": "no", "shed": "0"}
                pipe.hset(f"{{{prefix}}}:node:n{node}", mapping=state)
            pipe.execute()
    config = backend_toml(tmp_path, redis_server, PATIENT, prefix=prefix)
    assert first_contents(config, number) == ["192.0.2.1"] * number


def test_workers_steer_from_the_first_question_with_thousands_of_services(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    for service in range(2000):
        document["services"][f"s{service}.cdn.example.net"] = {"map": "default", "ttl": 60}
    with redis_server.client() as client:
        publish_tiny(client, prefix, document)
    config = backend_toml(tmp_path, redis_server, PATIENT, prefix=prefix)
    assert first_contents(config, 8) == ["192.0.2.1"] * 8


def test_the_time_without_a_processor_is_told():
    before = waited_for_processor()
    assert 0 <= before <= waited_for_processor()


def test_a_process_that_stood_still_reads_first_what_came_meanwhile(tmp_path: Path) -> None:
    path = str(tmp_path / "redis.sock")
    now = 100.0
    closed: list[str] = []
    replies: list[object] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        link = Link(
            Address(f"unix://{path}"), 0.05, lambda: now, lambda link: link.ask(("PING",), replies.append),
            lambda: None, replies.append, closed.append,
        )  # fmt: skip
        link.connect()
        other, _ = server.accept()
        with other:
            link.writable()
            link.tick(now)
            other.sendall(b"+PONG\r\n")
            now += 30  # in which nothing was read
            assert link.tick(now) > now
            assert (replies, closed) == ([b"PONG"], [])
            link.ask(("PING",), replies.append)
            link.writable()
            now += 1.5  # and now nothing came either
            link.tick(now)
            assert closed == ["no reply for a second"]
