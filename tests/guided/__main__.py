"""`python -m guided TARGET [-runs=N] [-max_total_time=SECONDS] ...`: what is found lands in a temporary folder."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["geosteer", "geosteer_loader"]):
    from guided.seeds import CORPUS, write
    from guided.targets import TARGETS


def main(arguments: list[str]) -> None:
    """The program; ends by itself only after the runs or the time that it was told."""
    target, *options = arguments
    folder = Path(tempfile.mkdtemp(prefix="gs-"))
    print(f"{target}: {folder}", flush=True)
    write(target, folder)
    known = [str(CORPUS / target)] if (CORPUS / target).is_dir() else []
    atheris.Setup(
        [sys.argv[0], str(folder), *known, f"-artifact_prefix={folder}/", *options], TARGETS[target]
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
