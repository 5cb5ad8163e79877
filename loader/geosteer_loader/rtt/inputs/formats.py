"""Which formats there are, and how a line of each is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.rtt.inputs import atlas, cut, logs, nel, own
from geosteer_loader.rtt.inputs.line import LONGEST, Left

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from geosteer_loader.rtt.inputs.cut import Cutter
    from geosteer_loader.rtt.inputs.line import Reader, Scene
    from geosteer_loader.rtt.sample import Sample, Tally

FORMATS: dict[str, Reader] = {
    "json": own.json_line,
    "csv": own.csv_line,
    "atlas": atlas.lines,
    "nel": nel.lines,
    "nginx-clients": logs.nginx_clients,
    "nginx-upstreams": logs.nginx_upstreams,
    "haproxy": logs.haproxy,
    "squid": logs.squid,
}
OF_A_NODE = frozenset({"nginx-clients"})
"""Formats of which `Scene.node` says whose log it is."""
OF_A_PROXY = frozenset({"nginx-upstreams", "haproxy", "squid"})
"""Formats of which `Scene.network` says who connected."""


SELF_DELIMITING = frozenset({"json", "nel"})
"""Formats of which a record shows itself whether it is whole."""
OBJECTS = frozenset({"atlas"})
"""Formats of which records are JSON objects, in an array or not."""


def cutter(format_: str) -> Cutter:
    """What cuts an input of that format into records."""
    if format_ in OBJECTS:
        return cut.objects
    return cut.json_lines if format_ in SELF_DELIMITING else cut.lines


def samples(lines: Iterable[str], format_: str, scene: Scene, tally: Tally) -> Iterator[Sample]:
    """The samples of all lines; what cannot be taken is counted in *tally* by its reason."""
    read = FORMATS[format_]
    for line in lines:
        if len(line) > LONGEST:
            tally.drop("line too long")
            continue
        text = line.strip("\r\n")
        if not text.strip():
            continue
        try:
            for sample in read(text, scene, tally):
                tally.taken += 1
                yield sample
        except Left as why:
            tally.drop(str(why))
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            tally.drop("unreadable")
