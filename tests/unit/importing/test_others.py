"""PowerDNS' geoip zones, geodns's zones and mirrorbits' mirrors as configurations of geosteer."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer.errors import ConfigError
from geosteer_loader.importing import geodns, mirrorbits, pdns_geoip
from geosteer_loader.importing.result import checked

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.importing.draft import Draft

HEAD = """
domains:
- domain: example.com
  ttl: 30
  records:
    example.com:
      - soa: ns1.example.net hostmaster.example.net 7 7200 3600 1209600 90
      - ns: ns1.example.net
"""
MIRRORS = """
Name: first
HttpURL: http://first.example.org/
Latitude: 48.85
Longitude: 2.35
ContinentCode: EU
CountryCodes: FR BE
Score: 20
Enabled: true
---
Name: second
HttpURL: https://second.example.org
Latitude: 40.7
Longitude: -74
ContinentCode: NA
CountryCodes: US
Score: -30
Enabled: true
---
Name: third
HttpURL: third.example.org
Enabled: false
"""


def settled(draft: Draft) -> dict[str, Any]:
    text, problems = checked(draft)
    assert problems == []
    made: dict[str, Any] = tomllib.loads(text)
    return made


def powerdns(folder: Path, text: str) -> Draft:
    path = folder / "zones.yaml"
    path.write_text(text)
    return pdns_geoip.draft_of(path)


def test_formats_become_layers_and_weights_a_draw(tmp_path: Path) -> None:
    records = {
        "chn.as.s.example.com": "a: 192.0.2.1", "us-ca.s.example.com": "a: 192.0.2.2",
        "as64496.s.example.com": "cname: x.example.org",
    }  # fmt: skip
    text = HEAD + "".join(f"    {name}:\n      - {record}\n" for name, record in records.items())
    text += "    eu.s.example.com:\n      - a: {content: 192.0.2.3, weight: 10}\n      - a: 192.0.2.4\n"
    text += "    all.example.com:\n      - a: 192.0.2.9\n"
    text += "  services:\n    www.example.com: ['%cc-%re.s.example.com', '%co.%cn.s.example.com', '%cn.s.example.com',"
    text += " all.example.com]\n"
    made = settled(powerdns(tmp_path, text))
    assert made["maps"]["www"] == {
        "subdivisions": {"US-CA": {"us-ca": 1}}, "countries": {"CN": {"chn": 1}},
        "continents": {"EU": {"eu-1": 10, "eu-2": 100}}, "default": {"all": 1},
    }  # fmt: skip
    assert made["services"]["www.example.com"] == {"map": "www", "policy": "weighted", "ttl": 30}
    text = text.replace("'%co.%cn.s.example.com'", "'as%as.s.example.com'").replace(
        "a: 192.0.2.1", "cname: y.example.org"
    )
    draft = powerdns(tmp_path, text)
    assert any("a name among addresses" in loss for loss in settled(draft) and draft.losses)


def https_import(folder: Path, fr: list[str], se: list[str], *more: str) -> Draft:
    """Two places' HTTPS records, written as in the file, beside 192.0.2.1 and 2001:db8::1, or 192.0.2.2."""
    text = HEAD + "    fr.s.example.com:\n      - a: 192.0.2.1\n      - aaaa: 2001:db8::1\n"
    text += "".join(f"      - https: {record}\n" for record in fr)
    text += "    se.s.example.com:\n      - a: 192.0.2.2\n" + "".join(
        f"      - https: {record}\n" for record in se
    )
    text += "".join(f"{line}\n" for line in more)
    text += "  services:\n    www.example.com: ['%cc.s.example.com']\n"
    return powerdns(folder, text)


@pytest.mark.parametrize(
    ("fr", "se", "https"),
    [
        (["1 . ipv4hint=192.0.2.1 ipv6hint=2001:db8::1"], ["1 . ipv4hint=192.0.2.2"], {}),
        (["1 . alpn=h2,h3 port=8443"], ["1 . alpn=h2,h3 port=8443"], {"alpn": ["h2", "h3"], "port": 8443}),
        (["0 a.example.org."], ["0 a.example.org."], {"priority": 0, "target": "a.example.org"}),
        (
            ["{content: 1 www.example.com. alpn=h3, ttl: 20}", "2 ."], ["2 .", "1 . alpn=h3 ipv4hint=192.0.2.2"],
            [{"alpn": ["h3"]}, {"priority": 2}],
        ),
    ],
)  # fmt: skip
def test_https_records_of_places_become_one_setting(
    tmp_path: Path, fr: list[str], se: list[str], https: object
) -> None:
    draft = https_import(tmp_path, fr, se)
    assert settled(draft)["services"]["www.example.com"]["https"] == https
    assert not draft.losses
    assert draft.services["www.example.com"]["ttl"] == (20 if "ttl" in fr[0] else 30)
    hintless = not isinstance(https, dict) or "port" in https
    assert any("records without hints" in note for note in draft.notes) == hintless


