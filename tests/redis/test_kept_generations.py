"""One bit flipped in anything that is kept: `verify` names the object, and no rollback goes to a generation that needs it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from geosteer.errors import StoreError
from geosteer_loader.cli.main import main
from geosteer_loader.publish.publish import publish
from geosteer_loader.publish.refusals import GUARDS
from geosteer_loader.publish.rollback import NotWhole, rollback
from geosteer_loader.store.history import entries
from geosteer_loader.store.store import connect
from geosteer_loader.verify.verify import verify
from support.publishing import current_of, make_config, needed_objects, objects_in, write_csv

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis
    from geosteer_loader.config.config import Config
    from geosteer_loader.store.store import Store
    from support.servers import RedisServer

OBJECT = "{geosteer}:object"


class Site:
    """Three generations with different tables, networks and nodes."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self.client: redis.Redis = server.client()
        self.config: Config
        for day, country in enumerate(("GB", "NL", "US"), 1):
            lines = [f"10.{n}.0.0/17,{('GB', 'FR', country)[n % 3]}" for n in range(250)]
            geo = write_csv(folder / "geo.csv", [*lines, f"2001:db8::/32,{country}"])
            networks = {"lab": [f"192.0.2.{day}/32"]}
            self.config = make_config(folder, server.url, geo=[geo], networks=networks, weight=day)
            with connect(self.config.redis) as store:
                publish(self.config, store, force=GUARDS)
        self.store: Store = connect(self.config.redis)

    def needing(self, name: str) -> list[int]:
        """The generations that need an object."""
        return [
            entry.generation
            for entry in entries(self.store)
            if name in needed_objects(self.client, entry.fields)
        ]


@pytest.fixture
def site(tmp_path: Path, own_redis: RedisServer) -> Iterator[Site]:
    made = Site(tmp_path, own_redis)
    yield made
    made.store.close()


def test_one_flipped_bit_in_any_object_is_found_and_never_gone_back_to(site: Site) -> None:
    dice = random.Random(1)
    names = sorted(objects_in(site.client))
    assert len(names) > 15
    needing = {name: site.needing(name) for name in names}
    assert all(needing.values())
    assert any(3 not in generations for generations in needing.values())
    before = current_of(site.client)
    for name in names:
        good = site.client.hget(OBJECT, name)
        assert isinstance(good, bytes)
        damaged = bytearray(good)
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        site.client.hset(OBJECT, name, bytes(damaged))
        problems = verify(site.config, site.store).problems
        assert any(name in problem.what for problem in problems), name
        if 3 not in needing[name]:
            kept = [problem for problem in problems if name in problem.what]
            assert all(problem.where.startswith("generation ") for problem in kept)
        for generation in needing[name]:
            with pytest.raises(NotWhole, match=name):
                rollback(site.store, generation)
        site.client.hset(OBJECT, name, good)
    assert current_of(site.client) == before
    assert verify(site.config, site.store).problems == []


def test_a_damaged_object_that_no_generation_needs_is_found_and_swept(site: Site) -> None:
    site.client.hset(OBJECT, mapping={"ab" * 16: b"left behind", b"\xff": b"of nobody"})
    problems = verify(site.config, site.store).problems
    assert {problem.where for problem in problems} == {"needed by no generation"}
    assert any("ab" * 16 in problem.what for problem in problems)
    assert len(problems) == 2
    site.client.hdel(OBJECT, b"\xff")
    assert verify(site.config, site.store, clean=True).problems == []


def test_the_sweep_removes_what_is_damaged_in_kept_generations_too(site: Site) -> None:
    (name,) = (n for n in objects_in(site.client) if n == entries(site.store)[0].fields["config"])
    site.client.hset(OBJECT, name, b"{}")
    assert verify(site.config, site.store, clean=True).damaged == 1
    assert not site.client.hexists(OBJECT, name)
    with pytest.raises(StoreError, match=rf"config: object {name}: is missing"):
        rollback(site.store, 1)


def test_the_commands_name_the_object_and_change_nothing(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    name = entries(site.store)[0].fields["geo.v4"]
    good = site.client.hget(OBJECT, name)
    assert isinstance(good, bytes)
    data = bytearray(good)
    data[-1] ^= 1
    site.client.hset(OBJECT, name, bytes(data))
    before = current_of(site.client)
    config = str(site.config.path)
    assert main(["verify", "--config", config]) == 1
    assert (
        f"generation 1 geo.v4 0.0.0.0/0: page {name}: its bytes have another digest"
        in capsys.readouterr().out
    )
    assert main(["rollback", "1", "--config", config]) == 1
    assert f"geo.v4 0.0.0.0/0: page {name}" in capsys.readouterr().err
    assert current_of(site.client) == before
