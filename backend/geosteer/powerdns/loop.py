"""The worker's loop: one thread, one `poll` over stdin, the Redis socket and a timer.

It never ends while stdin is open: PowerDNS takes the silence of a dead worker for an empty answer.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` would bring enum
import gc
import os
from select import POLLIN, poll
from time import monotonic, time

from geosteer.counters.counters import Counters
from geosteer.errors import ConfigError
from geosteer.powerdns.protocol import Lines
from geosteer.powerdns.responder import Responder
from geosteer.process import Trial, below, command_line, logger, name_process, ticket
from geosteer.settings import DEFAULT_PATH, load
from geosteer.sync.tier import Tier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from geosteer.powerdns._answerer import Answerer
    from geosteer.settings import Settings

CHUNK = 1 << 16
ABI = "GEOSTEER_PIPE_ABI"
"""Environment variable that hands the protocol version over a reload: PowerDNS says it only once."""

SOON = 64
"""Questions after the first answer until the part in C is loaded, at the latest: a moment without questions comes before."""
MANY = 1 << 62
"""Questions that may be answered in a row where none is logged."""

PROGRAM = "geosteer-pipe"

log = logger(PROGRAM)


class Loop:
    """The worker around a responder."""

    def __init__(self, settings: Settings) -> None:
        self._counters = Counters("pdns")
        self._tier = Tier(settings, below, log=log, counters=self._counters)
        self._responder = _kind_of_responder(settings)(self._tier, below, ticket, log)
        self._lines = Lines()
        self._reload = False
        self._trial: Trial | None = None
        """Of the program that is to take this one's place."""
        self._wake, self._wake_end = os.pipe()
        self._config = settings.path
        abi = os.environ.pop(ABI, "")
        self._greeted = bool(abi)
        if abi:
            self._responder.abi = int(abi)
            log("reloaded")

    def run(self) -> None:
        """Answer until stdin ends."""
        self._catch_signals()
        rest = [] if self._greeted else self._greet()
        if rest is None:
            return
        tier, responder, lines = self._tier, self._responder, self._lines
        settings = tier.settings
        self._counters.start(settings.metrics, time(), log, asked=settings.metrics_asked)
        tier.start()
        now = monotonic()
        _write(self._replies(rest, now))
        poller = poll()
        poller.register(0, POLLIN)
        poller.register(self._wake, POLLIN)
        wait, read, write, quickly = poller.poll, os.read, os.write, responder.quickly
        memory, cells, sampler = responder.replies, self._counters.cells, responder.sampler
        tags, numbers, answers = memory.tags, memory.numbers, memory.answers
        compiled: Answerer | None = None
        to_load = SOON
        decider, watched, touched, whole = responder.decider, (-1, 0), True, lines.empty
        while True:
            if touched:
                touched, watched = False, self._watch(poller, watched)
            data = None
            if compiled is not None and self._may_serve(now, whole=whole):
                data = self._serve(compiled, watched)
                now = monotonic() if data is None else compiled.asked
            asked = data is not None
            if not asked:
                left = tier.due - now
                for fd, event in wait(left * 1000 + 0.5 if left > 0 else 0):
                    if fd == 0:
                        asked = True
                    elif fd == self._wake:
                        read(fd, CHUNK)
                    elif fd == watched[0]:
                        tier.handle(event)
                        touched = True
                now = monotonic()
                if now >= tier.due:
                    tier.tick(idle=not asked)
                    touched = True
                    if not asked:
                        responder.prepare(now)
            if asked:
                if data is None:
                    data = read(0, CHUNK)
                # the usual case first: one question, the same as before or of a client whose table is here, and nothing
                # has changed or been announced; the last one up to a line in the log is to be decided anew
                if (
                    whole
                    and decider.version == tier.version
                    and now < decider.good_until
                    and (sampler is None or sampler.left > 1)
                ):
                    key = hash(data)
                    at = key & memory.mask
                    answer = answers[numbers[at]] if tags[at] == key else quickly(data)
                    if answer is not None:
                        if sampler is not None:
                            sampler.left -= 1
                        reply, slot = answer
                        try:  # before the reply: whoever has it may kill this worker at once
                            cells[slot] += 1
                        except ValueError:
                            cells[slot] = 1
                        sent = write(1, reply)
                        if sent < len(reply):
                            _write(reply[sent:])
                        continue
                if not data:
                    tier.finish()
                    return
                _write(self._replies(lines.feed(data), now))
                touched, whole = True, lines.empty
                if not gc.isenabled():
                    gc.freeze()
                    gc.enable()
            if to_load and gc.isenabled():  # the first answer is out
                to_load = to_load - 1 if asked else 0
                if not to_load:
                    compiled = _load_compiled(self._counters)
                    if compiled is not None:
                        responder.accelerate(compiled)
            if self._reload and whole:
                self._again()

    def _may_serve(self, now: float, *, whole: bool) -> bool:
        """Whether nothing has changed since the replies were made; *whole*: no part of a line is held back."""
        decider, tier = self._responder.decider, self._tier
        return (
            whole and decider.version == tier.version and now < decider.good_until
            and not tier.unsettled and not self._reload
        )  # fmt: skip

    def _serve(self, compiled: Answerer, watched: tuple[int, int]) -> bytes | None:
        """Let C answer until there is something for Python: returns what was read, None if nothing was."""
        sampler, due = self._responder.sampler, min(self._tier.due, self._responder.decider.good_until)
        if sampler is None:
            return compiled.serve(self._wake, *watched, due, MANY, self._tier.at_rest)
        data = compiled.serve(self._wake, *watched, due, sampler.left - 1, self._tier.at_rest)
        sampler.left -= compiled.answered
        return data

    def _greet(self) -> list[bytes] | None:
        """Answer the first line, before anything is read or opened: PowerDNS waits for its banner. What came after it."""
        while data := os.read(0, CHUNK):
            whole = self._lines.feed(data)
            if whole:
                _write(self._responder.reply(whole[0], monotonic()))
                return whole[1:]
        return None

    def _replies(self, whole: list[bytes], now: float) -> bytes:
        """The replies to lines that were read at *now*."""
        tier, responder, counters = self._tier, self._responder, self._counters
        counters.begin(now)
        out = []
        for line in whole:
            if tier.unsettled:
                tier.settle(now)
            if responder.decider.outdated(now):
                responder.refresh()
            out.append(responder.reply(line, now))
            if line[:2] in {b"Q\t", b"Q"}:
                counters.observe(monotonic() - now)
        counters.end()
        return out[0] if len(out) == 1 else b"".join(out)

    def _watch(self, poller: poll, watched: tuple[int, int]) -> tuple[int, int]:
        """Poll what the tier wants polled now."""
        mask = self._tier.poll_mask()
        if mask != watched:
            if watched[0] >= 0 and watched[0] != mask[0]:
                _forget(poller, watched[0])
            if mask[0] >= 0:
                poller.register(*mask)
        return mask

    def _catch_signals(self) -> None:
        os.set_blocking(self._wake_end, False)
        _signal.set_wakeup_fd(self._wake_end)
        for number in (_signal.SIGTERM, _signal.SIGINT):
            _signal.signal(number, _signal.SIG_IGN)
        _signal.signal(_signal.SIGHUP, self._hangup)
        _signal.signal(_signal.SIGCHLD, _noted)

    def _hangup(self, _number: int, _frame: object) -> None:
        self._reload = True

    def _again(self) -> None:
        """Re-execute the program in this process, between two replies, once a trial start has succeeded."""
        if self._trial is None:
            self._trial = Trial(command_line())
        reason = self._trial.verdict()
        if reason is None:
            return  # its end is a signal
        self._trial, self._reload = None, False
        try:
            load(self._config)
        except ConfigError as exc:
            reason = str(exc)
        if reason:
            log(f"not reloaded: {reason}")
            return
        self._tier.finish()
        # a second signal would end the new program before it is ready
        _signal.signal(_signal.SIGHUP, _signal.SIG_IGN)
        os.environ[ABI] = str(self._responder.abi)
        command = command_line()
        try:
            os.execv(command[0], command)  # noqa: S606
        except OSError as exc:
            log(f"not reloaded: {command[0]}: {exc.strerror}")
            del os.environ[ABI]
            _signal.signal(_signal.SIGHUP, self._hangup)


