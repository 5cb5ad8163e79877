"""The command line of `bin/bench`."""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from geosteer.errors import GeosteerError

from .budgets import Budget, budget_table, judged
from .machine import about
from .progress import Progress
from .stage import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .report import Section

SECTIONS = {
    "dns": "answers through PowerDNS, dnsdist, gdnsd and Knot DNS: rate, times, processor time, memory",
    "worker": "start, memory and processor time of 1, 8 and 64 workers, lookups, and large tables",
    "table": "publishing: time, memory, Redis bytes a range, what a change writes, growth 10 and 100 times",
    "loader": "several sources of one table, large maps, many services, lists of networks: time and memory",
    "freshness": "from the write of a node's state or an override to the changed answer",
    "publish": "answer times while publishing, and while Redis is killed or frozen",
    "http": "redirects of geosteer-http, and of nginx and HAProxy with exported files, next to fixed ones",
    "functions": "what a call of the Redis Functions costs",
    "latency": "policy latency in synthetic worlds, of `nearest`'s excess time",
    "samples": "counting what clients measured: samples a second, bytes on disk, a second run, a window",
    "layout": "bytes over the links of a chain of replicas, and a Cluster's pause for MIGRATE",
}
MODULES = {"publish": "quiet"}
"""Sections whose module has another name."""
ROUNDS, QUICK_ROUNDS = 7, 2
SOAK = 3600.0
"""Seconds."""
FORMAT = 1
"""Of the JSON file: raised when a field changes its meaning."""

EPILOG = f"""\
sections:
{chr(10).join(f"  {name:10} {text}" for name, text in SECTIONS.items())}

A whole run takes more than an hour on two cores, and 4 GiB of memory; --quick a minute or two. Results go to stdout,
signs of life to stderr. Exit code: 0 all was measured, whatever came out; 1 something could not be measured; 2 bad usage;
130 interrupted.

--json FILE is an object: "format" (1), "about" (machine, versions, data, rounds), "sections" (name -> "tables" as they are
printed: title, columns, rows, notes; "data": every measurement), "budgets" (list of key, name, measured, spread of median,
low and high, unit, must, aim, at_least, met, aim_met, note), "failed" (section -> why).

examples:
  bin/bench                                   everything
  bin/bench dns freshness --rounds 15         two sections, more rounds
  bin/bench --quick                           does it all work here?
  bin/bench --json run.json --plot plots/     also as numbers, and as pictures
  bin/bench --data GeoLite2-City.mmdb dns     with a database of yours
  bin/bench --soak 600                        ten minutes of trouble
"""


