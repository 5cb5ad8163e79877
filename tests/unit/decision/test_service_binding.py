"""HTTPS and SVCB records as a worker makes them of the published document."""

from __future__ import annotations

import json
import random
from typing import Any

import dns.rdata
import pytest

from geosteer.decision.client import parse
from geosteer.decision.model import Model
from geosteer.decision.policy import own_ticket
from geosteer.decision.round_robin import RoundRobin
from geosteer.decision.service_binding import bindings
from geosteer.settings_fallback import try_out
from geosteer.sync.generation import names_of
from geosteer.zones import Names
from support.steering import WWW, document

ECH = "AED+DQA8AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7"
ADDRESSES = [("A", "192.0.2.1"), ("A", "192.0.2.2"), ("AAAA", "2001:DB8:0::1")]
FULL = {
    "priority": 3, "alpn": ["h2", "h3"], "no_default_alpn": True, "port": 8443, "ech": ECH, "mandatory": ["port", "alpn"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("record", "content"),
    [
        ({}, "1 . ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1"),
        ({"alpn": ["h2"]}, "1 . alpn=h2 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1"),
        (FULL, ("3 . mandatory=alpn,port alpn=h2,h3 no-default-alpn port=8443 ipv4hint=192.0.2.1,192.0.2.2 "
            f"ipv6hint=2001:db8::1 ech={ECH}")),
        ({"priority": 0, "target": "a.example.org"}, "0 a.example.org."),
        ({"target": "a.example.org", "port": 80}, "1 a.example.org. port=80"),
        ({"dohpath": "/q{?dns}"}, "1 . ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1 key7=/q{?dns}"),
    ],
)  # fmt: skip
def test_content(record: dict[str, Any], content: str) -> None:
    (made,) = bindings(WWW, {"https": [record]})
    assert made.content(ADDRESSES) == content
    dns.rdata.from_text("IN", "HTTPS", content)


def test_without_addresses_there_are_no_hints() -> None:
    (made,) = bindings(WWW, {"https": [{"alpn": ["h2"]}]})
    assert made.content([]) == "1 . alpn=h2"


GARBLED: list[Any] = [
    "h2", {"alpn": "h2"}, [7], [None], ["h2"], [{"alpn": "h2"}], [{"alpn": ["h2 port=1"]}], [{"alpn": [""]}],
    [{"alpn": [1]}],
    [{"alpn": ["h2"] * 17}], [{"alpn": ["h" * 256]}], [{"port": True}], [{"port": 0}], [{"port": 1.5}], [{"port": "1"}],
    [{"ech": "AAEC"}], [{"ech": "!"}], [{"ech": 5}], [{"ech": "é"}], [{"target": "a b"}],
    [{"target": "a..b"}], [{"target": "a\tb"}], [{"target": ""}], [{"target": "x" * 64}], [{"priority": -1}],
    [{"priority": 65536}],
    [{"priority": None}], [{"priority": 0}], [{"priority": 0, "target": "a", "port": 1}], [{"mandatory": ["port"]}],
    [{"mandatory": "port", "port": 1}], [{"no_default_alpn": True}], [{"dohpath": 'x"'}], [{"dohpath": "x y"}], [{"new": 1}],
    [{}] * 9,
]  # fmt: skip


@pytest.mark.parametrize("field", ["https", "svcb"])
@pytest.mark.parametrize("garbled", GARBLED, ids=[json.dumps(one)[:40] for one in GARBLED])
def test_what_cannot_be_used_leaves_a_and_aaaa_and_is_told(field: str, garbled: Any) -> None:
    if field == "svcb" and isinstance(garbled, list):
        garbled = [{"name": "_dns", **one} if isinstance(one, dict) else one for one in garbled]
    made = document(services={WWW: {"map": "default", "ttl": 60, field: garbled}})
    model = Model(made)
    assert model.services[WWW].bindings == ()
    assert WWW in model.doubt
    names = names_of(made, model, 1)
    entry = names.find(WWW.encode())
    assert entry is not None
    assert names.reply(entry, [("A", "192.0.2.1")], 60, {"A": 24}) == (
        b"DATA\t24\t1\twww.cdn.example.net\tIN\tA\t60\t1\t192.0.2.1\nEND\n"
    )


def test_whatever_a_field_holds_is_a_record_that_parses_or_none() -> None:
    rng = random.Random(5)
    odd: tuple[Any, ...] = (
        None, True, False, 0, 1, 65535, -1, 10**30, 1e308, "", "h2", "a\nEND", "x\ty", "\0", "é", "*.x", "x" * 300, [], ["h2"],
        [[]], {}, {"a": 1}, [None], ECH, "/q{?dns}", ["alpn"], ["port"], "a.example.org",
    )  # fmt: skip
    fields = (
        "alpn",
        "dohpath",
        "ech",
        "mandatory",
        "name",
        "no_default_alpn",
        "port",
        "priority",
        "target",
        "odd",
    )
    taken = 0
    for _ in range(20_000):
        record = {field: rng.choice(odd) for field in rng.sample(fields, rng.randrange(4))}
        try:
            made = bindings(WWW, {"https": [record]})
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        for one in made:
            content = one.content(ADDRESSES)
            assert content.isascii()
            assert content.isprintable()
            dns.rdata.from_text("IN", "HTTPS", content)
            taken += 1
    assert taken > 500


def test_names_below_a_service_are_names_of_their_own() -> None:
    made = document(services={WWW: {"map": "default", "ttl": 60, "svcb": [
        {"name": "_dns", "alpn": ["dot"]}, {"name": "_dns", "priority": 2, "alpn": ["doq"]},
        {"name": "_81._https", "port": 81},
    ]}})  # fmt: skip
    names = names_of(made, Model(made), 1)
    answers, scopes = [("A", "192.0.2.1"), ("AAAA", "2001:db8::1")], {"A": 12, "AAAA": 48}
    head = b"DATA\t48\t1\t_dns.www.cdn.example.net\tIN\tSVCB\t60\t1\t"
    entry = names.find(b"_dns.www.cdn.example.net")
    assert entry is not None
    hints = b" ipv4hint=192.0.2.1 ipv6hint=2001:db8::1\n"
    own = b" www.cdn.example.net. "
    assert names.reply(entry, answers, 60, scopes) == (
        head + b"1" + own + b"alpn=dot" + hints + head + b"2" + own + b"alpn=doq" + hints + b"END\n"
    )
    entry = names.find(b"_81._https.www.cdn.example.net")
    assert entry is not None
    assert b"\tHTTPS\t60\t1\t1 www.cdn.example.net. port=81 ipv4hint=" in names.reply(
        entry, answers, 60, scopes
    )
    assert names.find(b"_https.www.cdn.example.net") is not None, "an empty parent is there"
    entry = names.find(WWW.encode())
    assert entry is not None
    assert b"SVCB" not in names.reply(entry, answers, 60, scopes)


def test_the_reply_for_any_scope_is_the_reply_with_that_scope() -> None:
    made = document(services={WWW: {"map": "default", "ttl": 60, "https": [FULL, {"alpn": ["h2"]}]}})
    names = names_of(made, Model(made), 1)
    entry = names.find(WWW.encode())
    assert entry is not None
    template, count = names.template(entry, ADDRESSES, 60)
    assert template % ((17,) * count) == names.reply(entry, ADDRESSES, 60, {"A": 17, "AAAA": 17})


def test_a_service_keeps_its_name_from_another_ones_records() -> None:
    made = document(services={
        WWW: {"map": "default", "ttl": 60, "svcb": [{"name": "_dns"}]}, f"_dns.{WWW}": {"map": "default", "ttl": 60},
        f"_x.{WWW}": {"map": "default", "ttl": 60},
    })  # fmt: skip
    for services in (made["services"], dict(reversed(made["services"].items()))):
        names = names_of(made, Model({**made, "services": services}), 1)
        entry = names.find(f"_dns.{WWW}".encode())
        assert entry is not None
        assert b"\tA\t" in names.reply(entry, ADDRESSES, 60, {"A": 1, "AAAA": 1})


def test_the_draw_for_a_network_keeps_to_the_weights() -> None:
    made = Model(document(nodes={"lon1": {"well_connected": 10}, "ams1": {"well_connected": 30}}))
    robin = RoundRobin(list(made.nodes.values()), lambda _: 0)
    drawn = [robin.drawn(("A", "AAAA"), f"10.{at >> 8}.{at & 255}.0/24") for at in range(4000)]
    assert all(each["A"] is each["AAAA"] for each in drawn)
    assert sum(each["A"].name == "ams1" for each in drawn) == pytest.approx(3000, abs=120)
    service = made.services[WWW]
    tickets = sorted(own_ticket(service, parse(f"10.{at >> 8}.{at & 255}.0/24")) for at in range(4000))
    assert max(abs(ticket - at / 4000) for at, ticket in enumerate(tickets)) < 0.03


def test_a_worker_that_knows_its_own_settings_alone_has_the_records_too() -> None:
    zone = {
        "soa": {"mname": "ns.example.net", "rname": "h.example.net"}, "ns": ["ns.example.net"], "services": [
            {"name": "www", "https": {"alpn": ["h2"], "target": "WWW.cdn.example.net."},
             "svcb": [{"name": "_dns", "port": 853}]},
            {"name": "*.dl", "https": [{"alpn": ["h3"]}]}, "plain",
        ],
    }  # fmt: skip
    names = Names(3, ())
    names.add_partial("cdn.example.net", zone, 1, ("A", "AAAA"), ())
    for name, kind, content in (
        ("www", b"HTTPS", b"1 www.cdn.example.net. alpn=h2 "), ("_dns.www", b"SVCB", b"1 www.cdn.example.net. port=853 "),
        ("x.y.dl", b"HTTPS", b"1 . alpn=h3 "), ("plain", b"", b""),
    ):  # fmt: skip
        entry = names.find(f"{name}.cdn.example.net".encode())
        assert entry is not None
        reply = names.reply(entry, [("A", "192.0.2.1")], 10, {"A": 24})
        assert (b"\tHTTPS\t" in reply or b"\tSVCB\t" in reply) == bool(kind)
        assert (
            b"\t" + kind + b"\t10\t1\t" + content + (b"ipv4hint=192.0.2.1\n" if kind else b"") in reply
            or not kind
        )
        assert (b"\tA\t" in reply) != name.startswith("_")


@pytest.mark.parametrize(
    "odd", [{"https": 1}, {"https": {"port": 0}}, {"svcb": {}}, {"svcb": [{}]}, {"https": {"x": 1}}]
)
def test_settings_that_make_no_record_are_refused_before_a_worker_starts(odd: dict[str, Any]) -> None:
    zone = {"soa": {"mname": "ns.example.net", "rname": "h.example.net"}, "ns": ["ns.example.net"]}
    services = [{"name": "www", **odd}]
    if odd == {"svcb": {}}:  # an empty list of them
        try_out({"cdn.example.net": {**zone, "services": services}}, (), 1.0)
        return
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        try_out({"cdn.example.net": {**zone, "services": services}}, (), 1.0)
