"""conf/geosteer.toml: what is published of a good file, and that each mistake is named with its place and reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from geosteer.errors import ConfigError
from geosteer_loader.config import config
from geosteer_loader.rtt.memory import Equality
from geosteer_loader.sources.countries import CONTINENT
from support.config_file import GOOD, NODES, ZONES, changed, load, problems, record, without_lines


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_good_file_has_no_problems_and_no_warnings():
    assert load(GOOD).warnings == []


def test_the_document_holds_every_setting_with_its_default():
    document = load(GOOD).document
    assert document == {
        "format": 1,
        "nodes": {
            "lon1": {
                "a": ["192.0.2.1"], "aaaa": ["2001:db8:1::1"], "hostname": "lon1.cdn.example.net", "weight": 100,
                "location": [51.51, -0.13], "well_connected": 10, "capacity": None, "assume": None, "ramp": 60,
                "settle": None, "near_km": None, "vantage": None, "checks": [],
            },
            "ams1": {
                "a": ["192.0.2.2"], "aaaa": [], "hostname": "ams1.cdn.example.net", "weight": 100,
                "location": [52.37, 4.9], "well_connected": None, "capacity": None, "assume": None, "ramp": 60,
                "settle": None, "near_km": None, "vantage": None, "checks": [],
            },
        },
        "networks": {},
        "maps": {
            "default": {
                "order": ["networks", "asns", "subdivisions", "countries", "continents"], "all_down": "all",
                "max_down": 0.5, "networks": {}, "asns": {}, "subdivisions": {},
                "countries": {"GB": {"lon1": 100, "ams1": 50}}, "continents": {},
                "default": {"lon1": 100, "ams1": 10},
            }
        },
        "zones": {
            "cdn.example.net": {
                "soa": {
                    "mname": "ns1.example.net", "rname": "hostmaster.example.net", "refresh": 3600, "retry": 600,
                    "expire": 604800, "minimum": 30, "ttl": 300,
                },
                "ns": ["ns1.example.net"], "ns_ttl": 3600, "records": [],
            }
        },
        "services": {
            "www.cdn.example.net": {
                "map": "default", "policy": "best", "ttl": 60, "ttl_min": None, "near_km": 100,
                "equal_ms": 3, "equal_percent": 5,
                "country_middle": True, "answer": "address", "max_answers": 1,
            }
        },
        "continents": CONTINENT,
    }  # fmt: skip


def test_only_a_bias_that_makes_a_difference_is_published():
    text = changed(("map =", 'policy = "nearest"\nbias = { lon1 = -30, ams1 = 0 }\nmap ='))
    assert load(text).document["services"]["www.cdn.example.net"]["bias"] == {"lon1": -30}
    text = changed(("map =", 'policy = "nearest"\nbias = { ams1 = 0 }\nmap ='))
    assert "bias" not in load(text).document["services"]["www.cdn.example.net"]


def test_names_are_published_lower_case_absolute_and_without_a_final_dot():
    text = changed(
        ('[zones."cdn.example.net"]', '[zones."CDN.Example.NET."]'),
        (
            'ns = ["ns1.example.net"]',
            'ns = ["NS1.example.net."]\nrecords = [{name="Txt",type="txt",content="a"}]',
        ),
        ('[services."www.cdn', '[services."*.WWW.cdn'),
    )
    document = load(text).document
    assert list(document["zones"]) == ["cdn.example.net"]
    assert document["zones"]["cdn.example.net"]["ns"] == ["ns1.example.net"]
    assert list(document["services"]) == ["*.www.cdn.example.net"]
    assert document["zones"]["cdn.example.net"]["records"] == [
        {"name": "txt.cdn.example.net", "type": "TXT", "content": '"a"', "ttl": 3600}
    ]


def test_record_names_are_relative_unless_they_end_in_a_dot_or_in_the_zone():
    more = "".join(
        record(name, "TXT", f"{name}") for name in ("@", "a.b", "c.cdn.example.net", "d.cdn.example.net.")
    )
    names = [one["name"] for one in load(GOOD + more).document["zones"]["cdn.example.net"]["records"]]
    assert names == ["cdn.example.net", "a.b.cdn.example.net", "c.cdn.example.net", "d.cdn.example.net"]


def test_durations_are_numbers_of_seconds_or_text_with_units():
    text = changed(
        ("[nodes.ams1]", '[nodes.ams1]\nramp = "1h30m"\nsettle = "2.5s"'), ("map =", 'ttl = "10m"\nmap =')
    )
    document = load(text + '[guard]\ngrace = "1d"\n[prober]\nforget = 90\n').document
    assert (document["nodes"]["ams1"]["ramp"], document["nodes"]["ams1"]["settle"]) == (5400, 2.5)
    assert document["services"]["www.cdn.example.net"]["ttl"] == 600


def test_codes_of_places_may_be_written_in_small_letters():
    text = changed(("GB = {", 'gb = { lon1 = 1 }, "as64496" = {')).replace('"as64496"', "fr")
    assert set(load(text).document["maps"]["default"]["countries"]) == {"GB", "FR"}


def test_relative_paths_begin_at_the_folder_of_the_file(tmp_path, monkeypatch):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "c.toml").write_text(GOOD + '[networks.x]\nfile = "lists/x.txt"\n')
    (tmp_path / "etc" / "lists").mkdir()
    (tmp_path / "etc" / "lists" / "x.txt").write_text(
        "# ours\n203.0.113.0/24  # an office\n\n2001:db8::/32\n"
    )
    loaded = config.load(Path("etc/c.toml"), {})
    assert loaded.sources["geo"][0].path == tmp_path / "etc" / "geo.csv"
    assert loaded.sources["geo"][0].place == "sources.geo[1]"
    assert loaded.networks == {"x": ((32, 0xCB007100, 24), (128, 0x20010DB8 << 96, 32))}
    assert loaded.document["networks"] == {"x": {}}


def test_files_of_sources_are_looked_for_only_when_asked():
    loaded = load(GOOD)
    here = Path.cwd()
    assert without_lines(config.source_problems(loaded)[0]) == [
        f"c.toml: sources.geo[1].path: {here}/geo.csv cannot be read: No such file or directory"
    ]
    Path("geo.csv").mkdir()
    assert without_lines(config.source_problems(loaded)[0]) == [
        f"c.toml: sources.geo[1].path: {here}/geo.csv is not a regular file"
    ]
    Path("geo.csv").rmdir()
    os.mkfifo("geo.csv")
    assert without_lines(config.source_problems(loaded)[0]) == [
        f"c.toml: sources.geo[1].path: {here}/geo.csv is not a regular file"
    ]
    Path("geo.csv").unlink()
    Path("geo.csv").write_text("192.0.2.0/24,GB\n")
    assert config.source_problems(loaded) == ([], [])


def test_a_file_may_be_a_member_of_an_archive():
    text = changed(('path = "geo.csv"', 'path = "geo.tar.gz"\nmember = "*.csv"\nmax_size = "1M"'))
    (source,) = load(text).sources["geo"]
    assert (source.path.name, source.member, source.max_size) == ("geo.tar.gz", "*.csv", 1 << 20)
    url = text.replace('"geo.tar.gz"', '"https://example.org/geo.tar.gz"')
    (source,) = load(url).sources["geo"]
    assert (source.member, source.remote.member, source.remote.max_size) == (None, "*.csv", 1 << 20)
    twice = text + '[[sources.geo]]\nformat = "csv"\npath = "geo.tar.gz"\nmember = "other.csv"\n'
    assert load(twice).warnings == []


def test_guard_and_prober_have_their_documented_defaults():
    loaded = load(GOOD + '[prober]\nname = "here"\n')
    assert loaded.guard == config.Guard(
        max_shrink=0.2, max_country_change=0.5, max_impact=0.2, canaries={}, keep=8, grace=600
    )
    assert loaded.prober == config.Prober(name="here", control=("gateway",), forget=3600, rule="majority")


def test_the_prober_is_called_like_the_host_unless_it_is_named():
    assert load(GOOD).prober.name


def test_all_problems_are_told_at_once_sorted_by_place():
    many = "".join(f'[[sources.geo]]\npath = "p{number}"\nformat = "zip"\n' for number in range(2, 12))
    text = changed(("lon1 = 100, ams1 = 50", "lon2 = 100"), more=many + "[guard]\nkeep = 0\n")
    places = [line.split(": ")[1] for line in problems(text)]
    assert places == ["guard.keep", "maps.default.countries.GB.lon2"] + [
        f"sources.geo[{number}].format" for number in range(2, 12)
    ]


def test_nested_prefixes_of_different_networks_are_no_conflict():
    text = changed(
        ("[maps.default]", "[maps.default]\nnetworks = { x = { lon1 = 1 }, y = { ams1 = 1 } }"),
        more='[networks.x]\nprefixes = ["10.0.0.0/8"]\n[networks.y]\nprefixes = ["10.1.0.0/16"]\n',
    )
    assert load(text).warnings == []


def test_a_prefix_in_two_lists_is_named_with_the_list_and_its_line():
    Path("a.txt").write_text("10.0.0.0/8\n")
    Path("b.txt").write_text("# b\n10.1.0.0/16\n10.0.0.0/8\nfoo\n10.0.0.1/8\n10.1.0.0/16\n")
    text = GOOD + '[networks.a]\nfile = "a.txt"\n[networks.b]\nfile = "b.txt"\n'
    assert problems(text) == [
        "b.txt: line 3: 10.0.0.0/8 is also in network a",
        'b.txt: line 4: "foo" is not a network such as 192.0.2.0/24',
        "b.txt: line 5: 10.0.0.1/8 has host bits set; the network is 10.0.0.0/8",
    ]


def test_glue_and_the_ds_of_a_delegation_are_served():
    more = record("sub", "NS", "ns.sub.cdn.example.net") + record("ns.sub", "A", "192.0.2.7")
    assert load(GOOD + more + record("sub", "DS", "1 8 2 " + "ab" * 32)).warnings == []


def test_the_ds_of_a_served_child_stands_in_its_parent():
    child = ZONES.replace("cdn.example", "sub.cdn.example")
    more = record("sub", "DS", "1 8 2 " + "ab" * 32) + child
    loaded = load(GOOD + more)
    assert loaded.warnings == []
    (ds,) = loaded.document["zones"]["cdn.example.net"]["records"]
    assert (ds["name"], ds["content"]) == ("sub.cdn.example.net", "1 8 2 " + "ab" * 32)


def test_a_service_may_stand_at_the_apex_beside_other_types():
    text = changed(('[services."www.', '[services."')) + record("@", "MX", "10 mail.example.org")
    assert load(text).warnings == []


def test_the_path_policy_wants_a_vantage_point_for_every_node():
    source = '[[sources.path]]\nformat = "mrt"\npath = "rib"\nvantage = "lon1"\n'
    text = changed(("map =", 'policy = "path"\nmap ='), more=source)
    assert without_lines(load(text).warnings) == [
        'c.toml: services."www.cdn.example.net".policy: is path, but no [[sources.path]] has the vantage point of node ams1'
    ]
    assert load(text.replace("[nodes.ams1]", '[nodes.ams1]\nvantage = "lon1"')).warnings == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"[nodes\n", "c.toml: line 1, column 7: Expected ']' at the end of a table declaration"),
        (b'\n a = "x', "c.toml: line 2, column 8: Unterminated string"),
        (
            b"a = 1\na = 2\n",
            "c.toml: line 2, column 6: Cannot overwrite a value: a is given twice in this table",
        ),
        (b'x = "\xff"\n', "c.toml: line 1, column 6: is not UTF-8 text"),
        (b"x = " + b"[" * 3000 + b"]" * 3000, "c.toml: line 1, column 1: is nested too deeply"),
    ],
    ids=["table", "end", "twice", "latin-1", "deep"],
)
def test_what_is_not_toml_is_named_with_line_and_column(data, expected):
    Path("c.toml").write_bytes(data)
    with pytest.raises(ConfigError) as raised:
        config.load(Path("c.toml"), {})
    assert raised.value.problems == [expected]


def test_a_number_beyond_what_python_reads_is_a_problem_too():
    assert problems("x = " + "1" * 5000)[0].startswith("c.toml: line 1, column 5: a number of 5000 digits")
    assert problems(GOOD + "[guard]\nkeep = 0x" + "f" * 5000) == [
        "c.toml: guard.keep: must be a whole number from 1 to 1000, not a huge number"
    ]


def test_a_file_that_is_not_there_is_a_configuration_error():
    with pytest.raises(ConfigError, match=r"^none.toml: cannot be read: No such file or directory$"):
        config.load(Path("none.toml"), {})


def test_an_empty_file_publishes_nothing_but_is_no_mistake():
    assert load("").document["services"] == {}


def test_an_empty_map_of_nodes_is_told_once():
    assert problems(NODES + "[maps.m]\n") == [
        "c.toml: maps.m.default: is missing: the nodes for clients that no other layer matches"
    ]


def test_an_order_may_list_the_layer_that_is_last_anyway():
    found = load(changed(("[maps.default]", '[maps.default]\norder = ["countries", "asns", "default"]')))
    assert found.document["maps"]["default"]["order"] == ["countries", "asns"]


def test_what_services_call_equal_reaches_the_records_of_measured_times():
    assert load(GOOD).latency.settings.steadiness.equal == (Equality(3.0, 0.05),)
    service = '[services."www.cdn.example.net"]\n'
    told = load(GOOD.replace(service, f'{service}policy = "latency"\nequal_ms = 7\nequal_percent = 10\n'))
    assert told.latency.settings.steadiness.equal == (Equality(7, 0.1),)
