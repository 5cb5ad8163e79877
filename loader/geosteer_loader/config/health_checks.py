"""Health checks of a node: `[nodes.x.check]`, or several as `[[nodes.x.check]]`."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from geosteer_loader.config.dns_names import endpoint
from geosteer_loader.config.secrets import LITERAL, literal, literal_inside, literal_option, named_secret
from geosteer_loader.config.shapes import shaped
from geosteer_loader.config.values import address, choice, duration, flag, integer, shown, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer_loader.config.document import Profile
    from geosteer_loader.config.section import Table

TYPES = ("tcp", "http", "https", "command")

GATEWAY = "gateway"
"""The control target that is this host's default gateway, whatever its address."""

PROFILES: dict[str, Profile] = {
    "fast": {"up": 3, "ok": 3, "down": 2},
    "gdnsd": {"up": 20, "ok": 10, "down": 10},
}
"""Named thresholds: quick to notice, or as patient as gdnsd is by default (gdnsd.config(5), `up_thresh`)."""

_SETTINGS = {
    "tcp": {"port"},
    "http": {"url", "status", "body", "host", "headers"},
    "https": {"url", "status", "body", "host", "headers", "sni", "verify", "ca", "tls_strict"},
    "command": {"command"},
}
"""Type -> the settings that not every type has."""

_VARIABLE = re.compile(r"\$\{")
_DEPTH = integer(1, 1000)
_STATUS = integer(100, 599)


def read_check(table: Table) -> dict[str, Any]:
    """One check as the prober wants it: every setting of its type, profile spelled out."""
    kind_of = table.require("type", choice(*TYPES), "")
    interval = table.get("interval", duration(0.1, 86400), 10)
    timeout = table.get("timeout", duration(0.001, 600), min(2, interval))
    if timeout > interval:
        table.add("timeout", f"must not be longer than the interval, {interval} s")
    check: dict[str, Any] = {
        "type": kind_of,
        "interval": interval,
        "timeout": timeout,
        "profile": _profile(table),
    }
    if kind_of == "tcp":
        check["port"] = table.require("port", integer(1, 65535), 0)
    elif kind_of == "command":
        check["command"] = _command(table)
    elif kind_of:
        check |= _http(table, kind_of)
    else:  # without a type no other setting can be checked
        table.names()
    _finish(table)
    return check


def url(*schemes: str) -> Callable[[object], str]:
    """A parser of URLs with a valid host."""
    begin = tuple(f"{scheme}://" for scheme in schemes)

    @shaped({"type": "string", "pattern": f"^(?:{'|'.join(begin)})[^ ]+$"})
    def parse(value: object) -> str:
        plain = text(value)
        try:
            parts = urlsplit(plain)
            usable = parts.scheme in schemes and parts.hostname and parts.port != 0 and " " not in plain
        except ValueError:  # an invalid port or IPv6 address
            usable = False
        if not usable and plain.startswith(("http://", "https://")) and not plain.startswith(begin):
            raise ValueError(f"must begin with {schemes[0]}://, as the type of the check says")
        if not usable:
            raise ValueError(f"must be a URL such as {schemes[0]}://192.0.2.1/health")
        if not _VARIABLE.search(parts.netloc.rpartition("@")[2]):
            endpoint(parts.hostname or "")
        return plain

    return parse


def _profile(table: Table) -> Profile:
    if isinstance(table.raw("profile"), dict):
        own = table.table("profile")
        depths: Profile = {
            "up": own.require("up", _DEPTH, 1),
            "ok": own.require("ok", _DEPTH, 1),
            "down": own.require("down", _DEPTH, 1),
        }
        own.finish()
        if depths["ok"] > depths["up"]:
            own.add("ok", "must not be more than up")
        return depths

    @shaped({"enum": list(PROFILES)})
    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in PROFILES:
            raise ValueError(f'must be "fast", "gdnsd" or a table of up, ok and down, not {shown(value)}')
        return str(value)

    return PROFILES[table.get("profile", parse, "fast")]


