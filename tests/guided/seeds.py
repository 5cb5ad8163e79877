"""Where fuzzing begins: a few inputs of each kind that are as they should be."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import TYPE_CHECKING

from support import mrt_writer as mrt
from support.data import ROOT
from support.mmdb_writer import Database
from support.tiny import DOCUMENT, GEO, build

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = Path(__file__).parent.parent / "corpus"
"""A folder for each target, of inputs that earlier runs found to reach what others do not."""
QUESTION = b"Q\twww.cdn.example.net\tIN\tANY\t-1\t198.51.100.53\t127.0.0.1\t192.0.2.0/24\n"
TEXTS: dict[str, list[bytes]] = {
    "pipe": [QUESTION, b"HELO\t3\n" + QUESTION, b"CMD\tstatus\nAXFR\t1\n"],
    "squid": [
        b"http://www.cdn.example.net/a?b 192.0.2.1/- - GET\n",
        b"0 http://www.cdn.example.net:80/ 2001:db8::1/- - HEAD x=y\n",
    ],
    "client": [
        b"192.0.2.0/24",
        b"2001:db8::/56",
        b"::ffff:192.0.2.0/120",
        b"64:ff9b::1.2.3.4",
        b"2002:c000:201::/48",
    ],
    "document": [json.dumps(DOCUMENT).encode()],
    "csv": [
        b"network,cc\n192.0.2.0/24,AN\nnetwork,continent,country,registered_country,lat\n192.0.2.0/24,EU,,US,1\n",
        b"network,country\n192.0.2.0/24,GB\n198.51.100.0/25,US-CA,37.75,-122.42\n2001:db8::/32,NL\n",
    ],
    "nerd": [b":127.0.0.2:x\n192.0.2.0/24 :127.0.1.44:gb\n"],
    "pyasn": [b"; comment\n192.0.2.0/24\t64500\n2001:db8::/32\t64501\n"],
    "prefix2as": [b"192.0.2.0\t24\t64500\n198.51.100.0\t24\t64500_64501,64502\n"],
    "bgpdump": [
        b"TABLE_DUMP2|1|B|192.0.2.1|64500|192.0.2.0/24|64500 64501 {64502}|IGP|192.0.2.1|0|0||NAG||\n",
        b"TABLE_DUMP2|1|B|192.0.2.1|64500|192.0.2.0/24|701 (65001 65002) {15169 3356}|IGP|192.0.2.1|0|0||NAG||\n",
    ],
}


def write(target: str, folder: Path) -> None:
    """A file for each."""
    found = list(TEXTS.get(target, ()))
    if target == "page":
        found = [page for bits in (32, 128) for page in build(GEO, bits).pages.values()]
    elif target == "configuration":
        found = [(ROOT / "conf" / "geosteer.toml").read_bytes()]
        found += [
            b"\xef\xbb\xbf[services.www.example.net]\nmap = 'x'\n[[a.b]]\nc = [[1], {\"d.e\" = 2}]\n[[a.b]]\n"
        ]
    elif target == "mmdb":
        found = list(_databases(folder))
    elif target == "mrt":
        paths: list[list[int | set[int]]] = [[3356, 701, 10], [701, {10, 20}], [3356, 70_000]]
        tables = [mrt.rib(prefix, *paths) for prefix in ("8.0.0.0/9", "2001:db8::/32")]
        found = [mrt.peers(3356, 70_000) + table for table in tables] + [
            mrt.rib("8.0.0.0/9", *paths, add_path=True)
        ]
    if target in {"csv", "mrt"}:
        found += [pack(data) for data in found[:1] for pack in (gzip.compress, bz2.compress, lzma.compress)]
    for number, data in enumerate(found):
        (folder / f"seed{number}").write_bytes(data)


def _databases(folder: Path) -> Iterator[bytes]:
    """Of each version, and each size of a tree's record."""
    data = {"country": {"iso_code": "GB"}, "location": {"latitude": 51.5, "longitude": -0.1}}
    for version, size in ((4, 24), (6, 28), (6, 32)):
        made = Database(version=version, record_size=size).add("192.0.2.0/24", data)
        if version == 4:  # flat, as IPinfo has it; a country that is elsewhere than where it is registered
            made.add(
                "198.51.100.0/24",
                {"country_code": "US", "region_code": "US-WA", "lat": "47.6", "lng": "-122.3"},
            )
            made.add(
                "203.0.113.0/24", {"continent": {"code": "EU"}, "registered_country": {"iso_code": "US"}}
            )
        if version == 6:
            made.add("2001:db8::/32", {"continent": {"code": "EU"}}).alias("2002::/16")
        path = made.write(folder / "database")
        yield path.read_bytes()
        path.unlink()
