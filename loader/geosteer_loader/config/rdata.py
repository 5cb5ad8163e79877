"""RDATA in presentation form: checked by dnspython, written as PowerDNS 4.7 reads it from a pipe.

Names inside are absolute, with or without a final dot. A real PowerDNS 4.7.3 has answered each of `TYPES` so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.exception
import dns.name
import dns.rdata
from dns.rdtypes.ANY.CERT import CERT
from dns.rdtypes.svcbbase import ParamKey, SVCBBase

from geosteer_loader.config.hints import suggestion
from geosteer_loader.config.shapes import shaped
from geosteer_loader.config.values import shown, text

if TYPE_CHECKING:
    from dns.rdata import Rdata

TYPES = frozenset({
    "A", "AAAA", "AFSDB", "APL", "CAA", "CDNSKEY", "CDS", "CERT", "CNAME", "CSYNC", "DHCID", "DS", "EUI48",
    "EUI64", "HINFO", "HTTPS", "KX", "L32", "L64", "LOC", "LP", "MX", "NAPTR", "NID", "NS", "OPENPGPKEY",
    "PTR", "RP", "SMIMEA", "SPF", "SRV", "SSHFP", "SVCB", "TLSA", "TXT", "URI", "ZONEMD",
})  # fmt: skip
"""Static types. Not among them: SOA (a zone's own setting), DNSKEY and its like (PowerDNS makes them), DNAME
and ALIAS (they answer for names that a worker does not know of)."""

_NAMED = {"CNAME", "MX", "NS", "PTR", "SRV"}
"""Types that end in a name, or are one: written lower-case and without the final dot."""

_STRINGS = {"TXT", "SPF"}


def _either_case(kind: str) -> str:
    """A pattern for the type in capitals and small letters."""
    return "".join(f"[{letter}{letter.lower()}]" if letter.isalpha() else letter for letter in kind)


_EXAMPLES = {
    "A": "192.0.2.1", "AAAA": "2001:db8::1", "CNAME": "www.example.net", "NS": "ns1.example.net",
    "MX": "10 mail.example.net", "SRV": "10 5 443 www.example.net", "CAA": '0 issue "ca.example.net"',
    "HTTPS": "1 . alpn=h2",
}  # fmt: skip
"""Content of the types that zones mostly have."""


@shaped(
    {
        "anyOf": [
            {"enum": sorted(TYPES)},
            {"type": "string", "pattern": f"^(?:{'|'.join(map(_either_case, sorted(TYPES)))})$"},
        ]
    },
    variants=("A",),
)
def rtype(value: object) -> str:
    """A record type that may stand in a zone."""
    kind = text(value).upper()
    if kind == "SOA":
        raise ValueError("SOA does not belong here: it is the zone's setting soa")
    if kind not in TYPES:
        raise ValueError(
            f"{shown(value)} is not a record type that can be served here{suggestion(kind, TYPES)}"
        )
    return kind


def content(kind: str, value: object) -> str:
    """The content of a record of type *kind*.

    Raises: ValueError: it does not parse.
    """
    plain = text(value).strip()
    if kind in _STRINGS and not plain.startswith(('"', "\\#")):
        plain = _quoted(plain)
    try:
        rdata = dns.rdata.from_text("IN", kind, plain, origin=dns.name.root, relativize=False)
        written = _written(kind, rdata)
    except (dns.exception.DNSException, ValueError) as exc:
        such = f"; it is written as in '{_EXAMPLES[kind]}'" if kind in _EXAMPLES else ""
        reason = str(exc).removesuffix(".") or type(exc).__name__
        raise ValueError(f"is not valid {kind} data: {reason}{such}") from exc
    return written


def _written(kind: str, rdata: Rdata) -> str:
    written = rdata.to_text()
    if isinstance(rdata, SVCBBase):
        return " ".join([str(rdata.priority), str(rdata.target), *_parameters(rdata)])
    if isinstance(rdata, CERT):  # PowerDNS wants numbers where dnspython writes mnemonics
        numbers = f"{int(rdata.certificate_type)} {rdata.key_tag} {int(rdata.algorithm)}"
        return f"{numbers} {written.split(' ', 3)[3]}"
    if not written:
        raise ValueError("PowerDNS does not take empty content")
    if kind in _NAMED:
        written = written.lower()
        return written if written == "." or written.endswith(" .") else written.removesuffix(".")
    return written


def _parameters(rdata: SVCBBase) -> list[str]:
    """SvcParams as PowerDNS 4.7 spells them: bare port numbers, and keyNNNN for what it has no name of."""
    written = []
    for key, value in sorted(rdata.params.items()):
        number = int(key)
        spelled = ParamKey.to_text(key).lower().replace("_", "-") if number <= 6 else f"key{number}"
        if value is None:
            if number != ParamKey.NO_DEFAULT_ALPN:
                raise ValueError(f"PowerDNS wants a value for {spelled}")
            written.append(spelled)
        else:
            plain = value.to_text()
            written.append(f"{spelled}={plain.strip(chr(34)) if number == ParamKey.PORT else plain}")
    return written


def _quoted(plain: str) -> str:
    """Text as quoted strings of at most 255 bytes each (RFC 1035, 3.3)."""
    raw = plain.encode()
    parts = (raw[at : at + 255] for at in range(0, len(raw), 255))
    return " ".join('"' + "".join(map(_escaped, part)) + '"' for part in parts)


def _escaped(byte: int) -> str:
    if byte in b'"\\':
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03}"
