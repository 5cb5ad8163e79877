"""Lines of ExaBGP, GoBGP and OpenBMP, and whatever else comes in their place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer_loader.rib.exabgp import ExabgpLines
from geosteer_loader.rib.gobgp import GobgpLines
from geosteer_loader.rib.messages import prefix_number
from geosteer_loader.rib.openbmp import OpenbmpLines
from geosteer_loader.rib.routes import MOST_PATHS
from geosteer_loader.rib.session import Phase
from geosteer_loader.rib.stream import FORMATS, MAX_LINE, MOST_SESSIONS, Stream
from support.exabgp_lines import Exabgp
from support.long import examples

PEER = "10.99.0.1"


def number(prefix: str) -> int:
    return prefix_number(prefix)[1]


def stream(kind: str) -> Stream:
    return Stream(kind, families=(32, 128), min_routes=0.9, forget=1e9, now=0.0)


@pytest.mark.parametrize(
    ("version", "path", "origins", "length"),
    [
        (5, [65001, 3356, 15169], (15169,), 3),
        (5, [3356, {100, 200}], (100, 200), 2),
        (5, [3356, {100, 200}, 777], (777,), 3),
        (5, [3356, 64512], (3356,), 2),
        (5, [], (), 0),  # of the peer itself, whose AS is private
        (4, [65001, 3356, 15169], (15169,), 3),
        (4, [3356, {100, 200}], (100, 200), 2),
        (4, [3356, {100, 200}, 777], (100, 200), 3),  # which of them is last, ExaBGP 4 does not tell
    ],
)
def test_paths_of_exabgp_are_read_by_the_rule_for_dumps(version, path, origins, length):
    document = json.loads(Exabgp(version).announce(PEER, path, "5.1.0.0/16"))
    (routes,) = ExabgpLines().read(document)
    assert (routes.path.origins, routes.path.length) == (origins, length)


def test_a_confederation_of_exabgp_4_is_no_part_of_the_path():
    document = json.loads(Exabgp(4).announce(PEER, [3356], "5.1.0.0/16"))
    attribute = document["neighbor"]["message"]["update"]["attribute"]
    attribute["confederation-path"] = [65100, 65200]
    (routes,) = ExabgpLines().read(document)
    assert (routes.path.origins, routes.path.length) == ((3356,), 1)
    attribute["as-path"] = []
    (routes,) = ExabgpLines().read(document)
    assert (routes.path.origins, routes.path.length) == ((), 0)


def test_an_update_may_announce_and_withdraw_in_both_families():
    document = json.loads(Exabgp().announce(PEER, [3356], "5.1.0.0/16", "2a00:1::/32", ids=(1, 2)))
    document["neighbor"]["message"]["update"]["withdraw"] = {
        "ipv4 unicast": [{"nlri": "5.2.0.0/16", "path-information": "0.0.0.8"}],
        "ipv4 multicast": [{"nlri": "5.3.0.0/16"}],
    }
    gone, first, second = ExabgpLines().read(document)
    assert (gone.path, gone.routes) == (None, [(number("5.2.0.0/16"), 8)])
    assert (first.bits, first.routes) == (32, [(number("5.1.0.0/16"), 1)])
    assert (second.bits, second.routes) == (128, [(number("2a00:1::/32"), 2)])


def test_host_bits_are_masked_off():
    assert prefix_number("5.1.2.3/16") == prefix_number("5.1.0.0/16")


GOBGP = """[{"nlri":{"prefix":"5.1.0.0/16"},"age":1795859104,"best":false,"attrs":[{"type":1,"value":0},
{"type":2,"as_paths":[{"segment_type":2,"num":2,"asns":[65004,3356]},{"segment_type":1,"num":2,"asns":[100,200]}]},
{"type":3,"nexthop":"10.99.0.4"}],"stale":false,"source-id":"10.99.0.4","neighbor-ip":"10.99.0.4"},
{"nlri":{"prefix":"2a00:1::/32"},"attrs":[{"type":2,"as_paths":[]}],"withdrawal":true}]"""


def test_routes_of_gobgp():
    announced, gone = GobgpLines().read(json.loads(GOBGP))
    assert (announced.routes, announced.path.origins) == ([(number("5.1.0.0/16"), None)], (100, 200))
    assert (gone.bits, gone.path) == (128, None)
    assert GobgpLines().read([]) == []


@pytest.mark.parametrize(
    ("path", "origins"),
    [
        ({"as_path": [3356, 15169]}, (15169,)),
        ({"base_attrs": {"as_path": [3356, 15169]}}, (15169,)),
        ({"as_path": " 3356 {100,200}"}, (100, 200)),
        ({"as_path": ""}, ()),
        ({}, ()),
    ],
)
def test_routes_of_openbmp(path, origins):
    lines = OpenbmpLines()
    route = {"action": "add", "peer_ip": PEER, "prefix": "5.1.0.0", "prefix_len": 16, "is_ipv4": True, **path}
    up, announced = lines.read(route)
    assert (up.up, announced.path.origins) == (True, origins)
    assert announced.routes == [(number("5.1.0.0/16"), None)]
    (gone,) = lines.read({**route, "action": "del", "path_id": 7})
    assert (gone.path, gone.routes) == (None, [(number("5.1.0.0/16"), 7)])
    (down,) = lines.read({"action": "down", "remote_ip": PEER, "error_text": "hold timer expired"})
    assert (down.up, down.why) == (False, "hold timer expired")


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense", b"{", b"[" * 200_000, b'{"neighbor": []}', b'{"neighbor": {"address": {"peer": 5}}}', b"null", b"1e999",
        b"5" * 6000, b'"' + b"x" * MAX_LINE + b'"', b"\xff\xfe", b'{"neighbor": {"address": {"peer": "x"}}}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", FORMATS)
def test_a_malformed_line_is_counted_and_ends_nothing(kind, line):
    following = stream(kind)
    following.line(line, 0.0)
    assert following.counts.bad == 1
    assert following.last_bad
    assert len(following.last_bad) <= 200


def whole(kind: str, *lines: bytes) -> Stream:
    """A stream of one session that is whole, after more lines."""
    following = stream(kind)
    following.connected(0.0)
    for line in lines:
        following.line(line, 0.0)
    for now in (0.0, 20.0, 40.0):
        following.tick(now)
    assert following.waiting((), 40.0) == ""
    return following


def paths(following: Stream, prefix: str) -> list[str]:
    return [path.text for path in following.paths(32, number(prefix), ())]


def damaged(line: bytes, *places: object) -> bytes:
    """The line without what stands at a place."""
    document = node = json.loads(line)
    for place in places[:-1]:
        node = node[place]
    del node[places[-1]]
    return json.dumps(document).encode()


UPDATE = ("neighbor", "message", "update")


@pytest.mark.parametrize("place", [(*UPDATE, "attribute", "as-path", "0", "value"), ("neighbor", "asn")])
def test_a_route_of_exabgp_whose_path_cannot_be_read_is_withdrawn(place):
    writer = Exabgp()
    lines = [writer.up(PEER), writer.announce(PEER, [3356], "5.1.0.0/16", "5.2.0.0/16")]
    following = whole("exabgp", *lines, writer.eor(PEER), writer.eor(PEER, "ipv6"))
    following.line(damaged(writer.announce(PEER, [174], "5.1.0.0/16"), *place), 50.0)
    assert (paths(following, "5.1.0.0/16"), paths(following, "5.2.0.0/16")) == ([], ["3356"])
    assert following.counts.bad == 1
    following.line(writer.announce(PEER, [15169], "5.1.0.0/16"), 50.0)
    assert paths(following, "5.1.0.0/16") == ["15169"]


@pytest.mark.parametrize(
    "place",
    [
        (*UPDATE, "announce", "ipv4 unicast", "10.99.0.4", 0, "nlri"),
        UPDATE,
        ("type",),
        ("neighbor", "message"),
    ],
)
def test_after_an_update_of_exabgp_that_cannot_be_read_the_session_has_to_begin_anew(place):
    writer = Exabgp()
    lines = [writer.up(PEER), writer.announce(PEER, [3356], "5.1.0.0/16")]
    following = whole("exabgp", *lines, writer.eor(PEER), writer.eor(PEER, "ipv6"))
    following.line(damaged(writer.announce(PEER, [174], "5.1.0.0/16"), *place), 50.0)
    assert following.sessions[PEER].phase is Phase.LOST
    following.line(writer.announce(PEER, [15169], "5.1.0.0/16"), 50.0)
    assert paths(following, "5.1.0.0/16") == ["3356"]


def test_a_missing_line_before_a_malformed_one_is_noticed():
    writer = Exabgp()
    lines = [writer.up(PEER), writer.announce(PEER, [3356], "5.1.0.0/16")]
    following = whole("exabgp", *lines, writer.eor(PEER), writer.eor(PEER, "ipv6"))
    writer.withdraw(PEER, "5.1.0.0/16")  # never arrives
    following.line(damaged(writer.announce(PEER, [174], "5.2.0.0/16"), *UPDATE, "attribute"), 50.0)
    assert following.sessions[PEER].phase is Phase.LOST


def test_one_route_of_gobgp_that_cannot_be_read_takes_no_other_with_it():
    listed = json.loads(GOBGP)[:1]
    other = json.loads(GOBGP.replace("5.1.0.0/16", "5.2.0.0/16"))[0]
    following = whole("gobgp", json.dumps([listed[0], other]).encode())
    broken = [
        {**listed[0], "attrs": None},
        {"nlri": {"prefix": "x"}},
        {"nlri": 5},
        7,
        {**other, "withdrawal": True},
    ]
    following.line(json.dumps(broken).encode(), 50.0)
    assert (paths(following, "5.1.0.0/16"), paths(following, "5.2.0.0/16")) == ([], [])
    assert following.counts.bad == 1
    vpn = {"nlri": {"prefix": "5.1.0.0/16", "rd": {"admin": 1}}, "attrs": listed[0]["attrs"]}
    evpn = {"nlri": {"type": 2, "value": {}}, "attrs": []}
    following.line(json.dumps([vpn, evpn]).encode(), 50.0)
    assert (paths(following, "5.1.0.0/16"), following.counts.bad) == ([], 1)


@pytest.mark.parametrize("kind", ["gobgp", "openbmp"])
@pytest.mark.parametrize("cut", [1, 40, -1])
def test_a_line_without_a_number_that_was_cut_off_has_everything_begin_anew(kind, cut):
    line = SAMPLES[kind][0].encode()
    following = whole(kind, line)
    following.line(line[:cut], 50.0)
    assert following.broken
    assert {session.phase for session in following.sessions.values()} == {Phase.LOST}
    assert paths(following, "5.1.0.0/16") != []
    following.connected(60.0)
    assert not following.broken


def test_messages_of_a_second_router_in_a_stream_of_openbmp_are_refused():
    first, *_ = SAMPLES["openbmp"]
    following = whole("openbmp", json.dumps({**json.loads(first), "router_ip": "10.0.0.1"}).encode())
    gone = {**json.loads(first), "action": "del", "router_ip": "10.0.0.2"}
    following.line(json.dumps(gone).encode(), 50.0)
    assert (paths(following, "5.1.0.0/16"), following.counts.bad) == (["1 2"], 1)


def test_more_paths_to_a_prefix_than_any_router_sends_end_the_session():
    writer = Exabgp()
    lines = [writer.up(PEER), writer.announce(PEER, [3356], "5.1.0.0/16", ids=(1,))]
    following = whole("exabgp", *lines, writer.eor(PEER), writer.eor(PEER, "ipv6"))
    for identifier in range(2, 2 + MOST_PATHS):
        following.line(writer.announce(PEER, [174], "5.1.0.0/16", ids=(identifier,)), 50.0)
    assert following.sessions[PEER].phase is Phase.LOST
    assert len(paths(following, "5.1.0.0/16")) == MOST_PATHS


def mutated(data, text: str) -> bytes:
    """A line in which something is different: a value of another kind, a part missing, or some bytes."""
    if data.draw(st.booleans()):
        document = json.loads(text)
        places = []

        def visit(node):
            items = (
                node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
            )
            for key, value in items:
                places.append((node, key))
                visit(value)

        visit(document)
        node, key = data.draw(st.sampled_from(places))
        odd = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9)
        value = data.draw(
            odd | st.lists(odd, max_size=2) | st.dictionaries(st.text(max_size=3), odd, max_size=2)
        )
        if data.draw(st.booleans()):
            node[key] = value
        else:
            del node[key]
        return json.dumps(document).encode()
    raw = bytearray(text.encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at : at + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=4))
    return bytes(raw)


SAMPLES = {
    "exabgp": (
        Exabgp().announce(PEER, [65001, {5, 6}, 7], "5.1.0.0/16", "2a00:1::/32", ids=(1, 2)).decode(),
        Exabgp(4).announce(PEER, [65001, {5, 6}], "5.1.0.0/16").decode(),
        Exabgp().withdraw(PEER, "5.1.0.0/16").decode(),
        Exabgp().up(PEER).decode(),
        Exabgp().down(PEER).decode(),
        Exabgp().eor(PEER).decode(),
    ),
    "gobgp": (GOBGP.replace("\n", ""),),
    "openbmp": (
        json.dumps({"action": "add", "peer_ip": PEER, "prefix": "5.1.0.0", "prefix_len": 16, "as_path": [1, 2], "path_id": 4}),
        json.dumps({"action": "del", "peer_ip": PEER, "prefix": "5::", "prefix_len": 16, "base_attrs": {"as_path": "1 {2}"}}),
        json.dumps({"action": "down", "remote_ip": PEER, "error_text": "x"}),
    ),
}  # fmt: skip


def test_a_malformed_line_of_a_session_too_many_ends_nothing():
    following = stream("exabgp")
    writer = Exabgp()
    for number_of_peer in range(MOST_SESSIONS):
        following.line(writer.up(f"10.99.1.{number_of_peer}"), 0.0)
    following.line(damaged(writer.announce(PEER, [174], "5.2.0.0/16"), *UPDATE, "attribute"), 0.0)
    assert following.counts.bad == 1
    assert PEER not in following.sessions


def test_what_a_router_says_at_the_end_of_a_session_is_one_line_of_text():
    following = stream("exabgp")
    writer = Exabgp()
    following.line(writer.up(PEER), 0.0)
    said = "bye \ud800\n2026-01-01 ERROR \x1b[31m"
    following.line(writer.down(PEER).replace(b'"closing connection"', json.dumps(said).encode()), 0.0)
    assert following.happenings()[-1].why == r"bye \ud800\n2026-01-01 ERROR \x1b[31m"


@pytest.mark.parametrize("kind", FORMATS)
@given(data=st.data())
@settings(max_examples=examples(200))
def test_whatever_is_made_of_a_line_the_stream_goes_on(kind, data):
    following = stream(kind)
    heard = following.listen()
    following.connected(0.0)
    for _ in range(data.draw(st.integers(1, 5))):
        following.line(mutated(data, data.draw(st.sampled_from(SAMPLES[kind]))), 0.0)
        following.tick(0.0)
    for line in SAMPLES[kind]:
        bad = following.counts.bad
        following.line(line.encode(), 100.0)
        assert following.counts.bad == bad
    assert following.last_bad.isprintable()
    assert all(happening.why.isprintable() for happening in following.happenings())
    for bits, numbers in heard.items():
        for changed in numbers:
            assert 0 <= changed >> 8 < 1 << bits
            assert 0 <= changed & 255 <= bits
