"""`conf/backend.toml`: the settings of workers, as far as a loader's `check-config` can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.errors import ConfigError
from geosteer.redirect.beacons.settings import MOST_PORT, NUMBERS, PATH, SPOOL, TIMES, WORDS
from geosteer.redirect.cors import Cors
from geosteer_loader.config.redis import read_redis
from geosteer_loader.config.shapes import shaped
from geosteer_loader.config.values import YEAR, choice, duration, integer, number, prefix, text
from geosteer_loader.config.worker_fallback import check_fallback

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.config.section import Table


LOOPBACK = tuple(map(prefix, ("127.0.0.0/8", "::1/128", "::ffff:127.0.0.0/104")))


def check_worker(root: Table, base: Path) -> None:
    """Note every problem of a worker's file. Secrets are not resolved: they are the worker's own."""
    root.get("snapshot", text, None)
    root.get("max_stale", duration(0, YEAR), 300)
    root.get("timeout", duration(1, 60_000, "ms"), 50)
    root.get("first_wait", duration(0, 60), 1)
    root.get("cache", integer(65536, 2**40), 3145728)
    read_redis(root.table("redis"), base, None)
    debug = root.table("debug")
    for place, network in debug.each("networks", prefix):
        if any(_overlap(network, local) for local in LOOPBACK):
            debug.problems.warn(
                place,
                "holds loopback addresses: behind a dnsdist on this host that does not use the PROXY protocol every client "
                "comes from there, and could ask",
            )
    debug.finish()
    decision_log = root.table("log")
    decision_log.get("sample", number(0, 1), 0)
    decision_log.get("file", text, None)
    decision_log.finish()
    check_fallback(root.table("fallback"))
    _check_beacon(root.table("beacon"))
    metrics = root.table("metrics")
    metrics.get("folder", lambda value: value if value == "" else text(value), None)
    metrics.finish()
    root.finish()


def _check_beacon(table: Table) -> None:
    """Of what clients measure; the key itself is not read: it is the front end's own."""
    table.get("key_file", text, None)
    table.get("spool", text, SPOOL)
    for key, (low, high, default) in NUMBERS.items():
        table.get(key, duration(low, high) if key in TIMES else number(low, high), default)
    for place, origin in table.each("origins", text):
        try:
            Cors([origin])
        except (ConfigError, UnicodeError):
            table.problems.add(place, "must be an origin such as https://www.example.net, or *")
    _check_measured(table)
    for _, service in table.table("services").named():
        _check_measured(service)
        service.finish()
    table.finish()


def _check_measured(table: Table) -> None:
    """Where the object is that clients fetch."""
    table.get("object", _path, None)
    table.get("port", integer(0, MOST_PORT), 0)
    for key, allowed in WORDS.items():
        table.get(key, choice(*allowed), allowed[0])


@shaped({"type": "string", "pattern": f"^{PATH.pattern}$"})
def _path(value: object) -> str:
    path = text(value)
    if PATH.fullmatch(path) is None:
        raise ValueError("must be a path that begins with /, without ? and #")
    return path


def _overlap(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    """Whether two networks (address bits, first address, length) have addresses in common."""
    bits, first, length = one
    host = bits - min(length, other[2])
    return bits == other[0] and first >> host == other[1] >> host
