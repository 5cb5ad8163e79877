"""The library: decisions for any program, from any of its threads.

    from geosteer import Steering

    with Steering.open("/etc/geosteer/backend.toml") as steering:
        choice = steering.decide("www.cdn.example.net", "203.0.113.7")
        print(choice.node.hostname if choice.node else "nowhere", choice.tier, choice.ttl)

It never waits for Redis longer than the settings say, and always answers as the DNS front end would. What it does not offer is
to be had from the `Tier` and the `Director` below it:

    from geosteer import Director, Steering, Tier, parse_client

    def scope(tier: Tier, director: Director, name: str, address: str) -> int:
        client, service = parse_client(address), director.services[name]
        look = tier.reach(client, service.tables)
        return director.decide(service, client, look, tier.mirror.states, tier.now()).scope

    with Steering.open("/etc/geosteer/backend.toml") as steering, steering.held() as (tier, director):
        print(scope(tier, director, "www.cdn.example.net", "203.0.113.7"))
"""

from __future__ import annotations

import fcntl  # noqa: F401
import logging
import mmap  # noqa: F401
import os
import threading
import tomllib  # noqa: F401
import traceback  # noqa: F401
from contextlib import contextmanager
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Self
from weakref import WeakSet

# What the modules below import when they first need it, and a lean worker never does, is imported here at once. A thread's
# import holds the module's lock: a child forked meanwhile has the lock but not the thread, and its own import never ends.
import geosteer.decision.round_robin
import geosteer.decision.service_binding
import geosteer.resp.cluster
import geosteer.resp.resolver
import geosteer.resp.sentinel
import geosteer.settings_fallback
import geosteer.sync.compiled_search
import geosteer.sync.last_good
import geosteer.sync.snapshot
import geosteer.sync.trouble  # noqa: F401
from geosteer.counters.counters import Counters
from geosteer.decision.client import Client, parse
from geosteer.library.new_chooser import new_chooser
from geosteer.library.poll_loop import Pump
from geosteer.process import below, ticket
from geosteer.settings import DEFAULT_PATH, Settings, load
from geosteer.sync.lookups import NotReady
from geosteer.sync.tier import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    from geosteer.decision.decision import Decision
    from geosteer.decision.director import Director
    from geosteer.decision.model import Node, Service
    from geosteer.library.chooser import Choice

    Asker = str | IPv4Address | IPv6Address | IPv4Network | IPv6Network | Client | None


_CLOSED = "this Steering is closed"
PAUSE = 0.1
"""Seconds after an unexpected exception until the thread goes on."""


class Steering:
    """Follows one Redis in a thread of its own, from the first question on, and answers every thread's questions.

    After a fork, the child starts its own thread and connection with its first question.
    """

    def __init__(
        self, settings: Settings, *, log: Callable[[str], None] | None = None, front_end: str = "library"
    ) -> None:
        """Make one that has not begun to connect.

        Args:
            log: takes one line, worth an operator's reading; default: the logger `geosteer`.
            front_end: under which it is counted, and named to Redis; `library` counts only where the settings name a folder.
        """
        self.settings = settings
        self._front_end = front_end
        if settings.log_sample > 0:
            import geosteer.library.recorded  # before any thread needs it, as those above
        if settings.address.tls:
            import geosteer.resp.tls  # noqa: F401  # before any thread needs it, as those above; OpenSSL is large
        self._log = log or _warn
        self._running: Running | None = None
        self._beginning = threading.Lock()
        self._closed = False
        _everyone.add(self)

    @classmethod
    def open(
        cls,
        settings: Settings | str | os.PathLike[str] = DEFAULT_PATH,
        *,
        log: Callable[[str], None] | None = None,
        front_end: str = "library",
    ) -> Self:
        """From settings, or the path of a `backend.toml`.

        Raises: ConfigError: the file is missing, is not TOML, or says what cannot be used.
        """
        read = settings if isinstance(settings, Settings) else load(os.fspath(settings))
        return cls(read, log=log, front_end=front_end)

    def decide(
        self, service: str, client: Asker = None, *, path: str = "", limit: int = 0, wait: bool = True
    ) -> Choice:
        """The nodes for one client of a service, best first.

        Args:
            service: a service's name, or a host name that falls under a service `*.x`.
            client: an address or network; None if the client is unknown.
            path: the key of policy `hash`; "": the client's network, as in DNS.
            limit: nodes at most; those of the next layers too, where it is more than the service's `max_answers`; 0: that.
            wait: may wait for Redis, for `timeout` milliseconds (50) of the settings at most.

        Raises: NoService: not configured. ValueError: *client* is no address. NotReady: it would have to wait, and may not.
        """
        who = client if isinstance(client, Client) or client is None else parse(str(client))
        name = service if service.islower() and service[-1] != "." else service.lower().rstrip(".")
        running, asked = self.running, monotonic()
        with running:
            return running.chooser.choose(name, who, asked, path=path, limit=limit, wait=wait)

    def explain(
        self, service: str, client: Asker = None, *, path: str = "", ticket: float = 0.0
    ) -> tuple[Service, Decision | None]:
        """The service, and its decision with every candidate met in `trace`; None in the tier `fallback`.

        Raises: NoService: not configured. ValueError: *client* is no address.
        """
        who = client if isinstance(client, Client) or client is None else parse(str(client))
        with self.running as running:
            return running.chooser.explain(
                service.lower().rstrip("."), who, monotonic(), path=path, ticket=ticket
            )

    def ranked(
        self, service: str, client: Client | None, limit: int, ticket: float = 0.0, *, wait: bool = True
    ) -> tuple[str, str, tuple[Node, ...]]:
        """Service, record type, and the nodes that `decide` would choose for a client, without counting it as an answer.

        Args: service: in lower case; limit: nodes at most; ticket: the draw of policy `weighted`; wait: as of `decide`.
        Returns: no nodes in the tier `fallback`. Raises: NoService, NotReady: as `decide`.
        """
        with self.running as running:
            return running.chooser.ranked(service, client, monotonic(), limit, ticket, wait=wait)

    def count(self, *key: str, times: int = 1) -> None:
        """Count something that is no answer. Args: key: as `geosteer.counters.counters` has them."""
        with self.running as running:
            counters = running.tier.counters
            slot = counters.slot(*key)
            for _ in range(times):
                counters.count(slot)

    def addresses(self) -> list[str]:
        """Addresses of all nodes that are published."""
        with self.running as running:
            known = running.tier.known
            nodes = known.model.nodes.values() if known is not None else ()
            return [address for node in nodes for address in (*node.a, *node.aaaa)]

    def say(self, text: str) -> None:
        """One line for an operator."""
        self._log(text)

    def lookup(self, address: str | IPv4Address | IPv6Address, table: str = "geo") -> tuple[str, int]:
        """Record of an address, "" on a miss, and the length of the widest prefix around it with that record.

        Raises: ValueError: no address. NotReady: Redis is away and the page is not here.
        """
        with self.running as running:
            return running.tier.lookup(str(address), table)

    @contextmanager
    def held(self) -> Iterator[tuple[Tier, Director]]:
        """The tier and its director, for what this class does not offer; other threads' questions wait until the block ends.

        Raises: NotReady: nothing is published, or Redis was never there.
        """
        with self.running as running:
            running.tier.settle(monotonic())
            generation = running.tier.generation
            if generation is None:
                raise NotReady("nothing is known of what is published")
            yield running.tier, generation.director

    @property
    def tier(self) -> str:
        """Where answers come from now: `live`, `stale` or `fallback`."""
        return self.running.tier.name

    @property
    def generation(self) -> str | None:
        """Number of the generation that answers, None without one."""
        generation = self.running.tier.generation
        return generation.number if generation is not None else None

    @property
    def able(self) -> bool:
        """Whether a service can be answered at all now."""
        with self.running as running:
            return running.chooser.able

    def start(self) -> None:
        """Connect now rather than with the first question, and wait for it as long as a question may."""
        with self.running as running:
            running.tier.settle(monotonic())

    def close(self) -> None:
        """End the thread and the connection; a question afterwards is a RuntimeError."""
        self._closed = True
        with self._beginning:
            running, self._running = self._running, None
        if running is not None:
            running.close()

    def forget(self) -> None:
        """In a child process: leave everything to the parent, whatever its threads were doing, and start over when asked."""
        self._beginning = threading.Lock()
        running, self._running = self._running, None
        if running is not None:
            running.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def running(self) -> Running:
        """The tier at work, for front ends that keep what they made of choices. Raises: RuntimeError: closed."""
        running = self._running
        if running is not None:
            return running
        with self._beginning:
            if self._closed:
                raise RuntimeError(_CLOSED)
            if self._running is None:
                self._running = Running(self.settings, self._log, self._front_end)
            return self._running


