"""Publishing for months: memory does not grow, and a publisher that sleeps through another's turn does no harm."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.publish.publish import Outcome, publish
from geosteer_loader.store import collector as collecting
from geosteer_loader.store.lease import Lease
from geosteer_loader.store.store import Store, connect
from geosteer_loader.verify.verify import verify
from support.long import LONG
from support.publishing import current_of, make_config, needed_objects, objects_in, write_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from geosteer_loader.config.config import Config
    from geosteer_loader.store.store import Command
    from support.servers import RedisServer

pytestmark = pytest.mark.no_cover


def test_memory_does_not_grow_over_a_thousand_publishes(tmp_path: Path, own_redis: RedisServer) -> None:
    """A thousand in a long run, else fewer."""
    last = 1000 if LONG else 180
    client = own_redis.client()
    configs = [
        make_config(
            tmp_path, own_redis.url, networks={"lab": [f"10.{day}.0.0/16"]}, weight=day, keep=4, grace=0
        )
        for day in range(1, 30)
    ]
    sizes = {}
    with connect(configs[0].redis) as store:
        for number in range(last):
            outcome = publish(configs[number % len(configs)], store)
            assert outcome.warnings == []
            if number in {99, last - 1}:
                # The journal grows up to bounds of its own.
                journal = client.memory_usage("{geosteer}:journal", samples=0) or 0
                sizes[number] = client.info("memory")["used_memory"] - journal
                assert client.xlen("{geosteer}:history") == 4
                assert client.hlen("{geosteer}:object") < 30
    assert outcome.generation == last
    assert sizes[last - 1] - sizes[99] < 64 * 1024
    assert {key.decode().partition(":")[2] for key in client.scan_iter()} == {
        "current", "object", "history", "journal",
    }  # fmt: skip


class Sleepy:
    """A store whose publisher stops at its n-th HDEL, right before it or with all it looked at already seen, until woken."""

    def __init__(self, store: Store, at: int, moment: str, meanwhile: Callable[[], object]) -> None:
        self.slept = False
        self._deletions = 0
        self._real = store.transact
        self._at = at
        self._moment = moment
        self._meanwhile = meanwhile
        store.transact = self._transact  # type: ignore[method-assign]

    def _transact(self, watch: Sequence[str], prepare: Callable[..., Sequence[Command]]) -> list[Any] | None:
        deleting = False

        def look(run: Callable[..., Any]) -> Sequence[Command]:
            nonlocal deleting
            commands = prepare(run)
            deleting = any(command[:2] == ("HDEL", "{geosteer}:object") for command in commands)
            return [("PING",)]

        def prepared(run: Callable[..., Any]) -> Sequence[Command]:
            commands = prepare(run)
            if deleting and self._moment == "after looking":
                self._count()
            return commands

        self._real(watch, look)
        if deleting and self._moment == "before":
            self._count()
        return self._real(watch, prepared)

    def _count(self) -> None:
        self._deletions += 1
        if self._deletions == self._at:
            self.slept = True
            self._meanwhile()


@pytest.mark.parametrize("moment", ["before", "after looking"])
def test_a_publisher_stopped_at_any_deletion_and_resumed_after_anothers_flip_does_no_harm(
    tmp_path: Path, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr(collecting, "BATCH", 1)
    client = own_redis.client()

    def config(day: int) -> Config:
        folder = tmp_path / str(day)
        folder.mkdir(exist_ok=True)
        names = ("GB", "NL", "US", "DE", "FR")
        lines = [
            f"10.{n >> 8}.{n & 255}.0/24,{names[(n * 7 + (day if n < 600 else 0)) % 5]}" for n in range(900)
        ]
        geo = write_csv(folder / "geo.csv", lines)
        return make_config(folder, own_redis.url, geo=[geo], weight=day, keep=1, grace=0)

    days = {day: config(day) for day in (1, 2)}

    def run(day: int, at: int = 0, meanwhile: Callable[[], object] = list) -> tuple[Outcome, Sleepy]:
        with connect(days[day].redis) as store:
            sleepy = Sleepy(store, at, moment, meanwhile)
            return publish(days[day], store), sleepy

    def another() -> None:
        client.delete("{geosteer}:lock")  # it ran out while the publisher slept
        run(1)

    run(1)
    at = 1
    while True:
        # What the sleeper is about to delete is just what the other publisher needs again.
        outcome, sleepy = run(2, at, another)
        if not sleepy.slept:
            break
        assert any("lock" in warning or "somebody else" in warning for warning in outcome.warnings)
        assert current_of(client)["generation"] == str(outcome.generation + 1)
        with connect(days[1].redis) as store:
            assert verify(days[1], store, rng=random.Random(at)).problems == []
        at += 1
    assert at > 4
    assert outcome.warnings == []
    run(1)
    assert objects_in(client) == needed_objects(client, current_of(client))
    with connect(days[1].redis) as store, Lease(store):
        pass
