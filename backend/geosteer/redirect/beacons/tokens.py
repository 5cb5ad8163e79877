"""Tokens of candidate lists: whoever has one was named these nodes a while ago, in the network that it reports from.

A token is `PAYLOAD.MAC`, each in base64 for URLs (RFC 4648, 5). The payload is a JSON array: format, expiry, service, nodes
and a nonce; the MAC is HMAC-SHA256 (RFC 2104) of the client's network and the payload. The network itself is not in the token.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geosteer import files
from geosteer.errors import ConfigError, GeosteerError

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT = 1
LONGEST = 1024
"""Characters of a token at most."""
SHORTEST_KEY = 32
"""Characters: 16 random bytes in hexadecimal digits have as many."""
NONCE = 9
"""Bytes that tell tokens apart which are alike otherwise."""
_CONTEXT = b"geosteer beacon 1\0"


class BadToken(GeosteerError, ValueError):
    """A token that is not taken; the text is one of `forged`, `expired`."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token says."""

    expires: int
    """Seconds since 1970."""
    service: str
    nodes: tuple[str, ...]
    nonce: str


class Tokens:
    """Makes and checks tokens; those made with the previous key are good until they expire."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Args: keys: the current one, then those before it."""
        self._keys = tuple(keys)

    def issue(self, grant: Grant, network: str) -> str:
        """A token for a client of that network."""
        payload = json.dumps(
            [FORMAT, grant.expires, grant.service, grant.nodes, grant.nonce], separators=(",", ":")
        ).encode()
        return f"{_text(payload)}.{_text(_mac(self._keys[0], network, payload))}"

    def check(self, token: str, network: str, now: float) -> Grant:
        """What a token grants. Args: network: that the report comes from; now: seconds since 1970. Raises: BadToken."""
        payload, mac = _parts(token)
        if not any(hmac.compare_digest(mac, _mac(key, network, payload)) for key in self._keys):
            raise BadToken("forged")
        # From here on the payload is our own work, of this format or of another.
        try:
            form, expires, service, nodes, nonce = json.loads(payload)
            grant = Grant(int(expires), str(service), tuple(map(str, nodes)), str(nonce))
        except (ValueError, TypeError):
            raise BadToken("forged") from None
        if form != FORMAT:
            raise BadToken("forged")
        if grant.expires <= now:
            raise BadToken("expired")
        return grant


class Used:
    """Nonces that were used, until their tokens expire; when there are too many, the oldest are forgotten."""

    def __init__(self, most: int = 1 << 16) -> None:
        self._most = most
        self._expiry: dict[str, int] = {}

    def take(self, grant: Grant, now: float) -> bool:
        """Whether this token was not used before; it is from now on."""
        expiry = self._expiry
        if grant.nonce in expiry:
            return False
        while expiry:
            oldest = next(iter(expiry))
            if len(expiry) < self._most and expiry[oldest] > now:
                break
            del expiry[oldest]
        expiry[grant.nonce] = grant.expires
        return True


def read_keys(path: str) -> tuple[bytes, ...]:
    """The keys of a file: the current one, and on a second line the previous one while keys are changed.

    Raises: ConfigError: there are none, or others may read them.
    """
    try:
        text = files.read(path, forbidden=files.GROUP_MAY_READ).decode("ascii")
    except (OSError, UnicodeError) as exc:
        raise ConfigError(
            [f"beacon.key_file: {path}: {getattr(exc, 'strerror', None) or 'is not ASCII'}"]
        ) from exc
    keys = text.split()
    if not 1 <= len(keys) <= 2 or any(len(key) < SHORTEST_KEY for key in keys):
        raise ConfigError(
            [
                f"beacon.key_file: {path}: must have one or two lines, each a key of {SHORTEST_KEY} characters at least"
            ]
        )
    return tuple(key.encode() for key in keys)


def _mac(key: bytes, network: str, payload: bytes) -> bytes:
    return hmac.digest(key, _CONTEXT + network.encode() + b"\0" + payload, "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _parts(token: str) -> tuple[bytes, bytes]:
    payload, dot, mac = token.partition(".")
    if len(token) > LONGEST or not dot:
        raise BadToken("forged")
    try:
        return _bytes(payload), _bytes(mac)
    except (ValueError, binascii.Error):
        raise BadToken("forged") from None


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
