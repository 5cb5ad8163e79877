"""Checks `http` and `https`: one GET, judged by status, body and certificate."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import h11

from geosteer_loader.health.checks.failures import failed
from geosteer_loader.health.checks.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from urllib.parse import SplitResult

BODY = 1 << 20
"""Bytes of a body that are searched."""
HEAD = 64 << 10
"""Bytes that the head of an answer may have."""
EXPIRY = 14 * 86400
"""Seconds before its end at which a certificate is warned of."""

_KEPT = "/%:=&?~+!$,;'@()*[]|-._"
"""Characters of a path that go out as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One GET, with everything put in."""

    address: str
    """What to connect to: an address or a name."""
    port: int
    target: str
    headers: Sequence[tuple[bytes, bytes]]
    tls: ssl.SSLContext | None = None
    sni: str | None = None
    """The name to ask for in TLS, and to find in the certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What makes the answer a good one."""

    statuses: Sequence[int] = field(default=())
    """Empty: any."""
    body: str = ""
    """Text that the body must contain."""


def request(
    spec: Mapping[str, Any], expand: Callable[..., str], context: Callable[[bool], ssl.SSLContext]
) -> Request:
    """The request that a published check describes.

    Args: expand: puts values in for `${NAME}`; context: gives the TLS settings, with or without verification.
    Raises: whatever *expand* does.
    """
    # Taken apart before values are put in, so that each of them stays the part that it stands for.
    parts = urlsplit(spec["url"])
    secure = parts.scheme == "https"
    host = _host(parts, expand)
    standard = 443 if secure else 80
    port = parts.port or standard
    shown = f"[{host}]" if ":" in host else host
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    headers = {
        "Host": expand(spec.get("host") or "") or (shown if port == standard else f"{shown}:{port}"),
        "User-Agent": "geosteer-probe",
        "Accept": "*/*",
        "Connection": "close",
    }
    if parts.username is not None:
        login = f"{expand(parts.username)}:{expand(parts.password or '')}"
        headers["Authorization"] = "Basic " + b64encode(login.encode()).decode()
    for key, value in (spec.get("headers") or {}).items():
        headers = {name: other for name, other in headers.items() if name.lower() != key.lower()}
        headers[key] = expand(value)
    return Request(
        address=host,
        port=port,
        target=quote(expand(target, lambda value: quote(value, safe="")), safe=_KEPT) or "/",
        headers=[(key.encode(), value.encode()) for key, value in headers.items()],
        tls=context(spec.get("verify", True)) if secure else None,
        sni=(spec.get("sni") or host) if secure else None,
    )


def _host(parts: SplitResult, expand: Callable[..., str]) -> str:
    """What to connect to; `SplitResult.hostname` makes lower case of the names of variables, too."""
    place = parts.netloc.rpartition("@")[2]
    return expand(place.partition(":")[0]) if "${" in place else parts.hostname or ""


async def get(asked: Request, wanted: Wanted, now: Callable[[], float]) -> Result:
    """Send the request and judge the answer; runs until a time limit of the caller's.

    Args: now: seconds since 1970, for the end of the certificate.
    """
    try:
        reader, writer = await asyncio.open_connection(
            asked.address, asked.port, ssl=asked.tls, server_hostname=asked.sni
        )
    except OSError as exc:
        return failed(exc, asked.address)
    try:
        warning = _expiry(writer.get_extra_info("peercert"), now())
        found = await _exchange(reader, writer, asked, wanted)
    except OSError as exc:
        return failed(exc, asked.address)
    except h11.RemoteProtocolError as exc:
        return Result(False, f"not HTTP: {exc}")
    finally:
        writer.transport.abort()  # nobody waits for a farewell
    return Result(True, warning=warning) if found.good else found


def tls_context(verify: bool) -> ssl.SSLContext:
    """TLS settings with the system's certificates; without *verify* any certificate will do."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: Request, wanted: Wanted
) -> Result:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD)
    try:
        sent = h11.Request(method="GET", target=asked.target, headers=list(asked.headers))
        writer.write((connection.send(sent) or b"") + (connection.send(h11.EndOfMessage()) or b""))
    except h11.LocalProtocolError as exc:
        return Result(None, f"the check makes no request: {exc}")
    body = bytearray()
    needle = wanted.body.encode()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            if wanted.statuses and event.status_code not in wanted.statuses:
                return Result(False, f"status {event.status_code}")
            if not needle:
                return Result(True)
        elif isinstance(event, h11.Data):
            before = max(len(body) - len(needle), 0)
            body += event.data
            if body.find(needle, before) >= 0:
                return Result(True)
            if len(body) > BODY:
                return Result(False, f"the first {BODY >> 20} MiB of the body lack the text")
        elif not isinstance(event, h11.InformationalResponse):
            return Result(False, "the body lacks the text")


def _expiry(certificate: Mapping[str, Any] | None, now: float) -> str:
    """A warning where the certificate ends soon; "" where it does not, or nobody looked at it."""
    end = (certificate or {}).get("notAfter")
    if end is None:
        return ""
    left = ssl.cert_time_to_seconds(end) - now
    return f"certificate ends in {max(left, 0) / 86400:.0f} days, {end}" if left < EXPIRY else ""
