"""Real validators: what rpki-client and FORT make of ROAs that they have validated, and what that makes of routes."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.query.lookup import lookup
from support.mrt_writer import peers, rib
from support.publishing import current_of, write_config
from support.rpki_repository import Authorisation, Repository
from support.servers import need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import RedisServer

ROAS = [
    Authorisation(3356, [("5.0.0.0/8", 8)]),
    Authorisation(3356, [("5.1.0.0/16", 24), ("2a00:1::/32", 48)]),
    Authorisation(0, [("6.1.0.0/16", 16)]),
]
ROUTES = [
    rib("5.0.0.0/8", [174, 3356]),
    rib("5.1.0.0/16", [174, 666]),
    rib("5.1.1.0/24", [174, 3356]),
    rib("5.2.0.0/16", [174, 3356]),  # longer than its ROA allows
    rib("6.0.0.0/8", [174, 1299]),
    rib("6.1.0.0/16", [174, 1299]),  # nobody may announce it
    rib("2a00:1:1::/48", [174, 3356]),
    rib("2a00:1:2::/48", [174, 666]),
]
MORE = """
[sources]
cache = "cache"
[[sources.bgp]]
format = "mrt"
path = "rib.mrt"
[rpki]
roas = "{roas}"
"""


@pytest.fixture(scope="module")
def repository() -> Iterator[Repository]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)  # rpki-client becomes a user of its own
        yield Repository(Path(folder), ROAS)


def rpki_client(repository: Repository) -> Path:
    folder = repository.folder
    for name in ("cache", "out"):
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
    command = [need("rpki-client"), "-R", "-j", "-e", str(repository.fetcher), "-t", str(repository.tal)]
    subprocess.run([*command, "-d", str(folder / "cache"), str(folder / "out")], check=True, timeout=120)
    return folder / "out" / "json"


def fort(repository: Repository) -> Path:
    settings = {
        "mode": "standalone",
        "tal": str(repository.tal),
        "local-repository": str(repository.folder / "fort"),
        "http": {"enabled": False},
        "rsync": {"program": str(repository.fetcher)},
        "output": {"roa": str(repository.folder / "fort.json"), "format": "json"},
    }
    (repository.folder / "fort").mkdir()
    file = repository.folder / "fort.conf"
    file.write_text(json.dumps(settings))
    subprocess.run(
        [need("fort"), "--configuration-file", str(file)], check=True, timeout=120, capture_output=True
    )
    return repository.folder / "fort.json"


@pytest.mark.parametrize("validator", [rpki_client, fort])
def test_routes_are_judged_by_what_a_real_validator_writes(
    validator, repository: Repository, redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    roas = validator(repository)
    (tmp_path / "rib.mrt").write_bytes(peers(174) + b"".join(ROUTES))
    config = write_config(tmp_path, redis_server.url, prefix, more=MORE.format(roas=roas))
    assert main(["publish", "--quiet", "--config", str(config)]) == 0
    asked = ["5.9.0.1", "5.1.0.1", "5.1.1.1", "5.2.0.1", "6.9.0.1", "6.1.0.1", "2a00:1:1::1", "2a00:1:2::1"]
    records = [answer.cells["bgp"].record for answer in lookup(load(config, {}).redis, asked)]
    assert records == ["AS3356", "AS3356", "AS3356", "AS3356", "AS1299", "AS1299", "AS3356", None]
    with redis_server.client() as client:
        figures = json.loads(current_of(client, prefix)["bgp.rpki"])
    assert [figures[name] for name in ("vrps", "valid", "invalid", "not_found")] == [4, 3, 4, 1]
    assert figures["trouble"] == ""
