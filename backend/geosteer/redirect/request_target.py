"""The target of an HTTP request: what of it a redirect keeps, and the path that routes go by. No I/O.

Sources: RFC 9112 (3.2 forms of a target), RFC 3986 (5.2.4 dot segments, 6.2.2.2 encoded ones), RFC 9110 (4.1 lengths).
"""

from __future__ import annotations

import re

LONGEST = 8192
"""Bytes of a path with its query (RFC 9110, 4.1, asks for 8000 at least)."""

_PLAIN = re.compile(rb"/[!$-;=?-\[\]-~]*\Z")
"""A path and query in visible ASCII without `"#<>` and the backslash: sent on as it is."""
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#]*)(.*)\Z", re.DOTALL)
_PATH = re.compile(rb"/[!$-;=@-\[\]-~\x80-\xff]*\Z")
_QUERY = re.compile(rb"[!\"$-~\x80-\xff]*\Z")
"""Browsers send a backslash as it is, and other clients quotes and `<>` (URL Standard, query percent-encode set)."""
_BREAKS = re.compile(rb"%0[0aAdD]")
"""NUL, LF and CR, encoded: a path that has them names no file, but may become a header line where it is decoded."""
_UNSENDABLE = re.compile(rb"[\"<>\\\x80-\xff]")
_HIGH = re.compile(rb"[\x80-\xff]")


class OddTarget(ValueError):
    """Not a target that a redirect can keep."""


class TooLong(OddTarget):
    """More bytes than `LONGEST`."""


def read_target(target: bytes) -> tuple[bytes | None, str, bytes]:
    """Host of an absolute form (else None), path as it came, and path with query as a Location may have them.

    Bytes that may not stand in a URL come percent-encoded. Raises: OddTarget.
    """
    authority = None
    if len(target) > LONGEST:
        raise TooLong(target)
    if _PLAIN.match(target) is None:
        if target[:1] != b"/":
            absolute = _ABSOLUTE.match(target)
            if absolute is None:
                raise OddTarget(target)
            authority, target = absolute.groups()
            if target[:1] != b"/":
                target = b"/" + target
        path, mark, query = target.partition(b"?")
        if _PATH.match(path) is None or _QUERY.match(query) is None:
            raise OddTarget(target)
        target = _UNSENDABLE.sub(_percent, path) + mark + _UNSENDABLE.sub(_percent, query)
        if len(target) > LONGEST:
            raise TooLong(target)
    path = target.partition(b"?")[0]
    if _BREAKS.search(path) is not None:
        raise OddTarget(target)
    return authority, path.decode("ascii"), target


def ascii_only(text: bytes) -> bytes:
    """The text with each byte beyond ASCII percent-encoded."""
    return _HIGH.sub(_percent, text)


def _percent(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]