def main() -> int:
    """Run what is asked for; 0 when all could be measured, whatever came out."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="gsb-", dir="/tmp"))
    progress = Progress()
    try:
        if options.soak is not None:
            return _soak(folder, options, progress)
        return _run(folder, options, progress)
    except KeyboardInterrupt:
        progress.clear()
        print("bin/bench: interrupted", file=sys.stderr)
        return 130
    finally:
        progress.close()
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, options: argparse.Namespace, progress: Progress) -> int:
    stage = Stage(
        folder,
        progress,
        quick=options.quick,
        rounds=options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS),
        pinned=not options.no_pin,
        given=options.data,
    )
    asked = options.sections or list(SECTIONS)
    began = time.time()
    machine = about()
    sections: list[Section] = []
    failed: dict[str, str] = {}

    def show(*lines: str) -> None:
        progress.clear()
        print(*lines, sep="\n", flush=True)

    try:
        try:
            title = stage.country.title
        except (GeosteerError, OSError) as exc:
            progress.clear()
            print(f"bin/bench: {exc}", file=sys.stderr)
            return 2
        show(
            f"geosteer {machine['geosteer']} on {machine['cores']} cores ({machine['cpu']}); {stage.cores.about}",
            f"country table: {title}; {stage.rounds} rounds\n",
        )
        for name in asked:
            progress.say(f"{name}: begins")
            try:
                section = importlib.import_module(f"bench.{MODULES.get(name, name)}").run(stage)
            except Exception as exc:  # noqa: BLE001  # the other sections want to be measured too
                failed[name] = f"{type(exc).__name__}: {exc}"
                progress.clear()
                traceback.print_exc()
                print(f"bin/bench: {name} could not be measured: {failed[name]}", file=sys.stderr)
                continue
            sections.append(section)
            for table in section.tables:
                show(*table.lines())
    finally:
        stage.close()
    budgets = judged(sections)
    show(*budget_table([budget for budget in budgets if budget.bar.section in asked]).lines())
    if options.json:
        seconds = round(time.time() - began, 1)
        run = {"began": began, "seconds": seconds, "quick": options.quick, "rounds": stage.rounds}
        data = {"placement": stage.cores.about, "country": stage.country.about}
        _write(options.json, {**machine, **run, **data}, sections, budgets, failed)
        show(f"written: {options.json}")
    if options.plot:
        from . import plots

        for path in plots.draw(sections, budgets, options.plot):
            show(f"written: {path}")
    return 1 if failed else 0


def _soak(folder: Path, options: argparse.Namespace, progress: Progress) -> int:
    """Load with trouble; 0 when nothing was lost and nothing grew."""
    from faults.soak import Soak, soak

    def look(found: Soak) -> None:
        if len(found.memory) % 20 == 1:
            progress.say(
                f"soak: {found.questions:,} questions, {found.lost} lost, {found.wrong} wrong, {found.restarts} restarts; "
                f"workers' memory {found.memory[-1]:.1f} MiB, {found.descriptors[-1]} descriptors"
            )

    found = soak(folder, options.soak, look=look)
    problems = found.problems()
    progress.clear()
    print(found)
    for problem in problems:
        print(f"not as it must be: {problem}")
    if options.json:
        content = {
            "format": FORMAT, "about": about(), "seconds": options.soak, "questions": found.questions, "lost": found.lost,
            "wrong": found.wrong, "longest": found.longest, "publishes": found.publishes, "changes": found.changes,
            "restarts": found.restarts, "memory": found.memory, "descriptors": found.descriptors, "problems": problems,
        }  # fmt: skip
        options.json.write_text(json.dumps(content, indent=1) + "\n")
        print(f"written: {options.json}")
    return 1 if problems else 0


def _write(
    path: Path, about: dict[str, Any], sections: Sequence[Section], budgets: Sequence[Budget], failed: dict[str, str]
) -> None:  # fmt: skip
    found = {
        "format": FORMAT, "about": about, "sections": {section.name: section.to_json() for section in sections},
        "budgets": [budget.to_json() for budget in budgets], "failed": failed,
    }  # fmt: skip
    path.write_text(json.dumps(found, indent=1) + "\n")


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/bench",
        description="Measure geosteer side by side with what one would use instead, and print ratios.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help="what to measure, in that order; default: all"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help=f"alternating rounds, default {ROUNDS}")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small made-up tables, short rounds: shows that it works, no more",
    )
    parser.add_argument(
        "--soak", type=float, nargs="?", const=SOAK, metavar="SECONDS",
        help="instead: load with publishes, status changes and Redis restarts for so long (default: an hour); "
        "memory and descriptors must stay flat, no question unanswered",
    )  # fmt: skip
    parser.add_argument("--data", type=Path, metavar="FILE.mmdb", help="a country or city database of yours")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured there")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="write plots (PNG) there")
    parser.add_argument("--no-pin", action="store_true", help="leave it to the system which core does what")
    options = parser.parse_intermixed_args()
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"no such section: {', '.join(unknown)} (there are: {', '.join(SECTIONS)})")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: at least 1")
    if options.soak is not None and not 10 <= options.soak < 1e7:
        parser.error("--soak: at least 10 seconds")
    if options.soak is not None and (options.sections or options.plot or options.data):
        parser.error("--soak goes with --json alone")
    if options.data is not None and not options.data.is_file():
        parser.error(f"--data: {options.data} is not a file")
    if options.json is not None and not options.json.absolute().parent.is_dir():
        parser.error(f"--json: {options.json.parent} is not a folder")
    if options.plot is not None and options.plot.exists() and not options.plot.is_dir():
        parser.error(f"--plot: {options.plot} is not a folder")
    return options


if __name__ == "__main__":
    sys.exit(main())
