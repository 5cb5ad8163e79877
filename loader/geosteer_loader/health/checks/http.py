"""Checks `http` and `https`: one GET, judged by status, body and certificate."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from geosteer_loader.health.checks import certificate
from geosteer_loader.health.checks.answer import Judge
from geosteer_loader.health.checks.connect import CannotCheck, Unreachable
from geosteer_loader.health.checks.failures import failed
from geosteer_loader.health.checks.result import Result

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Mapping, Sequence
    from urllib.parse import SplitResult

    from geosteer_loader.health.checks.answer import Wanted
    from geosteer_loader.health.checks.connect import Connector
    from geosteer_loader.health.checks.tls import Contexts

_KEPT = "/%:=&?~+!$,;'@()*[]|-._"
"""Characters of a path that go out as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One GET, with the values of all variables."""

    host: str
    """What to connect to: an address or a name, in ASCII."""
    port: int
    head: bytes
    """As it is sent."""
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    """The name to ask for in TLS (SNI), and to find in the certificate."""


def request(spec: Mapping[str, Any], expand: Callable[..., str], contexts: Contexts) -> Request:
    """The request that a published check describes.

    Args: expand: puts values in for `${NAME}`.
    Raises: whatever *expand* does; CannotCheck: no request can be made of it.
    """
    # Taken apart before values are put in, so that each of them stays the part that it stands for.
    parts = urlsplit(spec["url"])
    secure = parts.scheme == "https"
    host = _ascii(_host(parts, expand))
    standard = 443 if secure else 80
    port = parts.port or standard
    shown = f"[{host}]" if ":" in host else host
    headers = {
        "Host": expand(spec.get("host") or "") or (shown if port == standard else f"{shown}:{port}"),
        "User-Agent": "geosteer-probe",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if parts.username is not None:
        login = f"{expand(parts.username)}:{expand(parts.password or '')}"
        headers["Authorization"] = "Basic " + b64encode(login.encode()).decode()
    for key, value in (spec.get("headers") or {}).items():
        headers = {name: other for name, other in headers.items() if name.lower() != key.lower()}
        headers[key] = expand(value)
    path = parts.path if parts.path.startswith("/") else "/" + parts.path
    target = path + (f"?{parts.query}" if parts.query else "")
    return Request(
        host=host,
        port=port,
        head=_head(quote(expand(target, lambda value: quote(value, safe="")), safe=_KEPT), headers),
        tls=_trusted(contexts, spec) if secure else None,
        server_name=(spec.get("sni") or host) if secure else None,
    )


def _trusted(contexts: Contexts, spec: Mapping[str, Any]) -> ssl.SSLContext:
    strict = bool(spec.get("tls_strict"))
    return contexts.get(verify=spec.get("verify", True), ca=spec.get("ca"), strict=strict)


async def get(
    connector: Connector, asked: Request, wanted: Wanted, timeout: float
) -> tuple[Result, bytes | None]:
    """Send the request and judge the answer; and the server's certificate (DER), if there is one.

    Args: timeout: seconds that all of it may take; the caller ends it then.
    """  # fmt: skip
    try:
        connection, warning = await connector.open(asked.host, asked.port, timeout)
    except Unreachable as exc:
        return exc.result, None
    try:
        reader, writer = await _opened(connection, asked)
    except OSError as exc:
        return failed(exc, asked.host), None
    try:
        tls = writer.get_extra_info("ssl_object")
        shown = tls.getpeercert(binary_form=True) if tls else None
        writer.write(asked.head)
        judge = Judge(wanted)
        while (result := judge.receive(await reader.read(65536))) is None:
            pass
    except OSError as exc:
        return failed(exc, asked.host), None
    finally:
        writer.transport.abort()  # no need to wait for the closing handshake
    return Result(result.good, result.reason, warning), shown


async def check(
    connector: Connector, asked: Request, wanted: Wanted, timeout: float, now: Callable[[], float]
) -> Result:
    """As `get`; where the answer is good, the end of the certificate is judged as well, whether it was verified or not.

    Args: now: seconds since 1970.
    """  # fmt: skip
    result, shown = await get(connector, asked, wanted, timeout)
    if not result.good:
        return result
    judged = certificate.judged(shown, now())
    warning = "; ".join(filter(None, (judged.warning, result.warning)))
    return Result(judged.good, judged.reason, warning, ends=judged.ends)


async def _opened(
    connection: socket.socket, asked: Request
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.open_connection(
            sock=connection, ssl=asked.tls, server_hostname=asked.server_name
        )
    except BaseException as exc:
        connection.close()
        if isinstance(exc, ValueError) and not isinstance(exc, OSError):  # some of TLS's own errors are both
            raise CannotCheck(f'invalid name for TLS: "{asked.server_name}"') from exc
        raise


def _host(parts: SplitResult, expand: Callable[..., str]) -> str:
    """What to connect to; `SplitResult.hostname` makes lower case of the names of variables, too."""
    place = parts.netloc.rpartition("@")[2]
    if "${" not in place:
        return parts.hostname or ""
    host = place.partition("]")[0][1:] if place.startswith("[") else place.partition(":")[0]
    return expand(host)


def _ascii(host: str) -> str:
    """A host name as it is asked for in DNS. Raises: CannotCheck."""
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError as exc:
        raise CannotCheck(f'invalid host name "{host}"') from exc


def _head(target: str, headers: Mapping[str, str]) -> bytes:
    """The head of the request. Raises: CannotCheck: a variable put a line break into it."""
    lines: Sequence[str] = [
        f"GET {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    for line in lines:
        if any(char in line for char in "\r\n\0"):
            raise CannotCheck(f"header {line.partition(':')[0]} has a line break in its value")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()
