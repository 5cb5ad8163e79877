"""What clients send: a beacon's times, and reports of Network Error Logging. No I/O; all of it is anybody's word.

Sources: Network Error Logging (W3C, 5 and 6), Reporting API (W3C, 2.4 and 3.2).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from geosteer.cmodules import pack_address
from geosteer.errors import GeosteerError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

BEACON_BYTES = 2048
REPORTS_BYTES = 32768
MOST_REPORTS = 32
"""Reports of one delivery that are used."""
LONGEST_MS = 60_000.0
OLDEST_MS = 172_800_000.0
"""Two days: a browser keeps a report that it cannot deliver for a while."""
_WORD = re.compile(r"[a-z0-9._-]{1,64}")


class Unusable(GeosteerError, ValueError):
    """A body that is not what it should be; the text says why."""


class Beacon:
    """What a page measured."""

    __slots__ = ("failed", "times", "token")

    def __init__(self, body: bytes) -> None:
        """Args: body: `{"token": "...", "ms": {"fra1": 12.5}, "failed": ["ams1"]}`. Raises: Unusable."""
        told = _json(body)
        if not isinstance(told, dict) or not {"token", "ms", "failed"}.issuperset(told):
            raise Unusable("must be an object of token, ms and failed")
        token, times, failed = told.get("token"), told.get("ms", {}), told.get("failed", [])
        if not isinstance(token, str):
            raise Unusable("token is missing")
        if not isinstance(times, dict) or not isinstance(failed, list):
            raise Unusable("ms must be an object, and failed a list")
        if not all(map(_is_time, times.values())):
            raise Unusable(f"a time must be above 0, and {LONGEST_MS:.0f} ms at most")
        if not all(isinstance(node, str) for node in failed) or len({*times, *failed}) != len(times) + len(
            failed
        ):
            raise Unusable("a node may be named once")
        if not times and not failed:
            raise Unusable("neither times nor failures")
        self.token = token
        self.times: dict[str, float] = times
        """Node -> milliseconds."""
        self.failed: list[str] = failed
        """Nodes that did not answer."""

    @property
    def nodes(self) -> set[str]:
        """Every node that it names."""
        return {*self.times, *self.failed}


def failures(body: bytes, addresses: Collection[str]) -> list[dict[str, Any]]:
    """The reports of one delivery that say that a node failed, without all that is not needed.

    Args: addresses: of nodes, as `address_text` writes them. Raises: Unusable: not a delivery.
    """
    told = _json(body)
    if not isinstance(told, list):
        raise Unusable("must be a list of reports")
    kept = [_failure(report, addresses) for report in told[:MOST_REPORTS]]
    return [report for report in kept if report is not None]


def address_text(text: str) -> str:
    """An address in one spelling; "" where it is none."""
    try:
        return pack_address(text).hex()
    except ValueError:
        return ""


def _failure(report: object, addresses: Collection[str]) -> dict[str, Any] | None:
    """What is needed of a report: neither URL, nor referrer, nor user agent, and no text of a client's choice."""
    body = report.get("body") if isinstance(report, dict) else None
    if not isinstance(report, dict) or not isinstance(body, dict) or report.get("type") != "network-error":
        return None
    kind, phase, server = (_word(body, key) for key in ("type", "phase", "server_ip"))
    if kind in {"", "ok"} or phase not in {"connection", "application"}:
        return None
    age, status, part = report.get("age", 0), body.get("status_code", 0), body.get("sampling_fraction", 1.0)
    if not _within(age, 0, OLDEST_MS) or not _within(status, 0, 999) or not _within(part, 1e-6, 1):
        return None
    if address_text(server) not in addresses:
        return None
    kept = {
        "type": kind, "phase": phase, "server_ip": server, "status_code": int(status), "sampling_fraction": part,
    }  # fmt: skip
    return {"type": "network-error", "age": int(age), "body": kept}


def _word(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    pattern = _ADDRESS if key == "server_ip" else _WORD
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


_ADDRESS = re.compile(r"[0-9a-f.:]{2,45}")


def _is_time(value: object) -> bool:
    return _within(value, 0, LONGEST_MS) and value != 0


def _within(value: object, low: float, high: float) -> bool:
    """Whether a value is a number between two; NaN is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Unusable("must be JSON") from None
