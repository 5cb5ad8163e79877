"""Sphinx: the pages of this folder, and the reference that `docs/generate` writes into `reference/` before.

.venv/bin/sphinx-build -W docs dist/docs      (the extra "docs" of geosteer)
"""

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "generate"), str(HERE.parent / "backend"), str(HERE.parent / "loader")]

project = "geosteer"
copyright = "the authors of geosteer"  # noqa: A001  # Sphinx's name
version = release = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
# Links to files of the repository itself; blocks of code that are cut short.
suppress_warnings = ["myst.xref_missing", "misc.highlighting_failure"]
exclude_patterns = ["generate"]
html_theme = "furo"
html_title = f"geosteer {version}"
html_copy_source = False


def setup(app):  # noqa: D103  # Sphinx calls it
    import runpy

    folder = HERE / "reference"
    folder.mkdir(exist_ok=True)
    runpy.run_path(str(HERE / "generate" / "__main__.py"))["write_pages"](folder)
    app.connect("source-read", _take_up)


def _take_up(_, page, source):
    """Pages that no list of index.md names yet stand in its last one."""
    if page == "index":
        named = set(source[0].split())
        others = sorted(path.stem for path in HERE.glob("*.md") if path.stem not in named | {"index"})
        source[0] = source[0].replace("<!-- others -->", "\n".join(others))
