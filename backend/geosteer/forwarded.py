"""Who asks, when proxies stand between: only what trusted ones say is believed. No I/O.

Sources: RFC 7239 (Forwarded); for X-Forwarded-For, what Squid, nginx, HAProxy and Varnish send.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from geosteer.client import Client, parse
from geosteer.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNIX = "unix"
"""In place of a network: whoever may connect to the unix socket."""
MOST = 32
"""Proxies that a chain may have; what is before them is not looked at."""

_PAIR = re.compile(r"""\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=([!#$%&'*+.^_`|~0-9A-Za-z:\[\]-]+|"(?:[^"\\]|\\.)*")\s*""")


class Proxies:
    """Which proxies are trusted, and in which one header they name their client."""

    def __init__(self, trusted: Iterable[str] = (), header: str = "x-forwarded-for") -> None:
        """Args: trusted: addresses, networks, or `unix`; header: `forwarded` (RFC 7239), or a list of addresses.

        One header and no other, since a proxy hands on what its client made up under the others' names.
        Raises: ConfigError: not such a network.
        """
        self.header = header.lower().encode("ascii", "replace")
        self._unix = False
        self._networks: list[Client] = []
        problems = []
        for text in trusted:
            if text == UNIX:
                self._unix = True
                continue
            try:
                self._networks.append(parse(text))
            except ValueError:
                problems.append(f"--trust {text}: neither an address nor a network, nor {UNIX}")
        if problems:
            raise ConfigError(problems)

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    @property
    def vary(self) -> bytes:
        """The header fields that an answer depends on (RFC 9110, 12.5.5), b"" for none."""
        if not self:
            return b""
        return b"Forwarded" if self.header == b"forwarded" else self.header.title() + b", X-Forwarded-Proto"

    def client(self, peer: str | None, values: Sequence[bytes]) -> Client | None:
        """The client of a request; None where nobody is known.

        Args:
            peer: address of the other end of the connection; None for a unix socket.
            values: of the header, every field of that name in the order of arrival.
        """
        found = _address(peer) if peer is not None else None
        if not values or not self._trusts(found, peer):
            return found
        for text in reversed(self._chain(values)[-MOST:]):
            before = _address(text)
            if before is None:  # hidden, unknown or odd: whoever told it is all that is known
                break
            found = before
            if not self._trusts(found, text):
                break
        return found

    def scheme(self, peer: str | None, scheme: str, protos: Sequence[bytes], values: Sequence[bytes]) -> str:
        """`http` or `https`: as the client used it, so far as the nearest proxy may say so.

        Args: protos: of X-Forwarded-Proto; values: of the header that names the client.
        """
        if not self._trusts(_address(peer) if peer is not None else None, peer):
            return scheme
        if self.header == b"forwarded":
            elements = _elements(values)
            said = elements[-1].get("proto", "") if elements else ""
        else:
            said = protos[-1].decode("latin-1").rpartition(",")[2].strip() if protos else ""
        said = said.lower()
        return said if said in {"http", "https"} else scheme

    def _chain(self, values: Sequence[bytes]) -> list[str]:
        if self.header == b"forwarded":
            return [element.get("for", "") for element in _elements(values)]
        return b",".join(values).decode("latin-1").split(",")

    def _trusts(self, client: Client | None, text: str | None) -> bool:
        if client is None:
            return text is None and self._unix
        return any(
            net.bits == client.bits
            and net.length <= client.length
            and (net.address ^ client.address) >> (net.bits - net.length) == 0
            for net in self._networks
        )


def _elements(values: Sequence[bytes]) -> list[dict[str, str]]:
    """The elements of Forwarded, each as its pairs; one that is not well formed is empty, and so are those before it."""
    text = b",".join(values).decode("latin-1")
    elements: list[dict[str, str]] = [{}]
    at = 0
    while at < len(text):
        pair = _PAIR.match(text, at)
        if pair is None:
            cut = text.find(",", at)
            elements = [{}]  # whatever stands here cannot be read: nothing up to here counts
            if cut < 0:
                return elements
            elements.append({})
            at = cut + 1
            continue
        name, value = pair[1].lower(), pair[2]
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        elements[-1][name] = value
        at = pair.end()
        if at < len(text) and text[at] == ",":
            elements.append({})
        elif at < len(text) and text[at] != ";":
            elements[-1] = {}
        at += 1
    return elements


def _address(text: str) -> Client | None:
    """Of `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    if "/" in text:
        return None
    try:
        return parse(text)
    except ValueError:
        return None
