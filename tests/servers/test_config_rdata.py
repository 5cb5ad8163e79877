"""Static records: read from any usual spelling, written as a real PowerDNS takes them from a pipe."""

from __future__ import annotations

import json
import sys

import dns.name
import dns.rdata
import pytest

from geosteer_loader.config import rdata
from support.servers import PowerDNS

EXAMPLES = {
    "A": ["192.0.2.1", r"\# 4 c0000201"],
    "AAAA": ["2001:DB8::1"],
    "AFSDB": ["1 afs.example.net"],
    "APL": ["1:192.168.32.0/21 !1:192.168.38.0/28"],
    "CAA": ['0 issue "ca.example.net"', '128 iodef "mailto:a@example.net"', '0 issue ";"'],
    "CDNSKEY": ["257 3 8 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3"],
    "CDS": ["60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118"],
    "CERT": ["1 0 0 aGVsbG8=", "PGP 1 RSASHA256 aGVsbG8="],
    "CNAME": ["www.example.net", "WWW.example.net."],
    "CSYNC": ["66 3 A NS AAAA"],
    "DHCID": ["AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="],
    "DS": ["1 8 2 " + "ab" * 32],
    "EUI48": ["00-00-5e-00-53-2a"],
    "EUI64": ["00-00-5e-ef-10-00-00-2a"],
    "HINFO": ['x "y z"'],
    "HTTPS": ["1 . alpn=h2,h3 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1", "0 other.example.net"],
    "KX": ["10 kx.example.net"],
    "L32": ["10 10.1.2.0"],
    "L64": ["10 2001:0DB8:1140:1000"],
    "LOC": ["51 30 12.748 N 0 7 39.612 W 0.00m", "51 N 0 W 10m"],
    "LP": ["10 l64.example.net"],
    "MX": ["10 mail.example.net", "0 ."],
    "NAPTR": [r'100 10 "u" "E2U+sip" "!^.*$!sip:info@example.net!" .'],
    "NID": ["10 0014:4fff:ff20:ee64"],
    "OPENPGPKEY": ["aGVsbG8="],
    "PTR": ["p.example.net"],
    "RP": ["admin.example.net txt.example.net"],
    "SMIMEA": ["3 1 1 " + "d2" * 32],
    "SPF": ["v=spf1 -all"],
    "SRV": ["10 5 443 h.example.net", "0 0 0 ."],
    "SSHFP": ["1 1 " + "12" * 20],
    "SVCB": [
        "1 . mandatory=alpn,port alpn=h2 port=53", "1 s.example.net no-default-alpn alpn=h2", "1 . dohpath=/q{?dns}",
        '1 . key65333="a b"',
    ],
    "TLSA": ["3 1 1 " + "d2" * 32],
    "TXT": ['a "b" \\ ; c', '"one" "two"', "é", "x" * 300, '""'],
    "URI": ['10 1 "https://example.net/x"'],
    "ZONEMD": ["2018031500 1 1 " + "FE" * 48],
}  # fmt: skip

WORKER = """\
#!{python}
import json, sys
records = json.loads({records!r})
for line in sys.stdin:
    question = line.rstrip("\\n").split("\\t")
    lines = ["END"]
    if question[0] == "HELO":
        lines = ["OK\\ttest"]
    elif question[3] == "SOA" and question[1].lower() == "z.test":
        lines = ["DATA\\t0\\t1\\tz.test\\tIN\\tSOA\\t60\\t1\\tns.z.test h.z.test 1 2 3 4 5", "END"]
    elif question[3] == "ANY":
        found = [(kind, content) for name, kind, content in records if name == question[1].lower()]
        lines = [f"DATA\\t0\\t1\\t{{question[1]}}\\tIN\\t{{kind}}\\t60\\t1\\t{{content}}" for kind, content in found] + ["END"]
    print("\\n".join(lines), flush=True)
"""


def test_every_type_has_an_example():
    assert set(EXAMPLES) == rdata.TYPES - {"NS"}  # NS is a delegation, which PowerDNS answers otherwise


def test_powerdns_answers_every_type_with_the_data_that_was_meant(tmp_path):
    expected = []
    records = []
    for kind, contents in EXAMPLES.items():
        for number, content in enumerate(contents):
            name, written = f"{kind}{number}.z.test".lower(), rdata.content(kind, content)
            meant = dns.rdata.from_text("IN", kind, written, origin=dns.name.root, relativize=False)
            expected.append((name, kind, meant))
            # preference and priority are a field of their own (PowerDNS, pipe backend)
            records.append((name, kind, written.replace(" ", "\t", 1) if kind in {"MX", "SRV"} else written))
    worker = tmp_path / "worker"
    worker.write_text(WORKER.format(python=sys.executable, records=json.dumps(records)))
    worker.chmod(0o755)
    answers = []
    with PowerDNS(command=str(worker)) as server:
        for name, kind, _ in expected:
            answer = server.query(name, kind).answer
            answers.append((name, kind, next((one for rrset in answer for one in rrset), None)))
    assert answers == expected


@pytest.mark.parametrize(
    ("kind", "content", "written"),
    [
        ("CNAME", "WWW.Example.NET.", "www.example.net"),
        ("MX", "10 Mail.example.net", "10 mail.example.net"),
        ("MX", "0 .", "0 ."),
        ("SRV", "1 2 3 Host.", "1 2 3 host"),
        ("NS", "ns1.example.net", "ns1.example.net"),
        ("AAAA", "2001:DB8:0::1", "2001:db8::1"),
        ("TXT", "v=spf1 -all", '"v=spf1 -all"'),
        ("TXT", 'say "hi"; \\o/', r'"say \"hi\"; \\o/"'),
        ("TXT", '"a" b', '"a" "b"'),
        ("TXT", "é", r'"\195\169"'),
        ("TXT", "x" * 256, f'"{"x" * 255}" "x"'),
        ("SVCB", "1 . port=53", "1 . port=53"),
        ("SVCB", "1 . dohpath=/q{?dns}", '1 . key7="/q{?dns}"'),
        ("CERT", "PGP 1 RSASHA256 aGVsbG8=", "3 1 8 aGVsbG8="),
    ],
)
def test_content_is_written_in_one_form(kind, content, written):
    assert rdata.content(kind, content) == written
    assert rdata.content(kind, written) == written


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("A", "192.0.2.256"), ("A", "2001:db8::1"), ("AAAA", "192.0.2.1"), ("MX", "mail.example.net"), ("MX", "70000 m"),
        ("SRV", "1 2 host"), ("CNAME", "a b"), ("NS", "a..b"), ("CNAME", "x" * 64), ("CAA", "0 issue"), ("TLSA", "3 1 1 xyz"),
        ("SSHFP", "1 1"), ("DS", "1 8 2 abcd"), ("TXT", '"never ends'), ("TXT", f'"{"x" * 256}"'), ("LOC", "51 30 N"),
        ("NAPTR", "1 2 u"), ("SVCB", "1"), ("HTTPS", "1 . key65333"), ("HTTPS", "1 . port=x"), ("APL", r"\# 0"),
        ("A", "192.0.2.1 192.0.2.2"), ("A", r"\# 4 zz"),
    ],
)  # fmt: skip
def test_content_that_does_not_parse_is_refused(kind, content):
    with pytest.raises(ValueError, match=f"^is not valid {kind} data: "):
        rdata.content(kind, content)