def _http(table: Table, scheme: str) -> dict[str, Any]:
    check: dict[str, Any] = {"url": table.require("url", url(scheme), "")}
    if literal_inside(check["url"]):
        table.add("url", LITERAL)
    check["status"] = _statuses(table)
    check["body"] = table.get("body", text, None)
    check["host"] = table.get("host", _host_header, None)
    check["headers"] = _headers(table.table("headers"))
    if scheme == "https":
        check["sni"] = table.get("sni", _server_name, None)
        check["verify"] = table.get("verify", flag, True)
        if "ca" in table:  # left out otherwise: probers of before do not know it
            check["ca"] = table.get("ca", _absolute_path, None)
            if not check["verify"]:
                table.add("ca", "has no effect with verify = false")
        if table.get("tls_strict", flag, False):
            check["tls_strict"] = True
            if not check["verify"]:
                table.add("tls_strict", "has no effect with verify = false")
    return check


def _host_header(value: object) -> str:
    """A host with or without a port (RFC 9110, 7.2); `${NAME}` may stand in it."""
    plain = text(value)
    if not _VARIABLE.search(plain):
        try:
            parts = urlsplit("//" + plain)
            good = parts.netloc == plain and parts.hostname and "@" not in plain and parts.port != 0
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"{shown(plain)} is not a host, or a host and a port")
        endpoint(parts.hostname or "")
    return plain


def _server_name(value: object) -> str:
    return endpoint(text(value).lower().removesuffix("."))


def _absolute_path(value: object) -> str:
    plain = text(value)
    if not PurePosixPath(plain).is_absolute():
        raise ValueError("must be an absolute path: it is read on the hosts of the probers")
    return plain


def _statuses(table: Table) -> list[int]:
    if isinstance(table.raw("status"), list):
        statuses = [status for _, status in table.each("status", _STATUS)]
        if not statuses:
            table.add("status", "has no status")
        return statuses
    return [table.get("status", _STATUS, 200)]


def _headers(table: Table) -> dict[str, str]:
    headers = {}
    for key in table.names():
        headers[key] = table.get(key, text, "")
        if not key.isascii() or not key.replace("-", "").replace("_", "").isalnum():
            table.add(key, "is not a header name")
        if headers[key] and literal(key, headers[key]):
            table.add(key, LITERAL)
    return headers


def _command(table: Table) -> list[str]:
    words = [word for _, word in table.each("command", text)]
    if not table.raw("command"):
        table.add(
            "command", 'is missing: the program and its arguments, such as ["/usr/local/bin/check", "-q"]'
        )
    if any(map(literal_inside, words)) or literal_option(words):
        table.add("command", LITERAL)
    return words


def _finish(table: Table) -> None:
    for key in table.unread():  # people will try these: say more than "unknown"
        if named_secret(key):
            table.add(key, "unknown setting; " + LITERAL)
            table.raw(key)
        elif types := [kind for kind, settings in _SETTINGS.items() if key in settings]:
            table.add(key, f"is a setting of checks of type {' and '.join(types)} only")
            table.raw(key)
    table.finish()


def control_target(value: object) -> str:
    """What a prober tries to learn whether its own network works: `gateway`, `host:port`, or an http(s) URL."""
    plain = text(value)
    if plain == GATEWAY:
        return plain
    if "://" in plain:
        target = url("http", "https")(plain)
        if literal_inside(target):
            raise ValueError(LITERAL)
        return target
    where, _, port = plain.rpartition(":")
    if not port.isdecimal() or not 1 <= int(port[:6]) <= 65535:
        raise ValueError(f'{shown(plain)} is not "gateway", "host:port", "[IPv6]:port" or a URL')
    if where.startswith("[") and where.endswith("]"):
        address(6)(where[1:-1])
    else:
        endpoint(where)
    return plain
