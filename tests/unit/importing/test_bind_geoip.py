"""BIND's views as maps and services of geosteer."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer.errors import ConfigError
from geosteer_loader.importing.bind_geoip import draft_of
from geosteer_loader.importing.named_conf import load
from geosteer_loader.importing.result import checked

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.importing.draft import Draft

CONFIG = """
// where zones are
options { directory "zones"; /* a comment
over lines */ geoip-directory "/usr/share/GeoIP"; };
acl office { 10/8; 192.0.2.7; };
include "keys.conf";
view "office" { match-clients { office; 2001:db8:5::/48; }; zone "example.com" { type primary; file "office"; }; };
view "nordic" { match-clients { geoip country SE; geoip country NOR; }; zone "example.com" { type master; file "nordic"; }; };
view "europe" { match-clients { geoip continent EU; }; zone "example.com" IN { type master; file "europe"; }; };
view "all" { match-clients { any; }; zone "example.com" { type master; file "all"; }; };
"""
ZONE = """$TTL 300
@ IN SOA ns1 hostmaster 1 3600 600 604800 60
@ NS ns1
ns1 A 192.0.2.53
@ MX 10 mail
mail A 192.0.2.25
www A {www}
www 60 AAAA {www6}
dl CNAME {dl}.example.org.
"""


def written(folder: Path, config: str = CONFIG) -> Path:
    (folder / "zones").mkdir(exist_ok=True)
    for number, view in enumerate(("office", "nordic", "europe", "all"), 1):
        text = ZONE.format(
            www=f"192.0.2.{number}", www6=f"2001:db8::{number}", dl=view if number < 3 else "all"
        )
        (folder / "zones" / view).write_text(text)
    (folder / "keys.conf").write_text('key "k" { algorithm hmac-sha256; secret "x"; };')
    path = folder / "named.conf"
    path.write_text(config)
    return path


def test_countries_of_the_old_patch_are_countries(tmp_path: Path) -> None:
    config = CONFIG.replace("geoip country SE; geoip country NOR;", "country_SE; country_no; country_EU;")
    draft = draft_of(written(tmp_path, config))
    made = tomllib.loads(checked(draft)[0])
    assert {"SE", "NO"} <= set(made["maps"]["www"]["countries"])
    assert any("view nordic: country_EU: geosteer has no such layer" in loss for loss in draft.losses)


def settled(draft: Draft) -> dict[str, Any]:
    text, problems = checked(draft)
    assert (list(draft.losses), problems) == ([], [])
    made: dict[str, Any] = tomllib.loads(text)
    return made


def test_views_become_keys_and_what_differs_services(tmp_path: Path) -> None:
    made = settled(draft_of(written(tmp_path)))
    assert made["nodes"]["nordic"] == {"a": ["192.0.2.2"], "aaaa": ["2001:db8::2"], "well_connected": 1}
    www = made["maps"]["www"]
    assert www["countries"] == {"SE": {"nordic": 1}, "NO": {"nordic": 1}}
    assert www["continents"] == {"EU": {"europe": 1}}
    assert www["default"] == {"all": 1}
    prefixes = {prefix for name in www["networks"] for prefix in made["networks"][name]["prefixes"]}
    assert prefixes == {"10.0.0.0/8", "192.0.2.7/32", "2001:db8:5::/48"}
    assert made["services"]["www.example.com"] == {"map": "www", "ttl": 60}
    assert made["services"]["dl.example.com"] == {"map": "dl", "ttl": 300, "answer": "cname"}
    assert made["nodes"]["office-dl"]["hostname"] == "office.example.org"
    static = {(record["name"], record["type"]) for record in made["zones"]["example.com"]["records"]}
    assert static == {("ns1", "A"), ("@", "MX"), ("mail", "A")}
    assert made["zones"]["example.com"]["soa"]["minimum"] == 60


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("geoip country SE", "geoip city Paris", "no such layer"),
        ("office; 2001", "!192.0.2.1; 2001", "nothing like it"),
        ("match-clients { any; }", "match-clients { geoip continent AS; }", "no view answers everybody"),
        ("geoip country NOR", "172.16/12", "asks one kind at a time"),
        ("office; 2001", "any; 2001", "which answers everybody"),
        ("match-clients { any; }", "match-recursive-only yes", "by the client alone"),
        ('EU; }; zone "example.com"', 'EU; }; zone "example.net"', "has no zone"),
    ],
)
def test_what_has_no_equivalent_is_listed(tmp_path: Path, old: str, new: str, why: str) -> None:
    assert old in CONFIG
    draft = draft_of(written(tmp_path, CONFIG.replace(old, new)))
    assert any(why in loss for loss in draft.losses), list(draft.losses)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("options { };", "no views"),
        ("view x {", "a } is missing"),
        ("view x { zone y }", "a ; is missing"),
        ("};", "a } without a {"),
        ('include "nothing";', "no such file"),
        ("a " + "{ " * 100, "blocks within each other"),
        ('view "x" { match-clients { somebody; }; };', "neither an access list nor an address"),
        ('include "named.conf";', "include each other"),
        ('view x { zone "x.net" { type master; file "none"; }; };', "No such file"),
    ],
)
def test_what_bind_would_refuse_is_refused(tmp_path: Path, config: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        draft_of(written(tmp_path, config))
    assert why in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@given(st.text(alphabet='ab{};"/*# \n\\!1.', max_size=60))
def test_whatever_stands_there_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "named.conf"
    path.write_text(text)
    with suppress(ConfigError):
        load(path)
