"""A page as a list of blocks, and its two forms: a manual page (groff's man macros) and Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Heading:
    """A section of a page; *deeper*: a part of one."""

    text: str
    deeper: bool = False


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Prose, with `code` and **strong** words."""

    text: str


@dataclass(frozen=True, slots=True)
class Item:
    """A term and what it means."""

    term: str
    text: str


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Lines as they are."""

    text: str


Block = Heading | Paragraph | Item | Verbatim


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of the reference."""

    name: str
    section: int
    summary: str
    """What it is, in a few words, without a full stop."""
    blocks: list[Block] = field(default_factory=list)

    @property
    def file(self) -> str:
        """Of the manual page."""
        return f"{self.name}.{self.section}"


def to_man(page: Page, version: str, date: str) -> str:
    """The source of a manual page. *date*: as man pages show it, such as 2026-02-01."""
    title = page.name.upper().replace('"', "")
    lines = [
        f'.TH "{title}" "{page.section}" "{date}" "geosteer {version}" "geosteer"',
        ".SH NAME",
        f"{_roff(page.name)} \\- {_roff(page.summary)}",
    ]
    for block in page.blocks:
        match block:
            case Heading(text, deeper):
                lines.append(f".S{'S' if deeper else 'H'} {_roff(text if deeper else text.upper())}")
            case Paragraph(text):
                lines += [".PP", _inline(text)]
            case Item(term, text):
                lines += [".TP", f"\\fB{_roff(term)}\\fR", _inline(text) or "\\&"]
            case Verbatim(text):
                lines += [".PP", ".nf", *(_roff(line) for line in text.splitlines()), ".fi"]
    return "\n".join(lines) + "\n"


def to_markdown(page: Page) -> str:
    """The page for the web."""
    parts = [f"# {page.name}", f"{page.summary[:1].upper()}{page.summary[1:]}."]
    for block in page.blocks:
        match block:
            case Heading(text, deeper):
                parts.append(f"{'###' if deeper else '##'} {text}")
            case Paragraph(text):
                parts.append(_safe(text))
            case Item(term, text):
                parts.append(f"`{term}`\n: {_safe(text) or '(no more is said)'}")
            case Verbatim(text):
                parts.append(f"```text\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _inline(text: str) -> str:
    plain = _roff(" ".join(text.split()))
    return re.sub(r"`([^`]+)`|\*\*([^*]+)\*\*", lambda found: f"\\fB{found[1] or found[2]}\\fR", plain)


def _safe(text: str) -> str:
    """Prose of comments and help texts as Markdown: outside `code` nothing in it is markup."""
    parts = re.split(r"(`[^`]+`|\*\*[^*]+\*\*)", " ".join(text.split()))
    return "".join(
        part if index % 2 else re.sub(r"([*_<>\[\]{}#|\\`$])", r"\\\1", part)
        for index, part in enumerate(parts)
    )
