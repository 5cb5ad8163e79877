"""The container images: built by the commands of docs/install.md, then run beside a Redis of the test.

There is no engine: buildah runs an image's programs in a chroot, in namespaces with a network of their own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from support import debian
from support.data import ROOT
from support.documented import blocks
from support.long import LONG
from support.servers import need, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.skipif(not LONG, reason="makes a Debian and three images: with GEOSTEER_LONG=1"),
    pytest.mark.skipif(os.getuid() != 0, reason="needs root"),
    pytest.mark.timeout(3600),
]
PAGE = ROOT / "docs" / "install.md"
NAME = "www.cdn.example.net"
CLIENTS = {"81.128.0.0/24": "192.0.2.1", "8.8.8.0/24": "198.51.100.1"}
"""Networks in GB and US, and the node for each."""
PASSWORD = "hGsk3"
MORE = f"""
[[sources.geo]]
format = "builtin"
[nodes.lon1]
a = ["192.0.2.1"]
location = [51.5, -0.1]
well_connected = 10
[nodes.nyc1]
a = ["198.51.100.1"]
location = [40.7, -74.0]
well_connected = 10
[maps.default.default]
lon1 = 100
nyc1 = 100
[zones."cdn.example.net"]
soa = {{ mname = "ns1.cdn.example.net", rname = "hostmaster.example.net" }}
ns = ["ns1.cdn.example.net"]
[services."{NAME}"]
map = "default"
policy = "nearest"
"""


def shown(language: str) -> str:
    """The block of the page that this test tries."""
    tried = [block for block in blocks(PAGE) if block.remark == "tried by tests/servers/test_container.py"]
    (text,) = (block.text for block in tried if block.language == language)
    return text


class Images:
    """The images in a store of their own, and Redis and containers in namespaces of their own, from `with` on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "settings"
        self.programs = folder / "programs"
        """What `buildah` is in the page's commands."""
        self._inside: list[str] = []

    def __enter__(self) -> Self:
        for path in (self.programs, self.settings):
            path.mkdir()
        redis = "exec redis-server --port 6379 --save '' --requirepass " + PASSWORD
        spaces = ["--net", "--pid", "--mount", "--mount-proc", "--fork", "--kill-child"]
        command = ["unshare", *spaces, "sh", "-c", f"ip link set lo up; {redis}"]
        self._first = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL)
        children = Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children")
        wait_until(lambda: children.read_text().strip() != "", what="namespaces")
        self._inside = ["nsenter", "-t", children.read_text().split()[0], "-n", "-p", "-m"]
        self.folder.chmod(0o755)
        # Not the images of this host.
        store = f"--root {self.folder}/store --runroot {self.folder}/run"
        wrapper = self.programs / "buildah"
        wrapper.write_text(
            "#!/bin/sh\n"
            '[ "$1" != build ] || { shift; set -- build --isolation chroot --build-arg BASE=localhost/base "$@"; }\n'
            # What it mounts ends with it; programs and health checks of a container share theirs.
            'apart="unshare --mount"; [ "$1" != run ] || apart=\n'
            f'exec $apart {need("buildah")} {store} "$@"\n'
        )
        wrapper.chmod(0o755)
        return self

    def __exit__(self, *_: object) -> None:
        self._first.kill()  # and with it, all that runs in there
        self._first.wait()

    def buildah(self, *words: str) -> str:
        """What a command of buildah prints."""
        done = subprocess.run(
            [self.programs / "buildah", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout.strip()

    def build(self) -> None:
        """By the page's commands, from packages that were made in a Debian, on the same Debian."""
        release = "bookworm"
        work = self.folder / "work"
        (work / "dist").mkdir(parents=True)
        (work / "conf").symlink_to(ROOT / "conf")
        for package in debian.build(release, self.folder / "packages"):
            shutil.copy(package, work / "dist")
        container = self.buildah("from", "scratch")
        self.buildah("copy", "--quiet", container, str(debian.ready(release, "base")), "/")
        self.buildah("commit", "--quiet", "--rm", container, "localhost/base")
        script = shown("sh").replace("bin/package dist\n", "")
        path = f"{self.programs}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-ec", script], cwd=work, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])

    def container(self, role: str, **variables: str) -> Container:
        """A container of one role, with these environment variables."""
        name = f"localhost/geosteer-{role}"
        config = json.loads(self.buildah("inspect", "--type", "image", name))["Docker"]["config"]
        return Container(self, self.buildah("from", "--pull-never", name), config, variables)

    def enter(self, *command: str) -> list[str]:
        """The command line that runs a command in the namespaces."""
        return [*self._inside, *command]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of this host in the namespaces."""
        words = self.enter(*command)
        return subprocess.run(words, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)


class Container:
    """What an engine would make of an image."""

    def __init__(self, images: Images, name: str, config: dict[str, Any], variables: dict[str, str]) -> None:
        self.config = config
        self.variables = {"GEOSTEER_REDIS_PASSWORD": PASSWORD, **variables}
        self._images = images
        self._name = name

    def command(self, *words: str) -> list[str]:
        """The command line, on this host, of a command in the container."""
        given = [option for item in self.variables.items() for option in ("-e", "=".join(item))]
        volume = ["-v", f"{self._images.settings}:/etc/geosteer:ro"]
        run = ["run", "--isolation", "chroot", *volume, *given, self._name, "--", *words]
        return self._images.enter(str(self._images.programs / "buildah"), *run)

    def started(self, *arguments: str) -> list[str]:
        """The command line of the container's own program; without arguments with those of the image."""
        return self.command(*self.config["Entrypoint"], *(arguments or self.config.get("Cmd") or ()))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the container's own program to its end."""
        return subprocess.run(self.started(*arguments), capture_output=True, text=True, timeout=300)

    def healthy(self) -> bool:
        """Whether the image's health check says so."""
        kind, *test = self.config["Healthcheck"]["Test"]
        words = ["/bin/sh", "-c", *test] if kind == "CMD-SHELL" else test
        return subprocess.run(self.command(*words), capture_output=True, timeout=60).returncode == 0


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    for program in ("buildah", "debootstrap", "redis-server", "dig", "ip"):
        need(program)
    folder = tmp_path_factory.mktemp("images")
    try:
        with Images(folder) as made:
            made.build()
            redis = shown("toml").replace("redis.internal", "127.0.0.1")
            assert redis != shown("toml")
            (made.settings / "geosteer.toml").write_text(redis + MORE)
            (made.settings / "backend.toml").write_text(
                'snapshot = "/var/lib/geosteer-worker/last-good.json"\n' + redis
            )
            yield made
    finally:
        subprocess.run(["rm", "-rf", folder])  # some 100,000 files


