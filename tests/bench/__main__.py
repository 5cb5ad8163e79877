"""The command line of `bin/bench`."""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from .machine import about
from .report import Section, budget_table
from .stage import Stage

SECTIONS = ("dns", "worker", "table", "freshness", "publish")
ROUNDS, QUICK_ROUNDS = 7, 2


def main() -> int:
    """Run the sections that are asked for, in their order; 0 when all could be measured, whatever came out."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="gsb-", dir="/tmp"))
    stage = Stage(
        folder,
        quick=options.quick,
        rounds=options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS),
        pinned=not options.no_pin,
        given=options.data,
    )
    began = time.time()
    machine = about()
    print(
        f"geosteer {machine['geosteer']} on {machine['cores']} cores ({machine['cpu']}); {stage.cores.about}"
    )
    country = stage.country.about
    print(f"country table: {country}; {stage.rounds} rounds\n", flush=True)
    sections: list[Section] = []
    try:
        for name in SECTIONS:
            if name in (options.sections or SECTIONS):
                section = importlib.import_module(f"bench.{MODULES.get(name, name)}").run(stage)
                sections.append(section)
                print()
                for table in section.tables:
                    print("\n".join(table.lines()), flush=True)
    finally:
        stage.close()
        shutil.rmtree(folder, ignore_errors=True)
    budgets = [budget for section in sections for budget in section.budgets]
    if budgets:
        print("\n".join(budget_table(budgets).lines()))
    found = {
        "about": {
            **machine, "began": began, "seconds": time.time() - began, "quick": options.quick, "rounds": stage.rounds,
            "placement": stage.cores.about, "country": country,
        },
        "sections": {section.name: section.data for section in sections},
        "budgets": [budget.to_json() for budget in budgets],
    }  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
        print(f"written: {options.json}")
    if options.plot:
        from . import plots

        for path in plots.draw(sections, options.plot):
            print(f"written: {path}")
    return 0


MODULES = {"publish": "quiet"}
"""Sections whose module has another name."""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/bench",
        description="Measure geosteer side by side with what one would use instead, and print ratios.",
        epilog="Sections: dns (answers through real servers), worker (start, memory, lookups), "
        "table (publishing, Redis memory), "
        "freshness (a node's state to changed answers), publish (answers while publishing, and with Redis killed or frozen).",
    )
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"any of {' '.join(SECTIONS)}; default all"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help=f"alternating rounds, default {ROUNDS}")
    parser.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes: shows that it works, no more"
    )
    parser.add_argument("--data", type=Path, metavar="FILE.mmdb", help="a country or city database")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured there")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="write plots (PNG) there")
    parser.add_argument("--no-pin", action="store_true", help="leave it to the system which core does what")
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"no such section: {', '.join(unknown)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: at least 1")
    if options.data is not None and not options.data.is_file():
        parser.error(f"--data: {options.data} is not a file")
    return options


if __name__ == "__main__":
    sys.exit(main())
