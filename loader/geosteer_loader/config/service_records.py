"""`https` and `svcb` of a service: records whose hints follow the decision (RFC 9460, RFC 9461)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.decision.service_binding import (
    ALPN,
    KEYS,
    LONGEST_ALPN,
    LONGEST_PATH,
    MOST_ALPN,
    MOST_NUMBER,
    MOST_RECORDS,
    PATH,
    ech_config,
    kind_of,
)
from geosteer_loader.config.dns_names import host_name, name
from geosteer_loader.config.shapes import shaped
from geosteer_loader.config.values import choice, flag, integer, shown, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer_loader.config.document import Binding
    from geosteer_loader.config.section import Table

SETTINGS = ("https", "svcb")
"""Of a service."""

_MEANT = {
    "http/2": "h2",
    "http2": "h2",
    "http/2.0": "h2",
    "http/3": "h3",
    "http3": "h3",
    "quic": "h3",
    "doh": "h2",
}
"""What protocols are called, and their ids (RFC 7301, 6; they are told apart by letter case)."""
_OVER_HTTP = {"h2", "h3", "http/1.1"}


def read_records(table: Table, service: str, answer: str) -> dict[str, list[Binding]]:
    """The records under `https` and `svcb`, where there are any."""
    records: dict[str, list[Binding]] = {}
    for key, entries in (("https", table.one_or_more("https")), ("svcb", table.tables("svcb"))):
        if len(entries) > MOST_RECORDS:
            table.add(key, f"has {len(entries)} records; {MOST_RECORDS} are the most")
        if entries and answer == "cname":
            table.add(
                key,
                'is not possible with answer = "cname": a CNAME stands alone, and clients ask for HTTPS at the name that it'
                " points to",
            )
        for entry in entries:
            record = _record(entry, service, below=key == "svcb")
            if record in records.setdefault(key, []):
                entry.problems.add(entry.place, "is listed twice")
            records[key].append(record)
        _check_modes(entries, records.get(key, []))
    return records


def owners(service: str, records: list[Binding]) -> list[tuple[str, str]]:
    """Name and type of each record under `svcb`."""
    return [
        (f"{record['name']}.{service}", kind_of(record["name"])) for record in records if record.get("name")
    ]


def _record(table: Table, service: str, *, below: bool) -> Binding:
    record: Binding = {}
    if below:
        record["name"] = table.require("name", _below(service), "")
    record["priority"] = table.get("priority", integer(0, MOST_NUMBER), 1)
    target = table.get("target", host_name, None)
    alpn = list(dict.fromkeys(found for _, found in table.each("alpn", _protocol)))
    if table.raw("alpn") == []:
        table.add("alpn", "must not be empty; without it, leave it out")
    if len(alpn) > MOST_ALPN:
        table.add("alpn", f"has {len(alpn)} protocol ids; {MOST_ALPN} are the most")
    no_default = table.get("no_default_alpn", flag, False)
    port = table.get("port", integer(1, MOST_NUMBER), None)
    ech = table.get("ech", _ech, None)
    path = table.get("dohpath", _path, None) if below else None
    mandatory = [key for _, key in table.each("mandatory", choice(*KEYS))]
    table.finish()
    present = {"alpn": alpn, "no-default-alpn": no_default, "port": port, "ech": ech, "dohpath": path}
    for key in mandatory:
        if not present[key]:
            table.add("mandatory", f"names {key}, which the record does not have (RFC 9460, 8)")
    if no_default and not alpn:
        table.add("no_default_alpn", "needs alpn: no protocol would be left (RFC 9460, 7.1.1)")
    if below and not path and _OVER_HTTP & set(alpn) and record["name"].rpartition(".")[2] == "_dns":
        table.add("alpn", f"has {alpn[0]}, so that dohpath has to say where (RFC 9461, 5)")
    if record["priority"] == 0:
        _check_alias(table, service, target)
    if target is not None:
        record["target"] = target
    if alpn:
        record["alpn"] = alpn
    if no_default:
        record["no_default_alpn"] = True
    if port is not None:
        record["port"] = port
    if ech is not None:
        record["ech"] = ech
    if path is not None:
        record["dohpath"] = path
    if mandatory:
        record["mandatory"] = list(dict.fromkeys(mandatory))
    return record


def _check_alias(table: Table, service: str, target: str | None) -> None:
    if "target" not in table:
        table.add("target", "is missing: priority 0 makes the record an alias of it (RFC 9460, 2.4.2)")
    elif target == service:
        table.add("target", "is the service itself: an alias leads elsewhere")
    for key in ("alpn", "no_default_alpn", "port", "ech", "dohpath", "mandatory"):
        if key in table:
            table.add(
                key, "does not go with priority 0: an alias has a target and nothing else (RFC 9460, 2.4.2)"
            )


def _check_modes(entries: list[Table], records: list[Binding]) -> None:
    """An alias stands alone (RFC 9460, 2.4.1)."""
    aliases = {record.get("name", "") for record in records if record["priority"] == 0}
    for entry, record in zip(entries, records, strict=True):
        others = [other for other in records if other.get("name", "") == record.get("name", "")]
        if record.get("name", "") in aliases and len(others) > 1:
            entry.problems.add(
                entry.place, "stands beside an alias (priority 0), which makes clients ignore it"
            )


def _below(service: str) -> Callable[[object], str]:
    """A parser of labels with `_` in front, under which a record of a service is asked for."""

    def parse(value: object) -> str:
        labels = name(value)
        if service.startswith("*."):
            raise ValueError(
                "is not possible for a wildcard: it stands for first labels only (RFC 4592, 2.1.1)"
            )
        odd = next((label for label in labels.split(".") if not label.startswith("_")), None)
        if odd is not None:
            raise ValueError(
                f'{shown(value)} is not labels with _ in front, such as "_dns" or "_8443._https" (RFC 9460, 2.3)'
            )
        name(f"{labels}.{service}")
        return host_name(labels)

    return parse


@shaped({"type": "string", "pattern": f"^[A-Za-z0-9._/+-]{{1,{LONGEST_ALPN}}}$"})
def _protocol(value: object) -> str:
    """An ALPN protocol id."""
    plain = text(value)
    meant = _MEANT.get(plain.lower()) or (
        plain.lower() if plain in {"H2", "H3", "DOT", "DOQ", "DoT", "DoQ"} else None
    )
    if meant is not None:
        raise ValueError(f'{shown(value)} is not a protocol id; did you mean "{meant}"?')
    odd = next((char for char in plain if char not in ALPN), None)
    if odd is not None:
        raise ValueError(f"{shown(value)} contains {shown(odd)}, which no registered protocol id has")
    if len(plain) > LONGEST_ALPN:
        raise ValueError(f"is {len(plain)} bytes long; {LONGEST_ALPN} are the most")
    return plain


@shaped({"type": "string", "pattern": r"^\s*[A-Za-z0-9+/]+={0,2}\s*$"})
def _ech(value: object) -> str:
    """A list of ECH configurations in base64 (RFC 9849, 4)."""
    plain = text(value)
    try:
        ech_config(plain)
    except ValueError as exc:
        reason = str(exc)
        if not reason.startswith("ech "):  # binascii's
            reason = f"is not base64: {reason}"
        raise ValueError(
            f"{reason.removeprefix('ech ')}; it is the ECHConfigList that the TLS server's tool prints"
        ) from exc
    return plain


@shaped({"type": "string", "pattern": r"^/.*\{\?dns\}", "maxLength": LONGEST_PATH})
def _path(value: object) -> str:
    """A URI template with the variable `dns` (RFC 9461, 5)."""
    plain = text(value)
    if (
        not plain.startswith("/")
        or "{?dns}" not in plain
        or not PATH.issuperset(plain)
        or len(plain) > LONGEST_PATH
    ):
        raise ValueError(f'{shown(value)} is not a path such as "/dns-query{{?dns}}" (RFC 9461, 5)')
    return plain
