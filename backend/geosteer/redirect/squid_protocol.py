"""Squid's helper protocol: bytes in, lines out, and the reply to each. No I/O.

Source: Squid, `url_rewrite_program` (https://www.squid-cache.org/Doc/config/url_rewrite_program/) and the helper protocol
(https://wiki.squid-cache.org/Features/AddonHelpers).
"""

from __future__ import annotations

from geosteer.decision.client import parse
from geosteer.library.chooser import NoService
from geosteer.redirect.routes import OddHost, host_of, resolved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from geosteer.decision.client import Client
    from geosteer.library.chooser import Chooser
    from geosteer.redirect.routes import Routes, Target

LONGEST = 1 << 16
"""Bytes of a line; Squid's own limit for a URL is 8 KiB (MAX_URL)."""
KEPT = 32
"""Bytes kept of a line that is too long: enough to answer under its ID."""
STATUSES = ("301", "302", "303", "307", "308")
"""What Squid takes as `status=`."""
SAME_METHOD = {"307", "308"}
"""Redirects after which the client repeats its method (RFC 9110, 15.4)."""

_ESCAPED = {code: f"%{code:02X}" for code in (*range(0x21), 0x22, 0x3C, 0x3E, 0x5C, *range(0x7F, 0x100))}
"""What would end the quoted value of a reply, or may not stand in a URL."""


class Requests:
    """Cuts a byte stream into lines; of a line that is too long only the beginning comes out, marked by a final NUL."""

    __slots__ = ("_overlong", "_pending")

    def __init__(self) -> None:
        self._pending = b""
        self._overlong = False

    @property
    def empty(self) -> bool:
        """Whether no line has begun."""
        return not self._pending

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are whole now, without their ends."""
        *lines, rest = (self._pending + data).split(b"\n")
        if self._overlong and lines:
            lines[0] = lines[0][:KEPT] + b"\0"
            self._overlong = False
        for number, line in enumerate(lines):
            if len(line) > LONGEST:
                lines[number] = line[:KEPT] + b"\0"
        if len(rest) > LONGEST or self._overlong:
            rest, self._overlong = rest[:KEPT], True
        self._pending = rest
        return lines


class Rewriter:
    """Answers lines of the helper protocol."""

    def __init__(
        self, chooser: Chooser, target: Target, routes: Routes, *, status: str = "302", rewrite: bool = False,
        by_path: bool = True,
    ) -> None:  # fmt: skip
        """Args: status: of redirects; rewrite: give Squid the node's URL to fetch; by_path: policy `hash` uses the path."""
        self._chooser = chooser
        self._target = target
        self._routes = routes
        self._head = 'OK rewrite-url="' if rewrite else f'OK status={status} url="'
        self._rewrite = rewrite
        self._any_method = rewrite or status in SAME_METHOD
        self._by_path = by_path

    def reply(self, line: bytes, asked: float) -> bytes:
        """The reply to one line, whatever the line is; *asked* is when it was read (monotonic).

        `OK` with a URL, and notes that squid.conf may use (`%{ttl_}note`). `ERR`: the request stays as it is. `BH`: this
        helper cannot answer, so that Squid asks again, and then leaves the request as it is.
        """
        words = line.rstrip(b"\r").decode("latin-1").split(" ")
        # With `concurrency` above 0 a number stands before the URL, and belongs before the reply.
        channel = f"{words.pop(0)} " if words[0].isascii() and words[0].isdigit() and len(words) > 1 else ""
        if line.endswith(b"\0"):
            return f'{channel}BH message="line too long"\n'.encode()
        if len(words) < 2 or not words[0]:
            return f'{channel}BH message="no request"\n'.encode()
        return f"{channel}{self._result(words, asked)}\n".encode("latin-1")

    def _result(self, words: list[str], asked: float) -> str:
        method = words[3] if len(words) > 3 else "GET"
        scheme, separator, rest = words[0].partition("://")
        scheme = scheme.lower()
        if not separator or scheme not in {"http", "https"}:
            return "ERR"  # CONNECT, ftp, urn: nothing that a node has
        if method not in {"GET", "HEAD"} and (method in {"PURGE", "CONNECT"} or not self._any_method):
            return "ERR"
        authority, path = _split(rest)
        place = resolved(path.partition("?")[0])
        try:
            service = self._routes.service(host_of(authority), place)
            choice = self._chooser.choose(
                service, _client(words[1]), asked, path=place if self._by_path else ""
            )
        except (OddHost, NoService):
            return "ERR"
        if choice.node is None:
            return "ERR" if choice.decision is not None else 'BH message="nothing is known yet"'
        origin = self._target.origin(choice.node, choice.kind, scheme)
        if not origin:
            return "ERR"
        notes = f"node_={choice.node.name} tier_={choice.tier}"
        if not self._rewrite:
            notes += f" ttl_={choice.ttl}"  # how long the client may keep the redirect
        return f'{self._head}{(origin + path).translate(_ESCAPED)}" {notes}'


def _split(rest: str) -> tuple[str, str]:
    """Authority and path, with its query, of what follows `scheme://`."""
    ends = [at for at in (rest.find("/"), rest.find("?")) if at >= 0]
    cut = min(ends, default=len(rest))
    authority, path = rest[:cut], rest[cut:]
    return authority, path if path.startswith("/") else "/" + path


def _client(word: str) -> Client | None:
    """Of `192.0.2.1/name`; None where Squid says no address."""
    try:
        return parse(word.partition("/")[0])
    except ValueError:
        return None
