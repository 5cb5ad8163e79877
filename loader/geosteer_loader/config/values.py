"""Single values of a configuration file: a parser returns what is meant, or raises ValueError with a reason.

Reasons complete the sentence "this setting ...", for example `must be text, not a list`.
"""

from __future__ import annotations

import ipaddress
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from geosteer.durations import parse_duration
from geosteer_loader.config.hints import address_hint, duration_hint, prefix_hint, share_hint, suggestion
from geosteer_loader.config.shapes import TEXT, shaped

if TYPE_CHECKING:
    from collections.abc import Callable

    Number = int | float

Choice = TypeVar("Choice", bound=str)

YEAR = 366 * 86400
"""The longest duration that any setting takes, seconds."""

SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
"""Units of a size -> bytes."""

_SIZE = re.compile(r"(\d{1,15})([KMG]?)", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
_ADDRESS = {0: r"^[0-9A-Fa-f:.]+$", 4: r"^\d{1,3}(?:\.\d{1,3}){3}$", 6: r"^[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*$"}
"""What addresses of each version look like."""


def shown(value: object) -> str:
    """A value as a message shows it: short, on one line."""
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 60 else value[:57] + "...", ensure_ascii=False)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return kind(value)
    return "a huge number" if 10**20 < abs(value) < float("inf") else str(value)


def printable(message: str) -> str:
    """A message as it may be written to a terminal, whatever it quotes."""
    if message.isprintable():
        return message
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in message)


def kind(value: object) -> str:
    """The type of a TOML value, in words."""
    names = {
        bool: "a boolean",
        int: "a whole number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), "a date or time")


@shaped(TEXT)
def text(value: object) -> str:
    """Non-empty text of one line."""
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {kind(value)}")
    if not value.strip():
        raise ValueError("must not be empty")
    if not value.isprintable():
        raise ValueError("must not contain control characters or invisible ones")
    return value


@shaped({"type": "string", "pattern": f"^{_LABEL.pattern}$"})
def label(value: object) -> str:
    """The name of a node, network, map or vantage point: it stands in key names, records and globs."""
    if not _LABEL.fullmatch(text(value)):
        raise ValueError(
            f"{shown(value)} is not a name of 1 to 63 letters, digits, '_', '-', '.', not '-' or '.' in front"
        )
    return str(value)


@shaped({"type": "boolean"})
def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {kind(value)}")
    return value


@lru_cache(maxsize=None, typed=True)
def integer(low: int, high: int) -> Callable[[object], int]:
    """A parser of whole numbers from *low* to *high*."""

    @shaped({"type": "integer", "minimum": low, "maximum": high})
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, not {shown(value)}")
        return value

    return parse


@lru_cache(maxsize=None, typed=True)
def number(low: Number, high: Number) -> Callable[[object], Number]:
    """A parser of numbers from *low* to *high*."""

    @shaped({"type": "number", "minimum": low, "maximum": high})
    def parse(value: object) -> Number:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            hint = share_hint(value, low, high)
            raise ValueError(f"must be a number from {low} to {high}, not {shown(value)}{hint}")
        return value

    return parse


@lru_cache(maxsize=None, typed=True)
def duration(low: Number = 0, high: Number = YEAR, unit: str = "s") -> Callable[[object], Number]:
    """A parser of times from *low* to *high* of *unit*: a number of them, or text such as `90s`, `1h30m`."""

    @shaped(
        {
            "type": ["number", "string"],
            "minimum": low,
            "maximum": high,
            "pattern": r"^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+$",
        }
    )
    def parse(value: object) -> Number:
        amount: Any = value
        if isinstance(value, str):
            try:
                amount = parse_duration(value, unit)
            except ValueError as exc:
                raise ValueError(f"{shown(value)} is {exc}{duration_hint(value)}") from None
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not low <= amount <= high:
            raise ValueError(f"must be a duration from {low} to {high} {unit}, not {shown(value)}")
        return int(amount) if amount == int(amount) else amount

    return parse


@shaped({"type": ["integer", "string"], "minimum": 1, "maximum": 1 << 50, "pattern": f"^{_SIZE.pattern}$"})
def size(value: object) -> int:
    """A number of bytes, or text such as `64M`, `2G` (KiB, MiB, GiB)."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    amount = int(match[1]) * SIZES[match[2]] if match else value
    if isinstance(amount, bool) or not isinstance(amount, int) or not 1 <= amount <= 1 << 50:
        raise ValueError(f'must be a number of bytes, or text such as "64M" or "2G", not {shown(value)}')
    return amount


def choice(*options: Choice) -> Callable[[object], Choice]:
    """A parser of one word out of *options*."""

    @shaped({"enum": list(options)})
    def parse(value: object) -> Choice:
        for option in options:
            if option == value:
                return option
        named = " or ".join(map(json.dumps, options))
        hint = suggestion(value, options) if isinstance(value, str) else ""
        raise ValueError(f"must be {named or 'left out'}, not {shown(value)}{hint}")

    return parse


@lru_cache(maxsize=None, typed=True)
def address(version: int = 0) -> Callable[[object], str]:
    """A parser of addresses of one *version* (4, 6; 0: either), giving their usual form (RFC 5952)."""

    @shaped({"type": "string", "pattern": _ADDRESS[version]})
    def parse(value: object) -> str:
        plain = text(value)
        if "%" in plain:
            raise ValueError(f"{shown(value)} has a zone suffix, which has no meaning on other hosts")
        try:
            parsed = ipaddress.ip_address(plain)
        except ValueError as exc:
            raise ValueError(f"{shown(value)} is not an address{address_hint(plain)}") from exc
        if version and parsed.version != version:
            raise ValueError(f"{parsed} is an IPv{parsed.version} address, not an IPv{version} one")
        mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
        if mapped:
            raise ValueError(f"{shown(plain)} is the IPv4 address {mapped}, mapped: write it as that")
        if parsed.is_unspecified or parsed.is_multicast or plain == "255.255.255.255":
            raise ValueError(f"{parsed} is not the address of a host")
        return str(parsed)

    return parse


@shaped({"type": "string", "pattern": r"^[0-9A-Fa-f:.]+(?:/\d{1,3})?$"})
def prefix(value: object) -> tuple[int, int, int]:
    """A network in CIDR form, as (address bits 32 or 128, first address, prefix length)."""
    plain = text(value)
    first, slash, length = plain.partition("/")
    try:
        if "%" in plain or (slash and not length.isdecimal()):
            raise ValueError(plain)
        network = ipaddress.ip_network(plain, strict=False)
    except ValueError as exc:
        raise ValueError(f"{shown(value)} is not a network such as 192.0.2.0/24{prefix_hint(plain)}") from exc
    if ipaddress.ip_address(first) != network.network_address:
        raise ValueError(f"{plain} has host bits set; the network is {network}")
    return network.max_prefixlen, int(network.network_address), network.prefixlen
