"""Country codes, and the text of a geo record."""

from __future__ import annotations

import pytest

from geosteer_loader.sources.countries import (
    CONTINENT,
    CONTINENTS,
    COUNTRIES,
    NUMERIC,
    WITHDRAWN,
    WITHDRAWN_NUMERIC,
    geo_record,
    is_known,
    locate,
)


def test_the_table_has_every_iso_country_and_kosovo_with_a_number_and_a_continent():
    assert len(COUNTRIES) == len(NUMERIC) == 250
    assert set(NUMERIC.values()) == set(CONTINENT) == COUNTRIES
    assert set(CONTINENT.values()) == CONTINENTS == {"AF", "AN", "AS", "EU", "NA", "OC", "SA"}


@pytest.mark.parametrize(
    ("number", "code", "continent"),
    [(276, "DE", "EU"), (840, "US", "NA"), (20, "AD", "EU"), (4, "AF", "AS"), (36, "AU", "OC"),
     (196, "CY", "EU"),
     (304, "GL", "NA"), (76, "BR", "SA"), (710, "ZA", "AF"), (10, "AQ", "AN"), (983, "XK", "EU")],
)  # fmt: skip
def test_numbers_and_continents_are_the_standard_ones(number: int, code: str, continent: str):
    assert NUMERIC[number] == code
    assert CONTINENT[code] == continent


@pytest.mark.parametrize(
    ("arguments", "record"),
    [
        (("us",), "US"),
        (("US", "CA"), "US-CA"),
        (("US", "CA", 37.751, -122.4194), "US-CA 37.75 -122.42"),
        (("GB", None, 51.5, -0.001), "GB 51.5 0"),
        (("BT", "", 27.0, 90.5), "BT 27 90.5"),
        (("GB", "England!"), "GB"),
        (("GB", "ENG", 51.0, None), "GB-ENG"),
        (("GB", None, 91.0, 0.0), "GB"),
        (("GB", None, float("nan"), 0.0), "GB"),
        (("EU", "X", 50.0, 10.0), "@EU 50 10"),
        (("AP",), "@AS"),
        (("A1",), ""), (("A2", None, 1.0, 1.0), ""), (("O1",), ""), (("ZZ",), ""),
        (("",), ""), ((None,), ""), (("UK",), ""),
        ((None, None, 50.0, 10.0, "EU"), "@EU 50 10"),
        (("", None, None, None, "na"), "@NA"),
        (("A1", None, None, None, "EU"), ""),
        ((None, None, None, None, "XX"), ""),
        (("US", "US-CA"), "US-CA"),
        (("US", "us-ca", 37.751, -122.4194), "US-CA 37.75 -122.42"),
        (("US", "MX-CA"), "US"),
        (("QQ", None, 50.0, 10.0, "EU"), "@EU 50 10"),
        (("ZZ", None, None, None, "EU"), "@EU"),
        ((None, None, None, None, "EU", "US"), "@EU"),
        ((None, None, None, None, "EU", "FR"), "FR"),
        ((None, None, None, None, None, "US"), "US"),
        ((None, None, None, None, "EU", "QQ"), "@EU"),
        (("QQ", None, None, None, None, "US"), "US"),
        (("GB", None, None, None, "NA", "US"), "GB"),
        (("AN",), "@NA"), (("ZR", "KN"), "CD"), (("CS",), "@EU"), (("YU",), "@EU"), (("TP",), "TL"), (("BU",), "MM"),
        (("DD",), "DE"), (("SU",), "RU"), (("FX",), "FR"), (("NT",), "@AS"),
        ((None, None, None, None, "AF", "ZR"), "CD"),
        ((None, None, None, None, "EU", "ZR"), "@EU"),
    ],
    ids=str,
)  # fmt: skip
def test_a_record_says_country_subdivision_and_place_as_far_as_they_are_known(arguments, record: str):
    assert geo_record(*arguments) == record


@pytest.mark.parametrize("code", sorted(CONTINENTS & COUNTRIES))
def test_a_country_whose_code_is_also_a_continent_stays_a_country(code: str):
    assert geo_record(code) == code
    assert geo_record(None, continent=code) == "@" + code


def test_every_withdrawn_code_stands_for_a_country_or_a_continent_and_is_told():
    assert len(WITHDRAWN) == 25
    assert not WITHDRAWN.keys() & COUNTRIES
    assert set(WITHDRAWN_NUMERIC.values()) <= WITHDRAWN.keys() | COUNTRIES
    assert not WITHDRAWN_NUMERIC.keys() & NUMERIC.keys()
    for code, successors in WITHDRAWN.items():
        located = locate(code)
        assert is_known(code)
        if located.country:
            assert successors == (located.country,)
        else:
            assert {CONTINENT[successor] for successor in successors} == {located.continent}
        assert located.oddity is not None
        assert located.oddity.startswith(f"{code}: withdrawn, taken as ")


def test_what_is_not_a_country_has_a_reason_for_the_log():
    assert locate("DE").oddity is None
    assert locate("", "EU").oddity is None
    assert locate("", "EU", "US").oddity is None
    assert locate("A1").oddity == locate("A1", "EU").oddity == "A1: prefixes are misses"
    assert locate("eu").oddity == "EU: taken as the continent @EU"
    assert locate("UK").oddity == "unknown country codes: prefixes are misses"
    assert locate("UK", "EU").oddity == "unknown country codes: the continent counts"
    assert locate("UK", "EU", "GB").oddity == "unknown country codes: the registered country counts"
    assert locate("ZZ", "EU").oddity == "ZZ: no country: the continent counts"
    assert locate("YU").oddity == "YU: withdrawn, taken as the continent @EU"
    assert locate("ZR").oddity == "ZR: withdrawn, taken as CD"
    assert locate("").oddity == "no country: prefixes are misses"