_everyone: WeakSet[Steering] = WeakSet()


class Running:
    """A tier with its thread, in one process; `with` it, a thread has it to itself."""

    def __init__(self, settings: Settings, log: Callable[[str], None], front_end: str) -> None:
        self.lock = threading.RLock()  # a log callback may ask questions from within
        counters = Counters(front_end)
        counters.start(settings.metrics, time(), log, asked=settings.metrics_asked)
        self.tier = Tier(settings, below, log=log, counters=counters)
        self.chooser = new_chooser(self.tier, below, ticket, log, front_end)
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.pump = Pump(self.tier, (self._wake_read,))
        self._ended = False
        self.tier.start()
        self._thread = threading.Thread(target=self._run, name="geosteer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        self.lock.acquire()
        if self._ended:
            self.lock.release()
            raise RuntimeError(_CLOSED)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if not self._ended and self.pump.outdated:
                self.wake()
        finally:
            self.lock.release()

    def wake(self) -> None:
        """Have the thread look again at what is to be waited for."""
        try:
            os.write(self._wake_write, b"x")
        except BlockingIOError:
            pass  # it is awake

    def _run(self) -> None:
        while not self._ended:
            try:
                self._turn()
            except BaseException as exc:  # noqa: BLE001  # with this thread gone, answers would stay as they are for good
                with self.lock:
                    if not self._ended:
                        self.tier.stumble(exc)
                sleep(PAUSE)

    def _turn(self) -> None:
        """Wait for what the tier waits for, and let it do what is due."""
        with self.lock:
            if self._ended:
                return
            self.pump.arm()
        events = self.pump.poll()
        with self.lock:
            if self._ended:
                return
            if any(fd == self._wake_read for fd, _ in events):
                os.read(self._wake_read, 4096)
            self.pump.handle(events)

    def close(self) -> None:
        """End the thread, then the connection."""
        with self.lock:
            self._ended = True
            self.wake()
        if self._thread is not threading.current_thread():
            self._thread.join()
        self.tier.finish()
        self.abandon()

    def abandon(self) -> None:
        """Close what is open without logging."""
        self._ended = True
        self.chooser.close()
        self.tier.close()
        os.close(self._wake_read)
        os.close(self._wake_write)


def _forget() -> None:
    """In a new child process: of the threads there is only the one that forked, and connections are the parent's."""
    for steering in list(_everyone):
        try:
            steering.forget()
        except Exception:  # noqa: BLE001, S110  # a thread left it half closed; the others are to be forgotten all the same
            pass


os.register_at_fork(after_in_child=_forget)


def _warn(text: str) -> None:
    logging.getLogger("geosteer").warning("%s", text)
