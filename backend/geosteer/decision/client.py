"""The client of a question: which address is looked up, and what its scope means to the asker.

IPv6 addresses that carry an IPv4 one are looked up as that: v4-mapped (RFC 4291, 2.5.5.2), NAT64 (RFC 6052, 2.1), 6to4
(RFC 3056) and, from a full address only, Teredo (RFC 4380, 4).
"""

from __future__ import annotations

from geosteer.cmodules import Address, pack_address, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_AF_INET, _AF_INET6 = socket.AF_INET, socket.AF_INET6
_pton, _number = socket.inet_pton, int.from_bytes

MAPPED = 0xFFFF << 32
NAT64 = 0x0064FF9B << 96
SIX_TO_FOUR = 0x2002
TEREDO = 0x20010000

CARRIERS = frozenset((0, 0x64, SIX_TO_FOUR, 0x2001))
"""First 16 bits of addresses that may carry an IPv4 one."""
_CARRIERS = ((MAPPED, 96), (NAT64, 96), (SIX_TO_FOUR << 112, 16), (TEREDO << 96, 32))
_PRIVATE = {
    32: tuple(
        (int.from_bytes(pack_address(text), "big"), length)
        for text, length in (
            ("0.0.0.0", 8), ("10.0.0.0", 8), ("100.64.0.0", 10), ("127.0.0.0", 8), ("169.254.0.0", 16),
            ("172.16.0.0", 12), ("192.168.0.0", 16),
        )
    ),
    128: ((0, 127), (0xFC << 120, 7), (0xFE80 << 112, 10)),
}  # fmt: skip
"""Networks whose members are not where an outside table says (RFC 1918, 3927, 4193, 4291, 6598; loopback, unspecified)."""


class Client:
    """One client network, ready to be looked up."""

    __slots__ = ("address", "bits", "extra", "fixed", "floor", "length")

    def __init__(
        self, bits: int, address: int, length: int, *, extra: int = 0, floor: int = 1, fixed: int = 0
    ) -> None:
        self.bits = bits
        """32 or 128: the family that is looked up."""
        self.address = address
        """First address of the network, in that family."""
        self.length = length
        """Prefix length of the network, in that family."""
        self.extra = extra
        """Bits of the asker's address in front of the one looked up."""
        self.floor = floor
        """Least length, in the family looked up, of a prefix in which the same rules hold for every address."""
        self.fixed = fixed
        """The scope whatever the tables say; 0: as they say."""

    def scope(self, length: int) -> int:
        """What to tell the asker for an answer that holds on the /*length* around the address (RFC 7871, 7.2.1)."""
        return self.fixed or self.extra + (max(self.floor, length))

    @property
    def key(self) -> str:
        """The key of policy `hash`: the network, unless a front end sets another."""
        return self.network

    @property
    def network(self) -> str:
        """The /24 or /48 that hashes see, for example `192.0.2.0/24`."""
        if self.bits == 32:
            return Address((self.address & 0xFFFFFF00).to_bytes(4, "big")) + "/24"
        return Address((self.address >> 80 << 80).to_bytes(16, "big")) + "/48"

    def __str__(self) -> str:
        """The network in text, in the family looked up."""
        return f"{Address(self.address.to_bytes(self.bits // 8, 'big'))}/{self.length}"


def parse(text: str) -> Client:
    """A client from an address or a network in text; host bits do not matter.

    Raises: ValueError: neither.
    """
    address, slash, size = text.partition("/")
    packed = pack_address(address.partition("%")[0])
    bits = 8 * len(packed)
    length = bits
    if slash:
        if not (size.isascii() and size.isdigit() and len(size) <= 3) or int(size) > bits:
            raise ValueError(text)
        length = int(size)
    value = int.from_bytes(packed, "big")
    if length < bits:
        value = value >> (bits - length) << (bits - length)
    return Client(32, value, length) if bits == 32 else _from_ipv6(value, length)


def _from_ipv6(value: int, length: int) -> Client:
    high = value >> 32
    if length >= 96 and high in {0xFFFF, 0x0064FF9B << 64}:
        return Client(32, value & 0xFFFFFFFF, length - 96, extra=96)
    if length >= 16 and value >> 112 == SIX_TO_FOUR:
        return Client(32, value >> 80 & 0xFFFFFFFF, min(length - 16, 32), extra=16)
    if length == 128 and value >> 96 == TEREDO:
        return Client(32, ~value & 0xFFFFFFFF, 32, fixed=128)
    return Client(128, value, length, floor=_floor(128, value, _CARRIERS))


