"""Ways to break the shipped configuration: each is told with line, place, reason and, where it is known, what to write."""

# ruff: noqa: E501  # messages stand whole

from __future__ import annotations

import os
import re
from ipaddress import ip_network
from pathlib import Path

import pytest

from geosteer.errors import ConfigError
from geosteer_loader.config import config, toml_file
from support.data import ROOT

SHIPPED = (
    (ROOT / "conf" / "geosteer.toml")
    .read_text(encoding="utf-8")
    .replace('format = "builtin"', 'format = "csv"')
    .replace('# Example: path = "GeoLite2-Country.mmdb"', 'path = "sample.csv"')
)
"""With a source that has a path."""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    os.mkfifo("fifo")
    Path("gzipped").write_bytes(b"\x1f\x8b\x08\x00")
    Path("list.txt").write_text("203.0.113.0/24\n203.0.113.1/24  # host bits\n", encoding="utf-8")


def told(data: bytes) -> list[str]:
    """What is wrong with it, without the file's name; nothing: it loads."""
    Path("c.toml").write_bytes(data)
    try:
        loaded = config.load(Path("c.toml"), {})
    except ConfigError as refusal:
        problems = refusal.problems
    else:
        problems = loaded.warnings
    return [line.removeprefix("c.toml: ") for line in problems]


def edited(old: str, new: str) -> tuple[str, int]:
    """The shipped file with the first of the *old* text replaced, and the line where that begins."""
    before, found, after = SHIPPED.partition(old)
    assert found, f"{old!r} is not in the shipped file"
    return before + new + after, before.count("\n") + 1


PREFIX = 'prefix = "geosteer"'
GB = "GB = { lon1 = 100, ams1 = 50 }"
A = 'a = ["192.0.2.1"]'
AAAA = 'aaaa = ["2001:db8:1::1"]'
HOSTNAME = 'hostname = "jnb1.cdn.example.net"'
LON1_URL = 'url = "http://192.0.2.1/health"'
DL = 'policy = "nearest"\nttl = 30\nanswer = "cname"'
TXT = 'type = "TXT"\ncontent = "v=spf1 -all"'
SOA = 'mname = "ns1.cdn.example.net"'
ZONE = 'zones."cdn.example.net"'

