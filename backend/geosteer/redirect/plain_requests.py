"""The requests that nearly every client sends: GET or HEAD without a body, read by two expressions. No I/O.

Whatever else may stand in a request (RFC 9112) is left to a whole parser.
"""

from __future__ import annotations

import re

FIRST_LINE = re.compile(rb"(GET|HEAD) (/(?!\.geosteer/)[!$-;=?-\[\]-~]{0,4095}) HTTP/1\.1\r\n")
"""Method and target: path and query in visible ASCII that a Location may have as it is; none of this program's own paths."""
ODD_TARGET = b"%0"
"""What a target has where a line break or NUL stands in it, encoded: read by somebody else."""
LONGEST = 8192
"""Bytes of the header fields, with the empty line behind them, at most."""

_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~](?:[ -~]*[!-~])?)")
_FRAMING = frozenset(
    (b"connection", b"content-length", b"expect", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
"""Fields that say where a request or the connection ends, or what is to be sent before an answer."""
_KEPT_OPEN = (b"connection", b"keep-alive")

Fields = list[tuple[bytes, bytes]]


def read_fields(block: bytes) -> Fields | None:
    """Header fields, names in lower case, of a request without a body whose connection stays open.

    Args: block: the lines after the first, with the empty line at the end. Returns: None: somebody else has to read it.
    """
    fields: Fields = []
    for line in block[:-4].split(b"\r\n"):
        field = _FIELD.fullmatch(line)
        if field is None:
            return None
        name, value = field.groups()
        name = name.lower()
        if name in _FRAMING and (name, value.lower()) != _KEPT_OPEN:
            return None
        fields.append((name, value))
    return fields
