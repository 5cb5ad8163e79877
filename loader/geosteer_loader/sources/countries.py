"""Countries as sources name them, and the text of a `geo` record.

The table is ISO 3166-1 with numeric codes, plus the user-assigned XK (Kosovo) that every GeoIP product uses.
A country's continent is what MaxMind's products say where that is known (Cyprus: Europe); it serves for
databases that do not say it themselves.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from geosteer.decision.records import geo_text

_TABLE = {
    "AF": (
        "AO024 BF854 BI108 BJ204 BW072 CD180 CF140 CG178 CI384 CM120 CV132 DJ262 DZ012 EG818 EH732 ER232 "
        "ET231 GA266 GH288 GM270 GN324 GQ226 GW624 KE404 KM174 LR430 LS426 LY434 MA504 MG450 ML466 MR478 "
        "MU480 MW454 MZ508 NA516 NE562 NG566 RE638 RW646 SC690 SD729 SH654 SL694 SN686 SO706 SS728 ST678 "
        "SZ748 TD148 TG768 TN788 TZ834 UG800 YT175 ZA710 ZM894 ZW716 "
    ),
    "AN": ("AQ010 BV074 GS239 HM334 TF260 "),
    "AS": (
        "AE784 AF004 AM051 AZ031 BD050 BH048 BN096 BT064 CC166 CN156 CX162 GE268 HK344 ID360 IL376 IN356 "
        "IO086 IQ368 IR364 JO400 JP392 KG417 KH116 KP408 KR410 KW414 KZ398 LA418 LB422 LK144 MM104 MN496 "
        "MO446 MV462 MY458 NP524 OM512 PH608 PK586 PS275 QA634 SA682 SG702 SY760 TH764 TJ762 TM795 TR792 "
        "TW158 UZ860 VN704 YE887 "
    ),
    "EU": (
        "AD020 AL008 AT040 AX248 BA070 BE056 BG100 BY112 CH756 CY196 CZ203 DE276 DK208 EE233 ES724 FI246 "
        "FO234 FR250 GB826 GG831 GI292 GR300 HR191 HU348 IE372 IM833 IS352 IT380 JE832 LI438 LT440 LU442 "
        "LV428 MC492 MD498 ME499 MK807 MT470 NL528 NO578 PL616 PT620 RO642 RS688 RU643 SE752 SI705 SJ744 "
        "SK703 SM674 UA804 VA336 XK983 "
    ),
    "NA": (
        "AG028 AI660 AW533 BB052 BL652 BM060 BQ535 BS044 BZ084 CA124 CR188 CU192 CW531 DM212 DO214 GD308 "
        "GL304 GP312 GT320 HN340 HT332 JM388 KN659 KY136 LC662 MF663 MQ474 MS500 MX484 NI558 PA591 PM666 "
        "PR630 SV222 SX534 TC796 TT780 US840 VC670 VG092 VI850 "
    ),
    "OC": (
        "AS016 AU036 CK184 FJ242 FM583 GU316 KI296 MH584 MP580 NC540 NF574 NR520 NU570 NZ554 PF258 PG598 "
        "PN612 PW585 SB090 TK772 TL626 TO776 TV798 UM581 VU548 WF876 WS882 "
    ),
    "SA": ("AR032 BO068 BR076 CL152 CO170 EC218 FK238 GF254 GY328 PE604 PY600 SR740 UY858 VE862 "),
}

NUMERIC: dict[int, str] = {}
"""ISO 3166-1 numeric code -> alpha-2 code, for example 276 -> `DE`."""

CONTINENT: dict[str, str] = {}
"""Alpha-2 code -> continent code."""

for _continent, _rows in _TABLE.items():
    for _row in _rows.split():
        NUMERIC[int(_row[2:])] = _row[:2]
        CONTINENT[_row[:2]] = _continent

COUNTRIES = frozenset(CONTINENT)
"""The 249 alpha-2 codes of ISO 3166-1 and XK."""

CONTINENTS = frozenset(_TABLE)
"""AF AN AS EU NA OC SA; North America holds Central America, the Caribbean and Greenland."""

REGIONS = {"EU": "EU", "AP": "AS"}
"""Pseudo-countries "somewhere in Europe" and "somewhere in Asia/Pacific" -> continent."""

NOWHERE = frozenset({"A1", "A2", "O1", "ZZ"})
"""Codes for anonymous proxies, satellite providers, other and unknown: misses on purpose."""

WITHDRAWN: dict[str, tuple[str, ...]] = {
    code: tuple(successors.split())
    for code, successors in {
        "AN": "BQ CW SX", "BU": "MM", "CS": "CZ ME RS SK", "CT": "KI", "DD": "DE", "DY": "BJ", "FQ": "AQ TF", "FX": "FR",
        "HV": "BF", "JT": "UM", "MI": "UM", "NH": "VU", "NQ": "AQ", "NT": "IQ SA", "PC": "FM MH MP PW", "PU": "UM",
        "PZ": "PA", "RH": "ZW", "SU": "RU", "TP": "TL", "VD": "VN", "WK": "UM", "YD": "YE", "YU": "ME RS", "ZR": "CD",
    }.items()
}  # fmt: skip
"""Code that ISO 3166-3 lists as withdrawn -> the countries that took its place.

