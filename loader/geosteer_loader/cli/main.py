"""The `geosteer` command: errors become exit codes, signals end it cleanly, a closed pipe ends it quietly.

Where results cannot be written (standard output is closed or full) the exit code is still that of the work.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from geosteer.errors import ConfigError, GeosteerError
from geosteer_loader.cli.output import Output, harmless, open_missing_streams

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

INTERRUPTED = 130
"""128 + SIGINT, as shells count."""
TERMINATED = 143
BROKEN_PIPE = 141
COLLECTED = 20_000
"""New objects after which cycles are looked for; 700 by default."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code (0 done, 1 failed, 2 usage or configuration, 3 refused)."""
    lost = "closed" if open_missing_streams() else ""
    usual = sys.stdout
    output = Output(usual)
    sys.stdout = output
    try:
        code = _run(arguments)
    finally:
        sys.stdout = usual
    lost = lost or output.failure
    if lost:
        _complain([f"standard output: {lost}: results were not written"], code)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    # Next to nothing of what is imported is ever freed: looking for it 15 times takes a tenth of a short command.
    gc.set_threshold(COLLECTED)
    try:
        import click

        from geosteer_loader.cli.group import HungUp, geosteer
    except ModuleNotFoundError as exc:
        return _complain([_missing(exc)], 1)
    except KeyboardInterrupt:  # while they are loaded
        return _complain(["interrupted"], INTERRUPTED)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = geosteer.main(arguments, prog_name="geosteer", standalone_mode=False)
        sys.stdout.flush()
    except ConfigError as exc:
        return _complain(exc.problems, exc.exit_code, prefix="")
    except GeosteerError as exc:
        return _complain(str(exc).splitlines(), exc.exit_code)
    except ModuleNotFoundError as exc:
        return _complain([_missing(exc)], 1)
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _complain(["interrupted"], INTERRUPTED)
    except (HungUp, BrokenPipeError):
        return _hung_up()
    except SystemExit as exc:
        return _code(exc.code)
    return _code(code)


def _missing(exc: ModuleNotFoundError) -> str:
    package = (exc.name or "").partition(".")[0]
    return f"{package} is missing: pip install 'geosteer[loader]'"


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    # An exception, so that a lease is given back on the way out.
    raise SystemExit(TERMINATED)


def _complain(lines: Sequence[str], code: int, prefix: str = "geosteer: ") -> int:
    for line in lines:
        print(f"{prefix}{harmless(line)}", file=sys.stderr)
    return code


def _hung_up() -> int:
    # Python flushes stdout once more when it ends, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def _code(value: Any) -> int:
    return value if isinstance(value, int) else 0
