"""gdnsd's resources and maps as a configuration of geosteer."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import ConfigError
from geosteer_loader.importing.gdnsd import draft_of
from geosteer_loader.importing.result import checked

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.importing.draft import Draft

APEX = "@ SOA ns1 hostmaster ( 1 7200 1800 259200 900 )\n@ NS ns1\nns1 A 192.0.2.53\n"


def test_addresses_of_multifo_are_nodes_that_all_answer(tmp_path: Path) -> None:
    made = imported(
        tmp_path,
        "plugins => { multifo => { service_types => t, lb => { one => 192.0.2.1, two => 192.0.2.2 }, v => [2001:db8::1] } }"
        "service_types => { t => { plugin => tcp_connect, port => 443 } }",
        "www 60/20 DYNA multifo!lb\nv DYNA multifo!v\n",
    )
    check = {"type": "tcp", "port": 443, "timeout": 5, "profile": "gdnsd"}
    assert made["nodes"]["one"] == {"a": ["192.0.2.1"], "well_connected": 1, "check": check}
    assert made["services"]["www.example.com"] == {"map": "lb", "ttl": 60, "ttl_min": 20, "max_answers": 2}
    assert made["maps"]["lb"]["default"] == {"one": 1, "two": 1}
    assert made["services"]["v.example.com"] == {"map": "v", "ttl": 86400}


def test_weights_stay_and_names_become_cnames(tmp_path: Path) -> None:
    made = imported(
        tmp_path,
        "plugins => { weighted => { w => { a => [192.0.2.1, 30], b => [192.0.2.2, 70] },"
        " c => { x => [x.example.org., 1], y => [y.example.org., 3] },"
        " g => { addrs_v4 => { p => { 1 => [192.0.2.3, 5], 2 => [192.0.2.4, 5] }, q => { 1 => [192.0.2.5, 30] } } } } }",
        "w 60 DYNA weighted!w\nc 60 DYNC weighted!c\ng 60 DYNA weighted!g\n",
    )
    assert made["maps"]["w"]["default"] == {"a": 30, "b": 70}
    assert made["services"]["w.example.com"]["policy"] == "weighted"
    assert made["maps"]["c"]["default"] == {"x": 1, "y": 3}
    assert made["services"]["c.example.com"]["answer"] == "cname"
    assert made["nodes"]["x"]["hostname"] == "x.example.org"
    assert made["maps"]["g"]["default"] == {"p": 10, "q": 30}
    assert made["nodes"]["p"]["a"] == ["192.0.2.3", "192.0.2.4"]


def test_failover_becomes_a_ranking(tmp_path: Path) -> None:
    made = imported(
        tmp_path,
        "plugins => { simplefo => { s => { primary => 192.0.2.1, secondary => 192.0.2.2 } },"
        " metafo => { resources => { m => { datacenters => [one, two, three], dcmap => {"
        "   one => 192.0.2.3, two => %simplefo!s, three => !l } },"
        "   again => { datacenters => [a, b], dcmap => { a => %metafo!m, b => [192.0.2.8, 192.0.2.9] } } } },"
        " multifo => { l => { x => 192.0.2.5, y => 192.0.2.6 } } }",
        "s 60 DYNA simplefo!s\nm 60 DYNA metafo!m\none 60 DYNA metafo!m/one\nagain 60 DYNA metafo!again\n",
    )
    assert made["maps"]["s"]["default"] == {"s-primary": 2, "s-secondary": 1}
    assert made["maps"]["m"]["default"] == {"one": 4, "two-primary": 3, "two-secondary": 2, "three": 1}
    assert made["nodes"]["three"]["a"] == ["192.0.2.5", "192.0.2.6"]
    assert made["maps"]["m-one"]["default"] == {"one": 1}
    assert made["maps"]["again"]["default"]["b"] == 1


def test_places_become_layers_and_lists_of_networks_one_network(tmp_path: Path) -> None:
    (tmp_path / "geoip").mkdir()
    (tmp_path / "geoip" / "nets").write_text(
        "10.0.0.0/8 => [eu, us]\n10.9.0.0/16 => us, 172.16.0.0/12 => [eu us]\n"
    )
    made = imported(
        tmp_path,
        "plugins => { geoip => { maps => { m => { geoip2_db => c.mmdb, datacenters => [us, eu], nets => nets, map => {"
        " EU => [eu, us], NA => { US => { CA => [us], default => [us, eu] } }, default => [eu] } } },"
        " resources => { www => { map => m, dcmap => { us => 192.0.2.1, eu => 192.0.2.2 } } } } }",
        "www 60 DYNA geoip!www\neu 60 DYNA geoip!www/eu\n",
    )
    assert made["maps"]["m"] == {
        "networks": {"m-eu-us": {"eu": 2, "us": 1}, "m-us": {"us": 1}},
        "continents": {"EU": {"eu": 2, "us": 1}},
        "countries": {"US": {"us": 2, "eu": 1}},
        "subdivisions": {"US-CA": {"us": 1}},
        "default": {"eu": 1},
    }
    assert made["networks"]["m-eu-us"]["prefixes"] == ["10.0.0.0/8", "172.16.0.0/12"]
    assert made["sources"]["geo"] == [{"format": "mmdb", "path": str(tmp_path / "geoip" / "c.mmdb")}]
    assert made["maps"]["www-eu"]["default"] == {"eu": 1}


def test_distance_becomes_the_policy_nearest(tmp_path: Path) -> None:
    made = imported(
        tmp_path,
        "plugins => { geoip => { maps => { m => { geoip2_db => c.mmdb, datacenters => [us, eu],"
        " auto_dc_coords => { us => [38.9, -77], eu => [50.1, 8.7] } } },"
        " resources => { www => { map => m, dcmap => { us => us.example.org., eu => eu.example.org. } } } } }",
        "www 60 DYNC geoip!www\n",
    )
    assert made["services"]["www.example.com"]["policy"] == "nearest"
    assert made["nodes"]["us"] == {
        "hostname": "us.example.org",
        "location": [38.9, -77.0],
        "well_connected": 1,
    }


def test_zone_files_are_read_by_their_own_rules(tmp_path: Path) -> None:
    (tmp_path / "zones").mkdir()
    (tmp_path / "zones" / ".more").write_text("$ORIGIN bar\nasdf A 192.0.2.1\n$ORIGIN baz.@F\nasdf A 192.0.2.2\n"
                                              "$ORIGIN quux.@Z\nasdf A 192.0.2.3\n")  # fmt: skip
    made = imported(
        tmp_path,
        "plugins => { static => { s => 192.0.2.9 } } options => { zones_default_ttl => 1200 }",
        f'$INCLUDE .more foo\nlong TXT "{"x" * 300}"\nm 1h MX 10 mail.@Z\n'
        "t TYPE257 \\# 8 00056973737565 78\nw DYNA static!s\n",
    )
    records = {(record["name"], record["type"]): record for record in made["zones"]["example.com"]["records"]}
    assert {name for name, kind in records if kind == "A"} == {
        "ns1",
        "asdf.bar.foo",
        "asdf.baz.foo",
        "asdf.quux",
    }
    assert records["long", "TXT"]["content"].count('"') == 4
    assert records["long", "TXT"]["ttl"] == 1200
    assert records["t", "CAA"]["content"] == '0 issue "x"'
    assert records["m", "MX"] == {"name": "m", "type": "MX", "content": "10 mail.example.com.", "ttl": 3600}


def test_a_text_may_go_on_in_the_next_line_and_places_stay_right(tmp_path: Path) -> None:
    made = imported(tmp_path, "", 'x TXT "one ; \\"two\n" ; "a comment\ny TXT "a""b\n\nc"\nz A 192.0.2.1\n')
    records = {record["name"]: record["content"] for record in made["zones"]["example.com"]["records"]}
    assert records["x"] == '"one ; \\"two\\010"'
    assert records["y"] == '"a" "b\\010\\010c"'
    assert records["z"] == "192.0.2.1"
    with pytest.raises(ConfigError, match=r"example\.com: line [67]: "):
        drafted(tmp_path, "", 'x TXT "one\ntwo"\nz A 192.0.2.256\n')


def test_what_todays_databases_have_elsewhere_is_told_apart(tmp_path: Path) -> None:
    draft = drafted(
        tmp_path,
        "plugins => { geoip => { maps => { m => { geoip2_db => c.mmdb, datacenters => [us, eu], map => {"
        " AS => { TL => [us, eu], AP => [us] }, XX => [us], EU => { EU => [eu] } } } },"
        " resources => { www => { map => m, dcmap => { us => 192.0.2.1, eu => 192.0.2.2 } } } } }",
        "www 60 DYNA geoip!www\n",
    )
    losses = "\n".join(draft.losses)
    assert "map.AS.TL: databases have TL in OC: gdnsd looks for it there, not in AS" in losses
    assert "map.XX: XX: unknown continent" in losses
    assert "AP" not in losses
    assert "map.AS.AP: AP is no country of today's databases: nobody matches" in "\n".join(draft.notes)


NAMES = "resources => { r => { datacenters => [a, b], dcmap => { a => 192.0.2.1, b => x.example.org. } } }"
CITY = (
    "maps => { m => { datacenters => [a], geoip2_db => c.mmdb, map => { EU => { DE => { Berlin => a } } } } }"
)
NOBODY = "maps => { m => { datacenters => [a], nets => { 10.0.0.0/8 => [] } } }"
ONE = "resources => { r => { map => m, dcmap => { a => 192.0.2.1 } } }"
CIRCLE = "resources => { r => { datacenters => a, dcmap => { a => %metafo!r } } }"
EXTERNAL = "service_types => { x => { plugin => extmon, cmd => [ /bin/true ] } }"


@pytest.mark.parametrize(
    ("plugins", "more", "record", "why"),
    [
        ("reflect => {}", "", "w DYNA reflect", "nothing like it"),
        (
            "multifo => { r => { a => 192.0.2.1, service_types => x } }",
            EXTERNAL,
            "w DYNA multifo!r",
            "extmon",
        ),
        (
            "weighted => { r => { multi => true, a => [192.0.2.1, 1], b => [192.0.2.2, 1] } }",
            "",
            "w DYNA weighted!r",
            "multi",
        ),
        ("", "unknown => {}", "w A 192.0.2.1", "unknown"),
        ("", "", "w TYPE65280 \\# 2 abcd", "TYPE65280"),
        ("geoip => { " + CITY + ONE + " }", "", "w DYNA geoip!r", "no cities"),
        ("geoip => { " + NOBODY + ONE + " }", "", "w DYNA geoip!r", "no datacenter"),
        ("metafo => { " + NAMES + " }", "", "w DYNC metafo!r", "a name among addresses"),
    ],
)
def test_what_has_no_equivalent_is_listed(
    tmp_path: Path, plugins: str, more: str, record: str, why: str
) -> None:
    config = f"plugins => {{ static => {{ kept => 192.0.2.99 }} {plugins} }} {more}"
    draft = drafted(tmp_path, config, f"{record}\nx 60 DYNA static!kept\n")
    text, problems = checked(draft)
    assert problems == []
    assert '[services."x.example.com"]' in text
    assert any(why in loss for loss in draft.losses), list(draft.losses)


@pytest.mark.parametrize(
    ("config", "record", "why"),
    [
        ("plugins => {}", "w DYNA multifo!r", "no resource r"),
        ("plugins => { multifo => { r => { a => x } } }", "w DYNA multifo!r", "an address is expected"),
        ("plugins => { multifo => { r => { a => 192.0.2.1, service_types => x } } }", "w DYNA multifo!r", "x is not defined"),
        ("plugins => { weighted => { r => { a => 192.0.2.1 } } }", "w DYNA weighted!r", "weight"),
        (f"plugins => {{ metafo => {{ {CIRCLE} }} }}", "w DYNA metafo!r",
         "refer to each other"),
        ("", "w A 300.1.1.1", "line 4"),
        ("", "w FOO bar", "line 4"),
    ],
)  # fmt: skip
def test_what_gdnsd_would_refuse_is_refused(tmp_path: Path, config: str, record: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        drafted(tmp_path, config, f"{record}\n")
    assert why in str(caught.value)


def drafted(folder: Path, config: str, zone: str) -> Draft:
    (folder / "zones").mkdir(exist_ok=True)
    (folder / "config").write_text(config)
    (folder / "zones" / "example.com").write_text(APEX + zone)
    return draft_of(folder)


def imported(folder: Path, config: str, zone: str) -> dict[str, Any]:
    """What the file says, which the checker takes and nothing is lost for."""
    draft = drafted(folder, config, zone)
    text, problems = checked(draft)
    assert (list(draft.losses), problems) == ([], [])
    return tomllib.loads(text)
