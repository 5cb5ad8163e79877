"""`[[sources.geo]]`, `[[sources.bgp]]`, `[[sources.path]]`: the files and URLs that the tables are built from."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from geosteer_loader.checks.secrets import literal
from geosteer_loader.checks.values import choice, duration, label, size, text
from geosteer_loader.sources import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geosteer_loader.checks.settings import Table


REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""An environment variable, as secrets are written."""

WRITE = "holds a literal secret: write ${NAME}, an environment variable of the loader"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ODD = re.compile(r"[^A-Za-z0-9._-]+")

TABLES = ("geo", "bgp", "path")
"""The tables that are built from files."""


CACHE = "/var/lib/geosteer/sources"
"""Where copies of sources that are URLs are kept, unless the configuration says otherwise."""

REMOTE_ONLY = ("checksum", "member", "headers", "username", "password", "ca", "max_size", "timeout")
"""Settings of sources that are URLs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where a source is fetched from. `${NAME}` stands for environment variables, put in when it is fetched."""

    url: str
    checksum: str | None = None
    """URL of its checksum file."""
    member: str | None = None
    """Which file of a tar archive; `*` and `?` as in file names."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    """Certificates to trust; None: the system's."""
    max_size: int = 1 << 30
    """Bytes, of what is downloaded and of what that holds."""
    timeout: float = 600
    """Seconds for the whole of one run's download."""

    @property
    def name(self) -> str:
        """The last part of the URL's path."""
        return urlsplit(self.url).path.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """One input file of a table."""

    format: str
    """One of the table's `FORMATS`."""
    path: Path
    """Where it lies, or where its copy is kept; absolute."""
    vantage: str | None
    """Where the routes were seen; only of table `path`."""
    place: str
    """The entry in the configuration, for example `sources.geo[1]`; counted from 1."""
    remote: Remote | None = None
    """Where it comes from, if it is not just a file."""


def read_sources(table: Table, base: Path) -> dict[str, tuple[SourceConfig, ...]]:
    """Sources of every table, each list in the order of the file. *base*: where paths begin."""
    cache = (base / table.get("cache", text, CACHE)).absolute()
    sources = {name: _sources(table, name, base, cache) for name in TABLES}
    table.finish()
    return sources


def missing_source(source: SourceConfig, environ: Mapping[str, str] = os.environ) -> str | None:
    """Why the file of a source cannot be read, or not be fetched for want of a secret, or None."""
    if source.remote is not None:
        return _unset(source.remote, environ)
    try:
        with source.path.open("rb") as file:
            file.read(1)
    except OSError as exc:
        return f"{source.path} cannot be read: {exc.strerror}"
    return None


def _unset(remote: Remote, environ: Mapping[str, str]) -> str | None:
    texts = [
        remote.url,
        remote.checksum or "",
        remote.username or "",
        remote.password or "",
        *remote.headers.values(),
    ]
    for name in REFERENCE.findall(" ".join(texts)):
        if not environ.get(name):
            return f"environment variable {name} is not set"
    return None


def _sources(table: Table, name: str, base: Path, cache: Path) -> tuple[SourceConfig, ...]:
    found: list[SourceConfig] = []
    for entry in table.tables(name):
        where = entry.require("path", _file_or_url, "")
        remote = _remote(entry, where, base) if where.startswith("https://") else None
        if remote is None:
            for key in REMOTE_ONLY:
                if key in entry:
                    entry.get(key, _for_urls, None)
        source = SourceConfig(
            format=entry.require("format", choice(*FORMATS.get(name, ())), ""),
            path=cache / _copy_name(remote) if remote else Path(base / where).absolute(),
            vantage=entry.require("vantage", label, None) if name == "path" else None,
            place=entry.place,
            remote=remote,
        )
        entry.finish()
        if where and any(source.path == other.path and source.vantage == other.vantage for other in found):
            entry.problems.warn(entry.at("path"), f"{where} is listed twice")
        found.append(source)
    return tuple(found)


def _remote(entry: Table, url: str, base: Path) -> Remote:
    ca = entry.get("ca", text, None)
    headers = entry.table("headers")
    remote = Remote(
        url=url,
        checksum=entry.get("checksum", _url, None),
        member=entry.get("member", text, None),
        headers={name: headers.get(name, _header(name), "") for name in headers.names()},
        username=entry.get("username", text, None),
        password=entry.get("password", _password, None),
        ca=(base / ca).absolute() if ca else None,
        max_size=entry.get("max_size", size, 1 << 30),
        timeout=entry.get("timeout", duration(1), 600),
    )
    if remote.password and not remote.username:
        entry.add("password", "needs a username")
    return remote


def _copy_name(remote: Remote) -> str:
    """A name that tells a person what it is, and that no other URL or member has."""
    spelled = hashlib.sha256(f"{remote.url} {remote.member or ''}".encode()).hexdigest()[:8]
    plain = _ODD.sub("", (remote.member or remote.name).rpartition("/")[2]).strip(".-")
    return f"{spelled}-{plain or 'source'}"[:100]


def _file_or_url(value: object) -> str:
    plain = text(value)
    return _url(value) if _SCHEME.match(plain) else plain


def _url(value: object) -> str:
    plain = text(value)
    try:
        parts = urlsplit(plain)
        good = parts.scheme == "https" and parts.hostname and (parts.port or 443)
    except ValueError:
        good = False
    if not good:
        raise ValueError("must be a file or an https:// URL")
    if parts.username is not None or "$" in parts.netloc:
        raise ValueError(
            "must not hold credentials before the path: there are username, password and headers"
        )
    if any(
        literal(key, one) or (one and key.endswith("key") and "${" not in one)
        for key, one in parse_qsl(parts.query)
    ):
        raise ValueError(WRITE)
    return plain


def _password(value: object) -> str:
    if not REFERENCE.search(text(value)):
        raise ValueError(WRITE)
    return str(value)


def _header(name: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if not _TOKEN.fullmatch(name):
            raise ValueError("is not the name of a header")
        if literal(name, text(value)):
            raise ValueError(WRITE)
        return str(value)

    return parse


def _for_urls(_value: object) -> None:
    raise ValueError("is for a path that is an https:// URL")
