"""Pages of section 5, from the sample files: a comment stands above the settings that it explains.

`#name = value` states a default; `# Example: name = value` is a setting without one; a ruled comment begins a chapter.
"""

from __future__ import annotations

import re

from blocks import Block, Heading, Item, Page, Paragraph

_SETTING = re.compile(r"(#|# Example: )?([a-z_]+) = (.+)")
_TABLE = re.compile(r"(?:# Example: )?\[+([^\]]+)\]+\s*(.*)")
_RULE = re.compile(r"# ----* ?(.*?) ?-*$")


def page(name: str, summary: str, text: str) -> Page:
    """The page of one sample file."""
    blocks: list[Block] = [Heading("Description")]
    comment: list[str] = []
    for line in text.splitlines():
        if rule := _RULE.fullmatch(line):
            blocks += _prose(comment)
            blocks.append(Heading(rule[1]))
        elif table := _TABLE.fullmatch(line):
            blocks += _prose(comment)
            blocks.append(Heading(f"[{table[1]}]", deeper=True))
            if table[2]:
                blocks.append(Paragraph(table[2].lstrip("# ")))
        elif setting := _SETTING.fullmatch(line):
            blocks.append(Item(*_setting(setting, comment)))
            comment = []
        elif line.startswith("#"):
            comment.append(line.lstrip("# ").rstrip())
        elif not line.strip():
            blocks += _prose(comment)
    blocks += _prose(comment)
    return Page(name=name, section=5, summary=summary, blocks=blocks)


def _prose(comment: list[str]) -> list[Block]:
    """What was said of no setting; empties *comment*."""
    text = " ".join(comment)
    comment.clear()
    return [Paragraph(text)] if text else []


def _setting(found: re.Match[str], comment: list[str]) -> tuple[str, str]:
    mark, name, value = found.groups()
    value, _, remark = value.partition("   ")
    remark = remark.strip().lstrip("# ")
    default = mark == "#" or remark == "the default"
    said = " ".join([*comment, "" if remark == "the default" else remark]).strip()
    return f"{name} = {value.strip()}", f"{said} {'(the default)' if default else ''}".strip()
