"""Fixtures for every test: a real Redis to share, one to break, and key prefixes that keep tests apart."""

from __future__ import annotations

import gc
import signal
import uuid
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from support.data import ROOT
from support.long import LONG
from support.servers import REDIS, RedisServer, valkey
from support.uncounted import counted_at_first, import_all, uncounted

if TYPE_CHECKING:
    from collections.abc import Iterator


# Properties that say no number of examples: hypothesis's own of 100 in a long run, else a part. A time for one example would
# fail where the machine has other work.
settings.register_profile("usual", max_examples=100 if LONG else 40, deadline=None)
settings.load_profile("usual")

CHECKOUT = pytest.StashKey[set[str]]()
"""What lay in the checkout before the first test."""
LEFT_BEHIND = 6
"""The exit code of a run that left files there; none of pytest's own (`pytest.ExitCode`)."""


def in_checkout() -> set[str]:
    """Names at its top, but for those that tools begin with a dot."""
    return {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember what lies in the checkout, before xdist's workers begin."""
    session.config.stash[CHECKOUT] = in_checkout()


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """A test that leaves a file in the checkout fails the run, once xdist's workers have ended."""
    yield
    before = session.config.stash[CHECKOUT]
    left = in_checkout() - before
    if left and not hasattr(session.config, "workerinput"):
        session.exitstatus = LEFT_BEHIND
        print(f"\ntests left in the checkout: {', '.join(sorted(left))}")


def pytest_configure(config: pytest.Config) -> None:
    """Have what tests start end by SIGINT and SIGQUIT, also where they are ignored here, as under `nohup` or `&`.

    An ignored signal stays ignored after exec, a handled one gets its default action (execve(2)): with a handler that
    does nothing, tests go on as asked, and whatever they start, by whichever call, is as at a terminal.
    """
    if config.getoption("numprocesses", None):
        return  # pytest-xdist's controller, whose workers are to ignore it as well
    for number in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Measure no coverage in properties, as in tests of large data: thousands of rounds through the same lines take four
    times as long, and tell nothing new.

    Of the tests of both servers, Valkey meets a third, unless all is asked for.
    """
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.no_cover)
    if not LONG:
        left_out = [item for item in items if _of_valkey(item) and zlib.crc32(item.nodeid.encode()) % 3]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through thousands of collected tests again and again."""
    import_all()
    gc.collect()
    gc.freeze()


def _of_valkey(item: pytest.Item) -> bool:
    params = getattr(getattr(item, "callspec", None), "params", {})
    return bool(params.get("server_program") == "valkey")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """What is prepared for a test without coverage is not measured either; pytest-cov leaves out the test alone."""
    with uncounted() if item.get_closest_marker("no_cover") else counted_at_first():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Measure the beginning of each test (`counted_at_first`)."""
    with counted_at_first():
        yield


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis that all tests of this process share: use `prefix`, and neither stop nor flush it."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def prefix(redis_server: RedisServer) -> Iterator[str]:
    """A key prefix (`[redis] prefix`) that only this test uses; its keys are removed afterwards."""
    name = f"t{uuid.uuid4().hex[:10]}"
    yield name
    with redis_server.client() as client:
        for key in list(client.scan_iter(match="{" + name + "}*", count=1000)):
            client.unlink(key)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis of this test alone, to stop, freeze, kill, fill and flush."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session", params=["redis", "valkey"])
def server_program(request: pytest.FixtureRequest) -> str:
    """A program that keeps what is published: what asks for it is tested with each (`RedisServer(program=...)`)."""
    return REDIS if request.param == "redis" else valkey()
