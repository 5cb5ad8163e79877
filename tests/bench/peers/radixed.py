"""A worker with everything in its own memory: the same database, read into a radix tree (py-radix) at every start."""

import sys
from os import read, write

import maxminddb
import radix

from bench.peers.constants import CONTINENTS, COUNTRIES, DEFAULT, NAME, SOA, ZONE, records


def main() -> None:
    # the banner must not wait for the database: PowerDNS would give the worker up
    data = read(0, 65536)
    write(1, b"OK\tpeer\n")
    tree = radix.Radix()
    with maxminddb.open_database(sys.argv[1], maxminddb.MODE_MMAP_EXT) as reader:
        for network, found in reader:
            country = found.get("country", {}).get("iso_code")
            continent = found.get("continent", {}).get("code")
            tree.add(str(network)).data["node"] = (
                COUNTRIES.get(country) or CONTINENTS.get(continent) or DEFAULT
            )
    while data := read(0, 65536):
        write(1, answer(tree, data.decode().rstrip("\n").split("\t")))


def answer(tree: radix.Radix, fields: list[str]) -> bytes:
    if fields[0] == "HELO":
        return b"OK\tpeer\n"
    if fields[0] != "Q":
        return b"FAIL\n"
    name, qtype = fields[1].lower(), fields[3]
    if qtype == "SOA":
        return SOA if name == ZONE else b"END\n"
    if qtype != "ANY" or name != NAME:
        return b"END\n"
    found = tree.search_best(fields[7].partition("/")[0])
    if found is None:
        return records(DEFAULT, 24)
    return records(found.data["node"], max(found.prefixlen, 1))
