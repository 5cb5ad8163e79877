"""Every input is read as it really looks; whatever else a line holds is counted and left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer_loader.rtt.inputs.cut import json_lines, lines, objects
from geosteer_loader.rtt.inputs.formats import FORMATS, samples
from geosteer_loader.rtt.inputs.line import Scene
from geosteer_loader.rtt.sample import ANSWERED, KEPT, Sample, Tally, network_of
from geosteer_loader.rtt.sketch import LEAST, MOST

if TYPE_CHECKING:
    from geosteer_loader.rtt.inputs.cut import Cutter

NOW = 1_790_000_100.0
NODES = {
    "fra1": "fra1",
    "2001:db8:1::1": "fra1",
    "10.9.1.3": "n3",
    "192.0.2.1": "ams1",
    "n3": "n3",
    "ams1": "ams1",
}
PROXY = (32, 203 << 24 | 113 << 8)
SCENE = Scene(NODES, NOW, node="fra1", network=PROXY)
CLIENT = (32, 198 << 24 | 51 << 16 | 100 << 8)
T = 1_790_000_000


def read(format_: str, *lines: str) -> tuple[list[Sample], dict[str, int]]:
    tally = Tally()
    told = list(samples(lines, format_, SCENE, tally))
    assert tally.taken == len(told)
    return told, dict(tally.dropped)


OWN = {"time": T, "client": "198.51.100.77", "node": "fra1"}
ATLAS = {
    "fw": 5080, "type": "ping", "af": 6, "from": "2001:db8:77:1::5", "src_addr": "fd00::5", "dst_addr": "2001:db8:1::1",
    "proto": "ICMP", "sent": 3, "rcvd": 2, "min": 12.4, "result": [{"rtt": 13.1}, {"x": "*"}, {"rtt": 12.4}],
    "prb_id": 7, "timestamp": T,
}  # fmt: skip
V6 = (128, 0x2001_0DB8_0077 << 80)


@pytest.mark.parametrize(
    ("format_", "line", "told"),
    [
        ("json", json.dumps(OWN | {"ms": 12.5}), [(T, *CLIENT, "fra1", 12.5, 1)]),
        ("json", json.dumps(OWN | {"client": "::ffff:198.51.100.7", "failed": True}), [(T, *CLIENT, "fra1", None, 1)]),
        ("json", json.dumps(OWN | {"time": "2026-09-21T14:13:20Z", "ms": 1}), [(T, *CLIENT, "fra1", 1, 1)]),
        ("json", json.dumps(OWN | {"client": "198.51.100.0/24", "ms": 1}), [(T, *CLIENT, "fra1", 1, 1)]),
        (
            "json", json.dumps({"time": T, "client": "198.51.100.0", "reports": [
                {"age": 0, "type": "network-error", "body": {"phase": "application", "type": "ok", "server_ip": "10.9.1.3"}},
            ]}),
            [(T, *CLIENT, "n3", ANSWERED, 1)],
        ),
        ("csv", "time,client,node,ms", []),
        ("csv", f"{T},198.51.100.1,fra1,20", [(T, *CLIENT, "fra1", 20, 1)]),
        ("csv", f"{T}, 2001:db8:77::9 ,n3,-", [(T, *V6, "n3", None, 1)]),
        ("atlas", json.dumps(ATLAS), [(T, *V6, "fra1", 12.4, 1)]),
        ("atlas", json.dumps([ATLAS, ATLAS]), [(T, *V6, "fra1", 12.4, 1)] * 2),
        ("atlas", json.dumps(ATLAS | {"result": [{"x": "*"}] * 3}), [(T, *V6, "fra1", None, 1)]),
        ("nginx-clients", f"{T}.123\t198.51.100.9\t20500\t1", [(T + 0.123, *CLIENT, "fra1", 20.5, 1)]),
        (
            "nginx-upstreams", f"{T}.5\t10.9.1.3:443, 192.0.2.1:443\t-, 0.067\t502, 200",
            [(T + 0.5, *PROXY, "n3", None, 1), (T + 0.5, *PROXY, "ams1", 67, 1)],
        ),
        ("haproxy", f"{T}\t10.9.1.3\t65\t--", [(T, *PROXY, "n3", 65, 1)]),
        ("haproxy", f"{T}\t10.9.1.3\t-1\tSC", [(T, *PROXY, "n3", None, 1)]),
        ("squid", f"{T}.001\t10.9.1.3\t133\t60\t200", [(T + 0.001, *PROXY, "n3", 73, 1)]),
        ("squid", f"{T}.001\t10.9.1.3\t60\t-\t503", [(T + 0.001, *PROXY, "n3", None, 1)]),
        (
            "nel",
            json.dumps({"time": T, "client": "198.51.100.3", "reports": [{
                "age": 4000, "type": "network-error", "url": "https://x/",
                "body": {"phase": "connection", "type": "tcp.timed_out", "server_ip": "10.9.1.3", "sampling_fraction": 0.5},
            }]}),
            [(T - 4, *CLIENT, "n3", None, 2)],
        ),
    ],
)  # fmt: skip
def test_a_line_gives_what_it_says(format_: str, line: str, told: list[tuple[object, ...]]) -> None:
    assert read(format_, line) == (told, {})


@pytest.mark.parametrize(
    ("format_", "line", "reason"),
    [
        ("json", json.dumps({"time": T, "client": "198.51.100.7", "node": "lon9", "ms": 1}), "unknown node"),
        ("json", json.dumps({"time": T, "client": "198.51.100.7", "node": "fra1", "ms": True}), "invalid number"),
        ("json", json.dumps({"time": T, "client": "198.51.100.7", "node": "fra1", "ms": -5}), "time out of range"),
        ("json", json.dumps({"time": T, "client": "", "node": "fra1", "ms": 5}), "invalid client"),
        ("json", json.dumps({"time": T + 1000, "client": "198.51.100.7", "node": "fra1", "ms": 5}), "invalid time"),
        ("json", json.dumps({"time": T, "client": "198.51.100.7", "node": "fra1"}), "neither a time nor a failure"),
        ("json", '{"time": NaN, "client": "198.51.100.7", "node": "fra1", "ms": 5}', "invalid number"),
        ("json", "[" * 50_000, "unreadable"),
        ("json", '"' + "x" * 70_000, "line too long"),
        ("csv", "1,2,3", "not four columns"),
        ("atlas", json.dumps(ATLAS | {"result": [{"error": "connect failed"}] * 3}), "an error of the probe's"),
        ("atlas", json.dumps(ATLAS | {"result": [{"rtt": "12"}]}), ""),
        ("atlas", json.dumps(ATLAS | {"from": ""}), "invalid client"),
        ("nginx-clients", f"{T}\t198.51.100.9\t20500\t2", "not the first of its connection"),
        ("nginx-upstreams", f"{T}\t10.9.1.3:443\t0.000\t200", "a kept connection"),
        ("haproxy", f"{T}\t10.9.1.3\t-1\tCC", "not the node's doing"),
        ("squid", f"{T}\t10.9.1.3\t5000\t0\t200", "a kept connection or a tunnel"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_counted_by_its_reason(format_: str, line: str, reason: str) -> None:
    told, dropped = read(format_, line)
    assert (told == [] and dropped == {reason: 1}) if reason else (len(told) == 1 and not dropped)


def test_a_report_of_a_node_that_was_left_meanwhile_counts_neither_way() -> None:
    body = {"phase": "dns", "type": "dns.address_changed", "server_ip": "10.9.1.3"}
    reports = [{"type": "network-error", "age": 0, "body": body}]
    line = json.dumps({"time": T, "client": "198.51.100.3", "reports": reports})
    assert read("nel", line) == ([], {"not the node's doing": 1})


fields = (
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20) | st.just("198.51.100.7")
)
keys = st.sampled_from(
    [
        "time",
        "client",
        "node",
        "ms",
        "failed",
        "type",
        "from",
        "dst_addr",
        "result",
        "rtt",
        "x",
        "timestamp",
        "reports",
        "body",
        "age",
        "server_ip",
        "phase",
    ]
)
values = st.recursive(
    fields,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=8),
    max_leaves=12,
)


@given(st.sampled_from(sorted(FORMATS)), values.map(json.dumps) | st.text(max_size=80))
def test_no_line_raises_and_no_sample_tells_more_than_a_network(format_: str, line: str) -> None:
    told, _ = read(format_, line)
    for sample in told:
        host = sample.bits - KEPT[sample.bits]
        assert sample.network % (1 << host) == 0
        assert sample.node in NODES.values()
        assert sample.milliseconds is None or 0 <= sample.milliseconds <= 10_000
        assert sample.time <= NOW + 60


@pytest.mark.parametrize(
    "text",
    [
        "",
        "198.51.100.0/23",
        "198.51.100.0/33",
        "198.51.100.0/x",
        "1.2.3",
        "1.2.3.4.5",
        "0.1.2.3",
        "224.0.0.1",
        "1.2.3.256",
        "::",
        "ff02::1",
        "fe80::1%eth0",
        "x",
    ],
)
def test_what_is_no_address_of_a_host_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a |not an |address|At least|Expected|Exactly|Address"):
        network_of(text)


LINES = {
    "json": json.dumps(OWN | {"ms": 12.5}),
    "csv": f"{T},198.51.100.1,fra1,20",
    "atlas": json.dumps(ATLAS),
    "nginx-clients": f"{T}.123\t198.51.100.9\t20500\t1",
    "nginx-upstreams": f"{T}.5\t10.9.1.3:443, 192.0.2.1:443\t-, 0.067\t502, 200",
    "haproxy": f"{T}\t10.9.1.3\t65\t--",
    "squid": f"{T}.001\t10.9.1.3\t133\t60\t200",
    "nel": json.dumps({"time": T, "client": "198.51.100.3", "reports": [{
        "age": 4000, "type": "network-error",
        "body": {"phase": "connection", "type": "tcp.timed_out", "server_ip": "10.9.1.3", "sampling_fraction": 0.5},
    }]}),
}  # fmt: skip
edits = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.integers(0, 12),
        st.sampled_from(
            [
                "",
                "-",
                "9" * 40,
                "null",
                '"',
                "{",
                "]",
                "NaN",
                "\x00",
                "\ud800",
                "1e999",
                "\t",
                ",",
                "::",
                "0.0.0.0",
            ]
        ),
    ),
    min_size=1,
    max_size=4,
)


@given(st.sampled_from(sorted(LINES)), edits)
def test_a_line_that_was_damaged_anywhere_gives_sound_samples_or_none(
    format_: str, changes: list[tuple[int, int, str]]
) -> None:
    assert sorted(LINES) == sorted(FORMATS)
    line = LINES[format_]
    for place, length, text in changes:
        at = place % (len(line) + 1)
        line = line[:at] + text + line[at + length :]
    told, _ = read(format_, line)
    for sample in told:
        assert sample.network % (1 << (sample.bits - KEPT[sample.bits])) == 0
        assert sample.node in NODES.values()
        assert (
            sample.milliseconds is None
            or sample.milliseconds == ANSWERED
            or LEAST <= sample.milliseconds <= MOST
        )
        assert SCENE.oldest <= sample.time <= NOW + 60
        assert 0 < sample.weight <= 100


@given(st.sampled_from([lines, json_lines, objects]), st.binary(max_size=300), st.booleans())
def test_a_cutter_never_takes_more_than_there_is_and_ends(cut: Cutter, data: bytes, last: bool) -> None:
    records, used = cut(data, last)
    assert 0 <= used <= len(data)
    assert sum(map(len, records)) <= 3 * len(data)
    if cut is objects and not last:
        whole, all_used = cut(data + b'\n{"a": 1}\n' * 2 + b" " * 70_000, True)
        assert all_used == len(data) + 20 + 70_000
        assert whole
