"""The ROAs by which a publish judges routes: those of the validator's file, or the last usable ones where that is not.

A file that is absent, empty, damaged or far smaller than the one before says nothing of routes, least of all that every one
may count: the ROAs before it stay in use, with a warning. Where there are none either, tables of routes cannot be built.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geosteer.decision.client import prefix_text
from geosteer.errors import SourceError
from geosteer.timestamps import format_time
from geosteer_loader.rpki.roas import UnusableRoas, read_roas
from geosteer_loader.sources.bgp_routes import INVALID, NOT_FOUND, VALID
from geosteer_loader.sources.prefix import parse_network
from geosteer_loader.sources.source_files import SourceFile, chunks
from geosteer_loader.tables.validation_figures import JUDGED, WORDS, Figures

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from geosteer.decision.client import Client
    from geosteer_loader.config.rpki import Rpki
    from geosteer_loader.rpki.roas import Roas
    from geosteer_loader.rpki.vrps import Vrps
    from geosteer_loader.sources.report import Report

log = logging.getLogger(__name__)

LEAST_SHARE = 0.5
"""Of the entries before: a file with fewer is not believed."""
MOST_NOTED = 16 << 20
"""Characters of the list of routes that were passed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginValidation:
    """ROAs in use, and what is to be said of them."""

    vrps: Vrps
    built: float
    """When the validator wrote them, seconds since 1970."""
    max_age: float
    """Seconds after which they are old."""
    trouble: str
    """Why earlier ones are in use, "" where the file itself is."""
    kept: bool = True
    """Whether a copy could be put aside, with which the next file is compared."""

    def figures(self, report: Report) -> Figures:
        """What is published with a table. *report*: of its sources, which were judged by this."""
        return Figures(
            vrps=self.vrps.count,
            built=format_time(self.built),
            max_age=self.max_age,
            trouble=self.trouble[:WORDS],
            valid=report.judged[VALID],
            invalid=report.judged[INVALID],
            not_found=report.judged[NOT_FOUND],
        )


def load(rpki: Rpki, now: float, *, keep: bool = True, least: int = 0) -> OriginValidation:
    """The ROAs to judge by.

    Args: now: seconds since 1970; keep: put a usable file aside, for when the next one is not; least: how many ROAs
            were in use before, where no copy of them could be put aside.
    Raises: SourceError: the file is not usable, and there are no earlier ones.
    """
    file = SourceFile(rpki.source.path, rpki.source.member, rpki.source.max_size)
    trouble, kept = "", True
    try:
        modified = rpki.source.path.stat().st_mtime
        roas = _read(file, modified, rpki.max_age, now)
        before = max(_kept_count(rpki.kept), least)
        if roas.vrps.count < LEAST_SHARE * before:
            raise UnusableRoas(
                f"has {roas.vrps.count} entries, {before} were there before (if that is right: remove {rpki.kept})"
            )
        if keep:
            kept = _keep(rpki.kept, file, roas)
    except (UnusableRoas, SourceError, OSError) as exc:
        reason = str(exc) if isinstance(exc, SourceError) else f"{file.path}: rpki.roas: {_reason(exc)}"
        try:
            modified = rpki.kept.stat().st_mtime
            roas = _read(SourceFile(rpki.kept, limit=rpki.source.max_size), modified, rpki.max_age, now)
        except (UnusableRoas, SourceError, OSError) as unkept:
            raise SourceError(
                f"{reason}; no earlier ones are kept, and without any no route can be judged"
            ) from unkept
        trouble = f"{reason}; earlier ones are used"
    validation = OriginValidation(
        vrps=roas.vrps,
        built=roas.built if roas.built is not None else modified,
        max_age=rpki.max_age,
        trouble=trouble,
        kept=kept,
    )
    log.info("rpki: %d ROAs of %s", roas.vrps.count, format_time(validation.built))
    return validation


def note_passed_over(rpki: Rpki, table: str, source: str, report: Report) -> None:
    """Leave which routes were passed over, for `explain` on this host; *source*: the table's description, as published."""
    routes = [[prefix_text(*prefix), origin] for *prefix, origin in report.passed_over]
    path = _passed_over_file(rpki, table)
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        aside.write_text(json.dumps({"source": source, "routes": routes}, separators=(",", ":")))
        aside.replace(path)
    except OSError as exc:
        aside.unlink(missing_ok=True)
        log.debug("rpki: %s cannot be written: %s", path, exc.strerror or exc)


def passed_over(rpki: Rpki | None, fields: Mapping[str, str], client: Client) -> list[str]:
    """The routes to a client that do not count in what is published, `bgp 192.0.2.0/24: AS64500 rpki invalid, passed over`.

    None where routes are not judged, or this host did not publish. *fields*: of `current`.
    """
    lines = []
    for table in JUDGED if rpki is not None else ():
        assert rpki is not None
        try:
            with _passed_over_file(rpki, table).open() as file:
                noted = json.loads(file.read(MOST_NOTED))
            routes = noted["routes"] if noted["source"] == fields.get(f"{table}.source") else []
            for prefix, origin in routes:
                bits, start, length = parse_network(prefix)
                if bits == client.bits and (client.address ^ start) >> (bits - length) == 0:
                    lines.append(f"{table} {prefix}: {origin_name(origin)} rpki invalid, passed over")
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue
    return lines


def origin_name(origin: int | None) -> str:
    """An origin as messages name it."""
    return "an AS set" if origin is None else f"AS{origin}"


def _passed_over_file(rpki: Rpki, table: str) -> Path:
    return rpki.kept.with_name(f"rpki-passed-over-{table}.json")


def _read(file: SourceFile, modified: float, max_age: float, now: float) -> Roas:
    """Raises: UnusableRoas, SourceError."""
    roas = read_roas(file.chunks(), now)
    built = roas.built if roas.built is not None else modified
    if roas.expired and now - built > max_age:
        # all of an old file runs out little by little: without its entries, invalid routes would count again
        return read_roas(file.chunks(), None)
    return roas


def _keep(kept: Path, file: SourceFile, roas: Roas) -> bool:
    """Put a copy aside, atomically, with its count; whether that worked: if not, the next file that is unusable finds none."""
    aside = kept.with_name(f"{kept.name}.{os.getpid()}")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as target:
            for chunk in chunks(file.path, None, file.member, file.limit):
                target.write(chunk)
        modified = file.path.stat().st_mtime
        os.utime(aside, (modified, modified))
        aside.replace(kept)
        _count_file(kept).write_text(str(roas.vrps.count))
    except (OSError, SourceError) as exc:
        aside.unlink(missing_ok=True)
        log.warning("rpki: %s cannot be written: %s", kept, getattr(exc, "strerror", None) or exc)
        return False
    return True


def _kept_count(kept: Path) -> int:
    try:
        with _count_file(kept).open() as file:
            text = file.read(20)
        return int(text) if kept.exists() else 0
    except (OSError, ValueError):
        return 0


def _count_file(kept: Path) -> Path:
    return kept.with_suffix(".count")


def _reason(exc: Exception) -> str:
    return getattr(exc, "strerror", None) or str(exc)