# What is replaced by what, and all that is told; +N: lines after the first that is replaced.
SYNTAX = {
    "NUL byte": (PREFIX, 'prefix = "geo\0steer"', "line +0, column 14: Illegal character '\\x00'"),
    "smart quotes": (
        PREFIX,
        "prefix = “geosteer”",
        'line +0, column 10: Invalid value: “ is not a plain quotation mark, "',
    ),
    "back quotes": (
        PREFIX,
        "prefix = `geosteer`",
        'line +0, column 10: Invalid value: ` is not a plain quotation mark, "',
    ),
    "no equals sign": (
        PREFIX,
        'prefix "geosteer"',
        "line +0, column 8: Expected '=' after a key in a key/value pair: a setting is written: key = value",
    ),
    "colon": (
        PREFIX,
        'prefix: "geosteer"',
        "line +0, column 7: Expected '=' after a key in a key/value pair: a setting is written: key = value",
    ),
    "no value": (PREFIX, "prefix =", "line +0, column 9: Invalid value: there is no value"),
    "no quotes": (
        PREFIX,
        "prefix = geosteer",
        "line +0, column 10: Invalid value: text has to be in quotation marks",
    ),
    "quotation mark missing": (
        PREFIX,
        'prefix = "geosteer',
        "line +0, column 19: Illegal character '\\n': the text before has no quotation mark at its end",
    ),
    "semicolon": (
        PREFIX,
        PREFIX + ";",
        "line +0, column 20: Expected newline or end of document after a statement: there is something else behind the value",
    ),
    "text and comment of C": (
        PREFIX,
        PREFIX + "  // ours",
        "line +0, column 22: Expected newline or end of document after a statement: there is something else behind the value",
    ),
    "bracket missing in a list": (
        A,
        'a = ["192.0.2.1"',
        "line +1, column 1: Unclosed array: a comma or a ] is missing before this, or the quotation marks around text",
    ),
    "comma missing": (
        A,
        'a = ["192.0.2.1" "192.0.2.9"]',
        "line +0, column 18: Unclosed array: a comma or a ] is missing before this, or the quotation marks around text",
    ),
    "bracket missing in a header": (
        "[nodes.ams1]",
        "[nodes.ams1",
        "line +0, column 12: Expected ']' at the end of a table declaration",
    ),
    "True": ("[prober]", "[prober]\ncontrol = True", "line +1, column 11: Invalid value: write true"),
    "comment with semicolon": (
        "[prober]",
        "; the prober\n[prober]",
        "line +0, column 1: Invalid statement: a comment begins with #",
    ),
    "comment with slashes": (
        "[prober]",
        "// the prober\n[prober]",
        "line +0, column 1: Invalid statement: a comment begins with #",
    ),
    "comma behind the last weight": (
        GB,
        "GB = { lon1 = 100, ams1 = 50, }",
        "line +0, column 31: Invalid initial character for a key part: a table in { } stands on one line, without a comma behind its last setting",
    ),
    "weights on two lines": (
        GB,
        "GB = { lon1 = 100,\n  ams1 = 50 }",
        "line +0, column 19: Invalid initial character for a key part: a table in { } stands on one line, without a comma behind its last setting",
    ),
    "merge conflict": (
        "[nodes.fra1]",
        "<<<<<<< HEAD\n[nodes.fra1]",
        "line +0, column 1: Invalid statement: a version control system left its mark here: choose one side of the conflict",
    ),
    "zero in front": (
        "well_connected = 20",
        "well_connected = 020",
        "line +0, column 19: Expected newline or end of document after a statement: a number has no zeros in front",
    ),
    "duration without quotes": (
        DL,
        DL.replace("30", "30s"),
        'line +1, column 9: Expected newline or end of document after a statement: with a unit it is text: "30s", "64M"',
    ),
    "per cent sign": (
        "well_connected = 20",
        "well_connected = 20%",
        "line +0, column 20: Expected newline or end of document after a statement: write the number alone",
    ),
    "network without quotes": (
        '"203.0.113.0/24"',
        "203.0.113.0/24",
        "line +0, column 18: Unclosed array: a comma or a ] is missing before this, or the quotation marks around text",
    ),
    "number of 5000 digits": (
        "well_connected = 20",
        "well_connected = " + "1" * 5000,
        "line +0, column 18: a number of 5000 digits",
    ),
    "key twice": (
        PREFIX,
        PREFIX + '\nprefix = "other"',
        "line +1, column 17: Cannot overwrite a value: prefix is given twice in this table",
    ),
    "key twice, once in quotes": (
        GB,
        GB + '\n"GB" = { lon1 = 1 }',
        'line +1, column 20: Cannot overwrite a value: "GB" is given twice in this table',
    ),
    "weight twice": (
        GB,
        "GB = { lon1 = 100, lon1 = 50 }",
        "line +0, column 29: Duplicate inline table key 'lon1'",
    ),
    "table twice": (
        "[nodes.ams1]",
        "[nodes.lon1]",
        "line +0, column 12: Cannot declare ('nodes', 'lon1') twice: this table is in the file already; put its settings together",
    ),
    "table and list of tables": (
        '[[zones."cdn.example.net".records]]',
        '[zones."cdn.example.net".records]\nname = "a"\n[[zones."cdn.example.net".records]]',
        'line +2, column 34: Cannot overwrite a value: [[zones."cdn.example.net".records]] is both a table, [...], and a list of tables, [[...]]: write each with the same brackets',
    ),
}
SHAPES = {
    "one table for a list of tables": (
        "[[sources.geo]]",
        "[sources.geo]",
        "line +0: sources.geo: must be a list, not a table: write [[sources.geo]]",
    ),
    "list of tables for one": (
        "[nodes.ams1]",
        "[[nodes.ams1]]",
        "line +0: nodes.ams1: must be a table, not a list: write [nodes.ams1]",
    ),
    "text for a table": (
        GB,
        'GB = "lon1"',
        "line +0: maps.default.countries.GB: must be a table such as { lon1 = 100 }, not text",
    ),
    "list for a table": (
        GB,
        'GB = ["lon1", "ams1"]',
        "line +0: maps.default.countries.GB: must be a table such as { lon1 = 100 }, not a list",
    ),
    "text for a list": (
        A,
        'a = "192.0.2.1"',
        "line +0: nodes.lon1.a: must be a list, not text: put it in [ ]",
    ),
    "list for text": (PREFIX, 'prefix = ["geosteer"]', "line +0: redis.prefix: must be text, not a list"),
    "date for text": (
        PREFIX,
        "prefix = 2026-02-01",
        "line +0: redis.prefix: must be text, not a date or time",
    ),
    "date for a duration": (
        DL,
        DL.replace("30", "2026-02-01"),
        'line +1: services."dl.cdn.example.net".ttl: must be a duration from 0 to 2147483647 s, not a date or time',
    ),
    "boolean for a duration": (
        DL,
        DL.replace("30", "true"),
        'line +1: services."dl.cdn.example.net".ttl: must be a duration from 0 to 2147483647 s, not a boolean',
    ),
    "text for a weight": (
        GB,
        'GB = { lon1 = 100, ams1 = "50" }',
        'line +0: maps.default.countries.GB.ams1: must be a whole number from 0 to 1000000, not "50"',
    ),
    "tab in text": (
        PREFIX,
        'prefix = "geo\tsteer"',
        "line +0: redis.prefix: must not contain control characters or invisible ones",
    ),
    "decimal commas": (
        "location = [1.35, 103.82]",
        "location = [1,35, 103,82]",
        "line +0: nodes.sin1.location: must be [latitude, longitude], in degrees",
    ),
    "location in one text": (
        "location = [1.35, 103.82]",
        'location = "1.35, 103.82"',
        "line +0: nodes.sin1.location: must be [latitude, longitude], in degrees",
    ),
    "name with dots without quotes": (
        '[services."dl.cdn.example.net"]',
        "[services.dl.cdn.example.net]",
        'line +0: services.dl: a name with dots has to be quoted: [services."dl.cdn.example.net"]',
    ),
    "typo in a table": ("[prober]", "[probe]", 'line +0: probe: unknown setting; did you mean "prober"?'),
    "typo in a setting": (
        "well_connected = 20",
        "well_conected = 20",
        'line +0: nodes.nyc1.well_conected: unknown setting; did you mean "well_connected"?',
    ),
    "hyphen in a setting": (
        "well_connected = 20",
        "well-connected = 20",
        'line +0: nodes.nyc1.well-connected: unknown setting; did you mean "well_connected"?',
    ),
    "capitals in a setting": (
        "well_connected = 20",
        "Well_Connected = 20",
        'line +0: nodes.nyc1.Well_Connected: unknown setting; did you mean "well_connected"?',
    ),
    "setting of another table": (
        DL,
        "well_connected = 3\n" + DL,
        'line +0: services."dl.cdn.example.net".well_connected: unknown setting',
    ),
    "layer in the singular": (
        "[maps.default.countries]",
        "[maps.default.country]",
        'line +0: maps.default.country: unknown setting; did you mean "countries"?',
    ),
    "table of sources that is not one": (
        "[[sources.geo]]",
        "[[sources.geoip]]",
        'line +0: sources.geoip: unknown setting; did you mean "geo"?',
    ),
}
NUMBERS = {
    "negative weight": (
        GB,
        "GB = { lon1 = 100, ams1 = -50 }",
        "line +0: maps.default.countries.GB.ams1: must be a whole number from 0 to 1000000, not -50",
    ),
    "fraction as weight": (
        GB,
        "GB = { lon1 = 100, ams1 = 0.5 }",
        "line +0: maps.default.countries.GB.ams1: must be a whole number from 0 to 1000000, not 0.5",
    ),
    "huge weight": (
        GB,
        "GB = { lon1 = 100, ams1 = 1" + "0" * 30 + " }",
        "line +0: maps.default.countries.GB.ams1: must be a whole number from 0 to 1000000, not a huge number",
    ),
    "well_connected of 0": (
        "well_connected = 20",
        "well_connected = 0",
        "line +0: nodes.nyc1.well_connected: must be a whole number from 1 to 1000000, not 0",
    ),
    "per cent for a share": (
        "[maps.default]",
        "[maps.default]\nmax_down = 50",
        "line +1: maps.default.max_down: must be a number from 0 to 1, not 50; 50 % is 0.5",
    ),
    "more than all": (
        "[maps.default]",
        "[maps.default]\nmax_down = 150",
        "line +1: maps.default.max_down: must be a number from 0 to 1, not 150",
    ),
    "not a number": (
        "[maps.default]",
        "[maps.default]\nmax_down = nan",
        "line +1: maps.default.max_down: must be a number from 0 to 1, not nan",
    ),
    "infinite": (
        "[maps.default]",
        "[maps.default]\nmax_down = inf",
        "line +1: maps.default.max_down: must be a number from 0 to 1, not inf",
    ),
    "duration in words": (
        DL,
        DL.replace("30", '"half a minute"'),
        'line +1: services."dl.cdn.example.net".ttl: "half a minute" is not a duration such as 30, "30s", "10m", "2h" or "1d"',
    ),
    "duration with a blank": (
        DL,
        DL.replace("30", '"30 s"'),
        'line +1: services."dl.cdn.example.net".ttl: "30 s" is not a duration such as 30, "30s", "10m", "2h" or "1d"; did you mean "30s"?',
    ),
    "duration in capitals": (
        DL,
        DL.replace("30", '"30S"'),
        'line +1: services."dl.cdn.example.net".ttl: "30S" is not a duration such as 30, "30s", "10m", "2h" or "1d"; did you mean "30s"?',
    ),
    "negative duration": (
        DL,
        DL.replace("30", "-1"),
        'line +1: services."dl.cdn.example.net".ttl: must be a duration from 0 to 2147483647 s, not -1',
    ),
    "part of a second": (
        DL,
        DL.replace("30", "0.5"),
        'line +1: services."dl.cdn.example.net".ttl: must be a whole number of seconds, not 0.5',
    ),
    "ttl beyond DNS": (
        DL,
        DL.replace("30", "2147483648"),
        'line +1: services."dl.cdn.example.net".ttl: must be a duration from 0 to 2147483647 s, not 2147483648',
    ),
    "ttl_min above ttl": (
        DL,
        DL + "\nttl_min = 60",
        'line +3: services."dl.cdn.example.net".ttl_min: must not be more than the ttl, 30 s',
    ),
    "timeout above the interval": (
        LON1_URL,
        LON1_URL + "\ninterval = 1\ntimeout = 5",
        "line +2: nodes.lon1.check.timeout: must not be longer than the interval, 1 s",
    ),
    "size in GB": (
        'path = "sample.csv"',
        'path = "sample.csv"\nmax_size = "4GB"',
        'line +1: sources.geo[1].max_size: must be a number of bytes, or text such as "64M" or "2G", not "4GB"',
    ),
    "longitude first": (
        "location = [1.35, 103.82]",
        "location = [103.82, 1.35]",
        "line +0: nodes.sin1.location: must be a number from -90 to 90, not 103.82; did you mean [1.35, 103.82]?",
    ),
    "nine answers": (
        DL,
        DL.replace("cname", "address") + "\nmax_answers = 9",
        'line +3: services."dl.cdn.example.net".max_answers: must be a whole number from 1 to 8, not 9',
    ),
}
ADDRESSES = {
    "IPv6 in a": (
        A,
        'a = ["2001:db8::9"]',
        "line +0: nodes.lon1.a[1]: 2001:db8::9 is an IPv6 address, not an IPv4 one",
    ),
    "IPv4 in aaaa": (
        AAAA,
        'aaaa = ["192.0.2.1"]',
        "line +0: nodes.lon1.aaaa[1]: 192.0.2.1 is an IPv4 address, not an IPv6 one",
    ),
    "mapped IPv4 in aaaa": (
        AAAA,
        'aaaa = ["::ffff:192.0.2.1"]',
        'line +0: nodes.lon1.aaaa[1]: "::ffff:192.0.2.1" is the IPv4 address 192.0.2.1, mapped: write it as that',
    ),
    "brackets": (
        AAAA,
        'aaaa = ["[2001:db8::1]"]',
        'line +0: nodes.lon1.aaaa[1]: "[2001:db8::1]" is not an address; did you mean "2001:db8::1"?',
    ),
    "brackets and port": (
        AAAA,
        'aaaa = ["[2001:db8::1]:443"]',
        'line +0: nodes.lon1.aaaa[1]: "[2001:db8::1]:443" is not an address; did you mean "2001:db8::1"?',
    ),
    "zone suffix": (
        AAAA,
        'aaaa = ["fe80::1%eth0"]',
        'line +0: nodes.lon1.aaaa[1]: "fe80::1%eth0" has a zone suffix, which has no meaning on other hosts',
    ),
    "zeros in front": (
        A,
        'a = ["192.0.02.1"]',
        'line +0: nodes.lon1.a[1]: "192.0.02.1" is not an address; did you mean "192.0.2.1"?',
    ),
    "port": (
        A,
        'a = ["192.0.2.1:80"]',
        'line +0: nodes.lon1.a[1]: "192.0.2.1:80" is not an address; did you mean "192.0.2.1"?',
    ),
    "prefix length": (
        A,
        'a = ["192.0.2.1/24"]',
        'line +0: nodes.lon1.a[1]: "192.0.2.1/24" is not an address; did you mean "192.0.2.1"?',
    ),
    "name": (A, 'a = ["lon1.example.net"]', 'line +0: nodes.lon1.a[1]: "lon1.example.net" is not an address'),
    "number above 255": (
        A,
        'a = ["192.0.2.256"]',
        'line +0: nodes.lon1.a[1]: "192.0.2.256" is not an address',
    ),
    "listed twice": (
        A,
        'a = ["192.0.2.1", "192.0.2.1"]',
        "line +0: nodes.lon1.a[2]: 192.0.2.1 is listed twice",
    ),
    "nobody's": (A, 'a = ["0.0.0.0"]', "line +0: nodes.lon1.a[1]: 0.0.0.0 is not the address of a host"),
    "broadcast": (
        A,
        'a = ["255.255.255.255"]',
        "line +0: nodes.lon1.a[1]: 255.255.255.255 is not the address of a host",
    ),
    "host bits": (
        '"203.0.113.0/24"',
        '"203.0.113.5/24"',
        "line +0: networks.partner-isp.prefixes[1]: 203.0.113.5/24 has host bits set; the network is 203.0.113.0/24",
    ),
    "length above 32": (
        '"203.0.113.0/24"',
        '"203.0.113.0/33"',
        'line +0: networks.partner-isp.prefixes[1]: "203.0.113.0/33" is not a network such as 192.0.2.0/24',
    ),
    "netmask": (
        '"203.0.113.0/24"',
        '"203.0.113.0/255.255.255.0"',
        'line +0: networks.partner-isp.prefixes[1]: "203.0.113.0/255.255.255.0" is not a network such as 192.0.2.0/24; did you mean "203.0.113.0/24"?',
    ),
    "first and last address": (
        '"203.0.113.0/24"',
        '"203.0.113.0-203.0.113.255"',
        'line +0: networks.partner-isp.prefixes[1]: "203.0.113.0-203.0.113.255" is not a network such as 192.0.2.0/24; did you mean "203.0.113.0/24"?',
    ),
    "mapped network": (
        '"203.0.113.0/24"',
        '"::ffff:203.0.113.0/120"',
        # Python 3.13 and later write it with dots.
        f"line +0: networks.partner-isp.prefixes[1]: {ip_network('::ffff:203.0.113.0/120')} never matches: its clients are looked up by their IPv4 address",
    ),
    "network in two": (
        "[nodes.lon1]",
        '[networks.b]\nprefixes = ["203.0.113.0/24"]\n[nodes.lon1]',
        "line +1: networks.b.prefixes[1]: 203.0.113.0/24 is also in network partner-isp",
    ),
    "network of nothing": (
        'prefixes = ["203.0.113.0/24", "2001:db8:100::/40"]',
        "prefixes = []",
        "line +-1: networks.partner-isp: has neither prefixes nor a file",
    ),
    "canary": (
        '"8.8.8.8" = "US"',
        '"8.8.8" = "US"',
        'line +0: guard.canaries."8.8.8": "8.8.8" is not an address',
    ),
    "canary elsewhere": (
        '"8.8.8.8" = "US"',
        '"8.8.8.8" = "EU"',
        'line +0: guard.canaries."8.8.8.8": "EU" is not a country code; as a continent it belongs in continents',
    ),
}
CHOICES = {
    "unknown policy": (
        DL,
        DL.replace("nearest", "roundrobin"),
        'line +0: services."dl.cdn.example.net".policy: must be "best" or "weighted" or "hash" or "nearest" or "path" or "latency", not "roundrobin"',
    ),
    "policy in capitals": (
        DL,
        DL.replace("nearest", "Nearest"),
        'line +0: services."dl.cdn.example.net".policy: must be "best" or "weighted" or "hash" or "nearest" or "path" or "latency", not "Nearest"; did you mean "nearest"?',
    ),
    "unknown kind of answer": (
        DL,
        DL.replace("cname", "CNAME"),
        'line +2: services."dl.cdn.example.net".answer: must be "address" or "cname", not "CNAME"; did you mean "cname"?',
    ),
    "unknown layer": (
        "[maps.default]",
        '[maps.default]\norder = ["countries", "contients"]',
        'line +1: maps.default.order[2]: "contients" is not a layer; did you mean "continents"?',
    ),
    "layer twice": (
        "[maps.default]",
        '[maps.default]\norder = ["countries", "countries"]',
        'line +1: maps.default.order[2]: "countries" is listed twice',
    ),
    "default not last": (
        "[maps.default]",
        '[maps.default]\norder = ["default", "countries"]',
        'line +1: maps.default.order[1]: "default" always comes last',
    ),
    "unknown format": (
        'format = "csv"',
        'format = "maxmind"',
        (
            'line +0: sources.geo[1].format: must be "auto" or "builtin" or "mmdb" or "nerd" or "csv" or "ranges" '
            'or "ip2location" or "geolite2" or "ipinfo" or "rir" or "geofeed", not "maxmind"'
        ),
    ),
    "format of another table": (
        'format = "csv"',
        'format = "pyasn"',
        (
            'line +0: sources.geo[1].format: must be "auto" or "builtin" or "mmdb" or "nerd" or "csv" or "ranges" '
            'or "ip2location" or "geolite2" or "ipinfo" or "rir" or "geofeed", not "pyasn"'
        ),
    ),
    "typo in a format": (
        'format = "csv"',
        'format = "mmbd"',
        (
            'line +0: sources.geo[1].format: must be "auto" or "builtin" or "mmdb" or "nerd" or "csv" or "ranges" '
            'or "ip2location" or "geolite2" or "ipinfo" or "rir" or "geofeed", not "mmbd"; did you mean "mmdb"?'
        ),
    ),
    "unknown kind of check": (
        'type = "http"',
        'type = "ping"',
        'line +0: nodes.lon1.check.type: must be "tcp" or "http" or "https" or "command", not "ping"',
    ),
    "unknown profile": (
        LON1_URL,
        LON1_URL + '\nprofile = "slow"',
        'line +1: nodes.lon1.check.profile: must be "fast", "gdnsd" or a table of up, ok and down, not "slow"',
    ),
    "unknown node": (
        GB,
        GB.replace("lon1", "lnd1"),
        'line +0: maps.default.countries.GB.lnd1: unknown node; did you mean "lon1"?',
    ),
    "node in capitals": (
        GB,
        GB.replace("lon1", "LON1"),
        'line +0: maps.default.countries.GB.LON1: unknown node; did you mean "lon1"?',
    ),
    "unknown network": (
        "partner-isp = { lon1 = 1 }",
        "partner_isp = { lon1 = 1 }",
        'line +0: maps.default.networks.partner_isp: unknown network; did you mean "partner-isp"?',
    ),
    "unknown map": (
        'map = "default"\n#',
        'map = "defualt"\n#',
        'line +0: services."www.cdn.example.net".map: unknown map defualt; did you mean "default"?',
    ),
    "country by its name": (
        GB,
        '"Great Britain" = { lon1 = 1 }',
        'line +0: maps.default.countries."Great Britain": "Great Britain" is not a country code',
    ),
    "UK": (
        GB,
        "UK = { lon1 = 1 }",
        'line +0: maps.default.countries.UK: "UK" is not a country code; did you mean "GB"?',
    ),
    "continent among countries": (
        GB,
        "EU = { lon1 = 1 }",
        'line +0: maps.default.countries.EU: "EU" is not a country code; as a continent it belongs in continents',
    ),
    "withdrawn country": (
        GB,
        "AN = { lon1 = 1 }",
        'line +0: maps.default.countries.AN: "AN" is a withdrawn country code (ISO 3166-3); instead: BQ CW SX',
    ),
    "underscore in a subdivision": (
        "US-CA = {",
        "US_CA = {",
        'line +0: maps.default.subdivisions.US_CA: "US_CA" is not a subdivision such as US-CA',
    ),
    "Australia among continents": (
        "OC = {",
        "AU = {",
        'line +0: maps.default.continents.AU: "AU" is not a continent: AF AN AS EU NA OC SA',
    ),
    "bare AS number": (
        "[maps.default.subdivisions]",
        "[maps.default.asns]\n3320 = { fra1 = 1 }\n[maps.default.subdivisions]",
        'line +1: maps.default.asns.3320: "3320" is not an AS number such as AS15169',
    ),
    "AS number too large": (
        "[maps.default.subdivisions]",
        "[maps.default.asns]\nAS4294967296 = { fra1 = 1 }\n[maps.default.subdivisions]",
        'line +1: maps.default.asns.AS4294967296: "AS4294967296" is not an AS number such as AS15169',
    ),
    "weights of none": (GB, "GB = {}", "line +0: maps.default.countries.GB: has no nodes"),
    "default missing": (
        "[maps.default.default]\nnyc1 = 100\nams1 = 50\n",
        "",
        "line +-41: maps.default.default: is missing: the nodes for clients that no other layer matches",
    ),
    "default that never answers": (
        "[maps.default.default]\nnyc1 = 100\nams1 = 50\n",
        "[maps.default.default]\nnyc1 = 0\n",
        "line +0: maps.default.default: has no node with a weight above 0",
    ),
}
NAMES = {
    "node without an address": (
        HOSTNAME,
        HOSTNAME + "\n[nodes.bare]\nweight = 1",
        "line +1: nodes.bare: has neither an address (a, aaaa) nor a hostname",
    ),
    "node with a blank": (
        "[nodes.ams1]",
        '[nodes."am s"]\na = ["192.0.2.77"]\n[nodes.ams1]',
        "line +0: nodes.\"am s\": \"am s\" is not a name of 1 to 63 letters, digits, '_', '-', '.', not '-' or '.' in front",
    ),
    "node of no name": (
        "[nodes.ams1]",
        '[nodes.""]\na = ["192.0.2.77"]\n[nodes.ams1]',
        'line +0: nodes."": must not be empty',
    ),
    "address as host name": (
        HOSTNAME,
        'hostname = "198.51.100.3"',
        'line +0: nodes.jnb1.hostname: "198.51.100.3" is an address; a host name is needed here',
    ),
    "URL as host name": (
        HOSTNAME,
        'hostname = "http://jnb1.cdn.example.net/"',
        'line +0: nodes.jnb1.hostname: "http://jnb1.cdn.example.net/" contains ":", which is not allowed in a host name',
    ),
    "letters beyond ASCII": (
        HOSTNAME,
        'hostname = "jnb1.bücher.example"',
        'line +0: nodes.jnb1.hostname: "jnb1.bücher.example" contains "ü", which PowerDNS does not pass on; write "jnb1.xn--bcher-kva.example"',
    ),
    "two dots": (
        HOSTNAME,
        'hostname = "jnb1..example.net"',
        'line +0: nodes.jnb1.hostname: "jnb1..example.net" has an empty label',
    ),
    "empty": (HOSTNAME, 'hostname = ""', "line +0: nodes.jnb1.hostname: must not be empty"),
    "label of 64": (
        HOSTNAME,
        'hostname = "' + "a" * 64 + '.example.net"',
        'line +0: nodes.jnb1.hostname: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..." has a label of 64 bytes, more than 63',
    ),
    "host name twice": (
        HOSTNAME,
        'hostname = "LON1.cdn.example.net."',
        "line +0: nodes.jnb1.hostname: lon1.cdn.example.net is also the hostname of node lon1",
    ),
    "host name at the apex": (
        HOSTNAME,
        'hostname = "cdn.example.net"',
        "line +0: nodes.jnb1.hostname: cdn.example.net is the apex of a zone",
    ),
    "host name of a service": (
        HOSTNAME,
        'hostname = "www.cdn.example.net"',
        'line +0: nodes.jnb1.hostname: www.cdn.example.net is also a service: services."www.cdn.example.net"',
    ),
    "service outside every zone": (
        '[services."dl.cdn.example.net"]',
        '[services."dl.example.com"]',
        'line +0: services."dl.example.com": is outside every zone (cdn.example.net)',
    ),
    "service twice": (
        '[services."dl.cdn.example.net"]',
        '[services."WWW.cdn.example.net."]',
        'line +0: services."WWW.cdn.example.net.": is the same service as services."www.cdn.example.net" (letter case and a final dot do not count)',
    ),
    "CNAME with two answers": (
        DL,
        DL + "\nmax_answers = 2",
        'line +3: services."dl.cdn.example.net".max_answers: must be 1 with answer = "cname": a name has one CNAME',
    ),
    "wildcard in the middle": (
        '[services."dl.cdn.example.net"]',
        '[services."www.*.cdn.example.net"]',
        'line +0: services."www.*.cdn.example.net": "www.*.cdn.example.net" has a wildcard that is not its first label',
    ),
    "CNAME at the apex": (
        '[services."dl.cdn.example.net"]',
        '[services."cdn.example.net"]',
        'line +0: services."cdn.example.net": a CNAME is not allowed at the apex of a zone (RFC 1034, 3.6.2)',
    ),
    "static CNAME at the apex": (
        TXT,
        'type = "CNAME"\ncontent = "example.com"',
        'line +-2: zones."cdn.example.net".records[4]: a CNAME is not allowed at the apex of a zone (RFC 1034, 3.6.2)',
    ),
    "CNAME beside another": (
        TXT,
        TXT
        + '\n[[zones."cdn.example.net".records]]\nname = "x"\ntype = "A"\ncontent = "192.0.2.9"\n[[zones."cdn.example.net".records]]\nname = "x"\ntype = "CNAME"\ncontent = "example.com"',
        'line +6: zones."cdn.example.net".records[6]: a CNAME cannot coexist with other records, here zones."cdn.example.net".records[5] (RFC 1034, 3.6.2)',
    ),
    "the zone's NS as a record": (
        TXT,
        'type = "NS"\ncontent = "ns3.example.com"',
        'line +-2: zones."cdn.example.net".records[4]: list the zone\'s own name servers in its setting ns',
    ),
    "delegation without glue": (
        'name = "@"\n' + TXT,
        'name = "sub"\ntype = "NS"\ncontent = "ns.sub.cdn.example.net"',
        'line +-1: zones."cdn.example.net".records[4]: the delegation sub.cdn.example.net cannot be followed: ns.sub.cdn.example.net has no A or AAAA record',
    ),
    "record of another zone": (
        'name = "@"\n' + TXT,
        'name = "www.example.com."\n' + TXT,
        'line +0: zones."cdn.example.net".records[4].name: "www.example.com." is not in the zone cdn.example.net',
    ),
    "unknown record type": (
        TXT,
        TXT.replace("TXT", "SPF1"),
        'line +0: zones."cdn.example.net".records[4].type: "SPF1" is not a record type that can be served here; did you mean "SPF"?',
    ),
    "SOA as a record": (
        TXT,
        TXT.replace("TXT", "SOA"),
        'line +0: zones."cdn.example.net".records[4].type: SOA does not belong here: it is the zone\'s setting soa',
    ),
    "A that is a name": (
        'content = "192.0.2.53"',
        'content = "ns1.example.net"',
        "line +0: zones.\"cdn.example.net\".records[1].content: is not valid A data: Text input is malformed; it is written as in '192.0.2.1'",
    ),
    "MX without preference": (
        TXT,
        'type = "MX"\ncontent = "mail.example.net"',
        "line +1: zones.\"cdn.example.net\".records[4].content: is not valid MX data: expecting an integer; it is written as in '10 mail.example.net'",
    ),
    "no content": (
        'content = "198.51.100.53"\n',
        "",
        'line +-3: zones."cdn.example.net".records[3].content: is missing',
    ),
    "name servers in one text": (
        'ns = ["ns1.cdn.example.net", "ns2.cdn.example.net"]',
        'ns = "ns1.cdn.example.net"',
        'line +0: zones."cdn.example.net".ns: must be a list, not text: put it in [ ]',
    ),
    "name server by address": (
        'ns = ["ns1.cdn.example.net", ',
        'ns = ["192.0.2.53", ',
        'line +0: zones."cdn.example.net".ns[1]: "192.0.2.53" is an address; a host name is needed here',
    ),
    "no name servers": (
        'ns = ["ns1.cdn.example.net", "ns2.cdn.example.net"]',
        "",
        'line +-2: zones."cdn.example.net".ns: is missing: the zone\'s name servers',
    ),
    "name server that is an alias": (
        'ns = ["ns1.cdn.example.net", ',
        'ns = ["dl.cdn.example.net", ',
        'line +0: zones."cdn.example.net".ns: dl.cdn.example.net is an alias; a name server must not be one (RFC 2181, 10.3)',
    ),
    "no mname": (SOA, "", 'line +-1: zones."cdn.example.net".soa.mname: is missing'),
    "serial": (
        SOA,
        SOA + "\nserial = 2026020101",
        'line +1: zones."cdn.example.net".soa.serial: cannot be set: it is the time of the publish',
    ),
    "mailbox with @": (
        'rname = "hostmaster.example.net"',
        'rname = "john.doe@example.net"',
        'line +0: zones."cdn.example.net".soa.rname: "john.doe@example.net" is a mailbox: write \'john\\.doe.example.net\', with a dot in place of the @ (RFC 1035, 3.3.13)',
    ),
    "mailbox with a name": (
        'rname = "hostmaster.example.net"',
        'rname = "John Doe <john@example.net>"',
        'line +0: zones."cdn.example.net".soa.rname: "John Doe <john@example.net>" is not a mailbox such as \'hostmaster.example.net\' (RFC 1035, 3.3.13)',
    ),
    "zone beyond ASCII": (
        "# ---- Services",
        '[zones."bücher.example"]\n# ---- Services',
        'line +0: zones."bücher.example": "bücher.example" contains "ü", which PowerDNS does not pass on; write "xn--bcher-kva.example"',
    ),
    "the root": (
        "# ---- Services",
        '[zones."."]\n# ---- Services',
        'line +0: zones.".": the root cannot be served: a name has at least one label',
    ),
    "zone twice": (
        "# ---- Services",
        '[zones."CDN.example.net."]\n# ---- Services',
        'line +0: zones."CDN.example.net.": zone cdn.example.net is already defined; letter case and a final dot do not count',
    ),
}
ELSEWHERE = {
    "https in a check by http": (
        LON1_URL,
        LON1_URL.replace("http:", "https:"),
        "line +0: nodes.lon1.check.url: must begin with http://, as the type of the check says",
    ),
    "check without a scheme": (
        LON1_URL,
        LON1_URL.replace("http://", ""),
        "line +0: nodes.lon1.check.url: must be a URL such as http://192.0.2.1/health",
    ),
    "port of a check": (
        LON1_URL,
        'url = "http://192.0.2.1:99999/"',
        "line +0: nodes.lon1.check.url: must be a URL such as http://192.0.2.1/health",
    ),
    "secret in a check": (
        LON1_URL,
        'url = "http://192.0.2.1/?token=abc"',
        "line +0: nodes.lon1.check.url: holds a literal secret and would be published: write ${NAME}, an environment variable of the prober",
    ),
    "secret in a header": (
        LON1_URL,
        LON1_URL + '\nheaders = { Authorization = "Bearer abc" }',
        "line +1: nodes.lon1.check.headers.Authorization: holds a literal secret and would be published: write ${NAME}, an environment variable of the prober",
    ),
    "setting of another kind of check": (
        LON1_URL,
        LON1_URL + "\nport = 80",
        "line +1: nodes.lon1.check.port: is a setting of checks of type tcp only",
    ),
    "Redis by HTTP": (
        "unix:///run/redis/redis.sock",
        "http://redis.example.net",
        "line +0: redis.url: must begin with unix://, redis://, rediss://, redis+sentinel://, redis+cluster://",
    ),
    "database of Redis": (
        "unix:///run/redis/redis.sock",
        "redis://h/x",
        "line +0: redis.url: invalid database number",
    ),
    "braces in the prefix": (
        PREFIX,
        'prefix = "{geosteer}"',
        "line +0: redis.prefix: \"{geosteer}\" is not 1 to 64 letters, digits and '_', '.', ':', '-'",
    ),
    "variable that is not set": (
        PREFIX,
        PREFIX + '\npassword = "${REDIS_PASSWORD}"',
        "line +1: redis.password: environment variable REDIS_PASSWORD is not set",
    ),
    "variable with a blank": (
        PREFIX,
        PREFIX + '\npassword = "${REDIS PASSWORD}"',
        "line +1: redis.password: must be of the form ${NAME} to name an environment variable",
    ),
    "certificate without its key": (
        PREFIX,
        PREFIX + '\ncert = "c.pem"',
        "line +1: redis.cert: cert and key are needed together",
    ),
    "password file that is not there": (
        PREFIX,
        PREFIX + '\npassword_file = "/nowhere/password"',
        "line +1: redis.password_file: /nowhere/password cannot be read: No such file or directory",
    ),
    "list that is not there": (
        "[nodes.lon1]",
        '[networks.b]\nfile = "nowhere.txt"\n[nodes.lon1]',
        "line +1: networks.b.file: nowhere.txt cannot be read: No such file or directory",
    ),
    "list that is a folder": (
        "[nodes.lon1]",
        '[networks.b]\nfile = "folder"\n[nodes.lon1]',
        "line +1: networks.b.file: folder is not a regular file",
    ),
    "list that is a FIFO": (
        "[nodes.lon1]",
        '[networks.b]\nfile = "fifo"\n[nodes.lon1]',
        "line +1: networks.b.file: fifo is not a regular file",
    ),
    "list that is compressed": (
        "[nodes.lon1]",
        '[networks.b]\nfile = "gzipped"\n[nodes.lon1]',
        "line +1: networks.b.file: gzipped line 1, column 2: is not UTF-8 text, but compressed (gzip): save it as UTF-8",
    ),
    "source by HTTP": (
        'path = "sample.csv"',
        'path = "http://example.net/a.mmdb"',
        "line +0: sources.geo[1].path: must be a file or an https:// URL",
    ),
    "no path": ('path = "sample.csv"', "", "line +-9: sources.geo[1].path: is missing"),
    "literal password of a source": (
        'path = "sample.csv"',
        'path = "https://example.net/a"\nusername = "x"\npassword = "hunter2"',
        "line +2: sources.geo[1].password: contains a literal secret: write ${NAME}, an environment variable of the loader",
    ),
    "vantage of a table that has none": (
        'path = "sample.csv"',
        'path = "sample.csv"\nvantage = "lon"',
        "line +1: sources.geo[1].vantage: is a setting of [[sources.path]] only",
    ),
    "no vantage": (
        "[networks.partner-isp]",
        '[[sources.path]]\nformat = "mrt"\npath = "x"\n[networks.partner-isp]',
        "line +0: sources.path[1].vantage: is missing",
    ),
    "control target without a port": (
        "[prober]",
        '[prober]\ncontrol = ["example.net"]',
        'line +1: prober.control[1]: "example.net" is not "gateway", "host:port", "[IPv6]:port" or a URL',
    ),
    "control target in one text": (
        "[prober]",
        '[prober]\ncontrol = "gateway"',
        "line +1: prober.control: must be a list, not text: put it in [ ]",
    ),
}


