"""Real traffic: who asks, and how much, as a list of clients that an operator made of a log."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from geosteer.decision.client import Client, parse
from geosteer.errors import SourceError
from geosteer_loader.sources.source_files import Problems, lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_COUNT = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,9})?")

Traffic = dict[tuple[int, int, int], float]
"""Address bits, first address and prefix length of a client network -> its weight, above 0."""


def read_traffic(path: Path) -> Traffic:
    """The clients in a file: an address or prefix per line, and a count if it is not 1; `#` begins a comment.

    Blanks, a comma or a semicolon stand between the two; the count may come first, as `sort | uniq -c` has it. The file may
    be compressed. Equal clients add up.
    Raises: SourceError: the file cannot be read, has no clients, or has malformed lines (all of them are named).
    """
    problems = Problems(path)
    traffic: Traffic = {}
    for number, line in lines(path):
        text = line.partition("#")[0].replace(",", " ").replace(";", " ")
        words = text.split()
        if not words:
            continue
        try:
            client, weight = _client(words)
        except ValueError as exc:
            problems.add(number, str(exc))
            continue
        key = client.bits, client.address, client.length
        traffic[key] = traffic.get(key, 0.0) + weight
    problems.check()
    if not traffic:
        raise SourceError(f"{path}: no clients in it")
    return traffic


def _client(words: list[str]) -> tuple[Client, float]:
    if len(words) == 2 and words[0].isdigit():  # as `uniq -c` writes it
        words = [words[1], words[0]]
    try:
        client = parse(words[0])
    except ValueError as exc:
        raise ValueError(f"neither an address nor a network: {words[0][:60]!r}") from exc
    count = words[1] if len(words) == 2 else "1"
    if len(words) > 2 or not _COUNT.fullmatch(count) or not float(count):
        raise ValueError(f"no count above 0 beside the client: {' '.join(words[1:])[:60]!r}")
    return client, float(count)


def networks(traffic: Traffic, bits: int) -> Iterator[tuple[int, int, float]]:
    """The clients of one family, each as (first address, first address behind it, weight)."""
    for (family, start, length), weight in traffic.items():
        if family == bits:
            yield start, start + (1 << (bits - length)), weight
