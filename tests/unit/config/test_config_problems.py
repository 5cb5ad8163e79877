"""Mistakes in conf/geosteer.toml other than in names: each is named with its place and reason."""

from __future__ import annotations

import pytest

from support.config_file import GOOD, changed, problems


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


CASES = {
    # the file as such
    "unknown table": (GOOD + "[node.x]\n", 'node: unknown setting; did you mean "nodes"?'),
    "unknown key": (
        changed(("location =", "locaton =")),
        'nodes.lon1.locaton: unknown setting; did you mean "location"?',
    ),
    "unlike anything": (
        changed(("map =", "zzzzzz = 1\nmap =")),
        'services."www.cdn.example.net".zzzzzz: unknown setting',
    ),
    "wrong type": (
        changed(('a = ["192.0.2.2"]', 'a = "192.0.2.2"')),
        "nodes.ams1.a: must be a list, not text: put it in [ ]",
    ),
    "wrong type inside": (
        changed(('a = ["192.0.2.2"]', 'a = ["192.0.2.2", 7]')),
        "nodes.ams1.a[2]: must be text, not a whole number",
    ),
    "no table": ("nodes = 3\n", "nodes: must be a table, not a whole number"),
    "no table of that name": ("[nodes]\nlon1 = 3\n", "nodes.lon1: must be a table, not a whole number"),
    "no array of tables": (
        "[sources]\ngeo = 2020-01-01\n",
        "sources.geo: must be a list, not a date or time",
    ),
    # weight by hand
    "bias out of range": (
        changed(("map =", 'policy = "nearest"\nbias = { lon1 = 100 }\nmap =')),
        'services."www.cdn.example.net".bias.lon1: must be a whole number from -99 to 99, not 100',
    ),
    "bias as a part": (
        changed(("map =", 'policy = "nearest"\nbias = { lon1 = 0.25 }\nmap =')),
        'services."www.cdn.example.net".bias.lon1: must be a whole number from -99 to 99, not 0.25',
    ),
    "bias of no node": (
        changed(("map =", 'policy = "latency"\nbias = { lon2 = 5 }\nmap =')),
        'services."www.cdn.example.net".bias.lon2: is not a node of map default; did you mean "lon1"?',
    ),
    "bias that the policy does not know": (
        changed(("map =", "bias = { lon1 = 5 }\nmap =")),
        'services."www.cdn.example.net".bias: needs policy nearest or latency, and the policy is best',
    ),
    "bias of all": (
        changed(("map =", 'policy = "nearest"\nbias = 5\nmap =')),
        'services."www.cdn.example.net".bias: must be a table, not a whole number',
    ),
    "largest share as per cent": (
        changed(("map =", 'policy = "nearest"\nmax_share = { lon1 = 30 }\nmap =')),
        'services."www.cdn.example.net".max_share.lon1: must be a number from 0.001 to 1, not 30; 30 % is 0.3',
    ),
    "largest share of no node": (
        changed(("map =", 'policy = "nearest"\nmax_share = { lon2 = 0.5 }\nmap =')),
        'services."www.cdn.example.net".max_share.lon2: is not a node of map default; did you mean "lon1"?',
    ),
    "largest share that the policy does not know": (
        changed(("map =", 'policy = "path"\nmax_share = { lon1 = 0.5 }\nmap =')),
        'services."www.cdn.example.net".max_share: needs policy nearest or latency, and the policy is path',
    ),
    "largest shares that leave clients over": (
        changed(("map =", 'policy = "nearest"\nmax_share = { lon1 = 0.5, ams1 = 0.4 }\nmap =')),
        (
            'services."www.cdn.example.net".max_share: leaves clients without a node: all nodes of map default together '
            "may have 90 % of them"
        ),
    ),
    "largest share of several answers": (
        changed(("map =", 'policy = "nearest"\nmax_answers = 2\nmax_share = { lon1 = 0.5 }\nmap =')),
        (
            'services."www.cdn.example.net".max_share: needs max_answers = 1: a client of several nodes is nobody\'s alone'
        ),
    ),
    # nodes
    "bad address": (
        changed(("192.0.2.2", "192.0.2.256")),
        'nodes.ams1.a[1]: "192.0.2.256" is not an address',
    ),
    "short address": (changed(("192.0.2.2", "192.0.2")), 'nodes.ams1.a[1]: "192.0.2" is not an address'),
    "address of the other family": (
        changed(('a = ["192.0.2.2"]', 'a = ["2001:db8::2"]')),
        "nodes.ams1.a[1]: 2001:db8::2 is an IPv6 address, not an IPv4 one",
    ),
    "address with a zone": (
        changed(("2001:db8:1::1", "fe80::1%eth0")),
        'nodes.lon1.aaaa[1]: "fe80::1%eth0" has a zone suffix, which has no meaning on other hosts',
    ),
    "address of no name server": (
        changed(("192.0.2.2", "0.0.0.0")),
        "nodes.ams1.a[1]: 0.0.0.0 is not the address of a host",
    ),
    "address twice": (
        changed(('["192.0.2.2"]', '["192.0.2.2", "192.0.2.2"]')),
        "nodes.ams1.a[2]: 192.0.2.2 is listed twice",
    ),
    "nothing to answer with": (
        changed(more="[nodes.x]\nwell_connected = 1\n[maps.m]\ndefault = { x = 1 }\n"),
        "nodes.x: has neither an address (a, aaaa) nor a hostname",
    ),
    "latitude": (
        changed(("52.37", "95")),
        "nodes.ams1.location: must be a number from -90 to 90, not 95; did you mean [4.9, 95]?",
    ),
    "longitude": (
        changed(("4.9", "-180.5")),
        "nodes.ams1.location: must be a number from -180 to 180, not -180.5",
    ),
    "half a location": (
        changed(("[52.37, 4.9]", "[52.37]")),
        "nodes.ams1.location: must be [latitude, longitude], in degrees",
    ),
    "node weight": (
        changed(("[nodes.ams1]", "[nodes.ams1]\nweight = 1.5")),
        "nodes.ams1.weight: must be a whole number from 0 to 1000000, not 1.5",
    ),
    "well_connected": (
        changed(
            ("well_connected = 10", "well_connected = true"),
            ("[nodes.ams1]", "[nodes.ams1]\nwell_connected=1\naaaa=['2001:db8::9']"),
        ),
        "nodes.lon1.well_connected: must be a whole number from 1 to 1000000, not a boolean",
    ),
    "assume": (
        changed(("[nodes.ams1]", '[nodes.ams1]\nassume = "maybe"')),
        'nodes.ams1.assume: must be "up" or "down", not "maybe"',
    ),
    "ramp": (
        changed(("[nodes.ams1]", '[nodes.ams1]\nramp = "soon"')),
        'nodes.ams1.ramp: "soon" is not a duration such as 30, "30s", "10m", "2h" or "1d"',
    ),
    "capacity": (
        changed(("[nodes.ams1]", "[nodes.ams1]\ncapacity = -1")),
        "nodes.ams1.capacity: must be a number from 0.001 to 1000000000000000, not -1",
    ),
    "vantage": (
        changed(("[nodes.ams1]", '[nodes.ams1]\nvantage = "a=b"')),
        "nodes.ams1.vantage: \"a=b\" is not a name of 1 to 63 letters, digits, '_', '-', '.', not '-' or '.' in front",
    ),
    "node name": (
        changed(more='[nodes."a b"]\na = ["192.0.2.9"]\nwell_connected = 1\n'),
        "nodes.\"a b\": \"a b\" is not a name of 1 to 63 letters, digits, '_', '-', '.', not '-' or '.' in front",
    ),
    "one hostname for two": (
        changed(("ams1.cdn.example.net", "lon1.cdn.example.net")),
        "nodes.ams1.hostname: lon1.cdn.example.net is also the hostname of node lon1",
    ),
    # networks
    "host bits": (
        GOOD + '[networks.x]\nprefixes = ["192.0.2.1/24"]\n',
        "networks.x.prefixes[1]: 192.0.2.1/24 has host bits set; the network is 192.0.2.0/24",
    ),
    "no prefix": (
        GOOD + '[networks.x]\nprefixes = ["192.0.2.0/33"]\n',
        'networks.x.prefixes[1]: "192.0.2.0/33" is not a network such as 192.0.2.0/24',
    ),
    "a mask is not a length": (
        GOOD + '[networks.x]\nprefixes = ["192.0.2.0/255.255.255.0"]\n',
        (
            'networks.x.prefixes[1]: "192.0.2.0/255.255.255.0" is not a network such as 192.0.2.0/24; '
            'did you mean "192.0.2.0/24"?'
        ),
    ),
    "one prefix in two networks": (
        GOOD + '[networks.x]\nprefixes = ["2001:db8::/32"]\n[networks.y]\nprefixes = ["2001:DB8::/32"]\n',
        "networks.y.prefixes[1]: 2001:db8::/32 is also in network x",
    ),
    "network without prefixes": (GOOD + "[networks.x]\n", "networks.x: has neither prefixes nor a file"),
    "list that is not there": (
        GOOD + '[networks.x]\nfile = "none.txt"\n',
        "networks.x.file: none.txt cannot be read: No such file or directory",
    ),
    # maps
    "unknown node": (
        changed(("lon1 = 100, ams1 = 50", "lon1 = 100, ams = 50")),
        'maps.default.countries.GB.ams: unknown node; did you mean "ams1"?',
    ),
    "unknown node by default": (
        changed(("lon1 = 100, ams1 = 10", "lon1 = 100, tokyo = 10")),
        "maps.default.default.tokyo: unknown node",
    ),
    "no default": (
        changed(("default = {", "subdivisions.US-CA = {")),
        "maps.default.default: is missing: the nodes for clients that no other layer matches",
    ),
    "empty default": (changed(("{ lon1 = 100, ams1 = 10 }", "{}")), "maps.default.default: has no nodes"),
    "idle default": (
        changed(("{ lon1 = 100, ams1 = 10 }", "{ lon1 = 0 }")),
        "maps.default.default: has no node with a weight above 0",
    ),
    "empty entry": (changed(("{ lon1 = 100, ams1 = 50 }", "{}")), "maps.default.countries.GB: has no nodes"),
    "map weight": (
        changed(("ams1 = 50", "ams1 = 0.5")),
        "maps.default.countries.GB.ams1: must be a whole number from 0 to 1000000, not 0.5",
    ),
    "negative weight": (
        changed(("ams1 = 50", "ams1 = -1")),
        "maps.default.countries.GB.ams1: must be a whole number from 0 to 1000000, not -1",
    ),
    "large weight": (
        changed(("ams1 = 50", "ams1 = 1000001")),
        "maps.default.countries.GB.ams1: must be a whole number from 0 to 1000000, not 1000001",
    ),
    "no country": (changed(("GB =", "XX =")), 'maps.default.countries.XX: "XX" is not a country code'),
    "UK": (
        changed(("GB =", "UK =")),
        'maps.default.countries.UK: "UK" is not a country code; did you mean "GB"?',
    ),
    "EU": (
        changed(("GB =", "EU =")),
        'maps.default.countries.EU: "EU" is not a country code; as a continent it belongs in continents',
    ),
    "country twice": (
        changed(("GB =", "gb = { lon1 = 1 }, GB =")),
        "maps.default.countries.GB: GB is listed twice",
    ),
    "no subdivision": (
        changed(("[maps.default]", "[maps.default]\nsubdivisions.California = { lon1 = 1 }")),
        'maps.default.subdivisions.California: "California" is not a subdivision such as US-CA',
    ),
    "subdivision of no country": (
        changed(("[maps.default]", "[maps.default]\nsubdivisions.XX-CA = { lon1 = 1 }")),
        'maps.default.subdivisions.XX-CA: "XX" is not a country code',
    ),
    "no AS number": (
        changed(("[maps.default]", "[maps.default]\nasns.15169 = { lon1 = 1 }")),
        'maps.default.asns.15169: "15169" is not an AS number such as AS15169',
    ),
    "AS 0": (
        changed(("[maps.default]", "[maps.default]\nasns.AS0 = { lon1 = 1 }")),
        'maps.default.asns.AS0: "AS0" is not an AS number such as AS15169',
    ),
    "AS of 33 bits": (
        changed(("[maps.default]", "[maps.default]\nasns.AS4294967296 = { lon1 = 1 }")),
        'maps.default.asns.AS4294967296: "AS4294967296" is not an AS number such as AS15169',
    ),
    "no continent": (
        changed(("[maps.default]", "[maps.default]\ncontinents.EUR = { lon1 = 1 }")),
        'maps.default.continents.EUR: "EUR" is not a continent: AF AN AS EU NA OC SA',
    ),
    "unknown network": (
        changed(("[maps.default]", "[maps.default]\nnetworks.office = { lon1 = 1 }")),
        "maps.default.networks.office: unknown network",
    ),
    "unknown layer": (
        changed(("[maps.default]", '[maps.default]\norder = ["countries", "country"]')),
        'maps.default.order[2]: "country" is not a layer; did you mean "countries"?',
    ),
    "default in order": (
        changed(("[maps.default]", '[maps.default]\norder = ["default", "countries"]')),
        'maps.default.order[1]: "default" always comes last',
    ),
    "layer twice": (
        changed(("[maps.default]", '[maps.default]\norder = ["countries", "countries"]')),
        'maps.default.order[2]: "countries" is listed twice',
    ),
    "all_down": (
        changed(("[maps.default]", '[maps.default]\nall_down = "some"')),
        'maps.default.all_down: must be "all" or "none", not "some"',
    ),
    "max_down": (
        changed(("[maps.default]", "[maps.default]\nmax_down = 50")),
        "maps.default.max_down: must be a number from 0 to 1, not 50; 50 % is 0.5",
    ),
    # sources
    "unknown format": (
        changed(('format = "csv"', 'format = "zip"')),
        (
            'sources.geo[1].format: must be "auto" or "builtin" or "mmdb" or "nerd" or "csv" or "ranges" '
            'or "ip2location" or "geolite2" or "ipinfo" or "rir" or "geofeed", not "zip"'
        ),
    ),
    "source without a path": (changed(('path = "geo.csv"', "")), "sources.geo[1].path: is missing"),
    "unknown table of sources": (GOOD + '[[sources.asn]]\npath = "x"\n', "sources.asn: unknown setting"),
    "vantage of no path": (
        changed(('format = "csv"', 'format = "csv"\nvantage = "x"')),
        "sources.geo[1].vantage: is a setting of [[sources.path]] only",
    ),
    # guard, prober
    "share": (
        GOOD + "[guard]\nmax_shrink = 20\n",
        "guard.max_shrink: must be a number from 0 to 1, not 20; 20 % is 0.2",
    ),
    "not a number": (
        GOOD + "[guard]\nmax_impact = nan\n",
        "guard.max_impact: must be a number from 0 to 1, not nan",
    ),
    "keep": (GOOD + "[guard]\nkeep = 0\n", "guard.keep: must be a whole number from 1 to 1000, not 0"),
    "grace": (
        GOOD + '[guard]\ngrace = "-1s"\n',
        'guard.grace: "-1s" is not a duration such as 30, "30s", "10m", "2h" or "1d"',
    ),
    "canary address": (
        GOOD + '[guard.canaries]\n"8.8.8" = "US"\n',
        'guard.canaries."8.8.8": "8.8.8" is not an address',
    ),
    "canary country": (
        GOOD + '[guard.canaries]\n"8.8.8.8" = "USA"\n',
        'guard.canaries."8.8.8.8": "USA" is not a country code',
    ),
    "rule": (
        GOOD + '[prober]\nrule = "one"\n',
        'prober.rule: must be "majority" or "any" or "all", not "one"',
    ),
    "control": (
        GOOD + '[prober]\ncontrol = ["192.0.2.1"]\n',
        'prober.control[1]: "192.0.2.1" is not "gateway", "host:port", "[IPv6]:port" or a URL',
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_mistake_is_named_with_file_place_and_reason_and_nothing_else_is(text, expected):
    assert problems(text) == [f"c.toml: {expected}"]
