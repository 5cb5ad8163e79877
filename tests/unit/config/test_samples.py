"""The sample files: found in a checkout, and complete in a wheel."""

from __future__ import annotations

import email
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.config import samples
from support.data import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_a_checkout_has_its_samples_in_conf() -> None:
    assert samples.folder() == ROOT / "conf"
    assert samples.read("users.acl") == (ROOT / "conf" / "users.acl").read_text()


def test_a_sample_that_is_not_there_is_named() -> None:
    with pytest.raises(samples.SamplesMissing, match=r"/conf/none\.toml: No such file or directory"):
        samples.read("none.toml")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    made = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(made)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (path,) = made.glob("*.whl")
    return path


def test_a_wheel_holds_every_sample_and_all_code(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    listing = ["git", "ls-files", "conf", "backend", "loader"]
    tracked = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    for name in tracked:
        if name.startswith(("conf/debian/", "conf/container/")) or name.endswith((".c", ".h")):
            continue  # what packages and the compiled part are made of
        inside = name.replace("conf/", "loader/geosteer_loader/conf/", 1).partition("/")[2]
        assert inside in held, name
    assert not [name for name in held if "conf/debian" in name or "conf/container" in name]


def test_an_unpacked_wheel_finds_its_own_samples(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    code += "from geosteer_loader.config import samples\nprint(samples.folder())"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path}/geosteer_loader/conf\n"


def test_a_wheel_says_what_it_needs_and_where_it_runs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    needed = metadata.get_all("Requires-Dist", [])
    assert [line for line in needed if "extra ==" not in line] == ["hiredis<4,>=3"]
    assert set(metadata.get_all("Provides-Extra", [])) == {
        "bench",
        "dev",
        "docs",
        "http",
        "loader",
        "planner",
    }
    pythons = {line.rpartition(" ")[2] for line in metadata.get_all("Classifier", []) if ":: 3." in line}
    assert pythons == {"3.11", "3.12", "3.13", "3.14"}
