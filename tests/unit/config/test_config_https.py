"""`https` and `svcb` of a service: what is published of them, and what is refused."""

from __future__ import annotations

import itertools
from typing import Any

import dns.rdata
import pytest

from geosteer.decision.service_binding import bindings
from geosteer_loader.config.config import check_backend
from support.config_file import GOOD, changed, load, problems, record, without_lines

WWW = "www.cdn.example.net"
PLACE = f'services."{WWW}"'
ECH = "AED+DQA8AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def published(settings: str) -> dict[str, Any]:
    found: dict[str, Any] = load(GOOD + settings + "\n").document["services"][WWW]
    return found


def test_without_the_settings_nothing_is_published_of_them():
    assert not {"https", "svcb"} & set(published(""))


def test_a_record_is_published_as_it_is_configured():
    assert published(f'https = {{ alpn = ["h2", "h3"], port = 443, ech = "{ECH}" }}')["https"] == [
        {"priority": 1, "alpn": ["h2", "h3"], "port": 443, "ech": ECH}
    ]
    assert published("https = {}")["https"] == [{"priority": 1}]
    assert published('https = { priority = 0, target = "Other.example.org." }')["https"] == [
        {"priority": 0, "target": "other.example.org"}
    ]


def test_a_service_may_have_nothing_but_https_below_it():
    text = GOOD.replace(
        'map = "default"\n', 'map = "default"\n[services."www.cdn.example.net".https]\nalpn = ["h3"]\n'
    )
    assert load(text).document["services"][WWW]["https"] == [{"priority": 1, "alpn": ["h3"]}]


def test_several_records_have_priorities():
    several = published(
        'https = [{ priority = 1, alpn = ["h3"], no_default_alpn = true, mandatory = ["alpn"] }, { priority = 2 }]'
    )
    assert several["https"] == [
        {"priority": 1, "alpn": ["h3"], "no_default_alpn": True, "mandatory": ["alpn"]}, {"priority": 2},
    ]  # fmt: skip


def test_other_schemes_have_names_below_the_service():
    settings = (
        'svcb = [{ name = "_dns", alpn = ["dot", "h2"], dohpath = "/dns-query{?dns}" },'
        ' { name = "_8443._https", alpn = ["h2"], port = 8443 }]'
    )
    assert published(settings)["svcb"] == [
        {"name": "_dns", "priority": 1, "alpn": ["dot", "h2"], "dohpath": "/dns-query{?dns}"},
        {"name": "_8443._https", "priority": 1, "alpn": ["h2"], "port": 8443},
    ]


