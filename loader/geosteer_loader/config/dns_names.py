r"""DNS names as the configuration writes them: lower-case, absolute, without the final dot.

PowerDNS' pipe backend asks only for names of letters, digits and `- _ * . / @ space \ :` (setting
`8bit-dns`), a space written as `\032`; a name with anything else could never be asked for.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from geosteer_loader.config.hints import idna_hint
from geosteer_loader.config.values import shown, text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

_ODD = re.compile(r"[^a-z0-9_*./@:-]")
_ODD_IN_HOST = re.compile(r"[^a-z0-9_.-]")


def name(value: object) -> str:
    """An absolute name, with or without its final dot.

    Raises: ValueError: empty, too long (RFC 1035, 2.3.4: 63 bytes in a label, 255 in all), or with bytes that
        PowerDNS does not pass on.
    """
    return _checked(text(value).removesuffix("."))


def host(value: object) -> str:
    """An absolute name of one thing, such as a zone or a name server.

    Raises: ValueError: as `name`; or a wildcard, or what looks like an address (RFC 3696, 2: no top-level domain is a number).
    """
    absolute = name(value)
    if "*" in absolute.split("."):
        raise ValueError(f"{shown(value)} is a wildcard; a single name is needed here")
    if absolute.rpartition(".")[2].isdigit():
        if _is_address(absolute):
            raise ValueError(f"{shown(value)} is an address; a host name is needed here")
        raise ValueError(
            f"{shown(value)} is not a host name: its last label is a number; no valid address either"
        )
    return absolute


def host_name(value: object) -> str:
    """A name that programs connect to: of letters, digits, `-` and `_` (RFC 1123, 2.1; the last one by custom)."""
    absolute = host(value)
    odd = _ODD_IN_HOST.search(absolute)
    if odd:
        raise ValueError(f"{shown(value)} contains {shown(odd[0])}, which is not allowed in a host name")
    return absolute


def endpoint(value: str) -> str:
    """What to connect to: an address or a host name, also in letters that IDNA knows. Returns the text itself.

    Raises: ValueError.
    """
    if not _is_address(value):
        try:
            ascii_name = value if value.isascii() else value.encode("idna").decode()
        except UnicodeError as exc:
            raise ValueError(f"{shown(value)} is not a valid internationalised host name") from exc
        host_name(ascii_name)
    return value


def owner(zone: str) -> Callable[[object], str]:
    """A parser of owners: relative to *zone*, `@` for itself; absolute with its end or with a final dot."""

    def parse(value: object) -> str:
        plain = text(value)
        if plain == "@":
            return zone
        absolute = plain.endswith(".") or within(plain.lower(), zone)
        full = name(plain) if absolute else _checked(f"{plain}.{zone}")
        if not within(full, zone):
            raise ValueError(f"{shown(value)} is not in the zone {zone}")
        return full

    return parse


def within(inner: str, outer: str) -> bool:
    """Whether *inner* is *outer* or below it."""
    return inner == outer or inner.endswith("." + outer)


def parents(inner: str) -> Iterator[str]:
    """*inner*, and everything above it up to its last label."""
    while inner:
        yield inner
        inner = inner.partition(".")[2]


def zone_of(inner: str, zones: Collection[str]) -> str | None:
    """The deepest of the *zones* that holds the name, or None."""
    return next((above for above in parents(inner) if above in zones), None)


def _is_address(plain: str) -> bool:
    try:
        ipaddress.ip_address(plain)
    except ValueError:
        return False
    return "%" not in plain


def _checked(plain: str) -> str:
    if not plain:
        raise ValueError("the root cannot be served: a name has at least one label")
    lowered = plain.lower().replace(" ", r"\032")
    odd = _ODD.search(lowered.replace(r"\032", "_"))
    if odd:
        hint = idna_hint(plain) if ord(odd[0]) > 127 else ""
        raise ValueError(f"{shown(plain)} contains {shown(odd[0])}, which PowerDNS does not pass on{hint}")
    labels = [len(part.replace(r"\032", "_")) for part in lowered.split(".")]
    if 0 in labels:
        raise ValueError(f"{shown(plain)} has an empty label")
    if max(labels) > 63:
        raise ValueError(f"{shown(plain)} has a label of {max(labels)} bytes, more than 63")
    if sum(labels) + len(labels) + 1 > 255:
        raise ValueError(f"{shown(plain)} is {sum(labels) + len(labels) + 1} bytes long, more than 255")
    if "*" in lowered.split(".")[1:]:
        raise ValueError(f"{shown(plain)} has a wildcard that is not its first label")
    return lowered
