"""Logs of servers and proxies, in the formats that docs/latency.md gives: fields parted by a tab.

`nginx-clients`: `$msec $remote_addr $tcpinfo_rtt $connection_requests`, of a node: real clients, in microseconds; only the
first request of a connection counts, since later ones repeat the smoothed value.
`nginx-upstreams`: `$msec $upstream_addr $upstream_connect_time $upstream_status`, `haproxy`: `%Ts %si %Tc %ts`, `squid`:
`%ts %<a %<tt %<pt %>Hs`, of a proxy: it is the proxy that connected, so its own network gets the samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.rtt.inputs.line import Left, client_of, milliseconds, node_of, number, time_of
from geosteer_loader.rtt.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.rtt.inputs.line import Scene
    from geosteer_loader.rtt.sample import Tally


def _fields(line: str, count: int) -> list[str]:
    fields = line.split("\t")
    if len(fields) != count:
        raise Left(f"not {count} fields")
    return fields


def nginx_clients(line: str, scene: Scene, _tally: Tally) -> Iterator[Sample]:
    """A client's own round-trip time to the node whose log it is."""
    time, client, microseconds, requests = _fields(line, 4)
    if requests != "1":
        raise Left("not the first of its connection")
    bits, network = client_of(client)
    yield Sample(time_of(time, scene), bits, network, scene.node, milliseconds(number(microseconds) / 1000))


def _connected(time: str, address: str, scene: Scene, told: float | None) -> Sample:
    assert scene.network is not None
    node = scene.nodes.get(address) or node_of(address.rpartition(":")[0].strip("[]"), scene)
    return Sample(time_of(time, scene), *scene.network, node, None if told is None else milliseconds(told))


def nginx_upstreams(line: str, scene: Scene, tally: Tally) -> Iterator[Sample]:
    """A connection to each upstream that was tried; a kept connection has no time of its own."""
    time, addresses, times, statuses = _fields(line, 4)
    tries = zip(addresses.split(", "), times.split(", "), statuses.split(", "), strict=True)
    for address, seconds, status in tries:
        try:
            if seconds == "-":
                if status not in {"502", "504"}:
                    raise Left("not the node's doing")
                yield _connected(time, address, scene, None)
            elif number(seconds) == 0:
                raise Left("a kept connection")
            else:
                yield _connected(time, address, scene, number(seconds) * 1000)
        except Left as why:
            tally.drop(str(why))


def haproxy(line: str, scene: Scene, _tally: Tally) -> Iterator[Sample]:
    """A connection to a server."""
    time, address, told, ended = _fields(line, 4)
    if told == "-1":
        if not ended.startswith(("SC", "sC")):
            raise Left("not the node's doing")
        yield _connected(time, address, scene, None)
    elif number(told) == 0:
        raise Left("a kept connection")
    else:
        yield _connected(time, address, scene, number(told))


def squid(line: str, scene: Scene, _tally: Tally) -> Iterator[Sample]:
    """A connection to a peer or origin: the whole time less that after the connection."""
    time, address, whole, after, status = _fields(line, 5)
    if after == "-":
        if status != "503":
            raise Left("not the node's doing")
        yield _connected(time, address, scene, None)
        return
    told = number(whole) - number(after)
    if told <= 0 or number(after) == 0:
        raise Left("a kept connection or a tunnel")
    yield _connected(time, address, scene, told)
