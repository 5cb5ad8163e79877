"""Wherever a password is given, and however a connection fails, it is told to nobody."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.cli.main import main
from support.data import ROOT
from support.long import takes_long
from support.publishing import write_config, write_csv
from support.servers import RedisServer, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "hunter2-not-to-be-shown"
WWW = "www.cdn.example.net"
ASKED = {
    "geosteer-pipe": f"HELO\t3\nQ\t{WWW}\tIN\tANY\t-1\t127.0.0.1\t127.0.0.1\t192.0.2.0/24\nCMD\tstatus\n",
    "geosteer-squid": f"http://{WWW}/ 192.0.2.1/- - GET\n",
}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One that wants another password."""
    with RedisServer("--requirepass", "another", tcp=True) as made:
        yield made


PLACES = {
    "URL": 'url = "redis://me:{secret}@{host}"',
    "URL without a user": 'url = "redis://:{secret}@{host}"',
    "URL with TLS": 'url = "rediss://:{secret}@{host}"',
    "URL of sentinels": 'url = "redis+sentinel://me:{secret}@{host}/steer"',
    "URL of a Cluster": 'url = "redis+cluster://me:{secret}@{host}"',
    "not a URL": 'url = "redis://me:{secret}@{host}/a/b"',
    "invalid host": 'url = "redis://me:{secret}@{host}x"',
    "URL with an odd per cent sign": 'url = "redis://me:%zz{secret}@{host}"',
    "setting": 'url = "redis://{host}"\nusername = "me"\npassword = "{secret}"',
    "environment": 'url = "redis://{host}"\npassword = "${{SOME_PASSWORD}}"',
    "file": 'url = "redis://{host}"\npassword_file = "password"',
    "URL in the environment": "",
    "no text": 'url = "redis://{host}"\npassword = ["{secret}"]',
    "no quotes": 'url = "redis://{host}"\npassword = {secret}',
    "a misspelt setting": 'url = "redis://{host}"\npasword = "{secret}"',
    "two places": 'url = "redis://{host}"\npassword = "{secret}"\npassword_file = "password"',
}


@pytest.mark.parametrize(
    ("place", "there"),
    [
        pytest.param(
            place, there, marks=() if there or at % 4 == 0 else takes_long,
            id=f"{place}-{'refused' if there else 'nobody there'}",
        )
        for at, place in enumerate(PLACES)
        for there in (True, False)
    ],
)  # fmt: skip
def test_no_output_and_no_argument_shows_a_password(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    place: str, there: bool,
) -> None:  # fmt: skip
    host = f"127.0.0.1:{server.port if there else free_port()}"
    lines = PLACES[place].format(secret=SECRET, host=host)
    (tmp_path / "password").write_text(SECRET + "\n")
    monkeypatch.setenv("SOME_PASSWORD", SECRET)
    if not lines:
        monkeypatch.setenv("GEOSTEER_REDIS_URL", f"redis://me:{SECRET}@{host}")
    config = write_config(tmp_path, "URL", geo=[write_csv(tmp_path / "geo.csv")])
    config.write_text(config.read_text().replace('url = "URL"', f"{lines}\ntimeout = 1"))
    backend = tmp_path / "backend.toml"
    backend.write_text(f'snapshot = "last-good.json"\n[redis]\n{lines}\n')

    codes = [
        main([*words, "--config", str(config)])
        for words in (
            ["status", "--json"],
            ["explain", WWW, "192.0.2.1", "--json"],
            ["publish", "--json", "-v"],
        )
    ]
    assert not {0, 3} & set(codes)
    main(["check-config", str(config), "--backend", str(backend)])
    out, err = capfd.readouterr()
    assert err
    said = out + err
    for program, questions in ASKED.items():
        command = [str(ROOT / "bin" / program), "--config", str(backend)]
        worker = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said += Path(f"/proc/{worker.pid}/cmdline").read_text()
        said += worker.communicate(questions, timeout=60)[0]
    assert SECRET not in said
    assert "Traceback" not in said
