"""What exists at which name, line by line as PowerDNS reads it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer.decision.model import Model, Node
from geosteer.zones import END, FAIL, FAIL_END, Names, absolute, from_document, matches

ZONE = "cdn.example.net"
SERIAL = 1769904000
DOCUMENT: dict[str, Any] = {
    "format": 1,
    "nodes": {
        "lon1": {"a": ["192.0.2.1", "192.0.2.11"], "aaaa": ["2001:db8::1"], "hostname": "lon1.pop.cdn.example.net"},
        "ams1": {"a": ["192.0.2.2"], "hostname": "ams1.elsewhere.org"},
        "deep": {"a": ["192.0.2.3"], "hostname": "deep.sub.cdn.example.net"},
    },
    "maps": {"m": {"default": {"lon1": 100, "ams1": 100}}},
    "zones": {
        ZONE: {
            "soa": {"mname": "ns1.cdn.example.net", "rname": "hostmaster.example.net"},
            "ns": ["ns1.cdn.example.net", "ns2.example.net"],
            "records": [
                {"name": ZONE, "type": "MX", "content": "10 mx.example.net"},
                {"name": ZONE, "type": "TXT", "content": '"v=spf1 -all"', "ttl": 60},
                {"name": "ns1.cdn.example.net", "type": "A", "content": "192.0.2.53", "ttl": 7200},
                {"name": "www.cdn.example.net", "type": "TXT", "content": '"beside the service"'},
                {"name": "_sip._tcp.cdn.example.net", "type": "SRV", "content": "10 5 443 host.example.net"},
                {"name": "*.wild.cdn.example.net", "type": "A", "content": "192.0.2.99"},
                {"name": "a.b.cdn.example.net", "type": "AAAA", "content": "2001:db8::99"},
                {"name": "sub.cdn.example.net", "type": "NS", "content": "ns.sub.cdn.example.net"},
                {"name": "sub.cdn.example.net", "type": "NS", "content": "ns.example.org"},
                {"name": "ns.sub.cdn.example.net", "type": "A", "content": "192.0.2.77"},
                {"name": "ns.of.sub.cdn.example.net", "type": "A", "content": "192.0.2.78"},
            ],
        },
    },
    "services": {
        "www.cdn.example.net": {"map": "m", "ttl": 60},
        "dl.eu.cdn.example.net": {"map": "m", "ttl": 60, "answer": "cname"},
        "cdn.example.net": {"map": "m", "ttl": 30},
        "www.elsewhere.org": {"map": "m"},
    },
}  # fmt: skip


def names(document: dict[str, Any] = DOCUMENT, abi: int = 3) -> Names:
    model = Model(document)
    return from_document(document, model.services.values(), model.nodes.values(), SERIAL, abi)


def lines(*rows: str) -> bytes:
    """Rows of `scope auth name type ttl content` as replies of ABI 3, zone 1."""
    out = []
    for row in rows:
        scope, auth, name, kind, ttl, content = row.split(" ", 5)
        out.append(f"DATA\t{scope}\t{auth}\t{name}\tIN\t{kind}\t{ttl}\t1\t{content}\n")
    return "".join(out).encode()


SOA = "0 1 cdn.example.net SOA 300 ns1.cdn.example.net hostmaster.example.net 1769904000 3600 600 604800 30"
NS = ("0 1 cdn.example.net NS 3600 ns1.cdn.example.net", "0 1 cdn.example.net NS 3600 ns2.example.net")
CUT = (
    "0 0 sub.cdn.example.net NS 3600 ns.sub.cdn.example.net",
    "0 0 sub.cdn.example.net NS 3600 ns.example.org",
)
TABLE = {
    "cdn.example.net": (
        lines(SOA) + END,
        lines(*NS) + END,
        lines(SOA, *NS, "0 1 cdn.example.net MX 3600 10\tmx.example.net", '0 1 cdn.example.net TXT 60 "v=spf1 -all"'),
        ("A", "AAAA"),
    ),
    "www.cdn.example.net": (
        END, END, lines('0 1 www.cdn.example.net TXT 3600 "beside the service"'), ("A", "AAAA"),
    ),
    "dl.eu.cdn.example.net": (END, END, b"", ("CNAME",)),
    "eu.cdn.example.net": (END, END, lines('0 1 eu.cdn.example.net TXT 30 "-"'), ()),
    "ns1.cdn.example.net": (END, END, lines("0 1 ns1.cdn.example.net A 7200 192.0.2.53"), ()),
    "_sip._tcp.cdn.example.net": (
        END, END, lines("0 1 _sip._tcp.cdn.example.net SRV 3600 10\t5 443 host.example.net"), (),
    ),
    "_tcp.cdn.example.net": (END, END, lines('0 1 _tcp.cdn.example.net TXT 30 "-"'), ()),
    "*.wild.cdn.example.net": (END, END, lines("0 1 *.wild.cdn.example.net A 3600 192.0.2.99"), ()),
    "wild.cdn.example.net": (END, END, lines('0 1 wild.cdn.example.net TXT 30 "-"'), ()),
    "a.b.cdn.example.net": (END, END, lines("0 1 a.b.cdn.example.net AAAA 3600 2001:db8::99"), ()),
    "b.cdn.example.net": (END, END, lines('0 1 b.cdn.example.net TXT 30 "-"'), ()),
    "lon1.pop.cdn.example.net": (
        END, END,
        lines(
            "0 1 lon1.pop.cdn.example.net A 3600 192.0.2.1", "0 1 lon1.pop.cdn.example.net A 3600 192.0.2.11",
            "0 1 lon1.pop.cdn.example.net AAAA 3600 2001:db8::1",
        ),
        (),
    ),
    "pop.cdn.example.net": (END, END, lines('0 1 pop.cdn.example.net TXT 30 "-"'), ()),
    "sub.cdn.example.net": (END, lines(*CUT) + END, lines(*CUT), ()),
    "ns.sub.cdn.example.net": (END, END, lines("0 0 ns.sub.cdn.example.net A 3600 192.0.2.77"), ()),
    "ns.of.sub.cdn.example.net": (END, END, lines("0 0 ns.of.sub.cdn.example.net A 3600 192.0.2.78"), ()),
    "of.sub.cdn.example.net": (END, END, b"", ()),
}  # fmt: skip
"""Name -> reply to SOA, reply to NS, fixed lines of the reply to ANY, types of the service."""


@pytest.mark.parametrize("name", TABLE)
def test_each_name_has_what_the_table_of_names_says(name: str):
    entry = names().entries[name.encode()]
    assert (entry.soa, entry.ns, entry.lines, entry.kinds) == TABLE[name]


def test_no_other_name_exists():
    assert {name.decode() for name in names().entries} == set(TABLE)


def test_the_words_of_a_reply_are_those_that_powerdns_knows():
    assert (END, FAIL, FAIL_END) == (b"END\n", b"FAIL\n", b"FAIL\nEND\n")


def test_a_services_reply_is_what_stands_there_and_the_answers_with_their_scope():
    known = names()
    answers = [("A", "192.0.2.1"), ("A", "192.0.2.11"), ("AAAA", "2001:db8::1")]
    assert known.reply(known.entries[b"www.cdn.example.net"], answers, 42, {"A": 21, "AAAA": 22}) == (
        b'DATA\t0\t1\twww.cdn.example.net\tIN\tTXT\t3600\t1\t"beside the service"\n'
        b"DATA\t21\t1\twww.cdn.example.net\tIN\tA\t42\t1\t192.0.2.1\n"
        b"DATA\t21\t1\twww.cdn.example.net\tIN\tA\t42\t1\t192.0.2.11\n"
        b"DATA\t22\t1\twww.cdn.example.net\tIN\tAAAA\t42\t1\t2001:db8::1\n"
        b"END\n"
    )
    assert known.reply(
        known.entries[b"dl.eu.cdn.example.net"], [("CNAME", "lon1.example.net")], 60, {"CNAME": 8}
    ) == (b"DATA\t8\t1\tdl.eu.cdn.example.net\tIN\tCNAME\t60\t1\tlon1.example.net\nEND\n")


def test_the_service_at_the_apex_keeps_soa_and_ns_without_scope():
    known = names()
    reply = known.reply(known.entries[ZONE.encode()], [("A", "192.0.2.1")], 30, {"A": 24})
    rows = [row.split(b"\t") for row in reply.splitlines()[:-1]]
    assert [(row[1], row[5]) for row in rows] == [
        (b"0", b"SOA"), (b"0", b"NS"), (b"0", b"NS"), (b"0", b"MX"), (b"0", b"TXT"), (b"24", b"A"),
    ]  # fmt: skip


@pytest.mark.parametrize("abi", [1, 2])
def test_old_versions_of_the_protocol_know_neither_scope_nor_auth(abi: int):
    known = names(abi=abi)
    entry = known.entries[b"ns1.cdn.example.net"]
    assert entry.lines == b"DATA\tns1.cdn.example.net\tIN\tA\t7200\t1\t192.0.2.53\n"
    assert known.line(entry, "A", 5, "192.0.2.1", scope=24, auth=False) == (
        b"DATA\tns1.cdn.example.net\tIN\tA\t5\t1\t192.0.2.1\n"
    )
    assert known.entries[ZONE.encode()].soa == (
        b"DATA\tcdn.example.net\tIN\tSOA\t300\t1\t"
        b"ns1.cdn.example.net hostmaster.example.net 1769904000 3600 600 604800 30\nEND\n"
    )


@pytest.mark.parametrize("abi", [3, 4, 5])
def test_newer_versions_of_the_protocol_have_the_same_lines(abi: int):
    assert {name: entry.lines for name, entry in names(abi=abi).entries.items()} == {
        name: entry.lines for name, entry in names().entries.items()
    }


@pytest.mark.parametrize("abi", [1, 2, 3, 4, 5])
def test_every_line_has_as_many_fields_as_powerdns_wants_and_none_is_empty(abi: int):
    head = 3 if abi < 3 else 5
    for entry in names(abi=abi).entries.values():
        for reply in (entry.soa, entry.ns, entry.lines + END):
            *data, end = reply.split(b"\n")[:-1]
            assert end == b"END"
            for row in data:
                fields = row.split(b"\t")
                assert fields[0] == b"DATA"
                assert all(fields)
                kind = fields[head]
                assert len(fields) == head + 4 + (kind in (b"MX", b"SRV")), row
                assert fields[head + 1].isdigit()
                assert fields[head + 2] == b"1"


def test_all_soa_and_ns_settings_are_told():
    document = {
        **DOCUMENT,
        "services": {}, "nodes": {}, "maps": {},
        "zones": {
            "z.net": {
                "soa": {"mname": "m.net", "rname": "r.net", "refresh": 1, "retry": 2, "expire": 3, "minimum": 4, "ttl": 5},
                "ns": ["n.net"], "ns_ttl": 6,
            },
        },
    }  # fmt: skip
    entry = names(document).entries[b"z.net"]
    assert entry.soa == lines(f"0 1 z.net SOA 5 m.net r.net {SERIAL} 1 2 3 4") + END
    assert entry.ns == lines("0 1 z.net NS 6 n.net") + END


def two_zones() -> Names:
    soa = {"mname": "m.net", "rname": "r.net"}
    document = {
        **DOCUMENT,
        "nodes": {"lon1": {"a": ["192.0.2.1"]}, "ams1": {}},
        "zones": {
            "example.net": {"soa": soa, "ns": ["n.net"]},
            "a.b.example.net": {"soa": soa, "ns": ["n.net"]},
        },
        "services": {"www.a.b.example.net": {"map": "m"}, "www.example.net": {"map": "m"}},
    }
    return names(document)


def test_every_zone_has_its_own_id_and_a_name_that_of_the_closest_zone():
    known = two_zones()
    ids = {name: known.entries[name].zone_id for name in known.entries}
    assert ids == {
        b"example.net": 1, b"www.example.net": 1, b"b.example.net": 1, b"a.b.example.net": 2, b"www.a.b.example.net": 2,
    }  # fmt: skip


def test_the_empty_parent_of_a_zone_within_another_exists():
    assert b'\tTXT\t30\t1\t"-"\n' in two_zones().entries[b"b.example.net"].lines


def test_the_zone_of_a_name_is_the_closest_one_by_whole_labels():
    known = two_zones()
    assert known.zone_of("x.y.example.net") == "example.net"
    assert known.zone_of("a.b.example.net") == "a.b.example.net"
    assert known.zone_of("xa.b.example.net") == "example.net"
    assert known.zone_of("notexample.net") == ""
    assert known.zone_of("net") == known.zone_of("") == known.zone_of(".") == ""


def test_a_node_below_a_delegation_is_not_answered_here():
    assert b"deep.sub.cdn.example.net" not in names().entries


def test_nothing_exists_without_a_zone():
    assert names({**DOCUMENT, "zones": {}}).entries == {}


# ---------------------------------------------------------------- zones known from a worker's settings alone

PARTIAL: dict[str, Any] = {
    "soa": {"mname": "ns1.cdn.example.net", "rname": "hostmaster.example.net"},
    "ns": ["ns1.cdn.example.net"],
    "services": [
        "www.cdn.example.net", "@", "img*", "*.video.eu", {"name": "dl", "answer": "cname"},
        {"name": "Plain.", "answer": "address"},
    ],
    "records": [
        {"name": "ns1", "type": "A", "content": "192.0.2.53"},
        {"name": "@", "type": "MX", "content": "10 mx.example.net", "ttl": 60},
        {"name": "a.B.cdn.example.net", "type": "A", "content": "192.0.2.54"},
    ],
}  # fmt: skip


def partial(spec: dict[str, Any] = PARTIAL) -> Names:
    known = Names(3, ())
    servers = [
        Node("lon1", DOCUMENT["nodes"]["lon1"]),
        Node("ams1", DOCUMENT["nodes"]["ams1"]),
        Node("bare", {}),
    ]
    known.add_partial(ZONE, spec, 77, ("A", "AAAA"), servers)
    return known


def test_a_partial_zone_has_its_soa_ns_records_services_and_empty_parents():
    known = partial()
    entries = {name.decode(): entry for name, entry in known.entries.items()}
    assert entries[ZONE].soa == lines(SOA.replace(str(SERIAL), "77")) + END
    assert entries[ZONE].ns == lines(NS[0]) + END
    assert entries[ZONE].kinds == entries["www.cdn.example.net"].kinds == ("A", "AAAA")
    assert entries["dl.cdn.example.net"].kinds == ("CNAME",)
    assert entries["plain"].kinds == ("A", "AAAA"), "a final dot makes a name absolute"
    assert entries["ns1.cdn.example.net"].lines == lines("0 1 ns1.cdn.example.net A 3600 192.0.2.53")
    assert entries["a.b.cdn.example.net"].lines == lines("0 1 a.b.cdn.example.net A 3600 192.0.2.54")
    assert entries["b.cdn.example.net"].lines == lines('0 1 b.cdn.example.net TXT 30 "-"')
    assert b"\tMX\t60\t1\t10\tmx.example.net\n" in entries[ZONE].lines
    assert known.partial == {ZONE}


def test_the_servers_host_names_exist_in_a_partial_zone_that_holds_them():
    known = partial()
    assert known.entries[b"lon1.pop.cdn.example.net"].lines == TABLE["lon1.pop.cdn.example.net"][2]
    assert b"ams1.elsewhere.org" not in known.entries


def test_the_globs_of_a_partial_zone_match_in_its_own_names_and_their_parents_exist():
    known = partial()
    assert known.globs == [
        ("img*.cdn.example.net", ("A", "AAAA"), ()),
        ("*.video.eu.cdn.example.net", ("A", "AAAA"), ()),
    ]
    for parent in (b"video.eu.cdn.example.net", b"eu.cdn.example.net"):
        assert b'\tTXT\t30\t1\t"-"\n' in known.entries[parent].lines


def test_the_serial_of_a_partial_zone_may_stand_in_its_soa():
    known = partial({**PARTIAL, "soa": {**PARTIAL["soa"], "serial": 5}})
    assert b"hostmaster.example.net 5 3600" in known.entries[ZONE.encode()].soa


def test_a_partial_zone_gets_an_id_of_its_own_beside_whole_ones():
    known = two_zones()
    known.add_partial(ZONE, PARTIAL, 77, ("A",), ())
    assert known.entries[ZONE.encode()].zone_id == 3
    assert known.entries[b"www.cdn.example.net"].zone_id == 3
    assert known.entries[b"www.a.b.example.net"].zone_id == 2


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("@", "z.net"), ("www", "www.z.net"), ("WWW", "www.z.net"), ("a.b", "a.b.z.net"), ("www.z.net", "www.z.net"),
        ("z.net", "z.net"), ("www.z.net.", "www.z.net"), ("www.other.org.", "www.other.org"),
        ("www.other.org", "www.other.org.z.net"),
        ("xz.net", "xz.net.z.net"), ("*", "*.z.net"),
    ],
)  # fmt: skip
def test_a_name_of_a_zones_table_is_made_absolute(name: str, result: str):
    assert absolute(name, "z.net") == result


@pytest.mark.parametrize(
    ("pattern", "name", "result"),
    [
        ("www.z.net", "www.z.net", True),
        ("www.z.net", "www2.z.net", False),
        ("*.z.net", "www.z.net", True),
        ("*.z.net", "a.b.z.net", True),
        ("*.z.net", "z.net", False),
        ("*.z.net", ".z.net", True),
        ("img*.z.net", "img.z.net", True),
        ("img*.z.net", "img12.z.net", True),
        ("img*.z.net", "xmg12.z.net", False),
        ("a*a.z.net", "a.z.net", False),
        ("a*a.z.net", "aa.z.net", True),
        ("*-*-*.z.net", "a-b-c.z.net", True),
        ("*-*-*.z.net", "a-b.z.net", False),
        ("*ab*abc", "ababc", True),
        ("*ab*bc", "abc", False),
        ("*", "", True),
    ],
)
def test_a_star_stands_for_any_characters(pattern: str, name: str, result: bool):
    assert matches(pattern, name) is result


@given(st.text(alphabet="ab.*", max_size=10), st.text(alphabet="ab.", max_size=14))
def test_a_pattern_matches_what_the_same_regular_expression_matches(pattern: str, name: str):
    regular = ".*".join(map(re.escape, pattern.split("*")))
    assert matches(pattern, name) is bool(re.fullmatch(regular, name))


def nested() -> Names:
    soa = {"mname": "ns1.example.net", "rname": "hostmaster.example.net"}
    digest = "12345 13 2 " + "AB" * 32
    zones = {
        "example.net": {
            "soa": soa, "ns": ["ns1.example.net"],
            "records": [{"name": "sub.example.net", "type": "DS", "content": digest, "ttl": 60}],
        },
        "sub.example.net": {
            "soa": soa, "ns": ["ns2.example.net"], "ns_ttl": 90,
            "records": [{"name": "sub.example.net", "type": "MX", "content": "10 mx.example.net"}],
        },
    }  # fmt: skip
    return from_document({"zones": zones}, (), (), 5, 3)


def test_the_zone_above_has_nothing_but_the_delegation_at_a_served_childs_apex():
    apex = nested().find(b"sub.example.net")
    assert apex is not None
    assert apex.above_id == 1
    assert apex.above == (
        b"DATA\t0\t0\tsub.example.net\tIN\tNS\t90\t1\tns2.example.net\n"
        b"DATA\t0\t1\tsub.example.net\tIN\tDS\t60\t1\t12345 13 2 " + b"AB" * 32 + b"\nEND\n"
    )
    assert b"DS" not in apex.lines
    assert apex.lines.count(b"\t2\t") == 3, "SOA, NS and MX with the child's own id"


def test_a_wildcards_records_stand_for_names_of_a_partly_known_zone():
    names = Names(3, ())
    soa = {"mname": "ns1.example.net", "rname": "hostmaster.example.net"}
    records = [
        {"name": "*.w", "type": "TXT", "content": '"x"'},
        {"name": "b.w", "type": "TXT", "content": '"y"'},
    ]
    names.add_partial("example.net", {"soa": soa, "ns": [], "records": records}, 1, (), ())
    for name, unknown in (
        (b"a.w.example.net", False), (b"c.a.w.example.net", False), (b"*.a.w.example.net", False),
        (b"a.b.w.example.net", True), (b"a.example.net", True), (b"*.example.net", True),
    ):  # fmt: skip
        assert names.find(name) is None
        assert names.partly_known(name) is unknown, name