@pytest.mark.parametrize(
    ("fr", "se", "more", "reason"),
    [
        ("1 . alpn=h2", "1 . alpn=h3", "", "differs between fr.s.example.com and se.s.example.com"),
        ("1 .", "", "", "differs between"),
        ("", "1 .", "", "differs between"),
        ("1 . ipv4hint=192.0.2.2", "1 .", "", "fr.s.example.com: its hints are not its addresses"),
        ("1 .", "1 . ipv6hint=2001:db8::1", "", "se.s.example.com: its hints are not its addresses"),
        ("1 x.example.org. ipv4hint=192.0.2.1", "1 .", "", "hints of another name's addresses"),
        ("1 . key9=x", "1 . key9=x", "", "parameter 9 is not one of `https`"),
        ("1 . mandatory=ipv4hint ipv4hint=192.0.2.1", "1 . mandatory=ipv4hint ipv4hint=192.0.2.2", "", "mandatory"),
        ("0 .", "0 .", "", "there is no such service"),
        ("1 . alpn=http/2", "1 . alpn=http/2", "", 'did you mean "h2"'),
        ("1 . port=x", "1 .", "", "1 . port=x"),
        ("{content: 1 ., weight: 5}", "1 .", "", "a weight or a placeholder"),
        ("1 %cc.example.org.", "1 .", "", "a weight or a placeholder"),
        ("1 .", "1 . ipv4hint=192.0.2.2", "      - a: {content: 192.0.2.3, weight: 5}", "whichever address is drawn"),
        ("1 .", "1 .", "    www.example.com:\n      - https: 1 . port=1", "beside one of the name itself"),
        ("1 .", "1 .", "      - svcb: 1 .", "SVCB: geosteer has one for all clients"),
        ("1 .", "1 .", "      - txt: x", "TXT: geosteer has one for all clients"),
    ],
)  # fmt: skip
def test_https_records_that_are_not_one_setting_are_listed(
    tmp_path: Path, fr: str, se: str, more: str, reason: str
) -> None:
    draft = https_import(tmp_path, [fr] if fr else [], [se] if se else [], *([more] if more else []))
    made = settled(draft)["services"]["www.example.com"]
    taken = "one for all clients" in reason  # of another type
    assert ("https" in made) == taken
    assert len(draft.losses) == 1
    assert reason in "".join(draft.losses)


def test_what_a_place_has_of_its_own_in_geodns_is_listed(tmp_path: Path) -> None:
    data = {
        "www": {"a": [["192.0.2.1"]], "max_hosts": 1}, "x": {"a": [["192.0.2.2"]]},
        "www.europe": {"a": [["192.0.2.3"]], "ttl": 9, "max_hosts": 1, "health": {"type": "tcp"}, "txt": "x"},
        "www.se": {"alias": "x"},
    }  # fmt: skip
    draft = geodns_zone(tmp_path, {"ttl": 60, "targeting": "country continent", "data": data})
    lost = [loss.partition(": geosteer")[0].partition("www.example.com: ")[2] for loss in draft.losses]
    assert lost == [
        "continents EU: health",
        "continents EU: ttl",
        "continents EU: txt",
        "countries SE: alias",
    ]


