"""VRPs from the JSON that validators write.

- rpki-client: `{"metadata": {"buildtime": "2026-11-28T12:00:00Z"}, "roas": [{"asn": 64500, "prefix": "192.0.2.0/24",
  "maxLength": 24, "ta": "ripe", "expires": 1690000000}]}`; in 2021 with `"asn": "AS64500"` and without `expires`.
- Routinator: `{"metadata": {"generated": 1690000000, "generatedTime": "..."}, "roas": [{"asn": "AS64500", ...}]}`; its format
  `jsonext` has `source` in place of `ta`.
- FORT: `{"roas": [{"asn": "AS64500", "prefix": "192.0.2.0/24", "maxLength": 24}]}`, without a date.

Unknown keys are ignored. One entry that is malformed makes the file unusable: without a ROA, a route that is valid by it may
be invalid by another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geosteer.timestamps import maybe_time
from geosteer_loader.rpki.vrps import Vrps
from geosteer_loader.sources.prefix import parse_network

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


MOST_BYTES = 512 << 20
"""Of a file, decompressed; 500,000 entries of rpki-client have 60 MB."""
MOST_ENTRIES = 5_000_000
"""Ten times those of today."""
SHOWN = 80
"""Characters of an entry that a message shows."""
MOST_AS = 0xFFFFFFFF


class UnusableRoas(ValueError):
    """A text that does not give VRPs; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roas:
    """What a validator's file says."""

    vrps: Vrps
    built: float | None
    """When it was made, seconds since 1970; None: it does not say."""
    expired: int
    """Entries that were left out, since they ran out."""


def read_roas(chunks: Iterable[bytes], now: float | None) -> Roas:
    """The VRPs of a file.

    Args: chunks: its content; now: seconds since 1970, entries that expired before are left out; None: none is.
    Raises: UnusableRoas: too large, not such JSON, malformed, or without any entry.
    """
    text = _joined(chunks)
    if not text.strip():
        raise UnusableRoas("is empty")
    try:
        document = json.loads(text, object_hook=_entry)
    except UnusableRoas:
        raise
    except (ValueError, RecursionError) as exc:
        raise UnusableRoas(f"is not JSON: {exc}") from exc
    del text
    if not isinstance(document, dict) or not isinstance(document.get("roas"), list):
        raise UnusableRoas("has no list `roas`")
    entries = document["roas"]
    if len(entries) > MOST_ENTRIES:
        raise UnusableRoas(f"has {len(entries)} entries, more than {MOST_ENTRIES}")
    fresh = [entry for entry in _checked(entries) if now is None or entry[5] is None or entry[5] >= now]
    if not entries:
        raise UnusableRoas("has no entries")
    vrps = Vrps(entry[:5] for entry in fresh)
    return Roas(vrps=vrps, built=_built(document.get("metadata")), expired=len(entries) - len(fresh))


def _joined(chunks: Iterable[bytes]) -> bytes:
    pieces, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        if size > MOST_BYTES:
            raise UnusableRoas(f"has more than {MOST_BYTES >> 20} MiB")
        pieces.append(chunk)
    return b"".join(pieces)


def _checked(entries: list[Any]) -> Iterator[tuple[int, int, int, int, int, float | None]]:
    for entry in entries:
        if not isinstance(entry, tuple):
            raise UnusableRoas(f"has an entry that is no ROA: {json.dumps(entry, default=str)[:SHOWN]}")
        yield entry


def _entry(fields: dict[str, Any]) -> Any:
    """An entry of `roas` as a tuple, as soon as it is read: so that never all are there as dictionaries."""
    if "prefix" not in fields or "asn" not in fields:
        return fields
    try:
        bits, start, length = parse_network(fields["prefix"])
        longest = fields.get("maxLength", length)
        asn, expires = fields["asn"], fields.get("expires")
        if isinstance(asn, str):
            digits = asn[2:] if asn[:2].upper() == "AS" else asn
            asn = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else -1
        if type(asn) is not int or not 0 <= asn <= MOST_AS:
            raise ValueError("asn")
        if type(longest) is not int or not length <= longest <= bits:
            raise ValueError("maxLength")
        if expires is not None and type(expires) not in {int, float}:
            raise ValueError("expires")
    except (ValueError, TypeError, AttributeError) as exc:
        raise UnusableRoas(f"has a malformed entry: {json.dumps(fields, default=str)[:SHOWN]}") from exc
    return bits, start, length, longest, asn, expires


def _built(metadata: Any) -> float | None:
    if not isinstance(metadata, dict):
        return None
    generated = metadata.get("generated")
    if isinstance(generated, int | float) and 0 < generated < 1 << 40:
        return float(generated)
    for key in ("buildtime", "generatedTime"):
        if isinstance(text := metadata.get(key), str) and (time := maybe_time(text)) is not None:
            return time
    return None
