"""The world map: where places are, the shapes of the package, how nodes are told apart, and where their numbers stand."""

from __future__ import annotations

from itertools import combinations
from math import hypot

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer_loader.sources.countries import COUNTRIES
from geosteer_loader.web.colours import COLOURS, styles
from geosteer_loader.web.labels import apart
from geosteer_loader.web.projection import HEIGHT, MIDDLE, WIDTH, project
from geosteer_loader.web.svg import escape
from geosteer_loader.web.world import world
from support import shapes_from_natural_earth as converter


def test_places_are_where_equal_earth_has_them() -> None:
    x, y = project(0, MIDDLE)
    assert x == WIDTH / 2
    assert project(0, MIDDLE - 180)[0] == pytest.approx(0)
    assert project(0, MIDDLE + 179.999)[0] == pytest.approx(WIDTH, abs=1)
    # The equator is 2.0577 times as long as the axis (Savric, Patterson and Jenny).
    assert WIDTH / (project(-90, 0)[1] - project(90, 0)[1]) == pytest.approx(2.0545, abs=0.002)
    assert project(45, MIDDLE)[1] == pytest.approx(2 * y - project(-45, MIDDLE)[1])


def test_every_country_is_drawn_within_the_map() -> None:
    drawn = world().countries
    assert drawn.keys() == COUNTRIES - {"AQ"}
    for code, country in drawn.items():
        assert country.name, code
        assert 0 <= country.at[0] <= WIDTH, code
        assert 0 <= country.at[1] <= HEIGHT, code
        assert bool(country.path) == bool(country.room), code
        if country.path:
            assert max(abs(step) for step in steps(country.path)) < 1500, f"{code}: a bar over the map"


def steps(path: str) -> list[int]:
    """The widths of a path's lines."""
    numbers = []
    for ring in path.split("M")[1:]:
        words = ring.partition("l")[2].rstrip("z").replace("-", " -").split()
        numbers += [int(word) for word in words[::2]]
    return numbers


@pytest.mark.parametrize(
    ("code", "lat", "lon"),
    [("FR", 46, 2), ("GF", 4, -53), ("RU", 60, 100), ("US", 40, -100), ("NZ", -44, 170)],
)
def test_countries_are_drawn_where_they_are(code: str, lat: float, lon: float) -> None:
    country = world().countries[code]
    x, y = project(lat, lon)
    assert hypot(country.at[0] - x, country.at[1] - y) < 900


def test_french_guiana_is_not_a_part_of_france() -> None:
    west = min(int(ring.split()[0]) for ring in world().countries["FR"].path.split("M")[1:])
    assert west > project(46, -10)[0]


def test_neighbours_are_those_of_an_atlas() -> None:
    pairs = {frozenset(pair) for pair in world().neighbours}
    assert {frozenset(pair) for pair in (("FR", "DE"), ("US", "CA"), ("CN", "RU"), ("BR", "GF"))} <= pairs
    assert frozenset(("FR", "BR")) not in pairs


def test_a_ring_over_the_edge_of_the_map_becomes_no_bar() -> None:
    edge = MIDDLE + 180
    ring = [(edge - 2, 60.0), (edge - 357, 60.0), (edge - 357, 65.0), (edge - 2, 65.0), (edge - 2, 60.0)]
    xs = [x for x, _ in converter.on_map(ring)]
    assert max(xs) - min(xs) < 400


def test_a_converted_border_stays_shared() -> None:
    wave = [(2.0, 44.0), (2.0001, 45.0), (2.0, 46.0)]
    assert converter.simplified(wave) == [wave[0], wave[2]]
    sharp = [(2.0, 44.0), (4.0, 45.0), (2.0, 46.0)]
    assert converter.simplified(sharp) == sharp
    square = {
        "type": "Topology",
        "transform": {"scale": [1, 1], "translate": [0, 0]},
        "arcs": [[[2, 44], [0, 4]], [[2, 48], [-6, 0], [0, -4], [6, 0]], [[2, 44], [6, 0], [0, 4], [-6, 0]]],
        "objects": {
            "countries": {
                "geometries": [
                    {"type": "Polygon", "id": "250", "properties": {"name": "France"}, "arcs": [[0, 1]]},
                    {"type": "Polygon", "id": "276", "properties": {"name": "Germany"}, "arcs": [[2, ~0]]},
                ]
            }
        },
    }
    shapes = converter.convert(square)
    assert shapes["neighbours"] == ["DE FR"]
    assert shapes["countries"]["FR"]["room"] > 0
    assert "LU" not in shapes["countries"]


def test_twelve_nodes_look_different_each() -> None:
    looks = styles([f"n{number}" for number in range(12)], {}, ())
    assert len({(look.colour, look.hatched) for look in looks.values()}) == 12
    assert sorted(look.number for look in looks.values()) == list(range(1, 13))
    assert not any(look.hatched for look in styles([f"n{number}" for number in range(6)], {}, ()).values())


def test_neighbours_have_different_colours_while_these_go_round() -> None:
    leaders = {"FR": ["a"], "DE": ["g"], "ES": ["b"], "BR": ["c"], "US": ["d"], "CN": ["e"], "AU": ["f"]}
    looks = styles("abcdefg", leaders, world().neighbours)
    assert looks["g"].hatched
    assert looks["g"].colour != looks["a"].colour
    assert [looks[name].colour for name in "abcdef"] == [0, 1, 2, 3, 4, 5]


@given(
    st.dictionaries(
        st.sampled_from(sorted(COUNTRIES)), st.sampled_from([f"n{number:02}" for number in range(40)])
    )
)
def test_nodes_of_neighbouring_countries_look_different(leaders: dict[str, str]) -> None:
    names = sorted(set(leaders.values()))
    looks = styles(names, {country: [node] for country, node in leaders.items()}, world().neighbours)
    alike = 0
    for first, second in world().neighbours:
        one, other = leaders.get(first), leaders.get(second)
        if one and other and one != other:
            alike += looks[one].colour == looks[other].colour and looks[one].hatched == looks[other].hatched
    assert alike == 0 or len(names) > 2 * len(COLOURS)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT)), max_size=12))
def test_numbers_do_not_cover_each_other(places: list[tuple[float, float]]) -> None:
    labels = apart(places, 80)
    assert len(labels) == len(places)
    for (x1, y1), (x2, y2) in combinations(labels, 2):
        assert hypot(x1 - x2, y1 - y2) > 100
    for x, y in labels:
        assert 80 <= x <= WIDTH - 80
        assert 80 <= y <= HEIGHT - 80


def test_whatever_a_name_holds_the_file_stays_xml() -> None:
    assert escape("a\x00\x1b[1m<b>&\ud800") == "a\\x00\\x1b[1m&lt;b&gt;&amp;\\ud800"
