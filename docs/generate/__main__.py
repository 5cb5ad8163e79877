"""Writes what is generated from the code: `python3 docs/generate man FOLDER`, `python3 docs/generate pages FOLDER`.

It needs geosteer and its loader importable, and nothing else.
"""

from __future__ import annotations

import os
import sys
import time
import tomllib
from pathlib import Path

import commands
import prose
import reference
import settings
from blocks import Page, to_man, to_markdown

ROOT = Path(__file__).resolve().parents[2]


def man_pages() -> list[Page]:
    """All manual pages."""
    conf, docs = ROOT / "conf", ROOT / "docs"
    return [
        *commands.pages(),
        settings.page(
            "geosteer.toml", "configuration of geosteer's loader", (conf / "geosteer.toml").read_text()
        ),
        settings.page("backend.toml", "settings of geosteer's workers", (conf / "backend.toml").read_text()),
        prose.page("geosteer", "concepts and words of geosteer", (docs / "vocabulary.md").read_text()),
    ]


def write_man(folder: Path) -> None:
    """Write the manual pages, dated by SOURCE_DATE_EPOCH where it is set."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    date = time.strftime("%Y-%m-%d", time.gmtime(float(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    for page in man_pages():
        (folder / page.file).write_text(to_man(page, version, date))


def write_pages(folder: Path) -> None:
    """Write the pages of the reference for the web."""
    programs = [page for page in man_pages() if page.section != 7]
    for page in programs:
        (folder / f"{page.name}.md").write_text(to_markdown(page))
    listed = "\n".join(page.name for page in programs if page.section == 1 and page.name != "geosteer")
    (folder / "commands.md").write_text(
        f"# Commands\n\nAlso as manual pages.\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
    )
    for name, text in reference.pages().items():
        (folder / f"{name}.md").write_text(text)


if __name__ == "__main__":
    what, where = sys.argv[1:]
    target = Path(where)
    target.mkdir(parents=True, exist_ok=True)
    {"man": write_man, "pages": write_pages}[what](target)
