"""`geosteer plan` as a comment on a merge request: Markdown as GitHub and GitLab read it, of bounded length.

Every name and text that comes from a configuration, a table or Redis stands as code: nothing in it is read as Markdown or
HTML, and no `@name` or `#1` in it calls anybody. Source: GitHub Flavored Markdown, 4.5 (fences), 4.10 (tables), 6.3 (code).
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from geosteer_loader.cli.text.formatting import size
from geosteer_loader.config.diff import line
from geosteer_loader.config.values import printable
from geosteer_loader.percent import percent
from geosteer_loader.publish.plan import UNITS
from geosteer_loader.web.world import world

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from geosteer_loader.publish.plan import Plan
    from geosteer_loader.web.review import CountryChange, ServiceReview

MARK = "<!-- geosteer plan -->"
"""The first line: by it a job finds the comment that it wrote before."""

LIMIT = 65_000
"""Bytes of a comment: GitHub takes 65,536 characters, GitLab a million."""

LONGEST = 300
"""Characters of one text."""
NODES = 4
"""Nodes that are named in one cell."""
MOVEMENTS = 5
"""Largest movements of each family of a table."""

WHO = {"v4": "IPv4", "v6": "IPv6", "clients": "clients given"}
_OF_URLS = "/:?#@!$&'*+,;=%~"
"""Characters of URLs that stay as they are; brackets would end the picture."""
_TICKS = re.compile("`+")


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the comment; of rows that do not fit, the last are left out."""

    head: list[str]
    rows: list[str] = field(default_factory=list)
    foot: list[str] = field(default_factory=list)
    most: float = 1.0
    """The part of the comment that its rows may take, 0..1."""


def markdown(plan: Plan, reviews: Sequence[ServiceReview], picture: str = "", limit: int = LIMIT) -> str:
    """The comment. Args: picture: URL of the picture of the first review; limit: bytes."""
    blocks = [
        Block([MARK, f"## geosteer plan: {_title(plan)}", "", *_summary(plan)]),
        *_findings(plan),
        *_services(plan),
        *_picture(reviews, picture),
        *(block for review in reviews for block in _countries(review)),
        *_tables(plan),
        *_configuration(plan),
    ]
    return _fitted(blocks, limit)


def code(text: str, *, in_table: bool = False) -> str:
    """Text as code, on one line."""
    plain = _cut(text)
    if not plain.strip():
        return "-"
    ticks = "`" * (max((len(run) for run in _TICKS.findall(plain)), default=0) + 1)
    blank = " " if plain.startswith("`") or plain.endswith("`") else ""
    plain = plain.replace("|", "\\|") if in_table else plain
    return f"{ticks}{blank}{plain}{blank}{ticks}"


def _cell(text: str) -> str:
    return code(text, in_table=True)


def _cut(text: str) -> str:
    plain = printable(text)
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 3]}..."


def _title(plan: Plan) -> str:
    if not plan.changed and not plan.objects:
        return "nothing would change"
    moved = [share for share in plan.moved.values() if share]
    if plan.generation is None:
        return "a first publish"
    if not moved:
        return "no client would get another node"
    services = f"{len(moved)} service{'s' * (len(moved) != 1)}"
    return f"{services} with clients that would get another node, up to {percent(max(moved))}"


def _summary(plan: Plan) -> Iterator[str]:
    now = f"Generation {plan.generation} is published." if plan.generation else "Nothing is published."
    what = ", ".join(map(code, plan.changed))
    yield f"{now} To be published: {what or 'nothing'}; {plan.objects:,} objects, {size(plan.bytes)} to write."


def _findings(plan: Plan) -> Iterator[Block]:
    if plan.refused or plan.held:
        rows = [f"- {code(each['guard'])}: {code(each['finding'])}" for each in plan.refused]
        if plan.held:
            rows.append(f"- held: {code(plan.held)}; `geosteer publish --release` ends that")
        yield Block(["", "### Refused", ""], rows, most=0.1)
    gone = [(kind, name) for kind, names in plan.vanished.items() for name in names]
    if gone:
        yield Block(["", "### Gone", ""], [f"- {kind}: {code(name)}" for kind, name in gone], most=0.1)
    if plan.warnings:
        yield Block(["", "### Warnings", ""], [f"- {code(warning)}" for warning in plan.warnings], most=0.1)


def _services(plan: Plan) -> Iterator[Block]:
    rows = []
    for service in sorted(plan.impact, key=lambda name: (-plan.moved[name], name)):
        for part, shift in plan.impact[service].items():
            known = "share_known" if part in UNITS else "share"
            up, now = shift["all_up"], shift["now"]
            if up["share"] or now["share"]:
                cells = (
                    _cell(service),
                    WHO[part],
                    percent(up[known]),
                    percent(now[known]),
                    _gains(up["nodes"]),
                )
                rows.append(_row(cells))
    if rows:
        head = (
            "service",
            "clients",
            "moved, all nodes up",
            "moved, nodes as they are",
            "nodes: before → after",
        )
        yield Block(["", "### Answers that change", "", *_header(head)], rows, most=0.5)


