"""When a certificate ends, read from its bytes: Python's `ssl` decodes only certificates that it has verified. No I/O.

Source: RFC 5280, 4.1 and 4.1.2.5; ITU-T X.690, 8.1 (DER: a tag, a length, contents).
"""

from __future__ import annotations

from datetime import UTC, datetime

from geosteer_loader.health.checks.result import Result

EXPIRY = 14 * 86400
"""Seconds before its end at which a certificate is warned of."""

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def judged(certificate: bytes | None, now: float) -> Result:
    """Whether a certificate (DER) has expired, with a warning where it soon will.

    Args: certificate: None or unreadable: it has no say; now: seconds since 1970.
    """
    end = not_after(certificate) if certificate else None
    if end is None:
        return Result(True)
    shown = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if end < now:
        return Result(False, f"certificate expired on {shown}", ends=end)
    if end - now < EXPIRY:
        warning = f"certificate ends in {(end - now) / 86400:.0f} days, {shown}"
        return Result(True, warning=warning, ends=end)
    return Result(True, ends=end)


def not_after(certificate: bytes) -> float | None:
    """The last second in which it is valid, seconds since 1970; None: it cannot be read."""
    try:
        _, outer, _ = _element(certificate, expected=_SEQUENCE)
        _, inner, _ = _element(outer, expected=_SEQUENCE)
        tag, _, rest = _element(inner)
        if tag == _VERSION:
            _, _, rest = _element(rest)  # the serial number
        _, _, rest = _element(rest, expected=_SEQUENCE)  # the signature's algorithm
        _, _, rest = _element(rest, expected=_SEQUENCE)  # the issuer
        _, validity, _ = _element(rest, expected=_SEQUENCE)
        _, _, rest = _element(validity)  # when it begins
        tag, text, _ = _element(rest)
        return _time(tag, text.decode("ascii"))
    except (ValueError, IndexError):
        return None


def _element(data: bytes, expected: int | None = None) -> tuple[int, bytes, bytes]:
    """Tag, contents, and what follows. Raises: ValueError, IndexError: it is malformed."""
    tag, length, at = data[0], data[1], 2
    if length & 0x80:
        at = 2 + (length & 0x7F)
        length = int.from_bytes(data[2:at], "big")
    if (expected is not None and tag != expected) or at + length > len(data):
        raise ValueError("not what a certificate has there")
    return tag, data[at : at + length], data[at + length :]


def _time(tag: int, text: str) -> float:
    if tag == _UTC_TIME:  # RFC 5280, 4.1.2.5.1: 50 to 99 are of the last century
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("not a time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
