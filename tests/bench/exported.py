"""From a node that goes down to the written files, for every export that follows: prints JSON, format -> processor seconds."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from geosteer.keys import Keys
from geosteer_loader.config.redis import RedisSettings
from geosteer_loader.export import gdnsd, geo_map, haproxy, knot, nginx, pdns_geoip
from geosteer_loader.export.published_state import Picture
from geosteer_loader.export.redirects import Manner
from geosteer_loader.export.watch import Writer
from geosteer_loader.store.store import Store, connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer_loader.export.bundle import Bundle

MANNER = Manner(trusted=("127.0.0.1/32",))
FORMATS: dict[str, Callable[[Picture, Path], Callable[[], Bundle]]] = {
    "gdnsd": lambda picture, folder: gdnsd.Exporter(picture, folder).bundle,
    "geo-map": lambda picture, folder: geo_map.Exporter(picture, folder).bundle,
    "pdns-geoip": lambda picture, folder: pdns_geoip.Exporter(picture, folder).bundle,
    "knot": lambda picture, folder: knot.Exporter(picture, folder).bundle,
    "nginx": lambda picture, folder: nginx.Exporter(picture, folder, MANNER).bundle,
    "haproxy": lambda picture, folder: haproxy.Exporter(picture, folder, MANNER).bundle,
}


def main(url: str, folder: Path, nodes: list[str]) -> None:
    """Put each node down and up again, for each format."""
    taken: dict[str, dict[str, float]] = {}
    with connect(RedisSettings(url=url, prefix="geosteer")) as store:
        for name, make in FORMATS.items():
            began = time.process_time()
            picture = Picture(store)
            writer = Writer(make(picture, folder / name), folder / name, "", lambda _: False)
            writer.once(lossy=True)
            first = time.process_time() - began
            changes = [
                _followed(store, picture, writer, node, state) for node in nodes for state in ("down", "up")
            ]
            taken[name] = {"first": first, "change": median(changes), "worst": max(changes)}
    print(json.dumps(taken))


def _followed(store: Store, picture: Picture, writer: Writer, node: str, state: str) -> float:
    """Processor seconds from the change of a node's state to the written files."""
    store.call("HSET", Keys("geosteer").node(node), "state", state, "since", "2026-01-01T00:00:00Z")
    began = time.process_time()
    if not picture.refresh() or not writer.once(lossy=True)[1]:
        raise RuntimeError(f"{node} {state}: no file changed")
    return time.process_time() - began


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