def _kind_of_responder(settings: Settings) -> type[Responder]:
    """The plain one, unless it has more to do than to answer."""
    if settings.log_sample > 0:
        from geosteer.powerdns.logged import LoggedResponder

        return LoggedResponder
    if settings.debug_networks:
        from geosteer.powerdns.observed import ObservedResponder

        return ObservedResponder
    return Responder


def _load_compiled(counters: Counters) -> Answerer | None:
    """The part in C, if it is here."""
    try:
        from geosteer.powerdns.compiled import load

        return load(counters)
    except (ImportError, OSError):  # the program was removed meanwhile, or there is no descriptor left
        return None


def _noted(_number: int, _frame: object) -> None:
    """The signal's byte in the pipe is all that is wanted of it."""


def _forget(poller: poll, fd: int) -> None:
    try:
        poller.unregister(fd)
    except (KeyError, ValueError):
        return


def _write(data: bytes) -> None:
    """All of it to PowerDNS, which is one system call but for the longest."""
    while data:
        data = data[os.write(1, data) :]


def run(path: str | None) -> None:
    """Answer questions until stdin ends, with the settings of a file; None: the usual one."""
    name_process(PROGRAM)
    try:
        settings = load(DEFAULT_PATH if path is None else path)
    except ConfigError as exc:
        log(str(exc))
        raise SystemExit(2) from exc
    try:
        Loop(settings).run()
    except BrokenPipeError:  # PowerDNS is gone
        raise SystemExit(0) from None