BYTES = {
    "Latin-1": (SHIPPED.replace("[redis]", "# Schl\u00fcssel\n[redis]").encode("latin-1"), "line 10, column 7: is not UTF-8 text"),
    "UTF-16": (SHIPPED.encode("utf-16"), "line 1, column 1: is not UTF-8 text, but UTF-16: save it as UTF-8"),
    "compressed": (b"\x1f\x8b\x08\x00", "line 1, column 2: is not UTF-8 text, but compressed (gzip): save it as UTF-8"),
    "line ends of old Macs": (
        SHIPPED.replace("\n", "\r").encode(), "line 1, column 99: Found invalid character '\\r': lines end with LF or CRLF",
    ),
    "brackets without end": (b"x = " + b"[" * 5000, "line 1, column 1: is nested too deeply"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(*case, id=name)
        for group in (SYNTAX, SHAPES, NUMBERS, ADDRESSES, CHOICES, NAMES, ELSEWHERE)
        for name, case in group.items()
    ],
)
def test_what_breaks_the_file_is_told_once_with_its_place_and_what_to_write(
    old: str, new: str, expected: str
):
    text, first = edited(old, new)
    wanted = re.sub(r"^line \+?(-?\d+)", lambda line: f"line {first + int(line[1])}", expected)
    assert told(text.encode()) == [wanted]


