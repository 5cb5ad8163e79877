"""The launchers: from any directory, through symlinks, and with clear words when something is missing."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest

from support.data import ROOT
from support.long import takes_long
from support.servers import need

BUILDER = ROOT / "bin" / "build_compiled.py"
"""What hatchling loads while it builds: a module, not a script."""
SCRIPTS = sorted(
    {path for folder in ("bin", ".ci") for path in (ROOT / folder).iterdir() if path.is_file()} - {BUILDER}
)
LAUNCHERS = ("geosteer", "geosteer-pipe")


def run(*command: str | Path, seconds: float = 200, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, **options)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_executable_and_says_what_it_is_for(script: Path) -> None:
    lines = script.read_text().splitlines()
    assert script.stat().st_mode & stat.S_IXUSR
    assert lines[0] == "#!/bin/sh"
    assert lines[1].startswith("# ")


def test_shellcheck_finds_nothing_to_complain_about() -> None:
    packaging = [path for path in (ROOT / "conf" / "debian").iterdir() if path.is_file()]
    shell = [path for path in packaging if path.read_text().startswith("#!/bin/sh\n")]
    assert len(shell) > 5
    done = run(need("shellcheck"), *SCRIPTS, *shell)
    assert done.returncode == 0, done.stdout


def test_setup_has_nothing_to_say_and_takes_no_time_when_nothing_is_missing() -> None:
    if not (ROOT / ".venv" / "geosteer.stamp").exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("bin/setup has not run here yet")
    assert run(ROOT / "bin" / "setup").returncode == 0, "the checkout is set up now, if it was not"
    start = time.monotonic()
    done = run(ROOT / "bin" / "setup")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - start < 10, "making .venv takes longer"


def test_setup_tells_what_it_takes_and_takes_nothing_else() -> None:
    done = run(ROOT / "bin" / "setup", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "bin/setup bench" in done.stdout
    done = run(ROOT / "bin" / "setup", "test")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown argument: test" in done.stderr


def checkout(folder: Path) -> dict[str, str]:
    """Puts what bin/setup needs into a folder; an environment in which pip reaches no index."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("bin", "backend", "loader"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return {
        **os.environ,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:1/",
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
    }


@pytest.mark.parametrize(
    "python",
    [
        pytest.param("#!/bin/sh\nexit 126\n", id="unreadable", marks=takes_long),
        pytest.param(None, id="removed"),
    ],
)
def test_setup_makes_anew_a_venv_whose_interpreter_cannot_be_used(tmp_path: Path, python: str | None) -> None:
    nowhere = checkout(tmp_path)
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    if python is None:
        (folder / "python").symlink_to(tmp_path / "absent")
    else:
        (folder / "python").write_text(python)
        (folder / "python").chmod(0o755)
    stamp = subprocess.run(
        ["sh", "-c", 'printf "%s %s" "$(cksum <pyproject.toml)" "$PWD"'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    (tmp_path / ".venv" / "geosteer.stamp").write_text(stamp.stdout + "\n")
    done = run(tmp_path / "bin" / "setup", env=nowhere)
    assert "bin/setup: made .venv with Python 3." in done.stdout
    assert run(folder / "python", "-c", "").returncode == 0


@pytest.mark.parametrize(
    ("made", "asked", "ready"), [("", "run", True), (" run", "run", True), (" run", "", False)]
)
def test_setup_for_production_is_content_with_less(
    tmp_path: Path, made: str, asked: str, ready: bool
) -> None:
    nowhere = checkout(tmp_path)
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").write_text("#!/bin/sh\nexit 0\n")
    (folder / "python").chmod(0o755)
    stamp = run("sh", "-c", 'printf "%s %s" "$(cksum <pyproject.toml)" "$PWD"', cwd=tmp_path).stdout
    (tmp_path / ".venv" / "geosteer.stamp").write_text(f"{stamp}{made}\n")
    done = run(tmp_path / "bin" / "setup", *asked.split(), env=nowhere)
    assert (done.returncode == 0, "made .venv" in done.stdout) == (ready, not ready), done.stderr


def test_setup_uses_the_interpreter_that_it_is_told_to(tmp_path: Path) -> None:
    done = run(tmp_path / "bin" / "setup", env={**checkout(tmp_path), "PYTHON": "/nowhere/python3"})
    assert done.returncode == 1
    assert "PYTHON=/nowhere/python3 is not a Python 3.11 or newer" in done.stderr


def test_setup_without_a_package_index_says_so_and_can_be_run_again(tmp_path: Path) -> None:
    nowhere = checkout(tmp_path)
    done = run(tmp_path / "bin" / "setup", env=nowhere)
    assert done.returncode == 1
    assert "could not get the packages: is its index reachable?" in done.stderr
    again = run(tmp_path / "bin" / "geosteer", "--help")
    assert (again.returncode, again.stdout) == (1, "")
    assert "run bin/setup" in again.stderr
    assert not (tmp_path / ".venv" / "geosteer.stamp").exists()


@pytest.mark.parametrize("name", LAUNCHERS)
def test_a_launcher_without_venv_names_the_way_out_and_keeps_stdout_clean(name: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    launcher = shutil.copy(ROOT / "bin" / name, tmp_path / "bin")
    done = run(launcher)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{name}: ")
    assert "bin/setup" in done.stderr


def ways(tmp_path: Path, name: str) -> list[tuple[str, Path]]:
    """Commands and working directories: absolute, relative, and through symlinks of both kinds."""
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "far").symlink_to(ROOT / "bin" / name)
    (tmp_path / "near").symlink_to("links/far")
    return [
        (str(ROOT / "bin" / name), tmp_path),
        (f"bin/{name}", ROOT),
        (f"./{name}", ROOT / "bin"),
        (str(tmp_path / "links" / "far"), ROOT / "tests"),
        ("./near", tmp_path),
    ]


def test_geosteer_runs_from_anywhere(tmp_path: Path) -> None:
    for command, folder in ways(tmp_path, "geosteer"):
        done = run(command, "--help", cwd=folder)
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout.startswith("Usage: geosteer ")


def test_geosteer_imports_nothing_from_the_working_directory_or_the_environment(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('the wrong click')")
    done = run(
        ROOT / "bin" / "geosteer", "--help", cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}
    )
    assert (done.returncode, done.stderr) == (0, "")


def backend(tmp_path: Path) -> Path:
    """A backend.toml whose Redis does not exist."""
    path = tmp_path / "backend.toml"
    path.write_text(
        f'snapshot = "{tmp_path / "last-good.json"}"\n[redis]\nurl = "unix://{tmp_path / "nobody"}"\n'
    )
    return path


def test_the_worker_greets_from_anywhere(tmp_path: Path) -> None:
    config = backend(tmp_path)
    for command, folder in ways(tmp_path, "geosteer-pipe"):
        done = run(command, "--config", str(config), cwd=folder, input="HELO\t3\n")
        assert done.stdout.startswith("OK\t"), (command, done.stderr)


def test_the_worker_is_one_process(tmp_path: Path) -> None:
    command = [str(ROOT / "bin" / "geosteer-pipe"), "--config", str(backend(tmp_path))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(b"HELO\t3\n")
        worker.stdin.flush()
        assert worker.stdout.readline().startswith(b"OK\t")
        assert "python" in Path(f"/proc/{worker.pid}/exe").readlink().name, "the shell became the interpreter"
        assert Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text() == ""
