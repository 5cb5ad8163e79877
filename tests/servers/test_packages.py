"""The Debian packages, in whole systems of Debian 12 and 13: built, installed, at work, upgraded under load, purged."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from support import debian
from support.servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("GEOSTEER_LONG"), reason="makes whole systems of Debian: with GEOSTEER_LONG=1"
    ),
    pytest.mark.skipif(
        os.getuid() != 0 or shutil.which("debootstrap") is None, reason="needs root and debootstrap"
    ),
    pytest.mark.timeout(3600),
]
NAME = "www.cdn.example.net"
CLIENTS = {"81.128.0.0/24": "192.0.2.1", "8.8.8.0/24": "198.51.100.1"}
"""Networks in GB and US, and the node of conf/geosteer.toml for each."""
INSTALLED = ("geosteer-backend", "geosteer-loader")


@pytest.fixture(scope="module", params=debian.RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def packages(
    release: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Path], list[Path], list[str]]:
    """Two builds of this checkout, the second for an upgrade; and what lintian says of the first."""
    folder = tmp_path_factory.mktemp("packages")
    first = debian.build(release, folder / "1")
    return first, debian.newer(first, folder / "2"), debian.lintian(release)


@pytest.fixture(scope="module")
def system(release: str) -> Iterator[debian.System]:
    root = debian.copy(debian.ready(release, "system"), debian.KEPT / f"running-{release}-{os.getpid()}")
    try:
        with debian.System(root) as running:
            yield running
    finally:
        shutil.rmtree(root, ignore_errors=True)


def install(system: debian.System, packages: list[Path], *names: str) -> None:
    chosen = [path for path in packages if path.name.startswith(names)]
    for path in chosen:
        shutil.copy(path, system.root / "root")
    system.run("dpkg", "-i", *(f"/root/{path.name}" for path in chosen))


def dig(system: debian.System, subnet: str) -> str:
    question = ["dig", "@127.0.0.1", "+short", "+tries=1", "+time=2", f"+subnet={subnet}", NAME, "A"]
    return system.run(*question, check=False).stdout.strip()


def configure(system: debian.System) -> None:
    """Users and passwords in Redis, the settings of both files, PowerDNS's, and who may use the socket."""
    passwords = {name: secrets.token_hex(16) for name in ("admin", "worker", "reader", "loader", "replica")}
    users = (system.root / "usr/share/geosteer/users.acl").read_text()
    for name, password in passwords.items():
        users = users.replace(f"CHANGE-{name}", password)
        system.write(f"/etc/geosteer/{name}-password", password + "\n", 0o640)
    system.write("/etc/redis/users.acl", users, 0o640)
    shutil.copy(system.root / "usr/share/geosteer/redis.conf", system.root / "etc/redis/geosteer.conf")
    with (system.root / "etc/redis/redis.conf").open("a") as file:
        file.write("\ninclude /etc/redis/geosteer.conf\n")
    for name, user in (("geosteer.toml", "loader"), ("backend.toml", "worker")):
        login = f'username = "geosteer-{user}"\npassword_file = "/etc/geosteer/{user}-password"\n'
        text = (system.root / "usr/share/geosteer" / name).read_text()
        text = text.replace('path = "sample.csv"', 'path = "/usr/share/geosteer/sample.csv"')
        text = re.sub(r'(?m)^(url = "unix:.*)', rf"\1\n{login}", text)
        if name == "geosteer.toml":  # the documentation's addresses answer no check
            text = re.sub(r"(?ms)^\[nodes\.(\w+)\.check\].*?(?=^\[)", "", text)
        system.write(f"/etc/geosteer/{name}", text, 0o640)
    pdns = (system.root / "usr/share/geosteer/pdns.conf").read_text()
    system.write("/etc/powerdns/pdns.conf", pdns + "security-poll-suffix=\n")
    socket = "[Service]\nSupplementaryGroups=redis\n"
    for unit in ("pdns", "geosteer-publish", "geosteer-probe"):
        system.write(f"/etc/systemd/system/{unit}.service.d/redis.conf", socket)
    system.sh(
        "chown root:geosteer /etc/geosteer/*; chown redis:redis /etc/redis/users.acl; rm -f /etc/powerdns/pdns.d/*"
    )
    system.sh("systemctl daemon-reload; systemctl restart redis-server")


def test_lintian_finds_no_error(packages: tuple[list[Path], list[Path], list[str]]) -> None:
    _, _, words = packages
    assert [line for line in words if line.startswith("E:")] == []


