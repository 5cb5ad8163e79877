"""Reports of Network Error Logging (W3C): what failed between a browser and a node. Their times are no round trips.

geosteer's collector writes a line for each delivery: `{"time": ..., "client": ..., "reports": [...]}`; paths, queries,
referrers and user agents are never written. A report says how long ago (`age`) and for how many (`sampling_fraction`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from geosteer_loader.rtt.inputs.line import Left, client_of, node_of, number, time_of
from geosteer_loader.rtt.sample import ANSWERED, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geosteer_loader.rtt.inputs.line import Scene
    from geosteer_loader.rtt.sample import Tally

OK = "ok"
APPLICATION_FAILURES = frozenset({"http.protocol.error", "http.response.invalid"})
MOST_REPORTS = 100
"""Reports of one delivery that count; browsers send a handful."""
MOST_FOR_ONE = 100.0
"""Measurements that one report stands for at most, however small a part it says is sampled."""


def lines(line: str, scene: Scene, tally: Tally) -> Iterator[Sample]:
    """The reports of one delivery, in a line."""
    told = json.loads(line)
    if not isinstance(told, dict):
        raise Left("no reports")
    yield from delivery(told, scene, tally)


def delivery(told: Mapping[str, object], scene: Scene, tally: Tally) -> Iterator[Sample]:
    """The reports of one delivery. Raises: Left: it has none, or no time or client of its own."""
    reports = told.get("reports")
    if not isinstance(reports, list):
        raise Left("no reports")
    received = time_of(told.get("time"), scene)
    client = client_of(told.get("client"))
    for report in reports[:MOST_REPORTS]:
        try:
            yield _sample(report, received, client, scene)
        except Left as why:
            tally.drop(str(why))


def _sample(report: object, received: float, client: tuple[int, int], scene: Scene) -> Sample:
    if (
        not isinstance(report, dict)
        or report.get("type") != "network-error"
        or not isinstance(report.get("body"), dict)
    ):
        raise Left("no network error")
    body = report["body"]
    failed = _failed(body)
    if failed is None:
        raise Left("not the node's doing")
    age = number(report.get("age", 0)) / 1000
    part = number(body.get("sampling_fraction", 1.0))
    if age < 0 or not 0 < part <= 1:
        raise Left("invalid number")
    node = node_of(body.get("server_ip"), scene)
    weight = min(1 / part, MOST_FOR_ONE)
    return Sample(time_of(received - age, scene), *client, node, None if failed else ANSWERED, weight)


def _failed(body: dict[str, object]) -> bool | None:
    """Whether the node failed; None: it says nothing of the node (it was steered elsewhere meanwhile, or the user left)."""
    kind, phase, status = body.get("type"), body.get("phase"), body.get("status_code")
    if kind == OK:
        return False
    if (
        kind in {"abandoned", "unknown"}
        or phase == "dns"
        or not isinstance(kind, str)
        or kind.startswith("dns.")
    ):
        return None
    if phase == "connection" or kind in APPLICATION_FAILURES:
        return True
    if kind == "http.error" and isinstance(status, int):
        return True if 500 <= status <= 599 else None
    return None
