"""`geosteer-pipe`: the PowerDNS coprocess on stdin and stdout (PowerDNS, docs/backends/pipe.rst): its command line."""

from __future__ import annotations

import gc
import os
import sys

USAGE = """\
geosteer-pipe [--config FILE]

PowerDNS coprocess: reads questions on stdin, writes replies on stdout. In pdns.conf:

    launch=pipe
    pipe-command=/opt/geosteer/bin/geosteer-pipe --config /etc/geosteer/backend.toml
    pipe-abi-version=3

  --config FILE   settings of the worker; default /etc/geosteer/backend.toml
  --help          this text

SIGHUP makes it start itself again in place, with the settings read again; SIGTERM and SIGINT are ignored while stdin is
open. By hand:  printf 'HELO\\t3\\nQ\\twww.example.net\\tIN\\tANY\\t-1\\t192.0.2.1\\t0.0.0.0\\t192.0.2.0/24\\n' | geosteer-pipe
"""


def main() -> None:
    """The program."""
    arguments = sys.argv[1:]
    path = None
    if arguments and arguments[0].startswith("--config="):
        path = arguments[0][9:]
    elif len(arguments) == 2 and arguments[0] == "--config":
        path = arguments[1]
    elif arguments:
        asked = bool({"--help", "-h"} & set(arguments))
        os.write(1 if asked else 2, USAGE.encode())
        raise SystemExit(0 if asked else 2)
    gc.disable()  # nothing to collect before the first answer, what is imported included
    from geosteer.powerdns.loop import run

    run(path)
