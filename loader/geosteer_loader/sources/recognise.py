"""What format a file has, by its header and content: exactly one of a table's formats, or a refusal that says why each is not.

Every format is a row of `CANDIDATES`: its name in the configuration, what it is, and a function that says of the beginning of
a file why it is not that; "" where it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from geosteer.errors import SourceError
from geosteer_loader.sources.bundle import bundle_of
from geosteer_loader.sources.columns import is_code, is_place, mostly, split_lines
from geosteer_loader.sources.delimited import json_names
from geosteer_loader.sources.head import Head
from geosteer_loader.sources.mmdb_marker import has_marker
from geosteer_loader.sources.registry import is_record, is_version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from geosteer_loader.sources.columns import Layout
    from geosteer_loader.sources.source_files import SourceFile

_NOT_TEXT = "it is not text"
_ZONE = re.compile(r"[0-9!][0-9./-]*[0-9\s]*\s:|:[0-9.]+:|\$[A-Z]")
_RIS = re.compile(r"(?:[0-9]{1,10}(?:\.[0-9]{1,5})?|\{[0-9., ]+\})\s+[0-9A-Fa-f.:]+/[0-9]{1,3}\s+[0-9]+")
_JOINED = re.compile(r"[0-9A-Fa-f.:]+/[0-9]{1,3}[ \t]+(?:AS)?[0-9{][0-9_,.\s{}]*", re.IGNORECASE)
_SPLIT = re.compile(r"[0-9A-Fa-f.:]+[ \t]+[0-9]{1,3}[ \t]+[0-9{][0-9_,.\s{}]*")
_DEGREES = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]+)?")
_MRT_TYPES = frozenset({11, 12, 13, 16, 17, 32, 33, 48, 49})
_MRT_SUBTYPES = 256
"""Subtypes are below it; text read as a subtype is far above."""


class Recognised(NamedTuple):
    """What a file was taken for."""

    format: str
    """Its name in the configuration."""
    told: str
    """What that is, for people."""


class _Candidate(NamedTuple):
    name: str
    tables: tuple[str, ...]
    what: str
    why_not: Callable[[Head], str]


class UnrecognisedError(SourceError):
    """A file is none of a table's formats, or could be several."""

    def __init__(self, path: object, reason: str, others: Sequence[str] = ()) -> None:
        """Args: others: why it is not each of the formats that were considered."""
        super().__init__("\n".join(f"{path}: format: {text}" for text in (reason, *others)))
        self.line = f"{path}: format: {'; '.join((reason, *others))}"
        """All of it in one line."""


def recognise(table: str, file: SourceFile) -> Recognised:
    """What a file is. Raises: SourceError: it cannot be read, or is none of the table's formats, or could be several."""
    if file.member is None and bundle_of(file.path):
        return Recognised("geolite2", "GeoLite2 or GeoIP2 as CSV, all files in one archive")
    head = Head.read(file)
    if not head.raw:
        raise UnrecognisedError(file.path, "the file is empty")
    considered = [candidate for candidate in CANDIDATES if table in candidate.tables]
    reasons = {candidate.name: _reason(candidate, head, file) for candidate in considered}
    matching = [candidate for candidate in considered if not reasons[candidate.name]]
    if len(matching) == 1:
        (candidate,) = matching
        return Recognised(candidate.name, candidate.what)
    if matching:
        names = " or ".join(candidate.name for candidate in matching)
        raise UnrecognisedError(file.path, f"it could be {names}: say which with `format`")
    others = [f"not {name}: {reason}" for name, reason in reasons.items()]
    raise UnrecognisedError(file.path, f"not recognised; it begins with {_shown(head)}", others)


def _reason(candidate: _Candidate, head: Head, file: SourceFile) -> str:
    if candidate.name == "mmdb":
        return "it is text" if head.text else "" if has_marker(file) else "it has no metadata at its end"
    if candidate.name != "mrt" and not head.text:
        return _NOT_TEXT
    if head.text and not head.data:
        return "it has no line with data"
    return candidate.why_not(head)


def _shown(head: Head) -> str:
    return repr(head.shown) if head.text else f"the bytes {head.raw[:8].hex(' ')}"


