"""Sources that are `https://` URLs: where they are fetched from, and with which secrets."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from geosteer_loader.config.dns_names import endpoint
from geosteer_loader.config.secrets import literal
from geosteer_loader.config.shapes import TEXT, shaped
from geosteer_loader.config.values import duration, flag, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from geosteer_loader.config.section import Table

URLS_ONLY = ("checksum", "headers", "username", "password", "ca", "tls_strict", "timeout")
"""Settings of sources that are URLs."""

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""An environment variable, as secrets are written."""

WRITE = "contains a literal secret: write ${NAME}, an environment variable of the loader"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ODD = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where a source is fetched from. `${NAME}` stands for environment variables, put in when it is fetched."""

    url: str
    checksum: str | None = None
    """URL of its checksum file."""
    member: str | None = None
    """Which file of an archive; `*` and `?` as in file names."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    """Certificates to trust; None: the system's."""
    tls_strict: bool = False
    """Refuse a certificate that breaks RFC 5280."""
    max_size: int = 4 << 30
    """Bytes, of what is downloaded and of what that holds."""
    timeout: float = 600
    """Seconds for the whole of one run's download."""

    @property
    def name(self) -> str:
        """The last part of the URL's path."""
        return urlsplit(self.url).path.rpartition("/")[2]


def unset(remote: Remote, environ: Mapping[str, str]) -> str | None:
    """What is wrong with the environment that the secrets come from, or None."""
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


def read_remote(entry: Table, where: str, base: Path, member: str | None, max_size: int) -> Remote | None:
    """Where the source of one entry is fetched from; None where it is a file. *base*: where paths begin."""
    if not where.startswith("https://"):
        for key in URLS_ONLY:
            if key in entry:
                entry.get(key, _for_urls, None)
        return None
    ca = entry.get("ca", text, None)
    headers = entry.table("headers")
    remote = Remote(
        url=where,
        checksum=entry.get("checksum", _url, None),
        member=member,
        headers={name: headers.get(name, _header(name), "") for name in headers.names()},
        username=entry.get("username", text, None),
        password=entry.get("password", _password, None),
        ca=(base / ca).absolute() if ca else None,
        tls_strict=entry.get("tls_strict", flag, False),
        max_size=max_size,
        timeout=entry.get("timeout", duration(1), 600),
    )
    if remote.password and not remote.username:
        entry.add("password", "needs a username")
    return remote


def copy_name(remote: Remote) -> str:
    """A name that tells a person what it is, and that no other URL or member has."""
    spelled = hashlib.sha256(f"{remote.url} {remote.member or ''}".encode()).hexdigest()[:8]
    plain = _ODD.sub("", (remote.member or remote.name).rpartition("/")[2]).strip(".-")
    return f"{spelled}-{plain or 'source'}"[:100]


@shaped(TEXT, variants=("https://",))
def file_or_url(value: object) -> str:
    """A path, or an `https://` URL."""
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
    if "$" not in parts.netloc:
        endpoint(parts.hostname or "")
    if parts.username is not None or "$" in parts.netloc:
        raise ValueError("must not have credentials in it: use username, password or headers")
    if any(
        literal(key, argument) or (argument and key.endswith("key") and "${" not in argument)
        for key, argument in parse_qsl(parts.query)
    ):
        raise ValueError(WRITE)
    return plain


@shaped({"type": "string", "pattern": REFERENCE.pattern})
def _password(value: object) -> str:
    if not REFERENCE.search(text(value)):
        raise ValueError(WRITE)
    return str(value)


def _header(name: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if not _TOKEN.fullmatch(name):
            raise ValueError("is not a valid header name")
        if literal(name, text(value)):
            raise ValueError(WRITE)
        return str(value)

    return parse


@shaped(False)
def _for_urls(_value: object) -> None:
    raise ValueError("applies only to a path that is an https:// URL")
