"""What an announced change costs: only what it really changes is forgotten, and one damaged key takes no other with it."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING

import pytest

from geosteer.powerdns.responder import Responder
from geosteer.sync.tier import Tier
from geosteer.timestamps import format_time_ms
from support.servers import wait_until
from support.steering import make_settings, wait_live
from support.tiny import DOCUMENT, publish_tiny

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import redis
    from support.servers import RedisServer


SHORT = 0.02
"""Seconds of a turn."""


class Followed:
    """A tier that follows a small published generation, and who writes there."""

    def __init__(self, client: redis.Redis, tier: Tier, prefix: str, log: list[str]) -> None:
        self.client, self.tier, self.base, self.log = client, tier, "{" + prefix + "}:", log

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Let the tier take in what comes, and do what time calls for, until the condition holds."""

        def turn() -> bool:
            self._turn()
            return condition()

        wait_until(turn)

    def wait_for(self, number: int) -> None:
        """Wait until a generation is in force."""
        self.wait_until(
            lambda: self.tier.generation is not None and self.tier.generation.number == str(number)
        )

    def _turn(self) -> None:
        # as a question would whose time is nearly over: what waits for nothing takes no time
        self.tier.wait(self.tier._clock() - self.tier.settings.timeout + SHORT, lambda: False)
        self.tier.tick()

    def beat(self, count: int, *, later: float = 0.0, period: float = 30) -> None:
        """Write a beat, as a prober does, and wait until the tier has read it."""
        text = f"{count} {format_time_ms(time.time() + later)} {period}"
        self.client.hset(self.base + "beat", "lon", text)
        self.wait_until(lambda: self.tier.mirror._beats.get("lon", ("",))[0] == text)


@pytest.fixture
def followed(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Iterator[Followed]:
    log: list[str] = []
    with redis_server.client() as client:
        publish_tiny(client, prefix)
        tier = Tier(make_settings(redis_server, prefix, tmp_path), lambda _: 0, log=log.append)
        tier.start()
        wait_live(tier)
        yield Followed(client, tier, prefix, log)
        tier.close()


def test_a_beat_that_changes_no_answer_forgets_none(followed: Followed):
    followed.beat(1)
    version = followed.tier.version
    for count in range(2, 6):
        followed.beat(count)
    assert followed.tier.version == version


def test_a_beat_that_moves_the_clock_forgets_what_is_remembered_until_some_time(followed: Followed):
    followed.beat(1)
    version, now = followed.tier.version, followed.tier.now()
    followed.beat(2, later=60)
    assert followed.tier.version > version
    assert followed.tier.now() > now + 50


def test_a_beat_after_a_silence_makes_node_states_live_at_once(followed: Followed):
    followed.beat(1, period=0.1)
    followed.wait_until(lambda: followed.tier.name == "stale")
    version = followed.tier.version
    followed.beat(2)
    assert followed.tier.name == "live"
    assert followed.tier.version > version


@pytest.mark.parametrize("key", ["node:lon1", "override", "beat"])
def test_of_a_key_of_the_wrong_type_the_last_known_content_stays_and_it_is_named(
    followed: Followed, key: str
):
    client, tier, name = followed.client, followed.tier, followed.base + key
    followed.beat(1)
    client.hset(followed.base + "override", "lon1", '{"state":"down"}')
    client.hset(followed.base + "node:lon1", "state", "down")
    followed.wait_until(lambda: tier.put_down() == {"lon1"} and "state" in tier.mirror.fields["lon1"])
    client.set(name, "no hash")
    followed.wait_until(lambda: any(line.startswith(f"{name}: WRONGTYPE") for line in followed.log))
    assert tier.name == "live"
    assert tier.put_down() == {"lon1"}
    assert tier.mirror.fields["lon1"] == {"state": "down"}
    assert tier.generation is not None
    client.delete(name)
    client.hset(followed.base + "node:ams1", "state", "down")
    followed.wait_until(lambda: tier.mirror.states["ams1"].state == "down")
    assert tier.name == "live"
    assert not any("WRONGTYPE" in line for line in followed.log if not line.startswith(name))


@pytest.mark.parametrize("key", ["current", "object"])
def test_what_is_published_stays_in_force_while_its_key_is_of_the_wrong_type(followed: Followed, key: str):
    client, tier, name = followed.client, followed.tier, followed.base + key
    kept = client.dump(name)
    assert isinstance(kept, bytes)
    client.set(name, "no hash")
    if key == "current":
        followed.wait_until(lambda: tier.name == "stale")
        assert any(f"{name}: WRONGTYPE" in line for line in followed.log)
    assert tier.generation is not None
    client.restore(name, 0, kept, replace=True)
    followed.wait_until(lambda: tier.name == "live")
    assert not any("link" in line or "closed" in line for line in followed.log)


def question(network: str, name: bytes = b"www.cdn.example.net", kind: bytes = b"ANY") -> bytes:
    return b"\t".join((b"Q", name, b"IN", kind, b"-1", b"198.51.100.53", b"127.0.0.1", network.encode()))


def test_a_generation_of_other_tables_leaves_what_was_decided_for_a_record(followed: Followed) -> None:
    tier, prefix = followed.tier, followed.base[1:-2]
    responder = Responder(tier, lambda _: 0, lambda: 0.0, followed.log.append)

    def answer(network: str, name: bytes = b"www.cdn.example.net", kind: bytes = b"ANY") -> bytes:
        if responder.decider.outdated(time.monotonic()):
            responder.refresh()
        reply = responder.reply(question(network, name, kind), time.monotonic())
        return reply.split(b"\t")[-1] if kind == b"SOA" else reply.split(b"\n")[0].split(b"\t")[-1]

    document = copy.deepcopy(DOCUMENT)
    document["services"]["cdn.example.net"] = {"map": "default", "ttl": 60}
    british, dutch = {"geo": {"192.0.2.0/24": "GB"}}, {"geo": {"192.0.2.0/24": "NL", "198.51.100.0/24": "GB"}}
    steps = [
        (document, british, "2026-02-01T00:00:01Z"), (document, dutch, "2026-02-01T00:00:02Z"),
        (document, british, "2026-02-01T00:00:03Z"), (DOCUMENT, british, "2026-02-01T00:00:04Z"),
    ]  # fmt: skip
    decided = []
    for number, (made, geo, published) in enumerate(steps, 2):
        publish_tiny(followed.client, prefix, made, geo, generation=number, published=published)
        followed.wait_for(number)
        decided.append(tier.decided)
        expected = b"192.0.2.1" if geo is british else b"192.0.2.2"
        for _ in range(2):
            assert answer("192.0.2.0/24") == expected
            if made is document:
                assert answer("192.0.2.0/24", b"cdn.example.net").split()[2] == b"%d" % (
                    1769904000 + number - 1
                )
        assert answer("198.51.100.0/24") == (b"192.0.2.3" if geo is british else b"192.0.2.1")
    assert decided[0] == decided[1] == decided[2] < decided[3]