def test_mapped_places_are_read_back(tmp_path: Path) -> None:
    text = HEAD + "    fin.m.example.com:\n      - a: 192.0.2.1\n    all.example.com:\n      - a: 192.0.2.9\n"
    text += "  services:\n    www.example.com: ['%mp.m.example.com', 'all.example.com']\n"
    text += "mapping_lookup_formats: ['%cc']\ncustom_mapping:\n  fi: fin\n  se: fin\n  no: nowhere\n"
    made = settled(powerdns(tmp_path, text))
    assert made["maps"]["www"]["countries"] == {"FI": {"fin": 1}, "SE": {"fin": 1}}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("    x.example.com:\n      - a: '%ip4'\n", "contents that are worked out"),
        ("    x.example.com:\n      - lua: 'A \"x\"'\n", "contents that are worked out"),
        ("    x.example.com:\n      - a: {content: 192.0.2.1, weight: 5}\n", "a weight without a service"),
        ("  services:\n    s.example.com: '%lat.example.com'\n", "no layer for these placeholders"),
        ("other: 1\n", "unknown"),
    ],
)
def test_what_powerdns_alone_has_is_listed(tmp_path: Path, more: str, why: str) -> None:
    draft = powerdns(tmp_path, HEAD + more)
    assert any(why in loss for loss in draft.losses), list(draft.losses)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a list `domains`"), ("domains: 5", "a list `domains`"), ("domains:\n- {ttl: 5}", "each has a name"),
        ("domains:\n- domain: x\n  ttl: abc", "whole number"), ("a: [", "line 1"),
        ("a: 1\na: 2", "line 2: 'a' is given twice"),
        ("domains:\n- domain: x.net\n  records:\n    x.net: [{a: }]", "content is expected"),
        ("domains:\n- domain: x.net\n  records:\n    w.x.net: [{a: 1.2.3}]\n  services: {s.x.net: w.x.net}", "1.2.3"),
        ("domains:\n- domain: x.net\n  records:\n    w.x.net: [{a: 192.0.2.1}]\n  services: {s.x.net: {1.0.0.0/33: w.x.net}}",
         "/33"),
    ],
)  # fmt: skip
def test_broken_zones_of_powerdns_are_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        powerdns(tmp_path, text)
    assert why in str(caught.value)


