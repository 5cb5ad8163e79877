"""One certificate, one verdict: whichever Python runs, and in every program that talks TLS."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING

import pytest

import redis
from geosteer.resp.tls import client_context
from geosteer_loader.config.redis import RedisSettings
from geosteer_loader.store.endpoint import client_for
from support.data import ROOT
from support.servers import wait_until
from support.tls_redis import tls_redis, worker_settings
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.certificates import Certificates
    from support.servers import RedisServer

WWW, GB = "www.cdn.example.net", "192.0.2.0/24"


@pytest.fixture(scope="module")
def server(certificates: Certificates) -> Iterator[RedisServer]:
    with tls_redis(certificates, "homemade", clients="no") as running:
        yield running


@pytest.mark.parametrize("strict", [False, True])
def test_the_loader_trusts_an_authority_without_key_usage_unless_it_is_strict(
    server: RedisServer, certificates: Certificates, strict: bool
) -> None:
    url = f"rediss://localhost:{server.port}"
    client = client_for(
        RedisSettings(url=url, prefix="geosteer", ca=certificates["plain"], tls_strict=strict)
    )
    if strict:
        with pytest.raises(redis.ConnectionError, match="key usage"):
            client.time()
    else:
        assert client.time()


@pytest.mark.parametrize("strict", [False, True])
def test_a_worker_trusts_an_authority_without_key_usage_unless_it_is_strict(
    server: RedisServer, certificates: Certificates, strict: bool, tmp_path: Path
) -> None:
    path = worker_settings(tmp_path, server, certificates, ca="plain")
    path.write_text(path.read_text() + f"tls_strict = {str(strict).lower()}\n")
    worker = Worker(path)
    worker.greet()
    if not strict:  # on a busy machine the first question does not wait long enough
        wait_until(lambda: worker.ask(WWW, subnet=GB) != [["FAIL"]])
    answer = worker.ask(WWW, subnet=GB)
    log = worker.close().decode()
    assert (answer == [["FAIL"]]) == strict
    assert ("key usage" in log) == strict


def test_an_authority_below_a_root_is_trusted_as_it_is(certificates: Certificates) -> None:
    for files, strict in (({}, False), ({"tls_strict": "yes"}, True)):
        context = client_context({"ca": str(certificates["ca"]), **files})
        assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
        assert bool(context.verify_flags & ssl.VERIFY_X509_STRICT) == strict


def test_no_other_module_leaves_the_rules_to_the_python_that_runs_it() -> None:
    makes = re.compile(r"create_default_context|SSLContext\(|_create_unverified_context|urllib\.request")
    modules = [path for folder in ("backend", "loader") for path in (ROOT / folder).rglob("*.py")]
    makers = [path.relative_to(ROOT).as_posix() for path in modules if makes.search(path.read_text())]
    assert makers == ["backend/geosteer/resp/tls.py"]
