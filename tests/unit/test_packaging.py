"""What the Debian packages are made of: the wheels that they carry, their manual pages, and the samples."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from support.data import ROOT
from support.servers import need

if TYPE_CHECKING:
    from pathlib import Path

DEBIAN = ROOT / "conf" / "debian"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PIN = re.compile(r"^([A-Za-z0-9-]+)==([0-9.]+)", re.MULTILINE)


def pins(part: str) -> dict[str, tuple[int, ...]]:
    text = (DEBIAN / f"vendor-{part}.txt").read_text()
    return {name: tuple(map(int, version.split("."))) for name, version in PIN.findall(text)}


@pytest.mark.parametrize("part", ["backend", "loader", "http"])
def test_packages_carry_what_pyproject_asks_for_in_versions_that_it_allows(part: str) -> None:
    asked = PROJECT["dependencies"] if part == "backend" else PROJECT["optional-dependencies"][part]
    held = pins(part)
    for line in asked:
        name, bounds = re.fullmatch(r"([A-Za-z0-9-]+)(.*)", line.partition(";")[0].strip()).groups()
        assert name in held, f"conf/debian/vendor-{part}.txt lacks {name}"
        version = held[name]
        for bound in bounds.split(","):
            sign, number = re.match(r"([<>=!]+)([0-9.]+)", bound).groups()
            limit = tuple(map(int, number.strip(".").split(".")))
            assert {">=": version >= limit, "<": version < limit, "!=": True}[sign], line


def test_the_workers_package_carries_hiredis_and_no_more() -> None:
    assert set(pins("backend")) == {"hiredis"}


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    subprocess.run([sys.executable, ROOT / "docs" / "generate", "man", folder], check=True)
    return folder


def test_every_command_program_and_file_has_a_manual_page(manual: Path) -> None:
    made = {path.name for path in manual.iterdir()}
    from geosteer_loader.cli.group import geosteer

    commands = {f"geosteer-{name}.1" for name, command in geosteer.commands.items() if not command.hidden}
    programs = {"geosteer.1", "geosteer-pipe.1", "geosteer-squid.1", "geosteer-http.1"}
    assert commands | programs | {"geosteer.toml.5", "backend.toml.5", "geosteer.7"} <= made


def test_groff_has_nothing_to_complain_about(manual: Path) -> None:
    groff = need("groff")
    for page in sorted(manual.iterdir()):
        done = subprocess.run([groff, "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), page.name


def test_the_page_of_a_configuration_has_every_setting_of_its_sample(manual: Path) -> None:
    for name in ("geosteer.toml", "backend.toml"):
        sample = (ROOT / "conf" / name).read_text()
        settings = set(re.findall(r"(?m)^(?:#|# Example: )?([a-z_]+) = ", sample))
        terms = (manual / f"{name}.5").read_text()
        for setting in settings:
            assert f"\\fB{setting} = " in terms, (name, setting)


def test_a_manual_page_names_its_options_and_examples(manual: Path) -> None:
    page = (manual / "geosteer-node.1").read_text()
    assert page.startswith('.TH "GEOSTEER-NODE" "1"')
    assert "\ngeosteer\\-node \\- override the probes for some nodes\n" in page
    assert ".SH EXAMPLES" in page
    assert "\\fB\\-\\-percent FLOAT RANGE\\fR" in page


def test_every_unit_is_laid_out_in_a_package_and_names_no_group_of_redis(tmp_path: Path) -> None:
    for name in ("backend", "loader", "conf"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    shutil.copytree(DEBIAN, tmp_path / "debian")
    for part in ("backend", "loader", "http"):
        (tmp_path / "build-vendor" / part).mkdir(parents=True)
    (tmp_path / "build-man").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "build_compiled.py").touch()  # the part in C: not looked at here
    subprocess.run(["debian/lay-out", "1.2.3"], cwd=tmp_path, check=True)
    listed = (tmp_path / "debian" / "units").read_text().split()
    shipped = sorted((ROOT / "conf").glob("geosteer-*.service"))
    assert "geosteer-loader:geosteer-follow" in listed
    for unit in shipped:
        package = "geosteer-http" if unit.stem == "geosteer-http" else "geosteer-loader"
        assert f"{package}:{unit.stem}" in listed
        lines = (tmp_path / "debian" / f"{package}.{unit.name}").read_text().splitlines()
        # `geosteer init` names the group of Redis, by a drop-in for the unit: where it is not there no such unit starts.
        assert "SupplementaryGroups=redis" not in lines, unit.name
        (program,) = (line for line in lines if line.startswith("ExecStart="))
        assert program.startswith("ExecStart=/usr/bin/geosteer"), unit.name
        assert (tmp_path / "debian" / package / "usr/share/geosteer" / unit.name).exists()
