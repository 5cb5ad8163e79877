"""Which country a record of a database gives: every combination of what it may say, against the rules written once more."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geosteer_loader.sources.countries import CONTINENT, CONTINENTS, COUNTRIES, REGIONS, WITHDRAWN, locate
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.report import Report
from support.mmdb_writer import Database

if TYPE_CHECKING:
    from pathlib import Path

WORDS = ("", "GB", "US", "AQ", "EU", "AP", "A1", "ZZ", "AN", "ZR", "NT", "XX", "AS", "G")
"""Countries (one in Antarctica, one named as a continent), regions, misses, withdrawn codes, nonsense."""
CODES = st.one_of(
    st.sampled_from(WORDS), st.sampled_from(sorted({*COUNTRIES, *WITHDRAWN})), st.text(max_size=3)
)


def meaning(code: str) -> set[str]:
    """The countries that a code may mean; for a region all of its continent."""
    if code in REGIONS:
        return {country for country in COUNTRIES if CONTINENT[country] == REGIONS[code]}
    return {code} & COUNTRIES or set(WITHDRAWN.get(code, ()))


def expected(country: str, continent: str, registered: str) -> str:
    """The record's text, from what the codes may mean."""
    if country in {"A1", "A2"}:
        return ""
    continent = continent if continent in CONTINENTS else ""
    home = meaning(registered)
    if not continent or {CONTINENT[one] for one in home} == {continent}:
        candidates = (meaning(country), home)
    else:
        candidates = (meaning(country), set())
    for countries in candidates:
        if len(countries) == 1:
            return countries.pop()
        if len(continents := {CONTINENT[one] for one in countries}) == 1:
            return f"@{continents.pop()}"
    return f"@{continent}" if continent else ""


@settings(deadline=None, max_examples=500)
@given(CODES, CODES, CODES)
def test_codes_give_the_country_that_they_may_mean(country: str, continent: str, registered: str):
    words = [word.strip().upper() for word in (country, continent, registered)]
    located = locate(country, continent, registered)
    assert (located.country or (located.continent and f"@{located.continent}")) == expected(*words)
    assert not (located.country and located.continent)


@settings(deadline=None, max_examples=500)
@given(CODES, st.sampled_from(sorted(CONTINENTS)), CODES)
def test_nobody_is_taken_to_another_continent_by_where_the_addresses_are_registered(
    country: str, continent: str, registered: str
):
    if meaning(country.strip().upper()):
        return
    located = locate(country, continent, registered)
    assert (located.continent or CONTINENT.get(located.country, continent)) == continent


def shapes(country: str, continent: str, registered: str, represented: str) -> dict[str, Any]:
    """As MaxMind nests it; what is not known is left out."""
    fields: dict[str, Any] = {}
    for name, key, code in (
        ("country", "iso_code", country), ("continent", "code", continent),
        ("registered_country", "iso_code", registered), ("represented_country", "iso_code", represented),
    ):  # fmt: skip
        if code:
            fields[name] = {key: code}
    return fields


def read(path: Path) -> dict[str, str]:
    """First address of each network -> record."""
    rows = open_source("geo", "mmdb", path).rows(Report())
    return {str(IPv4Address(start)): record for _, start, _, record in rows}


def test_every_combination_in_a_database_gives_what_its_codes_mean(tmp_path: Path):
    database, wanted = Database(version=4), {}
    some = ("", "GB", "US", "EU", "A1", "ZZ", "AN", "ZR", "XX")
    continents = ("", "EU", "NA", "AF", "XX")
    for number, words in enumerate(itertools.product(some, continents, some, ("", "US"))):
        network = str(IPv4Address(0x01000000 + 256 * number))
        database.add(f"{network}/24", shapes(*words))
        if any(words[:3]):  # otherwise it is as if it were not listed
            wanted[network] = expected(*words[:3])
    assert read(database.write(tmp_path / "x.mmdb")) == wanted


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(
        st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS), st.sampled_from(WORDS)),
        min_size=1,
        max_size=20,
    )
)
def test_flat_records_give_the_same_as_nested_ones(data: list[tuple[str, str, str]], tmp_path: Path):
    nested, flat = Database(version=4), Database(version=4)
    for number, (country, continent, registered) in enumerate([*data, ("GB", "EU", "")]):
        network = f"1.0.{number}.0/24"
        nested.add(network, shapes(country, continent, registered, ""))
        names = {"country_code": country, "continent_code": continent, "registered_country_code": registered}
        flat.add(network, {name: code for name, code in names.items() if code})
    assert read(nested.write(tmp_path / "a.mmdb")) == read(flat.write(tmp_path / "b.mmdb"))
