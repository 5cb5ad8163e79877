"""Burns the processor as a publisher does, without Redis: reads a database and makes pages of it, over and over.

Run as a program: `burner.py DATABASE`, until it is ended.
"""

from __future__ import annotations

import sys
from itertools import chain
from typing import TYPE_CHECKING

import maxminddb

from geosteer.tables import page_builder

if TYPE_CHECKING:
    from collections.abc import Iterator


def ranges(path: str) -> Iterator[tuple[int, str]]:
    """Where each IPv4 network begins, and what is known of it."""
    with maxminddb.open_database(path) as reader:
        for network, data in reader:
            if network.max_prefixlen == 32:
                yield int(network.network_address), str(data)[:99]


if __name__ == "__main__":
    while True:
        found = dict(chain([(0, "")], ranges(sys.argv[1])))
        starts = sorted(found)
        page_builder.build(32, starts, [found[start] for start in starts])
