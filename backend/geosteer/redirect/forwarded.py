"""The client behind proxies: only trusted ones are believed. No I/O.

Sources: RFC 7239 (Forwarded); for X-Forwarded-For, what Squid, nginx, HAProxy and Varnish send.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_network
from typing import TYPE_CHECKING

from geosteer.cmodules import pack_address
from geosteer.decision.client import MAPPED, parse
from geosteer.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from geosteer.decision.client import Client

UNIX = "unix"
"""Instead of a network: any peer that may connect to the unix socket."""
MOST = 32
"""Proxies that a chain may have; what is before them is not looked at."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PAIR = re.compile(
    r"""\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=([!#$%&'*+.^_`|~0-9A-Za-z:\[\]-]+|"(?:[^"\\]|\\.)*")\s*"""
)


class Proxies:
    """Which proxies are trusted, and in which header they name their client."""

    def __init__(self, trusted: Iterable[str] = (), header: str = "x-forwarded-for") -> None:
        """Args: trusted: addresses, networks, or `unix`; header: `forwarded` (RFC 7239), or a list of addresses.

        One header and no other, since a proxy hands on what its client made up under the others' names.
        Raises: ConfigError: not such a network, or no name of a header.
        """
        self.header = header.lower().encode("ascii", "replace")
        self._unix = False
        self._networks: list[tuple[int, int, int]] = []
        problems = []
        if not _TOKEN.fullmatch(header):
            problems.append(f"--client-header {header}: not a header name")
        for text in trusted:
            if text == UNIX:
                self._unix = True
                continue
            try:
                network = ip_network(text, strict=False)
                bits = network.max_prefixlen
                shift = bits - network.prefixlen
                self._networks.append((bits, int(network.network_address) >> shift, shift))
            except ValueError:
                problems.append(f"--trust {text}: neither an address nor a network, nor {UNIX}")
        if problems:
            raise ConfigError(problems)
        self._trusts_peer = lru_cache(1024)(self._trusts)

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    @property
    def vary(self) -> bytes:
        """The header fields that an answer depends on (RFC 9110, 12.5.5), b"" for none."""
        if not self:
            return b""
        return b"Forwarded" if self.header == b"forwarded" else self.header.title() + b", X-Forwarded-Proto"

    def client(self, peer: str | None, values: Sequence[bytes]) -> Client | None:
        """The client of a request; None if the client is unknown.

        Args:
            peer: address of the other end of the connection; None for a unix socket.
            values: of the header, every field of that name in the order of arrival.
        """
        client = peer
        if values and self._trusts_peer(peer):
            for text in reversed(self._chain(values)[-MOST:]):
                before = _address(text)
                if (
                    not before
                ):  # hidden, unknown or malformed: the proxy that says so is the last known address
                    break
                client = before
                if not self._trusts(client):
                    break
        try:
            return parse(client) if client is not None else None
        except ValueError:
            return None

    def scheme(self, peer: str | None, scheme: str, protos: Sequence[bytes], values: Sequence[bytes]) -> str:
        """`http` or `https`: as the client used it, so far as the nearest proxy may say so.

        Args: protos: of X-Forwarded-Proto; values: of the header that names the client.
        """
        fields = values if self.header == b"forwarded" else protos
        if not fields or not self._trusts_peer(peer):
            return scheme
        if self.header == b"forwarded":
            elements = _elements(values)
            proto = elements[-1].get("proto", "") if elements else ""
        else:
            proto = protos[-1].decode("latin-1").rpartition(",")[2].strip()
        proto = proto.lower()
        return proto if proto in {"http", "https"} else scheme

    def _chain(self, values: Sequence[bytes]) -> list[str]:
        if self.header == b"forwarded":
            return [element.get("for", "") for element in _elements(values)]
        # Empty members of a list count for nothing (RFC 9110, 5.6.1.2).
        return [text for text in b",".join(values).decode("latin-1").split(",") if text.strip()]

    def _trusts(self, text: str | None) -> bool:
        """By the address itself: an address that embeds another (6to4, Teredo) does not share its trust."""
        if text is None:
            return self._unix
        if not self._networks:
            return False
        try:
            packed = pack_address(text.partition("%")[0])
        except ValueError:
            return False
        bits, number = 8 * len(packed), int.from_bytes(packed, "big")
        if bits == 128 and number >> 32 == MAPPED >> 32:  # how a socket for both families shows IPv4
            bits, number = 32, number & 0xFFFFFFFF
        return any(size == bits and number >> shift == base for size, base, shift in self._networks)


def _elements(values: Sequence[bytes]) -> list[dict[str, str]]:
    """The elements of Forwarded, each as its pairs."""
    return [element for value in values for element in _field(value.decode("latin-1"))]


def _field(text: str) -> list[dict[str, str]]:
    """The elements of one field; a malformed one is empty, and so are those before it."""
    text, at = text.strip(", \t"), 0
    if not text:
        return []
    elements: list[dict[str, str]] = [{}]
    while at < len(text):
        pair = _PAIR.match(text, at)
        after = text[pair.end() : pair.end() + 1] if pair else "?"
        if pair is None or after not in {"", ",", ";"}:
            at = text.find(",", at) + 1
            elements = [{}]
            if not at:
                break
            elements.append({})
            continue
        value = pair[2]
        elements[-1][pair[1].lower()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value
        if after == ",":
            elements.append({})
        at = pair.end() + 1
    return elements


def _address(text: str) -> str:
    """The address of `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`; "" where there is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        pack_address(text)
    except ValueError:
        return ""
    return text
