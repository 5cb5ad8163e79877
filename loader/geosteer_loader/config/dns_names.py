r"""DNS names as the configuration writes them: lower-case, absolute, without the final dot.

PowerDNS' pipe backend asks only for names of letters, digits and `- _ * . / @ space \ :` (setting
`8bit-dns`), a space written as `\032`; a name with anything else could never be asked for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from geosteer_loader.config.values import shown, text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

_ODD = re.compile(r"[^a-z0-9_*./@:-]")


def name(value: object) -> str:
    """An absolute name, with or without its final dot.

    Raises: ValueError: empty, too long (RFC 1035, 2.3.4: 63 bytes in a label, 255 in all), or with bytes that
        PowerDNS does not pass on.
    """
    return _checked(text(value).removesuffix("."))


def host(value: object) -> str:
    """An absolute name that stands for one thing: not a wildcard."""
    found = name(value)
    if "*" in found.split("."):
        raise ValueError(f"{shown(value)} is a wildcard; one name is wanted here")
    return found


def owner(zone: str) -> Callable[[object], str]:
    """A parser of owners: relative to *zone*, `@` for itself; absolute with its end or with a final dot."""

    def parse(value: object) -> str:
        plain = text(value)
        if plain == "@":
            return zone
        absolute = plain.endswith(".") or within(plain.lower(), zone)
        found = name(plain) if absolute else _checked(f"{plain}.{zone}")
        if not within(found, zone):
            raise ValueError(f"{shown(value)} is not in the zone {zone}")
        return found

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


def _checked(plain: str) -> str:
    found = plain.lower().replace(" ", r"\032")
    odd = _ODD.search(found.replace(r"\032", "_"))
    if odd:
        hint = "; write it in its xn-- form" if ord(odd[0]) > 127 else ""
        raise ValueError(f"{shown(plain)} contains {shown(odd[0])}, which PowerDNS does not pass on{hint}")
    labels = [len(part.replace(r"\032", "_")) for part in found.split(".")]
    if 0 in labels:
        raise ValueError(f"{shown(plain)} has an empty label")
    if max(labels) > 63:
        raise ValueError(f"{shown(plain)} has a label of {max(labels)} bytes, more than 63")
    if sum(labels) + len(labels) + 1 > 255:
        raise ValueError(f"{shown(plain)} is {sum(labels) + len(labels) + 1} bytes long, more than 255")
    if "*" in found.split(".")[1:]:
        raise ValueError(f"{shown(plain)} has a wildcard that is not its first label")
    return found
