"""The real country database, made again from the table that ships with the loader, where the real file is not at hand."""

from __future__ import annotations

import hashlib
import os
import tempfile
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from geosteer_loader.sources.builtin import SHIPPED
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.report import Report
from support.mmdb_writer import Database


def made_database() -> Path:
    """An MMDB file with the same prefixes and countries; made once and kept in the temporary folder."""
    digest = hashlib.sha256(SHIPPED.read_bytes()).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"geosteer-tests-{os.getuid()}-{digest}.mmdb"
    if not path.exists():
        database = Database()
        for bits, start, length, country in open_source("geo", "builtin", SHIPPED).rows(Report()):
            address = IPv4Address(start) if bits == 32 else IPv6Address(start)
            database.add(f"{address}/{length}", {"country": {"iso_code": country}})
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            database.write(Path(file.name))
        Path(file.name).rename(path)  # another test process may be making it, too
    return path