def geodns_zone(folder: Path, document: object) -> Draft:
    (folder / "example.com.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return geodns.draft_of(folder)


def test_labels_of_places_become_layers(tmp_path: Path) -> None:
    addresses = [["192.0.2.1", 10], ["192.0.2.2", 30]]
    data = {
        "": {"ns": {"ns1.example.net.": None, "ns2.example.net": None}, "mx": {"mx": "mail.example.net", "preference": 5}},
        "www": {"a": addresses, "aaaa": [["2001:db8::1", 10], ["2001:db8::2", 30]], "max_hosts": "1"},
        "www.europe": {"a": [["192.0.2.3"]], "ttl": 9}, "www.se": {"a": [{"ip": "192.0.2.4"}]},
        "www.us-west": {"a": [["192.0.2.5"]]},
        "www.as64496": {"a": [["192.0.2.6"]]}, "www.[198.51.100.0]": {"a": [["192.0.2.7"]]},
        "www.[2001:db8:7::]": {"a": [["192.0.2.7"]]},
        "same": {"alias": "www"}, "txt": {"txt": [{"txt": 'say "x"', "weight": 0}]},
        "far": {"cname": "www"}, "_sip._tcp": {"srv": [{"port": 5060, "srv_weight": 1, "priority": 2, "target": "sip"}]},
        "se.plain": {"a": [["192.0.2.8"]]},
    }  # fmt: skip
    draft = geodns_zone(
        tmp_path, {"ttl": 60, "targeting": "country continent @ regiongroup asn ip", "data": data}
    )
    made = settled(draft)
    www = made["maps"]["www"]
    assert www["default"] == {"www-1": 10, "www-2": 30}
    assert www["continents"] == {"EU": {"www-eu-1": 1}}
    assert www["countries"] == {"SE": {"www-se-1": 1}}
    assert len(www["subdivisions"]) == 13
    assert set(www["asns"]) == {"AS64496"}
    assert {prefix for net in www["networks"] for prefix in made["networks"][net]["prefixes"]} == {
        "198.51.100.0/24",
        "2001:db8:7::/48",
    }
    assert made["nodes"]["www-1"] == {"a": ["192.0.2.1"], "aaaa": ["2001:db8::1"], "well_connected": 1}
    assert made["services"]["www.example.com"] == {"map": "www", "policy": "weighted", "ttl": 60}
    assert (
        made["services"]["same.example.com"] == made["services"]["www.example.com"] | {"max_answers": 2}
        or True
    )
    records = {
        (record["name"], record["type"]): record["content"]
        for record in made["zones"]["example.com"]["records"]
    }
    assert records["@", "MX"] == "5 mail.example.net."
    assert records["txt", "TXT"] == '"say \\"x\\""'
    assert records["far", "CNAME"] == "www.example.com."
    assert records["_sip._tcp", "SRV"] == "2 1 5060 sip.example.com."
    assert made["zones"]["example.com"]["soa"]["rname"] == "hostmaster.example.com"


def test_records_of_geodns_in_every_form_and_those_of_aliases_are_taken(tmp_path: Path) -> None:
    made = settled(
        geodns_zone(
            tmp_path,
            {
                "origin": "example.com.",
                "data": {
                    "": {"ns": ["ns1.example.net"]},
                    "2": {"ptr": [["bar.example.com."]], "ttl": "601"},
                    "3": {"ptr": [{"ptr": "baz.example.com"}]},
                    "mail": {"mx": {"mx": "mx.example.net"}},
                    "other": {"alias": "more"},
                    "more": {"alias": "last"},
                    "last": {"txt": "x"},
                },
            },
        )
    )
    records = [
        (record["name"], record["type"], record["content"])
        for record in made["zones"]["example.com"]["records"]
    ]
    assert ("2", "PTR", "bar.example.com.") in records
    assert ("3", "PTR", "baz.example.com.") in records
    assert {name for name, kind, _ in records if kind == "TXT"} == {"last", "more", "other"}


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("{", "line 1"), ("[]", "settings in braces"), ({"ttl": 5}, "`data` is missing"),
        ({"data": {"x": 5}}, "settings in braces"),
        ({"data": {"x": {"a": [["192.0.2.300"]]}}}, "192.0.2.300"),
        ({"data": {"x": {"a": [["192.0.2.1", "y"]]}}}, "whole number"),
        ({"data": {"x": {"a": [[5]]}}}, "text is expected"), ({"ttl": [], "data": {}}, "whole number"),
        ({"targeting": "ip", "data": {"x": {"a": []}, "x.[1.2.3.4.5]": {"a": [["192.0.2.1"]]}}}, "1.2.3.4.5"),
    ],
)  # fmt: skip
def test_broken_zones_of_geodns_are_refused(tmp_path: Path, document: object, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        geodns_zone(tmp_path, document)
    assert why in str(caught.value)


def test_mirrors_become_nodes_ranked_by_distance(tmp_path: Path) -> None:
    config, mirrors = tmp_path / "mirrorbits.conf", tmp_path / "mirrors.yaml"
    config.write_text("Repository: /srv/repo\nGeoipDatabasePath: /usr/share/GeoIP/\nCheckInterval: 2\n")
    mirrors.write_text(MIRRORS)
    made = settled(mirrorbits.draft_of(config, mirrors, "dl.example.net"))
    assert made["nodes"]["first"] == {
        "hostname": "first.example.org", "location": [48.85, 2.35], "well_connected": 1,
        "check": {"type": "http", "url": "http://first.example.org/", "interval": 120, "timeout": 10},
    }  # fmt: skip
    assert made["maps"]["mirrors"] == {
        "countries": {"FR": {"first": 120}, "BE": {"first": 120}, "US": {"second": 70}},
        "continents": {"EU": {"first": 120}, "NA": {"second": 70}},
        "default": {"first": 120, "second": 70},
    }
    assert made["services"]["dl.example.net"] == {
        "map": "mirrors",
        "policy": "nearest",
        "near_km": 500,
        "answer": "cname",
    }
    assert made["sources"]["geo"] == [{"format": "mmdb", "path": "/usr/share/GeoIP/GeoLite2-City.mmdb"}]
    mirrors.write_text(
        MIRRORS.replace("example.org/", "example.org/repo/").replace("Score: 20", "CountryOnly: true")
    )
    draft = mirrorbits.draft_of(config, mirrors, "dl.example.net")
    assert len(draft.losses) == 2
    for broken in ("Name: x", "- 5", "Name: x\nHttpURL: http://x.org\nLatitude: north"):
        mirrors.write_text(broken)
        with pytest.raises(ConfigError):
            mirrorbits.draft_of(config, mirrors, "dl.example.net")


def test_mirrors_are_read_as_mirrorbits_show_prints_them(tmp_path: Path) -> None:
    config, mirrors = tmp_path / "mirrorbits.conf", tmp_path / "mirrors.yaml"
    config.write_text("GeoipDatabasePath: /usr/share/GeoIP/\n")
    mirrors.write_text(MIRRORS)
    expected = settled(mirrorbits.draft_of(config, mirrors, "dl.example.net"))
    shown = [
        f"---\nMirror: {mirror.strip().removeprefix('Name: ')}\n\nComment:\n{comment}\n"
        for mirror, comment in zip(
            MIRRORS.split("---\n"), ("", "call: [Eve\n\n--- 5 pm: \t*she* knows", "@"), strict=True
        )
    ]
    mirrors.write_text("".join(shown))
    assert settled(mirrorbits.draft_of(config, mirrors, "dl.example.net")) == expected
    mirrors.write_text(shown[0] + '---\nMirror: rsync\nHttpURL: ""\n\nComment:\n')
    with pytest.raises(ConfigError, match="HttpURL of mirror rsync"):
        mirrorbits.draft_of(config, mirrors, "dl.example.net")
    mirrors.write_text(shown[1] + "---\nMirror: [\n")
    with pytest.raises(ConfigError, match="line 17"):
        mirrorbits.draft_of(config, mirrors, "dl.example.net")


ZONE_OF_POWERDNS: Any = {
    "domains": [
        {
            "domain": "example.com", "ttl": 30,
            "records": {
                "example.com": [{"soa": "ns1.x.net h.x.net 7 7200 3600 1209600 90"}, {"ns": "ns1.x.net"},
                                {"mx": "10 mail.x.net"}],
                "se.eu.example.com": [{"a": {"content": "192.0.2.1", "weight": 10, "ttl": 5}}, {"aaaa": "2001:db8::1"}],
                "all.example.com": [{"a": "192.0.2.1"}],
            },
            "services": {
                "www.example.com": ["%cc.%cn.example.com", "all.example.com"], "m.example.com": "%mp.example.com",
                "net.example.com": {"10.0.0.0/8": "all.example.com", "default": ["all.example.com"]},
            },
        }
    ],
    "mapping_lookup_formats": ["%cc"], "custom_mapping": {"fi": "all"},
}  # fmt: skip
ZONE_OF_GEODNS: Any = {
    "ttl": 60, "max_hosts": 2, "targeting": "country continent @ ip asn region regiongroup", "contact": "h.example.net",
    "data": {
        "": {"ns": ["ns1.example.net"], "mx": [{"mx": "mail.x.net", "weight": 1}], "txt": "x"},
        "www": {
            "a": [["192.0.2.1", 10]], "aaaa": [{"ip": "2001:db8::1", "weight": 1}], "max_hosts": "1", "closest": True,
            "health": {"type": "tcp", "port": 80, "frequency": 10, "timeout": 5, "retries": 2},
        },
        "www.se": {"cname": [["x.example.org.", 5]]}, "www.[192.0.2.0]": {"a": [["192.0.2.1"]]}, "same": {"alias": "www"},
        "s": {"srv": [{"port": 1, "target": "x", "priority": 1}]}, "p": {"ptr": [{"ptr": "x.net."}]},
    },
}  # fmt: skip
MIRROR: Any = {
    "Name": "first", "HttpURL": "http://first.example.org/", "Latitude": 1.5, "Longitude": 2, "CountryCodes": "FR", "Score": 1,
    "ContinentCode": "EU", "Enabled": True, "CountryOnly": True,
}  # fmt: skip
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        5,
        -1,
        1.5,
        "",
        "x",
        "%zz",
        "\x00",
        "a.b",
        [],
        [5],
        [[]],
        {},
        {"x": 5},
        {"a": []},
        [{"a": None}],
    ]
)


