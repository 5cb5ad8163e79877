"""What `geosteer history --diff` found, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from geosteer_loader.cli.text.formatting import folded
from geosteer_loader.config.diff import place, value_text
from geosteer_loader.config.values import printable
from geosteer_loader.query.generation_diff import GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geosteer_loader.query.generation_diff import GenerationDiff, Setting, TableDiff

MOVEMENTS = 5
"""Largest movements of each family that are shown."""
SETTINGS = 20
"""Settings of a group that are shown on a terminal."""


def text(diff: GenerationDiff, *, full: bool = False) -> str:
    """The whole difference; what is long is folded unless *full*."""
    lines = [_head("", diff.before), _head("-> ", diff.after)]
    if diff.sources:
        lines += ["", click.style("sources", bold=True)]
        for name, table in diff.sources.items():
            lines += _table(name, table, full=full)
    for group in (*GROUPS, "other"):
        settings = [printable(f"  {said(setting)}") for setting in diff.settings if setting.group == group]
        if settings:
            lines += ["", click.style(group, bold=True), *folded(settings, SETTINGS, full=full)]
    if len(lines) == 2:
        lines += ["", "they are the same"]
    return "\n".join([*lines, *(click.style(f"warning: {line}", fg="yellow") for line in diff.warnings)])


def _head(mark: str, head: Mapping[str, Any]) -> str:
    return printable(
        f"{mark}generation {head['generation']}, published {head['published']} by {head['who']}: {head['changed']}"
    )


def _table(name: str, table: TableDiff, *, full: bool) -> Iterator[str]:
    parts = [table.state]
    before, after = table.built
    if before != after:
        parts.append(f"data of {before or 'none'} -> {after or 'none'}")
    if table.ranges[0] != table.ranges[1]:
        parts.append(f"{table.ranges[0]:,} -> {table.ranges[1]:,} ranges")
    files = [_files(source) for source in table.sources]
    if files[0] != files[1]:
        parts.append(f"from {files[0] or 'nothing'} -> {files[1] or 'nothing'}")
    yield printable(f"  {name}: {', '.join(parts)}")
    for suffix, family in table.families.items():
        yield (
            f"    {suffix}: {family['changed']:,} {family['unit']} in {family['ranges']:,} ranges have another record"
        )
        movements = family["movements"]
        for movement in movements if full else movements[:MOVEMENTS]:
            yield printable(
                f"      {movement['from'] or '-'} -> {movement['to'] or '-'}: {movement['changed']:,} {family['unit']}"
            )
        if len(movements) > MOVEMENTS and not full:
            yield f"      and {len(movements) - MOVEMENTS} more"


def _files(source: Any) -> str:
    if not isinstance(source, list):
        return ""
    return ", ".join(str(file.get("file", "?")) for file in source if isinstance(file, dict))


def said(setting: Setting) -> str:
    """A setting that differs, in an operator's words."""
    keys, was, now = setting.keys, value_text(setting.before), value_text(setting.after)
    changed = {"added": f"{now} (new)", "removed": f"gone (was {was})", "changed": f"{was} -> {now}"}
    if setting.group == "weights" and keys[0] == "maps":
        where = place(keys[2:-1]).replace(".", " ")
        return f"map {keys[1]}, {where}, {keys[-1]}: {changed[setting.change]}"
    if setting.group == "other" or len(keys) < 2:
        return f"{place(keys)}: {changed[setting.change]}"
    name = f"map {keys[1]}" if keys[0] == "maps" else keys[1]
    inside = place(keys[2:])
    return f"{name}, {inside}: {changed[setting.change]}" if inside else f"{name}: {changed[setting.change]}"
