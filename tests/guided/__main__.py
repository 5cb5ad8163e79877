"""`python -m guided TARGET [-runs=N] [-max_total_time=SECONDS] ...`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["geosteer", "geosteer_loader"]):
    from guided.seeds import write
    from guided.targets import TARGETS


def main(arguments: list[str]) -> None:
    """The program; ends by itself only after the runs or the time that it was told."""
    target, *options = arguments
    folder = Path(tempfile.mkdtemp(prefix="gs-"))
    write(target, folder)
    atheris.Setup([sys.argv[0], str(folder), f"-artifact_prefix={folder}/", *options], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
