"""The real country database, or an eighth of it, made again from the table that ships with the loader."""

from __future__ import annotations

import hashlib
import os
import tempfile
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from geosteer_loader.sources.builtin import SHIPPED
from geosteer_loader.sources.countries import CONTINENT
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.report import Report
from support.data import BUILTIN, shared
from support.long import LONG
from support.mmdb_writer import Database

PARTS, PART = 8, 3
"""Of so many parts of the address space, which one makes the small database: each has every registry's blocks."""


def country_database() -> Path:
    """The real database in a long run, else an eighth of it, whose publishing takes an eighth of the time."""
    return shared(BUILTIN) if LONG else made_database(part=True)


def made_database(*, part: bool = False, continents: bool = False) -> Path:
    """An MMDB file with the same prefixes and countries, or those of a part; made once and kept in the temporary folder.

    Args: continents: as MaxMind's own, which gdnsd and PowerDNS's geoip backend go by; the published files have none.
    """
    digest = hashlib.sha256(SHIPPED.read_bytes()).hexdigest()[:12]
    kind = "continents-" * continents + f"{PART}-of-{PARTS}-" * part
    path = Path(tempfile.gettempdir()) / f"geosteer-tests-{os.getuid()}-{kind}{digest}.mmdb"
    if not path.exists():
        database = Database()
        for bits, start, length, country in open_source("geo", "builtin", SHIPPED).rows(Report()):
            if part and start >> (24 if bits == 32 else 96) & PARTS - 1 != PART:
                continue
            address = IPv4Address(start) if bits == 32 else IPv6Address(start)
            record: dict[str, Any] = {"country": {"iso_code": country}}
            if continents and country in CONTINENT:
                record["continent"] = {"code": CONTINENT[country]}
            database.add(f"{address}/{length}", record)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            database.write(Path(file.name))
        Path(file.name).rename(path)  # another test process may be making it, too
    return path
