"""Whatever breaks, every question is answered, with a node that its client may get, and in time.

Times are those of a busy machine; `python -m faults` measures with those of a quiet one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from faults import alone
from faults.table import check, outcome, rows

if TYPE_CHECKING:
    from pathlib import Path

    from faults.rows import Row


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_every_question_is_answered_as_expected_when(row: Row, tmp_path: Path) -> None:
    if row.alone and (reason := alone.why_not()):
        pytest.skip(f"no network namespace of its own: {reason}")
    assert check(row, outcome(row, tmp_path), busy=True) == []
