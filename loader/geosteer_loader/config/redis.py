"""`[redis]`: where Redis is, and how to get in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import unquote

from geosteer_loader.config.secrets import secret
from geosteer_loader.config.values import duration, shown, text

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

_URL = re.compile(
    r"(?P<scheme>[a-z+]+)://(?:(?P<user>[^/]*)@)?(?P<hosts>[^/?]*)(?P<path>[^?]*)(?:\?(?P<query>.*))?"
)
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_PATHS = {
    "redis": r"(?:/[0-9]*)?", "rediss": r"(?:/[0-9]*)?", "unix": r"/[^?]+", "redis+cluster": r"/?",
    "redis+sentinel": r"/[^/]+(?:/[0-9]+)?",
}  # fmt: skip
_FORMS = (
    "redis://HOST, rediss://HOST, unix:///PATH, redis+sentinel://HOST,HOST/NAME or redis+cluster://HOST,HOST"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """How to reach the Redis that is written to."""

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


def read_redis(table: Table, base: Path, environ: Mapping[str, str] | None) -> RedisSettings:
    """The settings of one `[redis]` table. *base*: where paths begin.

    Without *environ* the file belongs to another program: nothing is resolved or overridden, only checked.
    """
    where = table.get("url", _url(environ), _Url(DEFAULT_URL, None, None))
    prefix = table.get("prefix", _prefix, DEFAULT_PREFIX)
    if environ is not None:
        where = _override(table.problems, environ, URL_VARIABLE, _url(environ), where)
        prefix = _override(table.problems, environ, PREFIX_VARIABLE, _prefix, prefix)
    settings = RedisSettings(
        url=where.url,
        prefix=prefix,
        username=table.get("username", text, None) or where.username,
        password=_password(table, base, environ) or where.password,
        timeout=table.get("timeout", duration(0.01, 600), 5) if environ is not None else 5,
        ca=_path(table, "ca", base),
        cert=_path(table, "cert", base),
        key=_path(table, "key", base),
    )
    table.finish()
    if bool(settings.cert) != bool(settings.key):
        table.add("cert" if settings.cert else "key", "cert and key are wanted together")
    if (settings.ca or settings.cert) and not where.url.startswith("rediss:"):
        table.problems.warn(table.at("url"), "is not encrypted: ca, cert and key are for rediss://")
    return settings


class _Url(NamedTuple):
    url: str
    username: str | None
    password: str | None


def _url(environ: Mapping[str, str] | None) -> Callable[[object], _Url]:
    """A parser of Redis URLs, which takes user and password out of them; its messages never show them."""

    def parse(value: object) -> _Url:
        found = _URL.fullmatch(text(value))
        if not found or found["scheme"] not in _PATHS:
            raise ValueError(f"must be of the form {_FORMS}")
        scheme, hosts, path, query = found["scheme"], found["hosts"], found["path"], found["query"]
        if not re.fullmatch(_PATHS[scheme], path) or (
            query is not None and not re.fullmatch("db=[0-9]+", query)
        ):
            raise ValueError(
                f"has a path or options that {scheme}:// does not take; it must be of the form {_FORMS}"
            )
        if scheme == "unix" and hosts:
            raise ValueError("must have three slashes after unix:, an absolute path")
        for host in hosts.split(",") if scheme != "unix" else ():
            matched = _HOST.fullmatch(host)
            if not matched or not 1 <= int(matched[1] or 1) <= 65535:
                raise ValueError("names a host that is none, or a port out of range")
        if "," in hosts and not scheme.startswith("redis+"):
            raise ValueError(
                f"takes one host; several need redis+sentinel:// or redis+cluster://, not {scheme}://"
            )
        user, _, password = (found["user"] or "").partition(":")
        return _Url(
            f"{scheme}://{hosts}{path}" + (f"?{query}" if query else ""),
            _unquoted(user) or None,
            secret(environ)(_unquoted(password)) if password else None,
        )

    return parse


def _unquoted(text: str) -> str:
    try:
        if not re.search("%(?![0-9A-Fa-f]{2})", text):
            return unquote(text, errors="strict")
    except UnicodeDecodeError:
        pass  # its message would show the password
    raise ValueError("has a % that is not followed by two hexadecimal digits of UTF-8")


def _prefix(value: object) -> str:
    if not _PREFIX.fullmatch(text(value)):
        raise ValueError(f"{shown(value)} is not 1 to 64 letters, digits and '_', '.', ':', '-'")
    return str(value)


def _override(
    problems: Problems, environ: Mapping[str, str], variable: str, parse: Callable[[object], T], found: T
) -> T:
    if environ.get(variable):
        try:
            return parse(environ[variable])
        except ValueError as exc:
            problems.add(variable, str(exc), file="environment")
    return found


def _password(table: Table, base: Path, environ: Mapping[str, str] | None) -> str | None:
    password = table.get("password", secret(environ), None)
    path = _path(table, "password_file", base)
    if "password" in table and "password_file" in table:
        table.add("password_file", "password is given too")
    if path is None or environ is None:
        return password
    try:
        password = path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, ValueError) as exc:
        table.add(
            "password_file", f"{path} cannot be read: {getattr(exc, 'strerror', None) or 'not UTF-8 text'}"
        )
        return None
    if not password:
        table.add("password_file", f"{path} is empty")
    return password or None


def _path(table: Table, key: str, base: Path) -> Path | None:
    relative = table.get(key, text, None)
    return (base / relative).absolute() if relative else None