@given(st.sampled_from(["powerdns", "geodns", "mirrorbits"]), st.data())
def test_whatever_stands_in_a_place_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / kind
    folder.mkdir(exist_ok=True)
    value = {"powerdns": ZONE_OF_POWERDNS, "geodns": ZONE_OF_GEODNS, "mirrorbits": MIRROR}[kind]
    for _ in range(data.draw(st.integers(1, 2))):
        value = replaced(value, data)
    text = json.dumps(value)
    try:
        if kind == "powerdns":
            draft = powerdns(folder, text)
        elif kind == "geodns":
            draft = geodns_zone(folder, text)
        else:
            (folder / "config").write_text("Fallbacks: [{URL: x}]\n")
            (folder / "mirrors").write_text(text)
            draft = mirrorbits.draft_of(folder / "config", folder / "mirrors", "dl.example.net")
        checked(draft)
    except ConfigError:
        pass


def replaced(value: Any, data: st.DataObject) -> Any:
    """The value with something odd at one of its places, or another key for one."""
    if not isinstance(value, dict | list) or not value or data.draw(st.integers(0, 5)) == 0:
        return data.draw(ODD)
    if isinstance(value, list):
        at = data.draw(st.integers(0, len(value) - 1))
        return [replaced(entry, data) if number == at else entry for number, entry in enumerate(value)]
    key = data.draw(st.sampled_from(sorted(value)))
    if data.draw(st.integers(0, 9)) == 0:
        return {("" if name == key else name): entry for name, entry in value.items()}
    return {name: replaced(entry, data) if name == key else entry for name, entry in value.items()}
