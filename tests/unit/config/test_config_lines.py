"""Problems of a TOML file tell the line, and what to write instead where that is known."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geosteer.errors import ConfigError
from geosteer_loader.config import config
from geosteer_loader.config.toml_lines import element_of, find_lines, place_of
from support.config_file import GOOD, changed, load
from support.data import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def told(text: str) -> list[str]:
    """All problems of the file, as they are told."""
    with pytest.raises(ConfigError) as refusal:
        load(text)
    return refusal.value.problems


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


@pytest.mark.parametrize(
    ("text", "part", "message"),
    [
        (
            changed(("lon1 = 100, ams1 = 50", "lon1 = 100, ams1 = -5")),
            "ams1 = -5",
            "maps.default.countries.GB.ams1: must be a whole number from 0 to 1000000, not -5",
        ),
        (
            changed(('["192.0.2.2"]', '[\n  "192.0.2.2",  # the first\n  "192.0.2.300",\n]')),
            "192.0.2.300",
            'nodes.ams1.a[2]: "192.0.2.300" is not an address',
        ),
        (
            changed(('ns = ["ns1.example.net"]', "")),
            "[zones.",
            'zones."cdn.example.net".ns: is missing: the zone\'s name servers',
        ),
        (
            GOOD + '[[sources.geo]]\nformat = "csv"\npath = "b"\n[[sources.geo]]\npath = "c"\nformat = "cvs"\n',
            'format = "cvs"',
            ('sources.geo[3].format: must be "auto" or "builtin" or "mmdb" or "nerd" or "csv" or "ranges" '
        'or "ip2location" or "geolite2" or "ipinfo" or "rir" or "geofeed", not "cvs"; did you mean "csv"?'),
        ),
        (
            changed(("lon1 = 100, ams1 = 10", "LON1 = 100, ams1 = 10")),
            "LON1",
            'maps.default.default.LON1: unknown node; did you mean "lon1"?',
        ),
        (
            changed(('[services."www.cdn.example.net"]', "[services.www.cdn.example.net]")),
            "[services.",
            'services.www: a name with dots has to be quoted: [services."www.cdn.example.net"]',
        ),
        (
            changed(("hostmaster.example.net", "john.doe@example.net")),
            "john.doe",
            (
                "zones.\"cdn.example.net\".soa.rname: \"john.doe@example.net\" is a mailbox: write "
                "'john\\.doe.example.net', with a dot in place of the @ (RFC 1035, 3.3.13)"
            ),
        ),
    ],
    ids=["value", "element", "missing", "array of tables", "letter case", "unquoted name", "mailbox"],
)  # fmt: skip
def test_a_problem_tells_its_line(text: str, part: str, message: str):
    assert told(text) == [f"c.toml: line {line_of(text, part)}: {message}"]


def test_a_warning_tells_its_line():
    text = GOOD + '[networks.unused]\nprefixes = ["203.0.113.0/24"]\n'
    line = line_of(text, "[networks")
    assert load(text).warnings == [f"c.toml: line {line}: networks.unused: is not used: no map names it"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("[guard]\nkeep = 1\nkeep = 2\n", "Cannot overwrite a value: keep is given twice in this table"),
        (
            "[nodes.lon1]\nweight = 5\n",
            "Cannot declare ('nodes', 'lon1') twice: this table is in the file already; put its settings together",
        ),
    ],
    ids=["key", "table"],
)
def test_what_stands_twice_is_explained(more: str, message: str):
    (problem,) = told(GOOD + more)
    assert problem.startswith("c.toml: line ")
    assert problem.endswith(f": {message}")


@pytest.mark.parametrize(
    "rname", [r"john\.doe.example.net", r"John\.Q\.Doe.Example.NET.", r"a\+b\.c.example.net"]
)
def test_a_mailbox_with_dots_is_written_with_escaped_ones(rname: str):
    loaded = load(changed(('"hostmaster.example.net"', f"'{rname}'")))
    assert loaded.document["zones"]["cdn.example.net"]["soa"]["rname"] == rname.lower().removesuffix(".")


@pytest.mark.parametrize("name", ["geosteer.toml", "backend.toml"])
def test_the_shipped_files_with_a_byte_order_mark_are_read(tmp_path: Path, name: str):
    text = (ROOT / "conf" / name).read_text(encoding="utf-8")
    path = ROOT / "conf" / name
    plain = config.check_backend(path) if name == "backend.toml" else config.load(path, {}).document
    marked = tmp_path / name
    marked.write_text("\ufeff" + text, encoding="utf-8")
    again = config.check_backend(marked) if name == "backend.toml" else config.load(marked, {}).document
    assert plain == again


def test_a_list_of_networks_with_a_byte_order_mark_is_read():
    Path("list.txt").write_text("\ufeff203.0.113.0/24\n", encoding="utf-8")
    assert load(GOOD + '[networks.x]\nfile = "list.txt"\n').networks == {"x": ((32, 0xCB007100, 24),)}


def places(value: Any, place: str = "") -> Iterator[str]:
    """Every place of a document."""
    if place:
        yield place
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, place_of(place, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value, 1):
            yield from places(inner, element_of(place, position))


ODD = """# [not.this]
a = 1 # b = 2
"b.c"."d e" = '''
x = "1
'''
[t.'u"v']
w = [ # [
  "]", 1979-05-27 07:32:00, {x = [1, 2], y."z" = "}"},

  \"\"\"#\\"\"\"\"\"\", # ,
  ]
t.t = { k = "\\u00e4\\"" , l = 'C:\\' }
[[array]]
[array.one]
k = 1
[[array.one.more]]
k = [[1],
 [2]]
[[array]]
one.k = +1_000.5e3
"""


def test_every_place_of_an_odd_file_has_its_line():
    lines = find_lines(ODD)
    assert set(places(tomllib.loads(ODD))) <= lines.keys()
    asked = (
        "a",
        '"b.c"."d e"',
        "t",
        't."u\\"v".w[2]',
        't."u\\"v".w[3].y.z',
        't."u\\"v".t.t.l',
        "array[1].one.more[1].k[2]",
        "array[2].one.k",
    )
    assert [lines[place] for place in asked] == [2, 3, 6, 8, 8, 12, 18, 20]
    assert find_lines(ODD.replace("\n", "\r\n")) == lines


@pytest.mark.parametrize("name", ["geosteer.toml", "backend.toml"])
def test_every_place_of_the_shipped_files_has_a_line_that_names_it(name: str):
    text = (ROOT / "conf" / name).read_text(encoding="utf-8")
    lines, rows = find_lines(text), text.splitlines()
    for place in places(tomllib.loads(text)):
        last = place.rpartition(".")[2].partition("[")[0].strip('"')
        assert last in rows[lines[place] - 1] or "[" in place, place


KEYS = st.sampled_from(["a", '"b.c"', "'d'", "a.b", "x-1"])
SCALARS = st.sampled_from(
    [
        "1",
        '"#"',
        "'[a]'",
        '"""\n"x"\n"""',
        "'''\n]'''",
        "true",
        "1979-05-27",
        "[1, 2]",
        "[\n1,\n[2],]",
        "{a = 1}",
    ]
)
ROWS = st.one_of(
    st.builds("{} = {}".format, KEYS, SCALARS),
    st.builds("[{}]".format, KEYS),
    st.builds("[[{}]]".format, KEYS),
    st.sampled_from(["", "# c", "  "]),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ROWS, max_size=12))
def test_every_place_of_whatever_the_parser_takes_has_a_line(rows: list[str]):
    text = "\n".join(rows)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = find_lines(text)
    assert set(places(data)) <= lines.keys()
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