def _laid_out(check: Callable[[Head, Layout], str]) -> Callable[[Head], str]:
    """A check of columns, which fails where there are none."""

    def why_not(head: Head) -> str:
        try:
            layout = head.layout
        except ValueError as exc:
            return str(exc)
        return check(head, layout)

    return why_not


def _nerd(head: Head) -> str:
    if mostly(_ZONE.match, head.data):
        return ""
    return "too few of its lines are a range with a value, `1.2.3.0/24 :127.0.3.72:us`"


def _is_headed(layout: Layout, *roles: str) -> bool:
    return layout.header is not None and all(role in layout.places for role in roles)


def _is_ipinfo(layout: Layout) -> bool:
    words = {name.lower() for name in layout.header or ()}
    return bool({"as_domain", "as_name"} & words) and not {"autonomous_system_number"} & words


def _csv(_head: Head, layout: Layout) -> str:
    places = layout.places
    if "prefix" not in places:
        return "its lines have ranges, not prefixes"
    if _is_ipinfo(layout):
        return "its header is IPinfo's"
    if "country" not in places and not (layout.header and "continent" in places):
        return "no column of country codes"
    if layout.header is None and "asn" in places:
        return "an AS number follows the prefix"
    if _is_feed(layout):
        return "its header is that of a geofeed"
    return _by_hand(_head, layout)


def _by_hand(head: Head, layout: Layout) -> str:
    if layout.header is not None:
        return ""
    rows = split_lines(head.data, layout.delimiter)
    if mostly(lambda row: len(row) == 2 or (len(row) == 4 and _is_located(row)), rows):
        return ""
    return "its lines have other fields than prefix, country, latitude, longitude"


def _is_located(row: list[str]) -> bool:
    return all(not field or _DEGREES.fullmatch(field) for field in row[2:4])


def _geofeed(head: Head, layout: Layout) -> str:
    if layout.delimiter != "," or layout.places.get("prefix") != 0:
        return "its lines do not begin with a prefix and a comma"
    if _is_ipinfo(layout) or "asn" in layout.places or "geoname" in layout.places:
        return "it has columns that geofeeds do not have"
    rows = split_lines(head.data, ",")
    if layout.header is not None:
        if not _is_feed(layout):
            return "its header is not of RFC 8805"
        rows = rows[1:]
    elif not _by_hand(head, layout):
        return "it has no region and city"
    return "" if mostly(_is_fed, rows) else "too few of its lines are prefix,country,region,city,postal"


def _is_feed(layout: Layout) -> bool:
    """Whether its header is the names that RFC 8805 has for the fields of a geofeed, which has none of its own."""
    words = {name.lower() for name in layout.header or ()}
    return (
        layout.delimiter == ","
        and layout.places.get("prefix") == 0
        and layout.places.get("country") == 1
        and bool(words & {"alpha2code", "postal", "postal_code"})
        and not words & {"latitude", "continent", "continent_code"}
    )


def _is_fed(row: list[str]) -> bool:
    return len(row) <= 6 and is_place(row[0]) and is_code(row[1] if len(row) > 1 else "")


def _ranges(_head: Head, layout: Layout) -> str:
    if "first" not in layout.places:
        return "its lines do not begin with two addresses"
    if _is_ipinfo(layout):
        return "its header is IPinfo's"
    if "country" not in layout.places:
        return "no column of country codes"
    return "its addresses are numbers in quotes" if layout.integers and layout.quoted else ""


def _ip2location(_head: Head, layout: Layout) -> str:
    if "first" not in layout.places or not layout.integers or not layout.quoted:
        return "its lines do not begin with two numbers in quotes"
    return "" if "country" in layout.places else "no column of country codes"


def _geolite2(_head: Head, layout: Layout) -> str:
    if _is_headed(layout, "geoname") and "country" not in layout.places:
        return ""
    return "no column geoname_id"


def _ipinfo(head: Head) -> str:
    if head.data[0].startswith("{"):
        return _objects(head, "country", "country_code")
    return _laid_out(lambda _, layout: "" if _is_ipinfo(layout) else "its header is not IPinfo's")(head)


def _objects(head: Head, *names: str) -> str:
    """Why its lines are not objects with a network and one of *names*."""
    keys = {name.lower() for name in json_names(head.data)}
    if not keys:
        return "its first lines are not JSON objects"
    if not keys & {"network", "start_ip", "range"}:
        return "its first lines have no network"
    return "" if keys & {*names} else f"its first lines have no {' or '.join(names)}"


