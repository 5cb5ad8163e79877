"""A coprocess in Python that does nothing: a bare `read`/`write` loop with constant replies, the least it can cost."""

from os import read, write

from bench.peers.constants import SOA, ZONE, records

REPLY = records("nyc1", 24)
APEX = b"Q\t" + ZONE.encode() + b"\t"


def main() -> None:
    while data := read(0, 65536):
        if b"\tANY\t" in data:
            write(1, REPLY)
        elif data.startswith(b"HELO"):
            write(1, b"OK\tnothing\n")
        elif b"\tSOA\t" in data and data.startswith(APEX):
            write(1, SOA)
        else:
            write(1, b"END\n")
