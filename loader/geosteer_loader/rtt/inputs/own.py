"""geosteer's own formats: JSON lines, in which collectors spool what clients report, and CSV.

JSON, one object a line, at most `LONGEST` bytes, of one of two kinds:

- a measurement, `{"time": 1790000000.5, "client": "192.0.2.0", "node": "fra1", "ms": 12.5}`, or with `"failed": true` in place
  of `ms`: the node did not answer (a time that the browser kept to itself is no failure, and is not written at all);
- a delivery of Network Error Logging, `{"time": ..., "client": ..., "reports": [...]}`, each report as a browser sent it, less
  `url`, `user_agent` and what else `inputs.nel` does not read.

`time`: of receipt, seconds since 1970, or ISO 8601 in UTC. `client`: an address or a prefix, of the socket's peer, not from
the body; a collector writes the first address of the /24 or /48 only (`sample.network_of`), so that nothing longer reaches a
disk. `node`: the name of a configured node, or one of its addresses. Other fields are passed over.

A spool is a folder of segments. A collector writes whole lines into `NAME.part` and renames it to `NAME.jsonl` when it is
closed: after at most 1 MiB or a minute, and when it stops. NAME is never used twice, whichever process writes: time in
milliseconds, process id and a counter do. `geosteer latency ingest` reads closed segments in the order of their names,
remembers each by its name, and deletes it once it is counted; a `.part` is taken over when nothing has been written to it for
`ABANDONED` seconds, its unfinished last line left out. Who writes bounds the folder: at a size that its own settings have,
the oldest segment goes.

CSV: `time,client,node,ms`, with or without that line on top, columns in its order; `-` in place of the time for a failure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from geosteer_loader.rtt.inputs import nel
from geosteer_loader.rtt.inputs.line import Left, client_of, milliseconds, node_of, time_of
from geosteer_loader.rtt.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.rtt.inputs.line import Scene
    from geosteer_loader.rtt.sample import Tally

SEGMENT = ".jsonl"
"""How the name of a closed segment ends."""
OPEN = ".part"
"""How the name of one ends that is being written."""
ABANDONED = 900.0
"""Seconds without a write after which an open segment has no writer any more."""
COLUMNS = ("time", "client", "node", "ms")
FAILED = frozenset({"-", "failed"})


def json_line(line: str, scene: Scene, tally: Tally) -> Iterator[Sample]:
    """One measurement, or one delivery of reports."""
    entry = json.loads(line)
    if not isinstance(entry, dict):
        raise Left("not an object")
    if "reports" in entry:
        yield from nel.delivery(entry, scene, tally)
        return
    failed = entry.get("failed", False)
    if failed not in (True, False) or failed == ("ms" in entry):
        raise Left("neither a time nor a failure")
    bits, network = client_of(entry.get("client"))
    yield Sample(
        time_of(entry.get("time"), scene), bits, network, node_of(entry.get("node"), scene),
        None if failed else milliseconds(entry["ms"]),
    )  # fmt: skip


def csv_line(line: str, scene: Scene, _tally: Tally) -> Iterator[Sample]:
    """One measurement; a line of headings is none."""
    fields = [field.strip(' \t"') for field in line.split(",")]
    if len(fields) != len(COLUMNS):
        raise Left("not four columns")
    time, client, node, told = fields
    if time[:1] in "tT" and tuple(map(str.lower, fields)) == COLUMNS:
        return
    bits, network = client_of(client)
    yield Sample(
        time_of(time, scene),
        bits,
        network,
        node_of(node, scene),
        None if told in FAILED else milliseconds(told),
    )
