"""Hundreds of nodes every few seconds: what it costs, and that nothing gets in the way of anything else."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.timestamps import parse_time
from support.health import FAST, Place, Switch, document
from support.long import LONG
from support.servers import RedisServer, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PORTS = 20
COUNT, INTERVAL = (500, 10) if LONG else (200, 4)
"""Nodes, and seconds between their checks: always fifty checks a second."""


@pytest.fixture(scope="module")
def ports() -> Iterator[list[Switch]]:
    """HTTP servers in a thread of their own; the last one takes requests and never answers."""
    made = [Switch(0) for _ in range(PORTS)]
    made[-1].answer = None
    ready, loop = threading.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        for one in made:
            await one.open()
        ready.set()
        await asyncio.Event().wait()

    def run() -> None:
        asyncio.set_event_loop(loop)
        task = loop.create_task(serve())
        loop.run_forever()
        for one in asyncio.all_tasks(loop):
            one.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(60)
    yield made
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def configuration(ports: list[Switch], count: int = COUNT) -> dict[str, Any]:
    """Nodes that share ports; one in `PORTS` of them hangs."""
    common = {
        "type": "http",
        "interval": INTERVAL,
        "profile": FAST,
        "status": [200],
        "body": "ok",
    }
    return document(
        {
            f"n{number}": [
                {
                    **common,
                    "url": f"http://127.0.0.1:{ports[number % PORTS].port}/health",
                    "timeout": 2 if number % PORTS == PORTS - 1 else 30,
                }
            ]
            for number in range(count)
        },
    )


def seconds_of_cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_hundreds_of_nodes_take_a_small_part_of_one_core(
    own_redis: RedisServer, ports: list[Switch], tmp_path: Path
) -> None:
    place = Place(own_redis, "geosteer")
    place.publish(configuration(ports))
    path = tmp_path / "probe.toml"
    path.write_text(f'[redis]\nurl = "{own_redis.url}"\n[prober]\nname = "lon"\n')
    code = (
        "import sys; from geosteer_loader.cli.probe import probe; probe(['--watch', '--config', sys.argv[1]])"
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], stderr=log)
    try:
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
        wait_until(lambda: place.client.hlen(place.keys.verdict("lon")) == COUNT)
        wait_until(lambda: place.client.hexists(place.keys.beat, "lon"))
        began, before = time.monotonic(), seconds_of_cpu(process.pid)
        first = place.client.hget(place.keys.beat, "lon").split()
        wait_until(lambda: place.client.hget(place.keys.beat, "lon").split() != first)
        used = (seconds_of_cpu(process.pid) - before) / (time.monotonic() - began)
        second = place.client.hget(place.keys.beat, "lon").split()
        after = parse_time(second[1]) - parse_time(first[1])
        states = [place.state(f"n{number}") for number in range(COUNT)]
        checked = [
            parse_time(json.loads(text)["checked"]) for text in place.client.hvals(place.keys.verdict("lon"))
        ]
    finally:
        process.terminate()
        process.wait()
    print(f"{COUNT} nodes every {INTERVAL} s: {100 * used:.1f} % of a core, beats {after:.3f} s apart")
    assert used < 0.5
    assert INTERVAL - 1 < after < 2 * INTERVAL
    assert (states.count("up"), states.count("down")) == (COUNT - COUNT // PORTS, COUNT // PORTS)
    # After a start the second probes are spread over the interval that follows the first.
    assert parse_time(second[1]) - min(checked) < 3 * INTERVAL
    place.close()


def test_one_run_of_hundreds_takes_no_longer_than_the_slowest(
    own_redis: RedisServer, ports: list[Switch]
) -> None:
    place = Place(own_redis, "geosteer")
    place.publish(configuration(ports))
    began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    place.once(period=60)
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    print(
        f"one run over {COUNT} nodes, a twentieth of them hanging: {took:.2f} s, {cpu:.2f} s of CPU with the servers"
    )
    assert place.client.hlen(place.keys.verdict("lon")) == COUNT
    assert took < 1.5 * COUNT / PORTS, "less than the hanging ones alone would take one by one"
    place.close()
