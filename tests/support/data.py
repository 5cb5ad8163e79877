"""Where tests find what lies in the project and what lies beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""


SAMPLE = ROOT / "tests" / "support" / "sample.csv"
"""A small country table, for tests that publish the sample configuration often; `small` names it there."""


def small(text: str) -> str:
    """The sample configuration, or one like it, with the small country table as its source."""
    return text.replace('format = "builtin"', f'format = "csv"\npath = "{SAMPLE}"')


BUILTIN = "country-2026-02-01.mmdb"
"""The database of which the loader has the content, as format "builtin"."""


def shared(name: str) -> Path:
    """A file or folder of the real data: of `$GEOSTEER_DATA`, else of `../shared/data` beside the checkout.

    The country database of the day that ships with the loader is made from what ships when it is not there. For the others the
    test is skipped then, also in CI: they are too large for the repository.
    """
    folder = Path(os.environ.get("GEOSTEER_DATA") or ROOT.parent / "shared" / "data")
    path = folder / name
    if not path.exists():
        if name == BUILTIN:
            from support.made_database import made_database

            return made_database()
        pytest.skip(f"no real data: {path} does not exist (GEOSTEER_DATA names its folder)")
    return path
