"""`python -m faults [WORD...]`: run the rows whose names hold one of the words (default: all), and print the table.

`--json NAME FOLDER` runs one row and prints its outcome. `--soak SECONDS` lets load, publishes, changes and restarts go on for
so long, and tells what grew.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from faults.soak import soak
from faults.table import HEAD, check, line, outcome, rows


def main(arguments: list[str]) -> int:
    """The program; its exit code."""
    if arguments[:1] == ["--json"]:
        (row,) = [row for row in rows() if row.name == arguments[1]]
        print(json.dumps(outcome(row, Path(arguments[2]), inside=True)))
        return 0
    if arguments[:1] == ["--soak"]:
        with tempfile.TemporaryDirectory(prefix="gs-") as folder:
            soaked = soak(Path(folder), float(arguments[1]))
        print(soaked)
        for problem in soaked.problems():
            print(f"soak: {problem}", file=sys.stderr)
        return int(bool(soaked.problems()))
    bad = 0
    print(HEAD, flush=True)
    for row in rows():
        if arguments and not any(word in row.name for word in arguments):
            continue
        with tempfile.TemporaryDirectory(prefix="gs-") as folder:
            try:
                found = outcome(row, Path(folder))
            except Exception as exc:  # noqa: BLE001  # the other rows want to be seen too
                print(f"{row.name}: {exc!r}", file=sys.stderr, flush=True)
                bad += 1
                continue
        print(line(row, found), flush=True)
        for problem in check(row, found):
            print(f"{row.name}: {problem}", file=sys.stderr, flush=True)
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
