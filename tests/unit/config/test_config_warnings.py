"""What is allowed in conf/geosteer.toml, but probably not meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.config_file import GOOD, MAPS, changed, load, record, without_lines


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


WARNINGS = {
    "unused node": (changed(more='[nodes.x]\na = ["192.0.2.9"]\n'), "nodes.x: is not used: no map names it"),
    "unused map": (
        changed(more=MAPS.replace("default]", "spare]")),
        "maps.spare: is not used: no service has it",
    ),
    "unused network": (
        changed(more='[networks.x]\nprefixes = ["203.0.113.0/24"]\n'),
        "networks.x: is not used: no map names it",
    ),
    "shared address": (
        changed(('a = ["192.0.2.2"]', 'a = ["192.0.2.1"]')),
        "nodes.ams1.a: 192.0.2.1 is also an address of node lon1",
    ),
    "AS layer without a source": (
        changed(("[maps.default]", "[maps.default]\nasns.AS3320 = { lon1 = 1 }")),
        "maps.default.asns: never matches: there is no [[sources.bgp]]",
    ),
    "path without a source": (
        changed(("map =", 'policy = "path"\nmap =')),
        'services."www.cdn.example.net".policy: is path, but there is no [[sources.path]]',
    ),
    "nearest without a place": (
        changed(("location = [52.37, 4.9]\n", ""), ("map =", 'policy = "nearest"\nmap =')),
        'services."www.cdn.example.net".policy: is nearest, but node ams1 of map default is without a location',
    ),
    "layer out of order": (
        changed(("[maps.default]", '[maps.default]\norder = ["continents"]')),
        "maps.default.countries: is never used: the map's order leaves it out",
    ),
    "idle entry": (
        changed(("{ lon1 = 100, ams1 = 50 }", "{ lon1 = 0, ams1 = 0 }")),
        "maps.default.countries.GB: never answers: no weight is above 0",
    ),
    "name server without an address": (
        changed(('["ns1.example.net"]', '["ns1.cdn.example.net"]')),
        'zones."cdn.example.net".ns: ns1.cdn.example.net is inside a served zone, but has no address record',
    ),
    "delegation without glue": (
        GOOD + record("sub", "NS", "ns.sub.cdn.example.net"),
        (
            'zones."cdn.example.net".records[1]: the delegation sub.cdn.example.net cannot be followed: '
            "ns.sub.cdn.example.net has no A or AAAA record"
        ),
    ),
    "glue without a name server": (
        GOOD + record("sub", "NS", "ns.example.org") + record("a.sub", "A", "192.0.2.7"),
        (
            'zones."cdn.example.net".records[2]: is never served: a.sub.cdn.example.net is not a name server of the '
            "delegation sub.cdn.example.net"
        ),
    ),
    "two TTLs in a set": (
        GOOD + record("x", "A", "192.0.2.7", 60) + record("x", "A", "192.0.2.8", 61),
        (
            'zones."cdn.example.net".records[2].ttl: differs from that of zones."cdn.example.net".records[1], of the same '
            "name and type (RFC 2181, 5.2)"
        ),
    ),
    "node that cannot be an answer": (
        changed(("ams1 = 10 }", "ams1 = 10, far = 1 }"), more='[nodes.far]\nhostname = "far.example.org"\n'),
        'services."www.cdn.example.net".map: node far of map default is without an address, never chosen',
    ),
    "private AS": (
        GOOD + "[maps.default.asns]\nAS64512 = { lon1 = 1 }\n"
        '[[sources.bgp]]\nformat = "pyasn"\npath = "geo.csv"\n',
        "maps.default.asns.AS64512: never matches: private and reserved ASes are left out of the table bgp",
    ),
    "source twice": (
        changed(more='[[sources.geo]]\nformat = "csv"\npath = "./geo.csv"\n'),
        "sources.geo[2].path: {here}/geo.csv is listed twice",
    ),
}


@pytest.mark.parametrize(("text", "expected"), WARNINGS.values(), ids=WARNINGS)
def test_what_is_probably_not_meant_is_allowed_with_a_warning(text, expected):
    assert without_lines(load(text).warnings) == [f"c.toml: {expected.replace('{here}', str(Path.cwd()))}"]
