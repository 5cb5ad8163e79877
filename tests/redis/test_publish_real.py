"""Publishing real country databases: sizes, and what a day's change costs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import maxminddb
import pytest

from geosteer.cmodules import Address
from geosteer_loader.publish.publish import Outcome, publish
from geosteer_loader.sources.countries import geo_record
from geosteer_loader.store.store import connect
from support.data import shared
from support.long import takes_long
from support.publishing import contents, current_of, make_config, write_config

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

pytestmark = pytest.mark.no_cover


def publish_day(folder: Path, server: RedisServer, name: str) -> Outcome:
    config = make_config(folder, server.url, geo=[shared(name)])
    with connect(config.redis) as store:
        return publish(config, store)


@takes_long
def test_a_days_real_change_writes_few_pages_and_both_days_say_what_the_databases_say(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    client = own_redis.client()
    names = ("country-2026-01-31.mmdb", "country-2026-02-01.mmdb")
    outcomes = []
    for name in names:
        outcomes.append(publish_day(tmp_path, own_redis, name))
        fields = current_of(client)
        tables = contents(client, fields)
        with maxminddb.open_database(shared(name)) as database:
            for family, size in (("geo.v4", 4), ("geo.v6", 16)):
                for start in list(tables[family])[::97]:
                    found = database.get(Address(start.to_bytes(size, "big")))
                    assert tables[family][start] == geo_record(code_of(found))
    first, second = outcomes
    assert first.changed == ["geo", "config"]
    assert 1500 < first.written.objects < 2500
    assert second.changed[0] == "geo"
    assert second.written.objects <= 40
    assert second.written.size < 80_000
    assert publish_day(tmp_path, own_redis, names[1]).changed == []
    ranges = int(current_of(client)["geo.ranges"])
    size = client.memory_usage("{geosteer}:object", samples=0)
    assert size / ranges <= 8


def code_of(found: object) -> str | None:
    """The country of a database's answer; this product writes the code itself or the usual structure."""
    if not isinstance(found, dict):
        return None
    country = found.get("country") or found.get("registered_country") or {}
    return found.get("country_code") or country.get("iso_code")


MEASURED = """
import resource, sys
from pathlib import Path
from geosteer_loader.config.config import load
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.store import connect
config = load(Path(sys.argv[1]))
with connect(config.redis) as store:
    publish(config, store)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.parametrize("overlaid", [False, True], ids=["one source", "two sources"])
def test_publishing_a_country_database_stays_below_600_mib(
    tmp_path: Path, own_redis: RedisServer, overlaid: bool
) -> None:
    geo = [shared("country-2026-02-01.mmdb")]
    if overlaid:
        geo.insert(0, shared("zz.countries-2026-02-01.rbldnsd"))
    path = write_config(tmp_path, own_redis.url, geo=geo)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout) < 600 * 1024
    print(f"{int(done.stdout) / 1024:.0f} MiB")
