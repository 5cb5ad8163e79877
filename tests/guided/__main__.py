"""`python -m guided TARGET|all [-runs=N] [-max_total_time=SECONDS] ...`: what is found lands in a temporary folder."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["geosteer", "geosteer_loader"]):
    from guided.seeds import CORPUS, write
    from guided.targets import TARGETS


def fuzz(target: str, options: list[str]) -> None:
    """Ends the process, after the runs or the time that it was told, or when something was found."""
    folder = Path(tempfile.mkdtemp(prefix="gs-"))
    print(f"{target}: {folder}", flush=True)
    write(target, folder)
    known = [str(CORPUS / target)] if (CORPUS / target).is_dir() else []
    arguments = [sys.argv[0], str(folder), *known, f"-artifact_prefix={folder}/", *options]
    atheris.Setup(arguments, TARGETS[target])
    atheris.Fuzz()


def main(arguments: list[str]) -> int:
    """The program. `all`: one target after the other, in processes that need not make everything ready again."""
    target, *options = arguments or ["all"]
    if target != "all":
        fuzz(target, options)
    bad = []
    for name in TARGETS:
        child = os.fork()
        if not child:
            fuzz(name, options)
        if os.waitpid(child, 0)[1]:
            bad.append(name)
    if bad:
        print(f"something was found: {', '.join(bad)}", file=sys.stderr)
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
