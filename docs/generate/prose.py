"""Pages of section 7, from pages of docs/ that are plain enough: headings, paragraphs, lists, and terms with their meaning."""

from __future__ import annotations

import re

from blocks import Block, Heading, Item, Page, Paragraph, Verbatim

_TERM = re.compile(r"\*\*([^*]+)\*\*: (.*)", re.DOTALL)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")


def page(name: str, summary: str, text: str) -> Page:
    """The page of a Markdown text."""
    blocks: list[Block] = []
    for part in re.split(r"\n\s*\n", text.strip()):
        plain = _LINK.sub(r"\1", part)
        if plain.startswith("# "):
            blocks.append(Heading("Description"))
        elif plain.startswith("#"):
            blocks.append(Heading(plain.lstrip("# "), deeper=plain.startswith("###")))
        elif term := _TERM.fullmatch(plain):
            blocks.append(Item(term[1], term[2]))
        elif plain.startswith(("```", "|")):
            blocks.append(
                Verbatim("\n".join(line for line in plain.splitlines() if not line.startswith("```")))
            )
        else:
            blocks.append(Paragraph(plain))
    return Page(name=name, section=7, summary=summary, blocks=blocks)