@pytest.fixture(scope="module")
def published(images: Images) -> Container:
    """The loader, once it has published; its Redis by the environment, which has the last word."""
    loader = images.container("loader", GEOSTEER_REDIS_URL="redis://127.0.0.1:6379")
    assert not loader.healthy(), "nothing is published yet"
    done = loader.run("publish")
    assert done.returncode == 0, done.stderr
    assert "generation 1 published" in done.stdout
    return loader


def test_the_loader_publishes_and_is_healthy_then(published: Container) -> None:
    assert published.healthy()
    assert published.config["Cmd"] == ["probe", "--watch"]


@pytest.mark.parametrize("role", ["pdns", "loader", "http"])
def test_a_container_runs_as_the_user_that_the_page_names(images: Images, role: str) -> None:
    done = subprocess.run(images.container(role).command("id", "-u"), capture_output=True, text=True)
    assert done.stdout == "990\n", done.stderr
    assert re.search(r"user 990\b", PAGE.read_text())


@pytest.mark.usefixtures("published")
def test_powerdns_of_the_image_answers_each_client_with_its_node(images: Images, tmp_path: Path) -> None:
    pdns = images.container("pdns", HEALTH_NAME=NAME)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(pdns.started(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        for subnet, address in CLIENTS.items():
            question = ["dig", "@127.0.0.1", "-p", "5300", "+short", "+tries=1", f"+subnet={subnet}", NAME]
            _until(process, tmp_path / "log", lambda q=question: images.run(*q).stdout, f"{address}\n")
        assert pdns.healthy()
        pdns.variables["HEALTH_NAME"] = f"absent.{NAME}"
        assert not pdns.healthy()
    finally:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("published")
def test_the_redirector_of_the_image_redirects(images: Images, tmp_path: Path) -> None:
    http = images.container("http")
    ask = (
        "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8302, timeout=5); "
        f"c.request('GET', '/a?b', headers={{'Host': '{NAME}'}}); r = c.getresponse(); print(r.status)"
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(http.started(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _until(process, tmp_path / "log", lambda: images.run("python3", "-c", ask).stdout, "302\n")
        assert http.healthy()
    finally:
        process.kill()
        process.wait()


def _until(process: subprocess.Popen[bytes], log: Path, ask: Any, expected: str) -> None:
    """Ask until the expected answer comes."""

    def answered() -> bool:
        assert process.poll() is None, log.read_text()
        time.sleep(0.2)
        return bool(ask() == expected)

    wait_until(answered, 60, expected)
