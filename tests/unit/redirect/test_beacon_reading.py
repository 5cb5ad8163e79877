"""What clients send is anybody's word: what is taken of it is within bounds, and no text of theirs is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer.redirect.beacons.reading import Beacon, Unusable, address_text, failures

ADDRESSES = {address_text("192.0.2.1"), address_text("2001:db8:1::1")}
REPORT: dict[str, Any] = {
    "age": 4, "type": "network-error", "url": "https://n3.test/secret?q=1", "user_agent": "Browser 150",
    "body": {
        "elapsed_time": 83, "method": "GET", "phase": "connection", "protocol": "h2", "referrer": "https://page.test/secret",
        "sampling_fraction": 0.5, "server_ip": "192.0.2.1", "status_code": 0, "type": "h2.protocol.error",
    },
}  # fmt: skip
KEPT = {
    "type": "network-error", "age": 4,
    "body": {
        "type": "h2.protocol.error", "phase": "connection", "server_ip": "192.0.2.1", "status_code": 0,
        "sampling_fraction": 0.5,
    },
}  # fmt: skip

NO_TIMES: list[Any] = [
    0, -1, -0.0, 60000.1, 10**400, None, "5", True, [5], {}, float("nan"), float("inf"), float("-inf"),
]  # fmt: skip


def body(**more: Any) -> bytes:
    return json.dumps({"token": "t", "ms": {"fra1": 12.5}, "failed": ["ams1"], **more}).encode()


def report(changes: dict[str, Any]) -> dict[str, Any]:
    """The report with members of it or of its body changed."""
    outer = {key: value for key, value in changes.items() if key in REPORT}
    return {
        **REPORT,
        "body": {**REPORT["body"], **{k: v for k, v in changes.items() if k not in outer}},
        **outer,
    }


def test_a_beacon_has_times_and_failures() -> None:
    beacon = Beacon(body(ms={"fra1": 12.5, "nyc1": 60000}))
    assert (beacon.token, beacon.times, beacon.failed) == ("t", {"fra1": 12.5, "nyc1": 60000}, ["ams1"])
    assert beacon.nodes == {"fra1", "ams1", "nyc1"}
    assert Beacon(b'{"token": "t", "failed": ["a"]}').times == {}
    assert Beacon(b'{"token": "t", "ms": {"a": 1}}').failed == []


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"{", b"\xff", b"null", b"[]", b'"x"', b"{}", b"[" * 2000, b'{"token": "t"}', b'{"ms": {"a": 1}}',
        body(token=None), body(token=5), body(ms=[]), body(ms=None), body(failed={}), body(failed=None), body(failed=[5]),
        body(failed=["fra1"]), body(failed=["ams1", "ams1"]), body(failed=[["ams1"]]), body(client="192.0.2.9"),
        *(body(ms={"fra1": value}) for value in NO_TIMES),
    ],
)  # fmt: skip
def test_anything_else_is_refused(sent: bytes) -> None:
    with pytest.raises(Unusable):
        Beacon(sent)


@given(st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["token", "ms", "failed", "a"]), inner),
    max_leaves=12,
))  # fmt: skip
def test_no_document_gets_anything_else_through(document: Any) -> None:
    try:
        beacon = Beacon(json.dumps(document).encode())
    except Unusable:
        return
    assert isinstance(beacon.token, str)
    assert all(0 < time <= 60_000 and type(time) in {int, float} for time in beacon.times.values())
    assert all(type(node) is str for node in beacon.nodes)
    assert len(beacon.nodes) == len(beacon.times) + len(beacon.failed) > 0


def test_of_a_report_only_what_is_needed_is_kept() -> None:
    assert failures(json.dumps([REPORT]).encode(), ADDRESSES) == [KEPT]


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "h2.protocol.error", "body": None}, {"type": "deprecation"}, {"type": None}, {"age": -1}, {"age": "4"},
        {"age": 1e12}, {"age": float("nan")}, {"phase": "dns"}, {"phase": "Connection"}, {"phase": ["connection"]},
        {"sampling_fraction": 0}, {"sampling_fraction": 1.1}, {"sampling_fraction": None}, {"status_code": -5},
        {"status_code": "x"}, {"server_ip": ""}, {"server_ip": "192.0.2.9"}, {"server_ip": "192.0.2.1 "}, {"server_ip": 5},
    ],
)  # fmt: skip
def test_what_does_not_say_that_a_node_failed_is_left_out(changes: dict[str, Any]) -> None:
    assert failures(json.dumps([report(changes), REPORT]).encode(), ADDRESSES) == [KEPT]


@pytest.mark.parametrize("kind", ["ok", "", "a" * 65, "x y", "<b>", None, 5])
def test_the_kind_of_a_failure_is_one_word(kind: object) -> None:
    inner = {**REPORT, "body": {**REPORT["body"], "type": kind}}
    assert failures(json.dumps([inner]).encode(), ADDRESSES) == []


def test_an_address_of_ipv6_is_known_in_any_spelling() -> None:
    spelled = report({"server_ip": "2001:db8:1:0::1"})
    assert failures(json.dumps([spelled]).encode(), ADDRESSES)[0]["body"]["server_ip"] == "2001:db8:1:0::1"


def test_of_many_reports_some_are_used() -> None:
    assert len(failures(json.dumps([REPORT] * 100).encode(), ADDRESSES)) == 32


@pytest.mark.parametrize("sent", [b"", b"{}", b"null", b"[" * 30000, b"\xff"])
def test_what_is_not_a_list_is_refused(sent: bytes) -> None:
    with pytest.raises(Unusable):
        failures(sent, ADDRESSES)


@pytest.mark.parametrize("inner", [b"5", b"null", b"[]", b"{}", b'{"type": "network-error", "body": []}'])
def test_a_report_may_be_anything(inner: bytes) -> None:
    assert failures(b"[" + inner + b"]", ADDRESSES) == []
