"""Debian systems to install packages in: roots made by debootstrap, with systemd as their process 1, and no network.

Roots are kept in GEOSTEER_ROOTS (/var/tmp/geosteer-roots) between runs; making the two of a release takes some minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from support.data import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT = Path(os.environ.get("GEOSTEER_ROOTS", "/var/tmp/geosteer-roots"))
MIRROR = "http://deb.debian.org/debian"
RELEASES = {"bookworm": "12", "trixie": "13"}
PROGRAMS = {
    "base": "",
    "build": "build-essential debhelper dh-python python3 python3-pip lintian fakeroot",
    "system": "systemd systemd-sysv dbus python3 redis-server pdns-server pdns-backend-pipe bind9-dnsutils iproute2 logrotate",
}
"""What is installed in a root of each kind."""
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "PIP_CERT": "/etc/ssl/host.crt",
}
BOOT = r"""
set -eu
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
for name in null zero full random urandom tty; do : >dev/$name; mount --bind /dev/$name dev/$name; done
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
ip link set lo up
hostname geosteer-test
mkdir -p .before
pivot_root . .before
umount -l /.before
rmdir /.before
exec env -i container=geosteer-test /lib/systemd/systemd --log-level=warning
"""
"""Makes a root the root of new namespaces, by pivot_root: in a chroot user namespaces, which Debian's units use, are
refused."""


def ready(release: str, kind: str) -> Path:
    """A root of a release, made if it is not there."""
    root = KEPT / f"{kind}-{release}"
    done = KEPT / f"{kind}-{release}.done"
    if done.exists():
        return root.resolve()
    KEPT.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    base = ["debootstrap", "--variant=minbase", "--include=ca-certificates", release, str(root), MIRROR]
    subprocess.run(base, check=True, capture_output=True, timeout=1800)
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    inside(root, "apt-get", "update")
    inside(root, "apt-get", "install", "-y", "--no-install-recommends", *PROGRAMS[kind].split())
    policy.unlink()
    done.touch()
    return root


def copy(root: Path, target: Path) -> Path:
    """A copy to change; never of what is mounted in it."""
    subprocess.run(["cp", "-ax", root, target], check=True)
    return target


def inside(
    root: Path, *command: str, seconds: float = 1800, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command in a root that is no running system, with the network of this one."""
    for name in ("resolv.conf", "ssl/certs/ca-certificates.crt"):
        target = {"resolv.conf": "etc/resolv.conf"}.get(name, "etc/ssl/host.crt")
        with suppress(OSError):
            shutil.copyfile(Path("/etc") / name, root / target)
    script = 'mount --bind "$0" "$0" && mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, str(root), *command]
    done = subprocess.run(
        enter, env=ENVIRONMENT, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL
    )
    assert not check or done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])
    return done


def build(release: str, into: Path) -> list[Path]:
    """Packages of this checkout, built in a root of the release; with GEOSTEER_BUILT those that were built there last."""
    root = ready(release, "build")
    if os.environ.get("GEOSTEER_BUILT"):
        return sorted((root / "out").glob("*.deb"))
    for name in ("src", "out"):
        shutil.rmtree(root / name, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if not name.startswith(("tests/", ".")) and (ROOT / name).is_file():
            target = root / "src" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    inside(root, "/src/bin/package", "/out")
    into.mkdir(parents=True, exist_ok=True)
    return sorted(Path(shutil.copy(path, into)) for path in (root / "out").glob("*.deb"))


def newer(packages: list[Path], into: Path) -> list[Path]:
    """The same packages as revision 2: what an upgrade installs."""
    into.mkdir(parents=True, exist_ok=True)
    made = []
    for package in packages:
        tree, target = into / "tree", into / package.name.replace("-1~", "-2~")
        subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
        control = tree / "DEBIAN/control"
        control.write_text(control.read_text().replace("-1~deb", "-2~deb"))
        subprocess.run(
            ["dpkg-deb", "-Zgzip", "-z1", "--build", tree, target], check=True, capture_output=True
        )
        shutil.rmtree(tree)
        made.append(target)
    return made


def lintian(release: str) -> list[str]:
    """What lintian says of the packages that were built last."""
    root = ready(release, "build")
    packages = [f"/out/{path.name}" for path in (root / "out").glob("*.deb")]
    done = inside(root, "lintian", "--tag-display-limit", "0", *packages, check=False)
    return [line for line in done.stdout.splitlines() if line[:2] in {"E:", "W:"}]


class System:
    """A root that runs, with systemd; its network has a loopback interface alone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        spaces = ["--pid", "--mount", "--cgroup", "--ipc", "--uts", "--net"]
        command = ["unshare", *spaces, "--fork", "--kill-child", "sh", "-c", BOOT, "boot", str(root)]
        self._log = (root.parent / f"{root.name}.console").open("w")
        self._unshare = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT
        )
        self._first = ""

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 120
        state = ""
        while time.monotonic() < deadline:
            children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
            self._first = children.read_text().split()[0] if children.read_text() else ""
            if self._first:
                state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
                if state in {"running", "degraded"}:
                    return self
            assert self._unshare.poll() is None, Path(self._log.name).read_text()
            time.sleep(0.5)
        raise AssertionError(f"the system did not come up: {state} {Path(self._log.name).read_text()}")

    def __exit__(self, *_: object) -> None:
        self._unshare.kill()  # and with it, process 1 of the namespace
        self._unshare.wait()
        self._log.close()

    def enter(self, *command: str) -> Sequence[str]:
        """The command line that runs a command in there."""
        variables = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        return ["nsenter", "-t", self._first, "-a", "env", "-i", *variables, *command]

    def run(
        self, *command: str, check: bool = True, seconds: float = 300, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; *text* goes to its standard input."""
        given = {"input": text} if text is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(self.enter(*command), capture_output=True, text=True, timeout=seconds, **given)
        assert not check or done.returncode == 0, (command, done.returncode, done.stdout, done.stderr)
        return done

    def sh(self, script: str, *, check: bool = True) -> str:
        """What a shell script prints."""
        return self.run("sh", "-ec", script, check=check).stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in there."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
