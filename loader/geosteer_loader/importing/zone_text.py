"""Zone files (RFC 1035, section 5) line by line, with record types of a server's own, such as gdnsd's DYNA."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer
import dns.ttl

from geosteer.errors import ConfigError
from geosteer_loader.importing import bounded_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

MOST_BYTES = 64 << 20
"""Of one file."""
DEEPEST = 30
"""Files that include each other."""
_TTL = re.compile(r"(?:\d+[smhdw]?)+(?:/(?:\d+[smhdw]?)+)?", re.IGNORECASE)
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|;[^\n]*|\n|\\.|[^"\\;\n]+|.', re.DOTALL)
"""A quoted text, a comment, the end of a line, an escape, or what is between; a mark of quotation alone has no other."""
_HOSTS = {"NS", "CNAME", "PTR", "MX", "SRV", "SOA", "NAPTR", "DNAME"}


@dataclass(frozen=True, slots=True)
class Line:
    """A record, as it stands there."""

    name: str
    """Absolute, in lower case, without the final dot."""
    kind: str
    content: str
    """Names in it are absolute, with a final dot."""
    ttl: str
    """As written, such as `300/30`, or of the zone."""
    place: str
    """`file: line N`."""


class ZoneFile:
    """Reads one file and those that it includes."""

    def __init__(
        self,
        zone: str,
        own_types: Collection[str] = (),
        default_ttl: str = "86400",
        *,
        texts_over_lines: bool = False,
    ) -> None:
        """What a server takes for a zone file.

        Args: zone: name without the final dot; own_types: types whose content is one word, taken as it is; texts_over_lines:
            a quoted text may go on in the next line, as in gdnsd and unlike BIND.
        """
        self._zone = dns.name.from_text(f"{zone}.")
        self._own = frozenset(own_types)
        self._default_ttl = default_ttl
        self._texts_over_lines = texts_over_lines
        self.problems: list[str] = []
        """Lines that cannot be read, `file: line N: reason`."""

    def lines(self, path: Path) -> Iterator[Line]:
        """Every record. Raises: ConfigError: the file cannot be read."""
        yield from self._file(path, self._zone, self._default_ttl, 0)

    def _file(self, path: Path, origin: dns.name.Name, ttl: str, depth: int) -> Iterator[Line]:
        if depth > DEEPEST:
            raise ConfigError([f"{path}: more than {DEEPEST} files include each other"])
        data = bounded_file.read(path, MOST_BYTES)
        text = data.decode("utf-8", "backslashreplace")
        tokens = dns.tokenizer.Tokenizer(_on_one_line(text) if self._texts_over_lines else text, str(path))
        first, owner = origin, origin
        while True:
            place = f"{path}: line {tokens.where()[1]}"
            try:
                words, leading = self._words(tokens)
            except dns.exception.DNSException as exc:
                self.problems.append(f"{place}: {exc}")
                return
            if words is None:
                return
            if not words:
                continue
            try:
                if words[0].upper() == "$ORIGIN":
                    origin = self._name(words[1], origin, first)
                elif words[0].upper() == "$TTL":
                    ttl = words[1]
                elif words[0].upper() == "$INCLUDE":
                    inner = self._name(words[2], origin, first) if len(words) > 2 else origin
                    yield from self._file(path.parent / words[1], inner, ttl, depth + 1)
                elif words[0].startswith("$"):
                    self.problems.append(f"{place}: {words[0]} is not supported")
                else:
                    if not leading:
                        owner = self._name(words.pop(0), origin, first)
                    yield self._record(owner, words, origin, first, ttl, place)
            except (dns.exception.DNSException, ValueError, IndexError) as exc:
                self.problems.append(f"{place}: {exc or type(exc).__name__}")

    @staticmethod
    def _words(tokens: dns.tokenizer.Tokenizer) -> tuple[list[str] | None, bool]:
        """The words of the next line, quoted ones with their quotation marks, and whether it begins with space."""
        words: list[str] = []
        token = tokens.get(want_leading=True)
        leading = token.is_whitespace()
        if leading:
            token = tokens.get()
        if token.is_eof():
            return None, False
        while not token.is_eol_or_eof():
            words.append(f'"{token.value}"' if token.is_quoted_string() else token.value)
            token = tokens.get()
        if token.is_eof():
            tokens.unget(token)
        return words, leading

    def _name(self, text: str, origin: dns.name.Name, first: dns.name.Name) -> dns.name.Name:
        for mark, base in (("@Z", self._zone), ("@F", first)):
            if text == mark:
                return base
            if text.endswith(f".{mark}"):
                return dns.name.from_text(text.removesuffix(f".{mark}"), base)
        return origin if text == "@" else dns.name.from_text(text, origin)

    def _record(
        self,
        owner: dns.name.Name,
        words: list[str],
        origin: dns.name.Name,
        first: dns.name.Name,
        ttl: str,
        place: str,
    ) -> Line:
        while words and (_TTL.fullmatch(words[0]) or words[0].upper() == "IN"):
            word = words.pop(0)
            ttl = ttl if word.upper() == "IN" else word
        kind = words.pop(0).upper()
        if kind in self._own:
            content = words[0] if words else ""
        else:
            if kind in _HOSTS:
                words = [
                    self._name(word, origin, first).to_text() if word.endswith(("@Z", "@F")) else word
                    for word in words
                ]
            if kind == "TXT":
                words = [piece for word in words for piece in _pieces(word)]
            rdtype = dns.rdatatype.from_text(kind)
            rdata = dns.rdata.from_text(dns.rdataclass.IN, rdtype, " ".join(words), origin, relativize=False)
            kind, content = dns.rdatatype.to_text(rdtype), rdata.to_text()
        return Line(plain(owner), kind, content, ttl, place)


def _on_one_line(text: str) -> str:
    r"""Quoted texts without ends of lines in them: they become `\010`, and come behind instead, so that places stay right."""
    pieces: list[str] = []
    behind = 0
    for match in _PIECE.finditer(text):
        piece = match[0]
        if piece == "\n":
            piece = "\n" * (behind + 1)
            behind = 0
        elif piece.startswith('"'):
            behind += piece.count("\n")
            piece = piece.replace("\\\n", "\\010").replace("\n", "\\010")
        pieces.append(piece)
    return "".join(pieces)


def plain(name: dns.name.Name) -> str:
    """An absolute name in lower case, without the final dot."""
    return name.to_text(omit_final_dot=True).lower()


def _pieces(word: str) -> Iterator[str]:
    """A text in pieces that a TXT record can hold; one with escapes is left as it is."""
    if len(word) <= 257 or "\\" in word:
        yield word
        return
    bare = word.strip('"')
    for at in range(0, len(bare), 255):
        yield f'"{bare[at : at + 255]}"'


def seconds(text: str) -> int:
    """A TTL such as `300` or `1h30m`. Raises: dns.ttl.BadTTL."""
    return dns.ttl.from_text(text)


def zone_soa(line: Line) -> dict[str, Any]:
    """A SOA record as the settings of a zone."""
    mname, rname, _, refresh, retry, expire, minimum = line.content.split()
    return {
        "mname": mname.removesuffix("."), "rname": rname.removesuffix("."), "refresh": int(refresh), "retry": int(retry),
        "expire": int(expire), "minimum": int(minimum), "ttl": seconds(line.ttl),
    }  # fmt: skip
