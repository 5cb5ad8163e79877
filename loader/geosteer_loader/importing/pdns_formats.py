"""Formats of PowerDNS' geoip backend: which layer their placeholders stand for, and the keys of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from geosteer_loader.importing.three_letters import THREE_LETTERS
from geosteer_loader.sources.countries import CONTINENT, CONTINENTS, COUNTRIES

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN = "unknown"
"""What a placeholder gives where the database knows nothing."""
PLACEHOLDER = re.compile(r"%(cc|cn|co|re|as|mp|ci|af|ip4?6?|lat|lon|hh|yy|dd|mm|mos|wds?|loc|na|%)")
LAYERS: dict[frozenset[str], str] = {
    frozenset({"as"}): "asns",
    frozenset({"re", "cc"}): "subdivisions", frozenset({"re", "co"}): "subdivisions",
    frozenset({"re", "cc", "cn"}): "subdivisions", frozenset({"re", "co", "cn"}): "subdivisions",
    frozenset({"cc"}): "countries", frozenset({"co"}): "countries",
    frozenset({"cc", "cn"}): "countries", frozenset({"co", "cn"}): "countries",
    frozenset({"cn"}): "continents", frozenset(): "default",
}  # fmt: skip
"""Placeholders of a format -> the layer that it stands for."""


def key_of(values: Mapping[str, str]) -> str:
    """A layer's key by what placeholders stand for; "": no such place."""
    if UNKNOWN in values.values():
        return UNKNOWN
    country = _country(values.get("cc") or values.get("co") or "")
    continent = values.get("cn", "").upper()
    if continent and continent not in CONTINENTS:
        return ""
    if "as" in values:
        number = values["as"].removeprefix("as")
        return f"AS{int(number)}" if number.isdecimal() and int(number) else ""
    if "cc" not in values and "co" not in values:
        return continent
    if not country or (continent and CONTINENT.get(country, continent) != continent):
        return ""
    return f"{country}-{values['re'].upper()}" if "re" in values else country


def _country(code: str) -> str:
    upper = code.upper()
    return upper if upper in COUNTRIES else THREE_LETTERS.get(upper, "")
