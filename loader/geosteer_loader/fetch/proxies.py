"""Which proxy a URL is fetched through, as the environment says it and as curl reads that.

`https_proxy`, else `ALL_PROXY`, names it, in either case of letters: `http://user:password@host:port`, parts of it left out at
will. `no_proxy` names hosts that are asked directly: names with all below them, addresses, networks; or it is `*`.
Source: curl(1), "ENVIRONMENT", and the option --noproxy.
"""

from __future__ import annotations

import ipaddress
import re
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from geosteer_loader.fetch.errors import FetchFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""In order; one that is empty is as one that is not set."""

PORTS = {"http": 1080, "https": 443}
"""Schemes that are supported -> the port where none is named (curl's)."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")


class Proxy(NamedTuple):
    """An HTTP proxy."""

    url: str
    """Without user and password."""
    login: str | None
    """What goes into Proxy-Authorization."""

    @property
    def place(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.url).netloc

    def refusal(self, reason: str) -> str | None:
        """What to say of a CONNECT that failed, by the HTTP library's *reason*; None: it is about something else."""
        status = _TUNNEL.search(reason)
        if status is None:
            return None
        if status[1] == "407":
            wants = "refuses the user and password" if self.login else "requires a user and password"
            return f"the proxy {self.place} {wants} (status 407)"
        return f"the proxy {self.place} refuses the connection (status {status[1]})"


def proxy_for(host: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for `https://` URLs of a host; None: it is asked directly.

    Raises: FetchFailed: what the environment says is not a proxy that can be used.
    """
    variable = next((name for name in VARIABLES if environ.get(name)), "")
    value = environ.get(variable, "").strip()
    if not value or _bypassed(host, environ.get("no_proxy") or environ.get("NO_PROXY", "")):
        return None
    try:
        parts = urlsplit(value if _SCHEME.match(value) else f"http://{value}")
        name, port = parts.hostname, parts.port
    except ValueError:
        name = port = None
    if not name:
        raise FetchFailed(f"{variable} is not a proxy such as http://proxy.example.net:3128")
    if parts.scheme not in PORTS:
        raise FetchFailed(
            f"{variable}: unsupported scheme {parts.scheme}://; http:// and https:// are supported"
        )
    login = None
    if parts.username is not None:
        # the bytes that were encoded, whatever they are text of
        pair = unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password or "")
        login = f"Basic {b64encode(pair).decode()}"
    name = f"[{name}]" if ":" in name else name
    return Proxy(f"{parts.scheme}://{name}:{port or PORTS[parts.scheme]}", login)


def _bypassed(host: str, excluded: str) -> bool:
    host = host.lower().rstrip(".")
    entries = [entry.lower() for entry in re.split(r"[\s,]+", excluded) if entry]
    if entries == ["*"]:
        return True
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        return any(address in network for network in map(_network, entries) if network is not None)
    names = [entry.removeprefix(".").removesuffix(".") for entry in entries]
    return any(host == name or host.endswith(f".{name}") for name in names if name)


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None