REFUSED = {
    'https = "h2"': f"{PLACE}.https: must be a table, not text",
    "https = { alpn = [] }": f"{PLACE}.https.alpn: must not be empty; without it, leave it out",
    'https = { alpn = "h2" }': f"{PLACE}.https.alpn: must be a list, not text: put it in [ ]",
    'https = { alpn = [""] }': f"{PLACE}.https.alpn[1]: must not be empty",
    'https = { alpn = ["h2", 3] }': f"{PLACE}.https.alpn[2]: must be text, not a whole number",
    'https = { alpn = ["HTTP/3"] }': f'{PLACE}.https.alpn[1]: "HTTP/3" is not a protocol id; did you mean "h3"?',
    'https = { alpn = ["h2,h3"] }': f'{PLACE}.https.alpn[1]: "h2,h3" contains ",", which no registered protocol id has',
    'https = { alpn = ["h2 ipv4hint=192.0.2.9"] }': f'{PLACE}.https.alpn[1]: "h2 ipv4hint=192.0.2.9" contains " "',
    f'https = {{ alpn = ["{"h" * 256}"] }}': f"{PLACE}.https.alpn[1]: is 256 bytes long; 255 are the most",
    f"https = {{ alpn = {[f'p{at}' for at in range(17)]} }}": f"{PLACE}.https.alpn: has 17 protocol ids; 16 are the most",
    "https = { port = 0 }": f"{PLACE}.https.port: must be a whole number from 1 to 65535, not 0",
    "https = { port = 65536 }": f"{PLACE}.https.port: must be a whole number from 1 to 65535, not 65536",
    'https = { port = "443" }': f'{PLACE}.https.port: must be a whole number from 1 to 65535, not "443"',
    'https = { ech = "no base64!" }': f"{PLACE}.https.ech: is not base64: ",
    'https = { ech = "AEX+" }': f"{PLACE}.https.ech: has 3 bytes, not 6 to 4096; it is the ECHConfigList",
    'https = { ech = "AEX+DQBB" }': f"{PLACE}.https.ech: begins with the length 69, but 4 bytes follow",
    "https = { no_default_alpn = true }": f"{PLACE}.https.no_default_alpn: needs alpn: no protocol would be left",
    'https = { mandatory = ["port"] }': f"{PLACE}.https.mandatory: names port, which the record does not have",
    'https = { mandatory = ["mandatory"] }': f'{PLACE}.https.mandatory[1]: must be "alpn" or ',
    "https = { priority = 65536 }": f"{PLACE}.https.priority: must be a whole number from 0 to 65535, not 65536",
    "https = { priority = 0 }": f"{PLACE}.https.target: is missing: priority 0 makes the record an alias of it",
    f'https = {{ priority = 0, target = "{WWW}." }}': f"{PLACE}.https.target: is the service itself",
    'https = { priority = 0, target = "a.example.org", port = 443 }': f"{PLACE}.https.port: does not go with priority 0",
    'https = { target = "*.example.org" }': f'{PLACE}.https.target: "*.example.org" is a wildcard',
    'https = [{ priority = 0, target = "a.example.org" }, {}]': f"{PLACE}.https[1]: stands beside an alias (priority 0)",
    "https = [{}, {}]": f"{PLACE}.https[2]: is listed twice",
    f"https = [{', '.join(f'{{ priority = {at} }}' for at in range(1, 10))}]": f"{PLACE}.https: has 9 records; 8 are the most",
    "https = { alp = [] }": f"{PLACE}.https.alp: unknown setting; did you mean \"alpn\"?",
    'https = { ipv4hint = ["192.0.2.1"] }': f"{PLACE}.https.ipv4hint: unknown setting",
    'https = { dohpath = "/q{?dns}" }': f"{PLACE}.https.dohpath: unknown setting",
    "svcb = [{}]": f"{PLACE}.svcb[1].name: is missing",
    "svcb = {}": f"{PLACE}.svcb: must be a list, not a table",
    'svcb = [{ name = "dns" }]': f'{PLACE}.svcb[1].name: "dns" is not labels with _ in front, such as "_dns"',
    'svcb = [{ name = "_dns", alpn = ["h2"] }]': f"{PLACE}.svcb[1].alpn: has h2, so that dohpath has to say where",
    'svcb = [{ name = "_dns", dohpath = "q" }]': f'{PLACE}.svcb[1].dohpath: "q" is not a path such as "/dns-query',
    'answer = "cname"\nhttps = {}': f'{PLACE}.https: is not possible with answer = "cname"',
}  # fmt: skip


@pytest.mark.parametrize("settings", REFUSED)
def test_what_would_make_a_bad_record_is_refused(settings):
    told = problems(GOOD + settings + "\n")
    assert any(REFUSED[settings] in line for line in told), told


def test_static_records_and_services_at_the_same_name_are_refused():
    static = record("www", "HTTPS", "1 . alpn=h2")
    told = problems(GOOD + "https = {}\n" + static)
    assert any(f"{PLACE}.https: has a static HTTPS record at the same name: " in line for line in told), told
    told = problems(GOOD + 'svcb = [{ name = "_dns" }]\n' + record("_dns.www", "TXT", "x"))
    assert any(f"{PLACE}.svcb[1].name: _dns.{WWW} has a static record: " in line for line in told), told
    told = problems(GOOD + f'svcb = [{{ name = "_dns" }}]\n[services."_dns.{WWW}"]\nmap = "default"\n')
    assert any(f"{PLACE}.svcb[1].name: _dns.{WWW} is also a service: " in line for line in told), told


def test_a_wildcard_has_no_names_below_it():
    told = problems(changed((f'"{WWW}"', '"*.cdn.example.net"')) + 'svcb = [{ name = "_dns" }]\n')
    assert any("is not possible for a wildcard" in line for line in told), told