def test_an_installed_system_publishes_and_gives_the_right_answers(
    system: debian.System, packages: tuple[list[Path], list[Path], list[str]]
) -> None:
    first, _, _ = packages
    install(system, first, *INSTALLED)
    states = system.run("systemctl", "is-enabled", "geosteer-probe", "geosteer-publish.timer", check=False)
    assert states.stdout.split() == ["disabled", "disabled"], "nothing runs before there is a configuration"
    assert "0750 root geosteer" in system.sh("stat -c '%04a %U %G' /etc/geosteer")
    assert system.run("geosteer", "--version").stdout.startswith("geosteer ")
    assert system.run("geosteer-pipe", "--help").stdout
    configure(system)
    system.run("geosteer", "check-config", "--backend", "/etc/geosteer/backend.toml")
    system.run("systemctl", "start", "geosteer-publish.service")
    system.run("systemctl", "restart", "pdns")
    for subnet, address in CLIENTS.items():
        wait_until(lambda subnet=subnet, address=address: dig(system, subnet) == address, 20, subnet)  # type: ignore[misc]
    system.run("systemctl", "enable", "--now", "geosteer-publish.timer", "geosteer-probe")
    assert system.sh("stat -c '%U %a' /var/lib/geosteer-worker/last-good.json").split()[0] == "pdns"
    owners = system.sh("stat -c %U /var/lib/geosteer /var/lib/geosteer/sources").split()
    assert owners == ["geosteer", "geosteer"]
    system.run("systemctl", "restart", "pdns")
    system.run("systemctl", "start", "geosteer-publish.service")
    assert system.sh("stat -c %U /var/lib/geosteer /var/lib/geosteer/sources").split() == owners
    assert system.run("man", "-w", "geosteer", check=False).returncode in {0, 127}


def test_an_upgrade_under_load_loses_no_answer_and_runs_the_new_code(
    system: debian.System, packages: tuple[list[Path], list[Path], list[str]]
) -> None:
    _, second, _ = packages
    prober = system.sh("systemctl show -P MainPID geosteer-probe")
    workers = system.sh("pgrep -x geosteer-pipe || grep -lx geosteer-pipe /proc/[0-9]*/comm")
    script = (
        "while [ ! -e /tmp/enough ]; do n=$((n + 1));"
        f" a=$(dig @127.0.0.1 +short +tries=1 +time=3 +subnet=81.128.$((n % 250)).0/24 {NAME} A);"
        ' [ "$a" = 192.0.2.1 ] || echo "wrong: $a"; done; echo "asked $n"'
    )
    load = subprocess.Popen(system.enter("sh", "-c", script), stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(2)
        install(system, second, *INSTALLED)
        time.sleep(3)
    finally:
        system.sh("touch /tmp/enough")
        said, _ = load.communicate(timeout=60)
    asked = re.fullmatch(r"asked (\d+)\n", said)
    assert asked, said
    assert int(asked[1]) > 20
    assert "-2~deb" in system.sh("dpkg-query -W -f '${Version} ' geosteer-loader geosteer-backend")
    assert system.sh("pgrep -x geosteer-pipe || grep -lx geosteer-pipe /proc/[0-9]*/comm") == workers
    log = system.sh("journalctl -b -o cat -u pdns")
    assert len(re.findall("reloaded", log)) >= len(workers.split()), log[-2000:]
    assert system.sh("systemctl is-active geosteer-probe").strip() == "active"
    assert system.sh("systemctl show -P MainPID geosteer-probe") != prober


def test_a_removal_warns_while_powerdns_is_set_up_and_a_purge_leaves_nothing(system: debian.System) -> None:
    system.run("systemctl", "disable", "--now", "geosteer-publish.timer", "geosteer-probe")
    done = system.run("dpkg", "--remove", "geosteer-loader", "geosteer-backend")
    assert "PowerDNS is set up to run geosteer-pipe" in done.stdout + done.stderr
    assert (system.root / "etc/geosteer/backend.toml").exists()
    system.run("dpkg", "--purge", "geosteer-loader", "geosteer-backend")
    # What an operator wrote outside of /etc/geosteer is his.
    system.sh("rm -rf /etc/redis/geosteer.conf /etc/systemd/system/*.service.d /root/*.deb")
    system.sh("systemctl daemon-reload; systemctl restart systemd-journald")
    left = system.sh("find / -xdev -name '*geosteer*' ! -path '/proc/*' ! -path '/tmp/*'")
    assert left.split() == []
    assert "geosteer" not in system.sh("systemctl list-unit-files --no-legend; dpkg -l")
