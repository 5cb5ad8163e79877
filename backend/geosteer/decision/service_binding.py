"""HTTPS and SVCB records of a service (RFC 9460), whose hints are the addresses of its answer. No I/O.

Loaded where a configuration has any. PowerDNS parses all records of a name together, so that a bad one would take A and AAAA
along: nothing is printed here that was not parsed.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

from geosteer.cmodules import Address, pack_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

MOST_RECORDS = 8
"""Records of a service of one type."""
MOST_ALPN = 16
"""Protocol ids of one record."""
LONGEST_ALPN = 255
"""Bytes of a protocol id (RFC 7301, 3.1)."""
LEAST_ECH, LONGEST_ECH = 6, 4096
"""Bytes of an ECHConfigList."""
LONGEST_PATH = 255
"""Characters of `dohpath`."""
LONGEST_NAME = 253
LONGEST_LABEL = 63
MOST_NUMBER = 65535
"""Of a port or priority."""
ALPN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/+-")
"""Characters of registered protocol ids; all others would have to be escaped."""
HOST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.-")
PATH = frozenset(map(chr, range(33, 127))) - frozenset('",;\\()')
"""Characters of `dohpath` that need no escape."""
KEYS = ("alpn", "no-default-alpn", "port", "ech", "dohpath")
"""Parameters that a record may call mandatory."""
FIELDS = frozenset((
    "alpn", "dohpath", "ech", "mandatory", "name", "no_default_alpn", "port", "priority", "target",
))  # fmt: skip
"""Of a record in the configuration document."""
HINTS = (("A", "ipv4hint", 4), ("AAAA", "ipv6hint", 16))


class Binding:
    """One record."""

    __slots__ = ("head", "hinted", "kind", "owner", "tail")

    def __init__(self, kind: str, owner: str, head: str, tail: str, *, hinted: bool) -> None:
        self.kind = kind
        """HTTPS or SVCB."""
        self.owner = owner
        """Whose record it is."""
        self.head = head
        """Priority, target and parameters before the hints, in presentation form (RFC 9460, 2.1)."""
        self.tail = tail
        """Parameters behind the hints, each with a space before it."""
        self.hinted = hinted
        """Whether its target is the service itself, and not an alias."""

    def __repr__(self) -> str:
        return f"Binding({self.owner} {self.kind} {self.head}{self.tail})"

    def content(self, answers: Iterable[tuple[str, str]]) -> str:
        """The record's content, with hints of an answer's addresses.

        Args: answers: type and content of the answer's records; none: no hints.
        """
        parts = [self.head]
        if self.hinted:
            for kind, key, size in HINTS:
                packed = [pack_address(content) for of, content in answers if of == kind]
                hints = [Address(address) for address in packed if len(address) == size]
                if hints:
                    parts.append(f" {key}={','.join(hints)}")
        return "".join([*parts, self.tail])


def bindings(service: str, spec: Mapping[str, Any]) -> tuple[Binding, ...]:
    """The records that a service has in the configuration document, or in a worker's `[fallback]`.

    Raises: ValueError, TypeError, KeyError, AttributeError: something of them is not as it must be.
    """
    made = []
    for field, below in (("https", False), ("svcb", True)):
        records = spec.get(field) or []
        if isinstance(records, dict) and not below:
            records = [records]  # as people write it
        if not isinstance(records, list) or len(records) > MOST_RECORDS:
            raise ValueError(f"{field} is not a list of at most {MOST_RECORDS} records")
        made += [_binding(service, record, below=below) for record in records]
    return tuple(made)


def kind_of(name: str) -> str:
    """The type of the records at a name below a service: HTTPS for another port of it (RFC 9460, 9.1), else SVCB."""
    return "HTTPS" if name.rpartition(".")[2] == "_https" else "SVCB"


def _binding(service: str, record: Mapping[str, Any], *, below: bool) -> Binding:
    if not FIELDS.issuperset(record):
        raise ValueError(f"unknown fields {sorted(set(record) - FIELDS)}")
    kind, owner, own = "HTTPS", service, "."
    if below:
        prefix = _name(record["name"])
        if "*" in service:
            raise ValueError(f"{prefix!r} below a wildcard")
        if not all(label.startswith("_") for label in prefix.split(".")):
            raise ValueError(f"{prefix!r} has a label that does not begin with _")
        kind, owner, own = kind_of(prefix), f"{prefix}.{service}", f"{service}."
        if len(owner) > LONGEST_NAME:
            raise ValueError(f"{owner!r} is too long")
    priority = _whole(record.get("priority", 1), 0)
    target = None if record.get("target") is None else _name(record["target"])
    head = f"{priority} {own if target is None else target + '.'}"
    parameters = _parameters(record)
    if priority == 0:
        if parameters or target is None:
            raise ValueError("priority 0 is an alias: it has a target and nothing else (RFC 9460, 2.4.2)")
        return Binding(kind, owner, head, "", hinted=False)
    mandatory = record.get("mandatory") or []
    if mandatory:
        if not isinstance(mandatory, list) or not set(mandatory) <= parameters.keys():
            raise ValueError(f"mandatory {mandatory!r} are not parameters that it has")
        head += f" mandatory={','.join([key for key in KEYS if key in mandatory])}"
    before = [parameters[key] for key in ("alpn", "no-default-alpn", "port") if key in parameters]
    behind = [parameters[key] for key in ("ech", "dohpath") if key in parameters]
    head = " ".join([head, *before])
    return Binding(
        kind, owner, head, "".join([f" {text}" for text in behind]), hinted=target in {None, service}
    )


def _parameters(record: Mapping[str, Any]) -> dict[str, str]:
    """Parameter -> how it is written; `dohpath` by its number, as PowerDNS 4.7 does not know its name (RFC 9461, 5)."""
    written = {}
    alpn = record.get("alpn") or []
    if alpn:
        if not isinstance(alpn, list) or len(alpn) > MOST_ALPN:
            raise ValueError(f"alpn is not a list of at most {MOST_ALPN} protocol ids")
        written["alpn"] = f"alpn={','.join([_text(one, ALPN, LONGEST_ALPN) for one in alpn])}"
    if record.get("no_default_alpn"):
        if not alpn:
            raise ValueError("no_default_alpn without alpn")
        written["no-default-alpn"] = "no-default-alpn"
    if record.get("port") is not None:
        written["port"] = f"port={_whole(record['port'], 1)}"
    if record.get("ech") is not None:
        written["ech"] = f"ech={b2a_base64(ech_config(record['ech']), newline=False).decode()}"
    if record.get("dohpath") is not None:
        written["dohpath"] = f"key7={_text(record['dohpath'], PATH, LONGEST_PATH)}"
    return written


def ech_config(text: str) -> bytes:
    """An ECHConfigList from base64.

    Raises: ValueError: it is none (RFC 9849, 4: its length, then at least one configuration); clients discard such a record.
    """
    config = a2b_base64(text, strict_mode=True)
    if not LEAST_ECH <= len(config) <= LONGEST_ECH:
        raise ValueError(f"ech has {len(config)} bytes, not {LEAST_ECH} to {LONGEST_ECH}")
    told = int.from_bytes(config[:2], "big")
    if told != len(config) - 2:
        raise ValueError(f"ech begins with the length {told}, but {len(config) - 2} bytes follow")
    return config


def _whole(value: Any, low: int) -> int:
    if type(value) is not int or not low <= value <= MOST_NUMBER:
        raise ValueError(f"{value!r} is not a whole number from {low} to {MOST_NUMBER}")
    return value


def _text(value: Any, characters: frozenset[str], longest: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= longest or not characters.issuperset(value):
        raise ValueError(f"{value!r} is not 1 to {longest} characters of those that may stand here")
    return value


def _name(value: Any) -> str:
    """The value in lower case, without a final dot. Raises: ValueError, AttributeError: it is not a name."""
    name = _text(value.lower().removesuffix("."), HOST, LONGEST_NAME)
    if not all(0 < len(label) <= LONGEST_LABEL for label in name.split(".")):
        raise ValueError(f"{name!r} has a label that is empty or too long")
    return name
