"""The peer worker: plain Python with a database of its own (maxminddb, C extension, memory-mapped), settings as constants."""

import sys
from os import read, write

import maxminddb

from bench.peers.constants import CONTINENTS, COUNTRIES, DEFAULT, NAMES, SOA, ZONE, records

TYPE_CHECKING = False  # as little as a coprocess needs is imported
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    reader = maxminddb.open_database(sys.argv[1], maxminddb.MODE_MMAP_EXT)
    while data := read(0, 65536):
        write(1, answer(reader, data.decode().rstrip("\n").split("\t")))


def answer(reader: maxminddb.Reader, fields: list[str]) -> bytes:
    if fields[0] == "HELO":
        return b"OK\tpeer\n"
    if fields[0] != "Q":
        return b"FAIL\n"
    name, qtype = fields[1].lower(), fields[3]
    if qtype == "SOA":
        return SOA if name == ZONE else b"END\n"
    if qtype != "ANY" or name not in NAMES:
        return b"END\n"
    found, length = reader.get_with_prefix_len(fields[7].partition("/")[0])
    if not isinstance(found, dict):
        return records(DEFAULT, max(length, 1), name)
    data: Any = found
    country = data.get("country", {}).get("iso_code")
    continent = data.get("continent", {}).get("code")
    return records(COUNTRIES.get(country) or CONTINENTS.get(continent) or DEFAULT, max(length, 1), name)