Left out: codes that mean another country today (AI, BQ, GE, SK). SU: of its many successors the one that continues it.
"""

WITHDRAWN_NUMERIC = {
    128: "CT", 200: "CS", 216: "NQ", 249: "FX", 278: "DD", 280: "DE", 396: "JT", 488: "MI", 530: "AN", 532: "AN",
    536: "NT", 582: "PC", 720: "YD", 736: "SD", 810: "SU", 849: "PU", 872: "WK", 886: "YE", 890: "YU", 891: "CS",
}  # fmt: skip
"""Numeric code that is no longer given -> the alpha-2 code that it belonged to."""

_SUBDIVISION = re.compile(r"[A-Z0-9]{1,3}")
_UNPLACED = frozenset({"A1", "A2"})
"""Proxies and satellites: where the database puts them says nothing of the client."""


class Located(NamedTuple):
    """Where a record of a source is taken to be."""

    country: str
    """Alpha-2 code, or ""."""
    continent: str
    """Where the country is not known: continent code, or ""."""
    oddity: str | None
    """What a log should say of it; None where the country is as it was written."""


def locate(country: str, continent: str = "", registered: str = "") -> Located:
    """What codes of a source stand for.

    Args:
        country: alpha-2 code in either case. EU and AP are continents; a code that ISO has withdrawn is its successor, or the
            continent of its successors.
        continent: counts where the country is not known.
        registered: the country that the addresses are registered in; it counts where the country is not known and the
            continent is not known either, or is that country's.
    """
    code, continent, registered = (word.strip().upper() for word in (country, continent, registered))
    continent = continent if continent in CONTINENTS else ""
    if code in _UNPLACED:
        return Located("", "", f"{code}: prefixes are misses")
    place, region = _stands_for(code)
    if place or region:
        return Located(place, region, _replaced(code, place, region))
    home, region = _stands_for(registered)
    if (home or region) and continent in {"", region or CONTINENT[home]}:
        return Located(
            home, region, _unknown(code, "the registered country") or _replaced(registered, home, region)
        )
    if continent:
        return Located("", continent, _unknown(code, "the continent"))
    if code in NOWHERE:
        return Located("", "", f"{code}: prefixes are misses")
    kind = "unknown country codes" if code else "no country"
    return Located("", "", f"{kind}: prefixes are misses")


def _stands_for(code: str) -> tuple[str, str]:
    """Country, or else continent, of one code; both "" where it is not known."""
    if code in COUNTRIES:
        return code, ""
    if code in REGIONS:
        return "", REGIONS[code]
    successors = WITHDRAWN.get(code, ())
    if len(successors) == 1:
        return successors[0], ""
    continents = {CONTINENT[successor] for successor in successors}
    return "", continents.pop() if len(continents) == 1 else ""


def _replaced(code: str, country: str, continent: str) -> str | None:
    if code in WITHDRAWN:
        return f"{code}: withdrawn, taken as {country or f'the continent @{continent}'}"
    return f"{code}: taken as the continent @{continent}" if continent else None


def _unknown(code: str, instead: str) -> str | None:
    if not code:
        return None
    kind = f"{code}: no country" if code in NOWHERE else "unknown country codes"
    return f"{kind}: {instead} counts"


def is_known(code: str) -> bool:
    """Whether an alpha-2 code says something: a country, a region, a withdrawn code, or "nowhere"."""
    return code in COUNTRIES or code in REGIONS or code in NOWHERE or code in WITHDRAWN


def geo_record(
    country: str | None,
    sub: str | None = None,
    lat: float | None = None,
    lon: float | None = None,
    continent: str | None = None,
    registered: str | None = None,
) -> str:
    """The record `CC[-SUB][ LAT LON]`, or `@CONTINENT[ LAT LON]`, or "" when neither is known.

    Args:
        country, continent, registered: as for `locate`.
        sub: ISO 3166-2 code, with or without the country (`CA`, `US-CA`); left out where it is not one.
        lat: degrees north, -90 to 90.
        lon: degrees east, -180 to 180; both are left out unless both are in range.
    """
    region, _ = geo_region(country or "", sub, continent or "", registered or "")
    return geo_text(region, lat, lon)


@lru_cache(maxsize=1 << 14)
def geo_region(country: str, sub: str | None, continent: str, registered: str) -> tuple[str, str | None]:
    """The record without a place, `CC[-SUB]`, `@CONTINENT` or "", and what a log should say of it, as `Located.oddity`.

    Args: as for `geo_record`.
    """
    located = locate(country, continent, registered)
    where = located.country
    if where and sub and located.oddity is None:  # subdivisions of a withdrawn code are not its successor's
        sub = sub.strip().upper().removeprefix(f"{where}-")
        if _SUBDIVISION.fullmatch(sub):
            where = f"{where}-{sub}"
    elif located.continent:
        where = "@" + located.continent
    return where, located.oddity
