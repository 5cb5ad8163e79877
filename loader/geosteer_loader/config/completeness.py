"""What a configuration must have before it is published: without one of these every question would go unanswered.

A host that only probes or watches needs no more than `[redis]`, so nothing but publishing and `check-config` asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from geosteer_loader.config.section import Problems

PARTS = {
    "nodes": ("node", '[nodes.NAME] with a = ["ADDRESS"]'),
    "zones": ("zone", '[zones."cdn.example.net"] with soa and ns'),
    "services": ("service", '[services."www.cdn.example.net"] with map = "NAME"'),
}
"""Part of the file -> what it holds, and what to write."""

TABLE = "[[sources.geo]] with format and path, or [networks.NAME] with prefixes"
"""What a table of prefixes is made from."""


def note_missing_parts(
    problems: Problems,
    parts: Mapping[str, Collection[str]],
    tables: bool,
    last_line: int,
) -> None:
    """Note each part that the file has not.

    Args: parts: those of `PARTS`, with their names; tables: whether any table is built; last_line: where the file ends.
    """
    if not tables:
        problems.add("sources", _reason("table of prefixes", TABLE, last_line))
    for part, (what, example) in PARTS.items():
        if not parts[part]:
            problems.add(part, _reason(what, example, last_line))


def _reason(what: str, example: str, last_line: int) -> str:
    return f"the file has no {what} and ends at line {last_line}; is it cut off? Write {example}"