def test_static_hints_at_a_service_are_warned_of():
    loaded = load(GOOD + record("www", "HTTPS", "1 . alpn=h2 ipv4hint=192.0.2.1"))
    assert any("gives every client the same hints" in line for line in loaded.warnings), loaded.warnings
    loaded = load(GOOD + record("www", "HTTPS", "1 . alpn=h2"))
    assert not any("hints" in line for line in loaded.warnings)


def test_whatever_is_taken_makes_records_that_parse():
    choices = {
        "priority": (None, "2"),
        "target": (None, '"www.example.org"', f'"{WWW}"'),
        "alpn": (None, '["h2"]', '["http/1.1", "h3", "acme-tls/1", "stun.turn"]'),
        "no_default_alpn": (None, "true"),
        "port": (None, "1", "65535"),
        "ech": (None, f'"{ECH}"'),
        "mandatory": (None, '["alpn"]'),
    }
    count = 0
    for values in itertools.product(*choices.values()):
        chosen = {key: value for key, value in zip(choices, values, strict=True) if value is not None}
        if "alpn" not in chosen and {"no_default_alpn", "mandatory"} & set(chosen):
            continue
        table = ", ".join(f"{key} = {value}" for key, value in chosen.items())
        if count % 7 == 0:  # each takes a while to load
            spec = published(f"https = {{ {table} }}")
            (made,) = bindings(WWW, spec)
            content = made.content([("A", "192.0.2.1"), ("A", "192.0.2.2"), ("AAAA", "2001:db8::1")])
            parsed: Any = dns.rdata.from_text("IN", "HTTPS", content)
            assert parsed.priority == int(chosen.get("priority", 1))
            assert ("ipv4hint" in content) == (chosen.get("target") != '"www.example.org"')
            assert dns.rdata.from_text("IN", "HTTPS", parsed.to_text()) == parsed
        count += 1
    assert count > 50


def test_a_target_within_a_served_zone_has_to_be_there():
    def warnings(target: str, more: str = "") -> list[str]:
        alias = f'https = {{ priority = 0, target = "{target}" }}\n'
        return without_lines(load(GOOD + alias + more).warnings)

    other = '[services."*.w.cdn.example.net"]\nmap = "default"\n'
    (told,) = warnings("nowhere.cdn.example.net")
    assert told.endswith(
        f"{PLACE}.https: the target nowhere.cdn.example.net is inside a served zone, but nothing answers there"
    )
    for there in ("lon1.cdn.example.net", "play.w.cdn.example.net", "www.example.org"):
        assert warnings(there, other) == []
    back = f'[services."b.cdn.example.net"]\nmap = "default"\nhttps = {{ priority = 0, target = "{WWW}" }}\n'
    second, first = warnings("b.cdn.example.net", back)
    assert first.endswith(f"the alias leads back to itself: {WWW} -> b.cdn.example.net -> {WWW}")
    assert "b.cdn.example.net -> www" in second


def test_an_invalid_target_is_not_also_missing():
    (told,) = problems(GOOD + 'https = { priority = 0, target = "." }\n')
    assert "the root cannot be served" in told


BACKEND = """
[redis]
url = "unix:///run/redis.sock"
[[fallback.servers]]
name = "lon1"
a = ["192.0.2.1"]
[fallback.zones."cdn.example.net"]
soa = { mname = "ns1.example.net", rname = "h.example.net" }
ns = ["ns1.example.net"]
services = [
    "plain",
    { name = "www", SETTINGS },
]
"""


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ('https = { alpn = ["h2"] }, svcb = [{ name = "_dns", port = 853 }]', None),
        ('https = [{ priority = 1 }, { priority = 2, target = "A.example.org." }]', None),
        ("https = { port = 0 }", "services[2].https.port: must be a whole number from 1 to 65535, not 0"),
        ('answer = "cname", https = {}', 'services[2].https: is not possible with answer = "cname"'),
        ("svcb = [{}]", "services[2].svcb[1].name: is missing"),
        ("other = 1", 'unknown setting "other"; name, answer, https and svcb are known'),
    ],
)
def test_a_workers_own_settings_may_have_the_records(tmp_path, settings, told):
    path = tmp_path / "backend.toml"
    path.write_text(BACKEND.replace("SETTINGS", settings))
    problems_found = check_backend(path)
    assert any(told in line for line in problems_found) if told else problems_found == [], problems_found
