"""`[redis]`: where Redis is, and how to get in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from geosteer.resp.url import SCHEMES, Address
from geosteer_loader.config.dns_names import endpoint
from geosteer_loader.config.secrets import secret
from geosteer_loader.config.shapes import shaped
from geosteer_loader.config.toml_file import read_beside
from geosteer_loader.config.values import duration, flag, shown, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from geosteer_loader.config.section import Problems, Table

T = TypeVar("T")

DEFAULT_URL = "unix:///run/redis/redis.sock"
DEFAULT_PREFIX = "geosteer"
URL_VARIABLE = "GEOSTEER_REDIS_URL"
"""Environment variable that takes the place of `url`."""
PREFIX_VARIABLE = "GEOSTEER_REDIS_PREFIX"
"""Environment variable that takes the place of `prefix`."""

_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """The connection to the Redis that the loader writes to."""

    url: str
    """Without a user or password."""
    prefix: str
    """Of every key; without braces."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    """Resolved; never shown."""
    timeout: float = 5
    """Seconds for connecting, and for each reply."""
    ca: Path | None = None
    """Certificates to trust, for `rediss`; None: the system's."""
    cert: Path | None = None
    """The client's own certificate."""
    key: Path | None = None
    """The key of `cert`."""
    tls_strict: bool = False
    """Refuse a certificate that breaks RFC 5280."""
    functions: bool = True
    """Whether publish keeps the Function library there."""


def read_redis(table: Table, base: Path, environ: Mapping[str, str] | None) -> RedisSettings:
    """The settings of one `[redis]` table. *base*: where paths begin.

    Without *environ* the file belongs to another program: nothing is resolved or overridden, only checked.
    """
    where = table.get("url", _url(environ), _Url(DEFAULT_URL, None, None))
    prefix = table.get("prefix", _prefix, DEFAULT_PREFIX)
    if environ is not None:
        where = _override(table.problems, environ, URL_VARIABLE, _url(environ), where)
        prefix = _override(table.problems, environ, PREFIX_VARIABLE, _prefix, prefix)
    username, password = table.get("username", text, None), None
    if environ is not None and environ.get(URL_VARIABLE) and where.username:
        _password(table, base, None)  # a user in that URL comes in place of the file's, with its password
        username = None
    else:
        password = _password(table, base, environ)
    settings = RedisSettings(
        url=where.url,
        prefix=prefix,
        username=username or where.username,
        password=password or where.password,
        timeout=table.get("timeout", duration(0.01, 600), 5) if environ is not None else 5,
        ca=_path(table, "ca", base),
        cert=_path(table, "cert", base),
        key=_path(table, "key", base),
        tls_strict=table.get("tls_strict", flag, False),
        functions=table.get("functions", flag, True) if environ is not None else True,
    )
    table.finish()
    if bool(settings.cert) != bool(settings.key):
        table.add("cert" if settings.cert else "key", "cert and key are needed together")
    if (settings.ca or settings.cert) and not where.url.startswith("rediss:"):
        table.problems.warn(table.at("url"), "is not encrypted: ca, cert and key are for rediss://")
    return settings


class _Url(NamedTuple):
    url: str
    username: str | None
    password: str | None


def _url(environ: Mapping[str, str] | None) -> Callable[[object], _Url]:
    """A parser of Redis URLs, which takes user and password out of them; its messages never show them."""

    @shaped({"type": "string", "pattern": f"^(?:{'|'.join(map(re.escape, SCHEMES))})://"})
    def parse(value: object) -> _Url:
        address = Address(text(value))
        for host, _ in address.places if address.scheme != "unix" else ():
            endpoint(host)
        password = secret(environ)(address.password) if address.password else None
        return _Url(address.public, address.username or None, password)

    return parse


@shaped({"type": "string", "pattern": f"^{_PREFIX.pattern}$"})
def _prefix(value: object) -> str:
    if not _PREFIX.fullmatch(text(value)):
        raise ValueError(f"{shown(value)} is not 1 to 64 letters, digits and '_', '.', ':', '-'")
    return str(value)


def _override(
    problems: Problems, environ: Mapping[str, str], variable: str, parse: Callable[[object], T], written: T
) -> T:
    if environ.get(variable):
        try:
            return parse(environ[variable])
        except ValueError as exc:
            problems.add(variable, str(exc), file="environment")
    return written


def _password(table: Table, base: Path, environ: Mapping[str, str] | None) -> str | None:
    password = table.get("password", secret(environ), None)
    path = _path(table, "password_file", base)
    if "password" in table and "password_file" in table:
        table.add("password_file", "password is given too")
    if path is None or environ is None:
        return password
    try:
        password = read_beside(path).partition("\n")[0].strip()  # as workers read it
    except ValueError as exc:
        table.add("password_file", f"{path} {exc}")
        return None
    if not password:
        table.add("password_file", f"{path} is empty")
    return password or None


def _path(table: Table, key: str, base: Path) -> Path | None:
    relative = table.get(key, text, None)
    return (base / relative).absolute() if relative else None