def _rir(head: Head) -> str:
    if is_version(head.data[0]) or is_record(head.data[0]):
        return ""
    return "its first line is not of a registry, such as 2|apnic|..."


def _pyasn(head: Head) -> str:
    if mostly(_JOINED.fullmatch, head.data):
        return ""
    return "too few of its lines are a prefix and its AS, parted by blanks"


def _prefix2as(head: Head) -> str:
    if mostly(_SPLIT.fullmatch, head.data):
        return ""
    return "too few of its lines are an address, a length and an AS"


def _bgpdump(head: Head) -> str:
    if any(line.startswith(("TABLE_DUMP", "BGP4MP")) for line in head.data[:1]):
        return ""
    return "its first line does not begin with TABLE_DUMP"


def _mrt(head: Head) -> str:
    if head.text:
        return "it is text"
    kind, subtype = int.from_bytes(head.raw[4:6], "big"), int.from_bytes(head.raw[6:8], "big")
    if len(head.raw) >= 12 and kind in _MRT_TYPES and subtype < _MRT_SUBTYPES:
        return ""
    return "its first record is of no known type"


def _riswhois(head: Head) -> str:
    if mostly(_RIS.fullmatch, head.data):
        return ""
    return "too few of its lines are an AS, a prefix and a number of peers"


def _iptoasn(_head: Head, layout: Layout) -> str:
    if layout.delimiter != "\t" or "first" not in layout.places or layout.header:
        return "its lines do not begin with two addresses and a tab"
    return "" if "asn" in layout.places else "no column of AS numbers"


def _asn_csv(_head: Head, layout: Layout) -> str:
    if "asn" not in layout.places:
        return "no column of AS numbers"
    if _is_ipinfo(layout):
        return "its header is IPinfo's"
    if layout.delimiter == "\t" and not layout.header:
        return "its fields are parted by tabs"
    return ""


def _asn_ipinfo(head: Head) -> str:
    if head.data[0].startswith("{"):
        return _objects(head, "asn")
    return _laid_out(
        lambda _, layout: (
            "its header is not IPinfo's"
            if not _is_ipinfo(layout)
            else ""
            if "asn" in layout.places
            else "no column asn"
        )
    )(head)


CANDIDATES = (
    _Candidate("mmdb", ("geo", "bgp"), "an MMDB database", lambda _: ""),
    _Candidate("nerd", ("geo",), "a zone of rbldnsd", _nerd),
    _Candidate("csv", ("geo",), "prefixes with countries", _laid_out(_csv)),
    _Candidate(
        "ranges",
        ("geo",),
        "address ranges with countries, as DB-IP and ip-location-db have them",
        _laid_out(_ranges),
    ),
    _Candidate(
        "ip2location", ("geo",), "IP2Location's numbered ranges with countries", _laid_out(_ip2location)
    ),
    _Candidate(
        "geolite2", ("geo",), "GeoLite2 or GeoIP2 as CSV, blocks with locations", _laid_out(_geolite2)
    ),
    _Candidate("ipinfo", ("geo",), "IPinfo, CSV or JSON lines", _ipinfo),
    _Candidate("rir", ("geo",), "statistics of a regional Internet registry", _rir),
    _Candidate("geofeed", ("geo",), "a geofeed (RFC 8805)", _laid_out(_geofeed)),
    _Candidate("pyasn", ("bgp",), "prefixes with origins", _pyasn),
    _Candidate("prefix2as", ("bgp",), "prefixes with origins, length in a column of its own", _prefix2as),
    _Candidate("bgpdump", ("bgp", "path"), "a table printed by bgpdump -m", _bgpdump),
    _Candidate("mrt", ("bgp", "path"), "an MRT dump", _mrt),
    _Candidate("iptoasn", ("bgp",), "iptoasn's ranges with origins", _laid_out(_iptoasn)),
    _Candidate("riswhois", ("bgp",), "RIPE RIS's riswhoisdump", _riswhois),
    _Candidate("csv", ("bgp",), "prefixes or ranges with AS numbers", _laid_out(_asn_csv)),
    _Candidate("ipinfo", ("bgp",), "IPinfo, CSV or JSON lines", _asn_ipinfo),
)
"""Every format that can be recognised; no file fits two of a table's."""
