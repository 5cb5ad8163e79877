"""Networks as an operator lists them, and whether an address lies in one of them."""

from __future__ import annotations

from geosteer.cmodules import pack_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MAPPED = b"\0" * 10 + b"\xff\xff"


class Networks:
    """A set of networks. IPv6 ones are taken as written: none stands for the IPv4 address that some address carries."""

    __slots__ = ("_networks",)

    def __init__(self, texts: Iterable[str]) -> None:
        """Raises: ValueError: a text is neither a network nor an address."""
        self._networks = [_network(text) for text in texts]

    def hold(self, address: str) -> bool:
        """Whether an address lies in one of them; a v4-mapped one (RFC 4291, 2.5.5.2) is the IPv4 address, as sockets show it.

        The unspecified address, which stands for nobody, lies in none, and neither does what is no address.
        """
        try:
            packed = pack_address(address.partition("%")[0])
        except ValueError:
            return False
        if packed.startswith(_MAPPED):
            packed = packed[12:]
        bits, value = 8 * len(packed), int.from_bytes(packed, "big")
        return value != 0 and any(
            (value ^ first) >> (bits - length) == 0
            for family, first, length in self._networks
            if family == bits
        )


def _network(text: str) -> tuple[int, int, int]:
    """Bits, first address and length."""
    address, slash, size = text.partition("/")
    packed = pack_address(address)
    bits = 8 * len(packed)
    length = bits
    if slash:
        length = int(size) if size.isascii() and size.isdigit() and len(size) <= 3 else bits + 1
    if length > bits:
        raise ValueError(f"{text[:60]!r} is not a network such as 192.0.2.0/24")
    return bits, int.from_bytes(packed, "big"), length
