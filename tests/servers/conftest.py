"""A Redis that the tests of a module share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.servers import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def module_redis() -> Iterator[RedisServer]:
    with RedisServer() as made:
        yield made


@pytest.fixture
def emptied_redis(module_redis: RedisServer) -> RedisServer:
    """One for all tests of a module, emptied for each."""
    with module_redis.client() as client:
        client.flushall()
    return module_redis
