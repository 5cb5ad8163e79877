"""Mistakes in zones and services of conf/geosteer.toml, and what cannot stand at one name together."""

from __future__ import annotations

import pytest

from support.config_file import GOOD, SERVICES, ZONES, changed, problems, record


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


LONG = "a" * 64
MANY = ".".join(["a" * 60] * 4)

CASES = {
    # zones
    "no soa": (
        changed(('soa = { mname = "ns1.example.net", rname = "hostmaster.example.net" }', "")),
        'zones."cdn.example.net".soa: is missing: at least mname and rname',
    ),
    "no mname": (
        changed(('mname = "ns1.example.net", ', "")),
        'zones."cdn.example.net".soa.mname: is missing',
    ),
    "rname with @": (
        changed(("hostmaster.example", "hostmaster@example")),
        (
            'zones."cdn.example.net".soa.rname: "hostmaster@example.net" is a mailbox: write '
            "'hostmaster.example.net', with a dot in place of the @ (RFC 1035, 3.3.13)"
        ),
    ),
    "soa time": (
        changed(('"hostmaster.example.net" }', '"hostmaster.example.net", refresh = 0 }')),
        'zones."cdn.example.net".soa.refresh: must be a duration from 1 to 2147483647 s, not 0',
    ),
    "no ns": (
        changed(('ns = ["ns1.example.net"]', "")),
        'zones."cdn.example.net".ns: is missing: the zone\'s name servers',
    ),
    "ns twice": (
        changed(('["ns1.example.net"]', '["ns1.example.net", "NS1.example.net."]')),
        'zones."cdn.example.net".ns[2]: ns1.example.net is listed twice',
    ),
    "unknown setting of a zone": (
        changed(("ns = [", "ns_tll = 60\nns = [")),
        'zones."cdn.example.net".ns_tll: unknown setting; did you mean "ns_ttl"?',
    ),
    "zone twice": (
        GOOD + ZONES.replace("cdn.example", "CDN.Example"),
        'zones."CDN.Example.net": zone cdn.example.net is already defined; letter case and a final dot do not count',
    ),
    "record elsewhere": (
        GOOD + record("www.example.org.", "TXT", "x"),
        'zones."cdn.example.net".records[1].name: "www.example.org." is not in the zone cdn.example.net',
    ),
    "record without type": (
        GOOD + '[[zones."cdn.example.net".records]]\nname = "x"\ncontent = "y"\n',
        'zones."cdn.example.net".records[1].type: is missing',
    ),
    "SOA record": (
        GOOD + record("@", "SOA", "a b 1 2 3 4 5"),
        'zones."cdn.example.net".records[1].type: SOA does not belong here: it is the zone\'s setting soa',
    ),
    "unknown type": (
        GOOD + record("x", "AAA", "192.0.2.1"),
        'zones."cdn.example.net".records[1].type: "AAA" is not a record type that can be served here; did you mean "AAAA"?',
    ),
    "rdata": (
        GOOD + record("x", "MX", "mail.example.net"),
        "zones.\"cdn.example.net\".records[1].content: is not valid MX data: expecting an integer; it is written as in '10 mail.example.net'",  # noqa: E501  # the whole message
    ),
    "record ttl": (
        GOOD + record("x", "A", "192.0.2.7", 2**31),
        'zones."cdn.example.net".records[1].ttl: must be a duration from 0 to 2147483647 s, not 2147483648',
    ),
    "record twice": (
        GOOD + record("x", "A", "192.0.2.7") + record("X", "A", "192.0.2.7"),
        'zones."cdn.example.net".records[2]: is the same record as zones."cdn.example.net".records[1]',
    ),
    "long label": (
        GOOD + record(LONG, "A", "192.0.2.7"),
        f'zones."cdn.example.net".records[1].name: "{LONG[:57]}..." has a label of 64 bytes, more than 63',
    ),
    "long name": (
        GOOD + record(MANY, "A", "192.0.2.7"),
        f'zones."cdn.example.net".records[1].name: "{MANY[:57]}..." is 261 bytes long, more than 255',
    ),
    "empty label": (
        GOOD + record("a..b", "A", "192.0.2.7"),
        'zones."cdn.example.net".records[1].name: "a..b.cdn.example.net" has an empty label',
    ),
    "odd byte": (
        GOOD + record("a+b", "A", "192.0.2.7"),
        'zones."cdn.example.net".records[1].name: "a+b.cdn.example.net" contains "+", which PowerDNS does not pass on',
    ),
    "letters beyond ASCII": (
        GOOD + record("müller", "A", "192.0.2.7"),
        (
            'zones."cdn.example.net".records[1].name: "müller.cdn.example.net" contains "ü", which PowerDNS does not pass on; '
            'write "xn--mller-kva.cdn.example.net"'
        ),
    ),
    "wildcard inside": (
        GOOD + record("a.*.b", "A", "192.0.2.7"),
        'zones."cdn.example.net".records[1].name: "a.*.b.cdn.example.net" has a wildcard that is not its first label',
    ),
    # what may stand at one name
    "CNAME at the apex": (
        GOOD + record("@", "CNAME", "example.org"),
        'zones."cdn.example.net".records[1]: a CNAME is not allowed at the apex of a zone (RFC 1034, 3.6.2)',
    ),
    "CNAME beside others": (
        GOOD + record("x", "TXT", "y") + record("x", "CNAME", "example.org"),
        (
            'zones."cdn.example.net".records[2]: a CNAME cannot coexist with other records, here '
            'zones."cdn.example.net".records[1] (RFC 1034, 3.6.2)'
        ),
    ),
    "two CNAMEs": (
        GOOD + record("x", "CNAME", "a.example.org") + record("x", "CNAME", "b.example.org"),
        (
            'zones."cdn.example.net".records[1]: a CNAME cannot coexist with other records, here '
            'zones."cdn.example.net".records[2] (RFC 1034, 3.6.2)'
        ),
    ),
    "apex NS": (
        GOOD + record("@", "NS", "ns3.example.net"),
        'zones."cdn.example.net".records[1]: list the zone\'s own name servers in its setting ns',
    ),
    "wildcard NS": (
        GOOD + record("*.x", "NS", "ns3.example.net"),
        'zones."cdn.example.net".records[1]: a wildcard cannot be delegated (RFC 4592, 4.2)',
    ),
    "DS of nothing": (
        GOOD + record("x", "DS", "1 8 2 " + "ab" * 32),
        'zones."cdn.example.net".records[1]: DS is valid at a delegation only, and x.cdn.example.net has no NS record',
    ),
    "DS in the zone itself": (
        GOOD + record("@", "DS", "1 8 2 " + "ab" * 32),
        'zones."cdn.example.net".records[1]: DS of cdn.example.net belongs in its parent zone',
    ),
    "DS of a grandchild": (
        GOOD
        + record("a.sub", "DS", "1 8 2 " + "ab" * 32)
        + ZONES.replace("cdn.example", "sub.cdn.example")
        + ZONES.replace("cdn.example", "a.sub.cdn.example"),
        (
            'zones."cdn.example.net".records[1]: DS of a.sub.cdn.example.net belongs in its parent zone, '
            "sub.cdn.example.net"
        ),
    ),
    "invalid DS": (
        GOOD + record("sub", "DS", "1 8 2 abcd") + ZONES.replace("cdn.example", "sub.cdn.example"),
        'zones."cdn.example.net".records[1].content: is not valid DS data: digest length inconsistent with digest type',
    ),
    "below a delegation": (
        GOOD + record("sub", "NS", "ns.example.org") + record("a.sub", "TXT", "x"),
        'zones."cdn.example.net".records[2]: is below the delegation sub.cdn.example.net, where only glue (A, AAAA) is served',
    ),
    "delegation below a delegation": (
        GOOD + record("sub", "NS", "ns.example.org") + record("a.sub", "NS", "ns.example.org"),
        'zones."cdn.example.net".records[2]: is below the delegation sub.cdn.example.net, where only glue (A, AAAA) is served',
    ),
    "beside a delegation": (
        GOOD + record("sub", "NS", "ns.example.org") + record("sub", "MX", "10 mail.example.org"),
        (
            'zones."cdn.example.net".records[2]: is at the delegation sub.cdn.example.net, where only NS, DS and glue '
            "(A, AAAA) are served"
        ),
    ),
    "record of a deeper zone": (
        GOOD + record("x.sub", "TXT", "x") + ZONES.replace("cdn.example", "sub.cdn.example"),
        'zones."cdn.example.net".records[1]: x.sub.cdn.example.net belongs to the zone sub.cdn.example.net',
    ),
    "name server that is an alias": (
        changed(("ns1.example.net", "www.cdn.example.net"), ('["ns1.example.net"]', '["x.cdn.example.net"]'))
        + record("x", "CNAME", "example.org"),
        'zones."cdn.example.net".ns: x.cdn.example.net is an alias; a name server must not be one (RFC 2181, 10.3)',
    ),
    "service outside every zone": (
        changed(('"www.cdn.example.net"', '"www.example.net"')),
        'services."www.example.net": is outside every zone (cdn.example.net)',
    ),
    "service below a delegation": (
        changed(('"www.cdn', '"www.sub.cdn')) + record("sub", "NS", "ns.example.org"),
        'services."www.sub.cdn.example.net": is at or below the delegation sub.cdn.example.net',
    ),
    "service at a delegation": (
        GOOD + record("www", "NS", "ns.example.org"),
        'services."www.cdn.example.net": is at or below the delegation www.cdn.example.net',
    ),
    "static address at a service": (
        GOOD + record("www", "AAAA", "2001:db8::7"),
        'services."www.cdn.example.net": has a static AAAA record at the same name: zones."cdn.example.net".records[1]',
    ),
    "static CNAME at a service": (
        GOOD + record("www", "CNAME", "example.org"),
        'services."www.cdn.example.net": has a static CNAME record at the same name: zones."cdn.example.net".records[1]',
    ),
    "anything at a CNAME service": (
        changed(("map =", 'answer = "cname"\nmap =')) + record("www", "TXT", "x"),
        'services."www.cdn.example.net": has a static TXT record at the same name: zones."cdn.example.net".records[1]',
    ),
    "CNAME service at the apex": (
        changed(('[services."www.', '[services."'), ("map =", 'answer = "cname"\nmap =')),
        'services."cdn.example.net": a CNAME is not allowed at the apex of a zone (RFC 1034, 3.6.2)',
    ),
    "node and service": (
        changed(("ams1.cdn", "www.cdn")),
        'nodes.ams1.hostname: www.cdn.example.net is also a service: services."www.cdn.example.net"',
    ),
    "node and CNAME": (
        GOOD + record("ams1", "CNAME", "example.org"),
        'nodes.ams1.hostname: ams1.cdn.example.net also has a static CNAME record: zones."cdn.example.net".records[1]',
    ),
    "node and address": (
        GOOD + record("ams1", "A", "192.0.2.2"),
        'nodes.ams1.hostname: ams1.cdn.example.net also has a static A record: zones."cdn.example.net".records[1]',
    ),
    "node at the apex": (
        changed(('"ams1.cdn', '"cdn')),
        "nodes.ams1.hostname: cdn.example.net is the apex of a zone",
    ),
    "node below a delegation": (
        changed(('"ams1.cdn', '"ams1.sub.cdn')) + record("sub", "NS", "ns.example.org"),
        "nodes.ams1.hostname: ams1.sub.cdn.example.net is at or below the delegation sub.cdn.example.net",
    ),
    "node without what its name means": (
        changed(('a = ["192.0.2.2"]\n', "")),
        (
            "nodes.ams1.hostname: ams1.cdn.example.net is inside the zone cdn.example.net, but the node has no address "
            "to answer with"
        ),
    ),
    "node that is a wildcard": (
        changed(('"ams1.cdn', '"*.cdn')),
        'nodes.ams1.hostname: "*.cdn.example.net" is a wildcard; a single name is needed here',
    ),
    # services
    "no map": (
        changed(('map = "default"', "")).replace("[maps.default]", "[maps.default]"),
        'services."www.cdn.example.net".map: is missing',
    ),
    "unknown map": (
        changed(('map = "default"', 'map = "defualt"')),
        'services."www.cdn.example.net".map: unknown map defualt; did you mean "default"?',
    ),
    "policy": (
        changed(("map =", 'policy = "random"\nmap =')),
        (
            'services."www.cdn.example.net".policy: must be "best" or "weighted" or "hash" or "nearest" or "path" '
            'or "latency", not "random"'
        ),
    ),
    "service ttl": (
        changed(("map =", "ttl = -1\nmap =")),
        'services."www.cdn.example.net".ttl: must be a duration from 0 to 2147483647 s, not -1',
    ),
    "ttl in parts of seconds": (
        changed(("map =", "ttl = 1.5\nmap =")),
        'services."www.cdn.example.net".ttl: must be a whole number of seconds, not 1.5',
    ),
    "ttl_min": (
        changed(("map =", "ttl_min = 61\nmap =")),
        'services."www.cdn.example.net".ttl_min: must not be more than the ttl, 60 s',
    ),
    "answer": (
        changed(("map =", 'answer = "a"\nmap =')),
        'services."www.cdn.example.net".answer: must be "address" or "cname", not "a"',
    ),
    "max_answers": (
        changed(("map =", "max_answers = 0\nmap =")),
        'services."www.cdn.example.net".max_answers: must be a whole number from 1 to 8, not 0',
    ),
    "CNAME with several answers": (
        changed(("map =", 'answer = "cname"\nmax_answers = 2\nmap =')),
        'services."www.cdn.example.net".max_answers: must be 1 with answer = "cname": a name has one CNAME',
    ),
    "CNAME to a node without a name": (
        changed(('hostname = "ams1.cdn.example.net"\n', ""), ("map =", 'answer = "cname"\nmap =')),
        'services."www.cdn.example.net".answer: is cname, but node ams1 of map default is without a hostname',
    ),
    "same service in other letters": (
        GOOD + SERVICES.replace("www.cdn", "WWW.cdn"),
        (
            'services."WWW.cdn.example.net": is the same service as services."www.cdn.example.net" (letter case and a final '
            "dot do not count)"
        ),
    ),
    "no address in the map": (
        changed(
            ("lon1 = 100, ams1 = 50", "far = 1"),
            ("lon1 = 100, ams1 = 10", "far = 1"),
            more='[nodes.far]\nhostname = "far.example.org"\n',
        ),
        'services."www.cdn.example.net".map: no node of map default has an address',
    ),
    "no server of last resort for AAAA": (
        changed(("well_connected = 10\n", ""), ("[nodes.ams1]", "[nodes.ams1]\nwell_connected = 1")),
        (
            'services."www.cdn.example.net": type AAAA has no server of last resort: give well_connected to a node with '
            "an address of type AAAA"
        ),
    ),
    "no server of last resort for CNAME": (
        changed(("well_connected = 10\n", ""), ("map =", 'answer = "cname"\nmap =')),
        (
            'services."www.cdn.example.net": type CNAME has no server of last resort: give well_connected to a node with '
            "a hostname"
        ),
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_mistake_is_named_with_file_place_and_reason_and_nothing_else_is(text, expected):
    assert problems(text) == [f"c.toml: {expected}"]