def _gains(nodes: Mapping[str, Sequence[float]]) -> str:
    ordered = sorted(nodes.items(), key=lambda item: (-abs(item[1][1] - item[1][0]), item[0]))
    shown = [
        f"{_cell(name)} {percent(before)} → {percent(after)}" for name, (before, after) in ordered[:NODES]
    ]
    return "<br>".join([*shown, f"{len(ordered) - NODES} more"] if len(ordered) > NODES else shown)


def _picture(reviews: Sequence[ServiceReview], url: str) -> Iterator[Block]:
    if url and reviews:
        about = "before and after" if reviews[0].before else "planned"
        shown = f"![who serves whom, {about}]({quote(url, safe=_OF_URLS)})"
        yield Block(["", shown, "", f"Who serves whom, {about}: {code(reviews[0].services[0])}."])


def _countries(review: ServiceReview) -> Iterator[Block]:
    more = f" and {len(review.services) - 1} more" if len(review.services) > 1 else ""
    for part, lines in review.countries.items():
        if lines:
            name = f"<code>{html.escape(_cut(review.services[0]))}</code>{more}"
            head = ("country", "of its clients", "moved", "before", "after")
            yield Block(
                ["", f"<details><summary>{name}, {WHO[part]}, by country</summary>", "", *_header(head)],
                [_row(_country(line)) for line in lines],
                ["", "</details>"],
            )


def _country(change: CountryChange) -> tuple[str, ...]:
    known = world().countries.get(change.country)
    name = (
        f"{_cell(change.country)} {known.name}"
        if known
        else _cell(change.country)
        if change.country
        else "not known"
    )
    return name, percent(change.share), percent(change.moved), _nodes(change.before), _nodes(change.after)


def _nodes(nodes: Iterable[tuple[str, float]]) -> str:
    listed = list(nodes)
    shown = [f"{_cell(name)} {percent(share)}" for name, share in listed[:NODES]]
    return "<br>".join([*shown, f"{len(listed) - NODES} more"] if len(listed) > NODES else shown) or "no node"


def _tables(plan: Plan) -> Iterator[Block]:
    rows = []
    for name, table in plan.tables.items():
        for suffix in UNITS:
            family = table.family(suffix)
            if not family.ranges and table.state == "unchanged":
                continue
            moves = [_movement(each, family.unit) for each in family.movements[:MOVEMENTS]]
            cells = (f"{family.ranges:,}", percent(family.share, 2), "<br>".join(moves))
            rows.append(_row((f"{_cell(name)} {WHO[suffix]}", table.state, *cells)))
    if rows:
        head = ("table", "state", "ranges that change", "of all addresses", "largest changes")
        yield Block(["", "<details><summary>Tables</summary>", "", *_header(head)], rows, ["", "</details>"])


def _movement(movement: Mapping[str, Any], unit: str) -> str:
    return f"{_cell(movement['from'])} → {_cell(movement['to'])} {movement['changed']:,.0f} {unit}"


def _configuration(plan: Plan) -> Iterator[Block]:
    if plan.config:
        lines = [_cut(line(each)) for each in plan.config]
        ticks = "`" * max(3, *(len(run) + 1 for each in lines for run in ["", *_TICKS.findall(each)]))
        summary = f"<details><summary>Configuration: {len(lines):,} differences</summary>"
        yield Block(["", summary, "", f"{ticks}diff"], lines, [ticks, "", "</details>"])


def _header(names: Iterable[str]) -> list[str]:
    listed = list(names)
    return [_row(listed), f"|{'---|' * len(listed)}"]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _fitted(blocks: Iterable[Block], limit: int) -> str:
    """The blocks in their order, in so many bytes; what is left out is said at the end."""
    left = limit - 200  # for what is said of what was left out
    lines: list[str] = []
    missing = 0
    for block in blocks:
        fixed = _bytes(block.head) + _bytes(block.foot)
        if fixed > left:
            missing += len(block.rows) or 1
            continue
        left -= fixed
        room = min(left, int(limit * block.most))
        kept: list[str] = []
        for row in block.rows:
            if _bytes([row]) > room:
                break
            room -= _bytes([row])
            kept.append(row)
        left -= _bytes(kept)
        missing += len(block.rows) - len(kept)
        lines += [*block.head, *kept, *block.foot]
    if missing:
        lines += ["", f"{missing:,} more lines do not fit here: `geosteer plan --full` shows them."]
    return "\n".join(lines)


def _bytes(lines: Iterable[str]) -> int:
    return sum(len(each.encode()) + 1 for each in lines)
