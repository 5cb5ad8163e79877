"""Fixtures for tests that need a Redis and no other server."""

from __future__ import annotations

import pytest

from support.certificates import Certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of two authorities: `server`, `elsewhere` (by another name) and `client` by the first, `unknown` by a stranger."""
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.authority()
    made.authority("stranger")
    made.sign("server")
    made.sign("elsewhere", "DNS:redis.example.net")
    made.sign("client")
    made.sign("unknown", by="stranger")
    return made
