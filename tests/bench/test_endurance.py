"""Load without end, with publishes, changes and restarts (`bin/bench --soak` does it for an hour)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from faults.soak import soak

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quiet

SECONDS = float(os.environ.get("GEOSTEER_SOAK", "10"))


def test_memory_and_descriptors_stay_flat_and_nothing_is_lost(tmp_path: Path) -> None:
    found = soak(tmp_path, SECONDS, every=min(SECONDS / 5, 4))
    assert found.restarts >= 2, found
    assert found.problems() == [], found
