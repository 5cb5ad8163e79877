"""`geosteer-squid`: the URL rewrite helper of Squid on stdin and stdout."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` would bring enum
import os
import sys
from time import monotonic, time

from geosteer.counters.counters import Counters
from geosteer.errors import ConfigError
from geosteer.library.new_chooser import new_chooser
from geosteer.library.poll_loop import Pump
from geosteer.process import (
    below,
    command_line,
    logger,
    name_process,
    restart,
    restarted,
    ticket,
    why_not_startable,
)
from geosteer.redirect.arguments import COMMON, COMMON_USAGE, Options
from geosteer.redirect.squid_protocol import STATUSES, Requests, Rewriter
from geosteer.settings import load
from geosteer.sync.tier import Tier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from geosteer.settings import Settings

CHUNK = 1 << 16
PROGRAM = "geosteer-squid"

log = logger(PROGRAM)

USAGE = """\
geosteer-squid [--config FILE] [--rewrite] [options]

URL rewrite helper of Squid: reads requests on stdin, writes replies on stdout. In squid.conf:

    url_rewrite_program /opt/geosteer/bin/geosteer-squid --config /etc/geosteer/backend.toml
    url_rewrite_children 4 startup=2 idle=1 concurrency=100

  --rewrite          have Squid itself fetch from the node, in place of redirecting the client
""" + COMMON_USAGE.format(statuses=", ".join(STATUSES))  # fmt: skip
USAGE += """\
  --help             this text

SIGHUP makes it start itself again in place, with the settings read again.
By hand:  echo '1 http://www.cdn.example.net/a 192.0.2.1/- - GET' | geosteer-squid
"""


class Loop:
    """The helper around a rewriter."""

    def __init__(self, settings: Settings, options: Options) -> None:
        """Raises: ConfigError: the options cannot be used."""
        self._config = settings.path
        self._reload = False
        self._wake, self._wake_end = os.pipe()
        self._tier = Tier(settings, below, log=log, counters=Counters("squid"))
        self._rewriter = Rewriter(
            new_chooser(self._tier, below, ticket, log, "squid"), options.target, options.routes,
            status=options.choice("status", STATUSES, "302"), rewrite="rewrite" in options, by_path=options.by_path,
        )  # fmt: skip

    def run(self) -> None:
        """Answer until stdin ends."""
        tier, rewriter, requests = self._tier, self._rewriter, Requests()
        pump = Pump(tier, (0, self._wake))
        self._catch_hangup()
        tier.counters.start(tier.settings.metrics, time(), log, asked=tier.settings.metrics_asked)
        tier.start()
        while True:
            pump.arm()
            events = pump.poll()
            asked = any(fd == 0 for fd, _ in events)
            pump.handle(events, idle=not asked)
            if asked:
                data = os.read(0, CHUNK)
                if not data:
                    tier.finish()
                    return
                now = monotonic()
                _write(b"".join([rewriter.reply(line, now) for line in requests.feed(data)]))
            if any(fd == self._wake for fd, _ in events):
                os.read(self._wake, CHUNK)
            if self._reload and requests.empty:
                self._reload = False
                self._start_again()

    def _catch_hangup(self) -> None:
        os.set_blocking(self._wake_end, False)
        _signal.set_wakeup_fd(self._wake_end)
        _signal.signal(_signal.SIGHUP, self._hangup)

    def _hangup(self, _number: int, _frame: object) -> None:
        self._reload = True

    def _start_again(self) -> None:
        """Replace this process between two replies: Squid notices nothing."""
        try:
            load(self._config)
        except ConfigError as exc:
            log(f"not reloaded: {exc}")
            return
        reason = why_not_startable(command_line())
        if reason:
            log(f"not reloaded: {reason}")
            return
        self._tier.finish()
        _signal.signal(_signal.SIGHUP, _signal.SIG_IGN)  # it would end the new program before it is ready
        restart()


def _write(data: bytes) -> None:
    try:
        while data:
            data = data[os.write(1, data) :]
    except BrokenPipeError:
        raise SystemExit(0) from None


def main() -> None:
    """The program."""
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        os.write(1, USAGE.encode())
        return
    name_process(PROGRAM)
    try:
        options = Options(arguments, COMMON, ("rewrite",))
        loop = Loop(load(options.config), options)
    except ConfigError as exc:
        log(str(exc))
        raise SystemExit(2) from exc
    if restarted():
        log("reloaded")
    try:
        loop.run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
