"""Where tests find what lies in the project and what lies beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""


def shared(name: str) -> Path:
    """A file or folder of the real data: of `$GEOSTEER_DATA`, else of `../shared/data` beside the checkout.

    The test is skipped when it is not there, also in CI: the data is too large for the repository.
    """
    folder = Path(os.environ.get("GEOSTEER_DATA") or ROOT.parent / "shared" / "data")
    path = folder / name
    if not path.exists():
        pytest.skip(f"no real data: {path} does not exist (GEOSTEER_DATA names its folder)")
    return path