@pytest.mark.parametrize(("data", "expected"), BYTES.values(), ids=BYTES)
def test_bytes_that_are_no_such_text_are_told(data: bytes, expected: str):
    assert told(data) == [expected]


@pytest.mark.parametrize("change", [lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n")])
def test_a_byte_order_mark_and_windows_line_ends_break_nothing(change):
    assert told(change(SHIPPED).encode()) == []


@pytest.mark.parametrize("target", ["folder", "nowhere", "fifo"])
def test_a_password_file_that_cannot_be_read_is_told(target: str):
    text, line = edited(PREFIX, f'{PREFIX}\npassword_file = "{target}"')
    reason = "cannot be read: No such file or directory" if target == "nowhere" else "is not a regular file"
    assert told(text.encode()) == [
        f"line {line + 1}: redis.password_file: {Path(target).absolute()} {reason}"
    ]


def test_a_malformed_line_of_a_list_is_told_with_the_list():
    text, _ = edited("[nodes.lon1]", '[networks.b]\nfile = "list.txt"\n[nodes.lon1]')
    assert "list.txt: line 2: 203.0.113.1/24 has host bits set; the network is 203.0.113.0/24" in told(
        text.encode()
    )


def test_a_file_without_end_is_read_no_further_than_its_limit(monkeypatch):
    monkeypatch.setattr(toml_file, "LARGEST", 1000)
    with pytest.raises(ConfigError) as refusal:
        config.load(Path("/dev/zero"), {})
    assert refusal.value.problems == ["/dev/zero: cannot be read: is larger than 1000 bytes"]
