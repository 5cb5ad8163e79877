"""Prefixes in text and as numbers: the one conversion that all text formats use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.cmodules import pack_address

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAPPED = 0xFFFF
_LENGTHS = {str(length): length for length in range(129)}


def parse_prefix(text: str) -> tuple[int, int, int]:
    """Address bits, first address and length of `192.0.2.0/24`, `2001:db8::/32` or a single address.

    Raises: ValueError: says what is wrong, host bits among it. A v4-mapped network is refused, since
        clients in it are looked up as IPv4 (RFC 4291, 2.5.5.2).
    """
    bits, start, length = parse_network(text)
    if bits == 128 and length >= 96 and start >> 32 == _MAPPED:
        raise ValueError(f"v4-mapped network, write it as IPv4: {text!r}")
    return bits, start, length


def parse_network(text: str) -> tuple[int, int, int]:
    """The same of any network, v4-mapped ones too.

    Raises: ValueError: says what is wrong, host bits among it.
    """
    address, slash, size = text.partition("/")
    bits, start = parse_address(address)
    if not slash:
        length = bits
    elif (length := _LENGTHS.get(size, bits + 1)) <= bits:
        pass
    elif size.isascii() and size.isdigit() and len(size) <= 3 and int(size) <= bits:  # with zeros in front
        length = int(size)
    else:
        raise ValueError(f"prefix length out of range, 0 to {bits}: {text!r}")
    if start & ((1 << (bits - length)) - 1):
        raise ValueError(f"host bits are set: {text!r}")
    return bits, start, length


def parse_address(text: str) -> tuple[int, int]:
    """Address bits and number of an address in text.

    Raises: ValueError: not an address.
    """
    try:
        packed = pack_address(text)
    except ValueError as exc:
        raise ValueError(f"not an address: {text!r}") from exc
    return 8 * len(packed), int.from_bytes(packed, "big")


def split_range(bits: int, first: int, last: int) -> Iterator[tuple[int, int]]:
    """The fewest prefixes (first address, length) that make up *first* to *last*, both inclusive."""
    while first <= last:
        host = (first & -first).bit_length() - 1 if first else bits
        host = min(host, (last - first + 1).bit_length() - 1)
        yield first, bits - host
        first += 1 << host
