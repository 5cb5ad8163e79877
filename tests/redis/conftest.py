"""Fixtures for tests that need a Redis and no other server."""

from __future__ import annotations

import pytest

from support.certificates import Certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of three authorities: `server`, `elsewhere` (by another name) and `client` by the first, `unknown` by a stranger,
    `homemade` by one without a key usage."""
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.authority()
    made.authority("stranger")
    made.authority("plain", usage=False)
    made.sign("homemade", by="plain")
    made.sign("server")
    made.sign("elsewhere", "DNS:redis.example.net")
    made.sign("client")
    made.sign("unknown", by="stranger")
    return made
