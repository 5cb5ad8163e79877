"""Results of RIPE Atlas pings: an array as its API gives it, or an object a line (atlas.ripe.net, "Result format").

The client is `from`: `src_addr` is the probe's address at home. Elements of `result` that are errors come from the probe's own
network and say nothing of the node.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from geosteer_loader.rtt.inputs.line import Left, client_of, milliseconds, node_of, number, time_of
from geosteer_loader.rtt.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.rtt.inputs.line import Scene
    from geosteer_loader.rtt.sample import Tally


def result(entry: object, scene: Scene) -> Sample:
    """The sample of one result. Raises: Left."""
    if not isinstance(entry, dict) or entry.get("type") != "ping":
        raise Left("no ping")
    bits, network = client_of(entry.get("from"))
    node = node_of(entry.get("dst_addr"), scene)
    time = time_of(entry.get("timestamp"), scene)
    replies = entry.get("result")
    if not isinstance(replies, list):
        raise Left("no replies")
    times = [number(reply["rtt"]) for reply in replies if isinstance(reply, dict) and "rtt" in reply]
    if times:
        return Sample(time, bits, network, node, milliseconds(min(times)))
    lost = [reply for reply in replies if isinstance(reply, dict) and "x" in reply]
    if not lost:
        raise Left("an error of the probe's")
    return Sample(time, bits, network, node, None)


def lines(line: str, scene: Scene, tally: Tally) -> Iterator[Sample]:
    """The results of one line, be it an object or an array of them."""
    text = line.strip().rstrip(",")
    if text in {"", "[", "]"}:
        return
    told = json.loads(text)
    for entry in told if isinstance(told, list) else [told]:
        try:
            yield result(entry, scene)
        except Left as why:
            tally.drop(str(why))
