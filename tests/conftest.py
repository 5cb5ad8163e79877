"""Fixtures for every test: a real Redis to share, one to break, and key prefixes that keep tests apart."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from support.servers import REDIS, RedisServer, valkey

if TYPE_CHECKING:
    from collections.abc import Iterator


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