def _floor(bits: int, value: int, blocks: tuple[tuple[int, int], ...]) -> int:
    """Least prefix length around *value* that holds none of the blocks; all of its bits where it lies in one itself."""
    least = 1
    for block, length in blocks:
        common = bits - (value ^ block).bit_length()
        if common >= length:
            return bits
        least = max(least, common + 1)
    return least


def quick(subnet: str) -> tuple[int, int, int] | None:
    """Of a network in text that needs no thought: bits, first address, and floor of the scope; else None.

    The same as `from_question` says for a public network that carries no other address, in a third of the time.
    """
    text, _, size = subnet.partition("/")
    length = _LENGTHS.get(size, 0)
    if not length:
        return None
    try:
        if ":" not in text:
            if length > 32:
                return None
            value = _number(_pton(_AF_INET, text), "big") >> (32 - length) << (32 - length)
            floor = FLOORS[value >> 24]
            if not floor:
                if _private(32, value):
                    return None
                floor = _floor(32, value, _PRIVATE[32])
            return 32, value, floor
        value = _number(_pton(_AF_INET6, text), "big") >> (128 - length) << (128 - length)
    except (OSError, ValueError):  # no address; a NUL in it
        return None
    high = value >> 96
    floor = _floors6.get(high, 0)
    if not floor:
        if not _plain(high):
            return None
        if len(_floors6) >= 4096:
            _floors6.clear()
        floor = _floors6[high] = _floor(128, value, _CARRIERS + _PRIVATE[128])
    return 128, value, floor


def _plain(high: int) -> bool:
    """Whether the first 32 bits of an IPv6 address alone say that it is public and carries no other."""
    return 0x20000000 <= high < 0x40000000 and high >> 16 != SIX_TO_FOUR and high != TEREDO


def from_question(
    remote: str, subnet: str | None, cells: Callable[[Client], Sequence[tuple[str, int]]] | None = None
) -> Client | None:
    """Who asks, from a DNS question's resolver address and its client network (RFC 7871, 7.1.2 and 11.1).

    A network of length 0 asks for privacy, and a private one says nothing unless something published names it: then the
    resolver's own address counts; without one (0.0.0.0: the server asks for itself) the client is unknown: None.
    Text that is not an address counts as absent.

    Args:
        cells: what every published table says of a client: its record ("" on a miss), and the length of the widest prefix
            around it that has it. Asked for private networks only; whatever it raises comes through.
    """
    within = 0
    if subnet:
        try:
            client = parse(subnet)
        except ValueError:
            pass
        else:
            if client.length:
                block = _private(client.bits, client.address)
                if not block:
                    blocks = _PRIVATE[client.bits]
                    client.floor = max(client.floor, _floor(client.bits, client.address, blocks))
                    return client
                answers = cells(client) if cells is not None else ()
                named = [length for record, length in answers if record]
                if named:
                    # Around the prefix that has a name there are others whose resolver counts.
                    client.floor = max(client.floor, block, min(named))
                    return client
                # And around what has no name there are prefixes that have one.
                within = client.fixed or client.extra + max([block, *(length for _, length in answers)])
            elif client.extra:  # all of IPv4 within IPv6: its members have answers of their own
                within = 128
    try:
        client = parse(remote)
    except ValueError:
        return None
    if client.address == 0:
        return None
    client.fixed = within or client.fixed
    return client


def _private(bits: int, value: int) -> int:
    """Length of the private block that holds *value*, or 0."""
    for block, length in _PRIVATE[bits]:
        if (value ^ block) >> (bits - length) == 0:
            return length
    return 0


_LENGTHS = {str(length): length for length in range(129)}
FLOORS = [1] * 256
"""By the first octet of an IPv4 address: the floor of the scope, or 0 where a private network begins with that octet."""
# octets near a private one, then those nearer: a start has no time for each octet alone
for _free in range(7, -1, -1):
    for _block, _ in _PRIVATE[32]:
        _first = _block >> 24 >> _free << _free
        FLOORS[_first : _first + (1 << _free)] = [9 - _free if _free else 0] * (1 << _free)
_floors6: dict[int, int] = {}
"""By the first 32 bits of an IPv6 address, as they occur."""


def prefix_text(bits: int, address: int, length: int) -> str:
    """The prefix of that length around an address of so many bits, for example `8.8.8.0/24`."""
    host = bits - length
    return f"{Address((address >> host << host).to_bytes(bits // 8, 'big'))}/{length}"
