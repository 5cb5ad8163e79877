"""Every command with a standard output that is closed or full, with the C locale, and with no environment at all."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.cli.group import geosteer
from geosteer_loader.cli.main import main
from support.long import LONG
from support.publishing import write_config
from support.servers import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [
    sys.executable,
    "-I",
    "-c",
    "import sys; from geosteer_loader.cli.main import main; sys.exit(main(sys.argv[1:]))",
]

CALLS: dict[str, tuple[str, ...]] = {
    "bgp": ("bgp", "192.0.2.1"),
    "check-config": ("check-config",),
    "completion": ("completion", "bash"),
    "doctor": ("doctor", "none"),
    "explain": ("explain", "www.cdn.example.net", "192.0.2.1"),
    "export": ("export", "fallback", "fallback.toml"),
    "import": ("import", "pdns-geoip", "zones.yaml", "--lossy"),
    "feed": ("feed", "states.json"),
    "history": ("history",),
    "journal": ("journal",),
    "init": ("init", "--dry-run", "--zone", "cdn.example.net", "--node", "lon1=192.0.2.1"),
    "latency": ("latency", "status"),
    "lookup": ("lookup", "192.0.2.1"),
    "map": ("map", "www.cdn.example.net"),
    "metrics": ("metrics",),
    "mismatch": ("mismatch", "www.cdn.example.net", "pairs.txt"),
    "node": ("node", "drain", "lon1"),
    "plan": ("plan",),
    "probe": ("probe", "--once"),
    "publish": ("publish",),
    "replay": ("replay", "decisions.log"),
    "rollback": ("rollback", "--why", "a test"),
    "shares": ("shares", "demand.txt"),
    "status": ("status",),
    "verify": ("verify",),
    "version": ("version",),
    "who": ("who", "www.cdn.example.net"),
    "workers": ("workers", "--redis"),
}
"""Each command as it is called here."""
SERVICES = {"follow", "web"}
"""Those that go on until a signal ends them; their tests are elsewhere."""


def arguments(config: Path, words: tuple[str, ...]) -> list[str]:
    """A command line with the configuration, where the command has one."""
    return [
        *words,
        *(
            ()
            if words[0] in {"completion", "doctor", "import", "init", "version"}
            else ("--config", str(config))
        ),
    ]


def call(
    config: Path, words: tuple[str, ...], redirection: str = "", env: dict[str, str] | None = None
) -> tuple[int, str]:
    """Exit code and stderr; *redirection* is what a shell appends."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *COMMAND, *arguments(config, words)],
        cwd=config.parent, env=env, capture_output=True, text=True, errors="replace", timeout=60,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A configuration that was published twice, and the files that commands read."""
    folder = tmp_path_factory.mktemp("streams")
    table = folder / "geo.csv"
    table.write_text("192.0.2.0/24,GB\n2001:db8::/32,GB\n")
    (folder / "states.json").write_text('{"nodes": {}}')
    (folder / "pairs.txt").write_text("192.0.2.1 198.51.100.1\n")
    (folder / "demand.txt").write_text("1 GB\n")
    (folder / "decisions.log").touch()
    (folder / "zones.yaml").write_text("domains: [{domain: example.com}]\n")
    with RedisServer() as server:
        more = f"[latency]\ndatabase = '{folder}/samples.sqlite'\n"
        config = write_config(folder, server.url, geo=[table], more=more)
        assert call(config, ("publish",))[0] == 0
        table.write_text(table.read_text() + "198.18.0.0/24,GB\n")
        assert call(config, ("publish",))[0] == 0
        yield config


def test_every_command_is_tried_here() -> None:
    assert set(CALLS) | SERVICES == set(geosteer.commands)


ENDS: list[tuple[str, str, dict[str, str]]] = [
    (">&-", "closed", {"LC_ALL": "C", "PATH": os.environ["PATH"]}),
    (">/dev/full", "No space left on device", {}),
]
"""Of the results: where they go, what is said then, and the environment."""


@pytest.mark.parametrize("name", sorted(CALLS))
def test_the_exit_code_is_that_of_the_work(
    published: Path, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever becomes of the results, and without a locale or any environment."""
    monkeypatch.chdir(published.parent)
    usual = main(arguments(published, CALLS[name]))
    err = capsys.readouterr().err
    expected = {usual, 2} if name == "rollback" else {usual}  # a second one finds nothing to go back to
    assert "Traceback" not in err
    # A command meets one of them, in turn, and both in a long run.
    for redirection, why, env in ENDS if LONG else ENDS[sorted(CALLS).index(name) % 2 :][:1]:
        code, err = call(published, CALLS[name], redirection, env)
        assert code in expected, err
        assert "Traceback" not in err
        assert "Exception ignored" not in err
        assert err.count("standard output: ") <= 1
        if code == 0:
            assert err.endswith(f"geosteer: standard output: {why}: results were not written\n")


@pytest.mark.parametrize("env", [{"LC_ALL": "C", "PATH": os.environ["PATH"]}, {}], ids=["C", "empty"])
def test_results_are_written_in_any_environment(published: Path, env: dict[str, str]) -> None:
    assert call(published, CALLS["status"], env=env) == (0, "")


def test_all_streams_may_be_closed(published: Path) -> None:
    assert call(published, ("status",), "<&- >&- 2>&-") == (0, "")
