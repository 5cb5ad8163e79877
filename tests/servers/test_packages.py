"""The Debian packages, in whole systems of Debian 12 and 13: built, installed, at work, upgraded under load, purged."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from support import debian
from support.data import ROOT
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
"""Networks in GB and US, and the node of the tutorial for each."""
INSTALLED = ("geosteer-backend", "geosteer-http", "geosteer-loader")


@pytest.fixture(scope="module", params=debian.RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def packages(release: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    """Two builds of this checkout, the second for an upgrade."""
    folder = tmp_path_factory.mktemp("packages")
    first = debian.build(release, folder / "1")
    return first, debian.newer(first, folder / "2")


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


def steps() -> list[tuple[str, list[str]]]:
    """The tutorial: each section's heading and its commands."""
    text = (ROOT / "docs" / "tutorial.md").read_text()
    sections = re.findall(r"^## (\d\..*?)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return [
        (title, re.findall(r"^```sh\n(.*?)^```", body, re.DOTALL | re.MULTILINE)) for title, body in sections
    ]


@pytest.mark.usefixtures("packages")
def test_lintian_finds_no_error(release: str) -> None:
    assert [line for line in debian.lintian(release) if line.startswith("E:")] == []


def test_the_tutorial_leads_to_the_right_answers_within_two_minutes(
    system: debian.System, packages: tuple[list[Path], list[Path]]
) -> None:
    first, _ = packages
    for path in first:
        shutil.copy(path, system.root / "root")
    (install, *_), *others = (commands for _, commands in steps())
    began = time.monotonic()
    system.sh(f"cd /root\n{install}")
    spent = time.monotonic() - began
    units = system.run("systemctl", "is-enabled", "geosteer-probe", "geosteer-publish.timer", check=False)
    assert units.stdout.split() == ["disabled", "disabled"], "nothing runs before there is a configuration"
    assert "0750 root geosteer" in system.sh("stat -c '%04a %U %G' /etc/geosteer")
    printed = []
    for number, commands in enumerate(others, 2):
        began = time.monotonic()
        # The last step tells what it finds, such as that the country table is old, by its exit code.
        printed.append("".join(system.sh(block, check=number < 6) for block in commands))
        if number <= 4:
            spent += time.monotonic() - began
    print(f"the tutorial's commands up to the first answers: {spent:.0f} s")
    answers = [line for line in printed[2].splitlines() if re.fullmatch(r"[0-9.]+", line)]
    assert answers == ["192.0.2.1", "198.51.100.1"], printed
    answers = [line for line in printed[3].splitlines() if re.fullmatch(r"[0-9.]+", line)]
    assert answers == ["198.51.100.1", "192.0.2.1"], "a node that is drained; and without Redis"
    assert spent < 120


def test_each_owner_keeps_his_folder(system: debian.System) -> None:
    system.run("systemctl", "start", "geosteer-publish.service")
    system.run("systemctl", "restart", "pdns")
    system.run("systemctl", "start", "geosteer-publish.service")
    for subnet, address in CLIENTS.items():
        wait_until(lambda subnet=subnet, address=address: dig(system, subnet) == address, 20, subnet)  # type: ignore[misc]
    assert system.sh("stat -c %U /var/lib/geosteer").strip() == "geosteer"
    assert system.sh("stat -c %U /var/lib/geosteer-worker/last-good.json").strip() == "pdns"
    system.run("systemctl", "enable", "--now", "geosteer-publish.timer", "geosteer-probe")


def test_the_redirector_runs_from_its_package(
    system: debian.System, packages: tuple[list[Path], list[Path]]
) -> None:
    first, _ = packages
    install(system, first, "geosteer-http")
    settings = system.sh(
        "sed 's|/var/lib/geosteer-worker|/var/lib/geosteer-http|' /etc/geosteer/backend.toml"
    )
    system.write("/etc/geosteer/http.toml", settings, 0o640)
    system.sh(
        "chgrp geosteer /etc/geosteer/http.toml; systemctl daemon-reload; systemctl start geosteer-http"
    )
    ask = (
        "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8302, timeout=5); "
        f"c.request('GET', '/a?b', headers={{'Host': '{NAME}', 'X-Forwarded-For': '8.8.8.8'}}); "
        "r = c.getresponse(); print(r.status, r.getheader('Location'))"
    )
    wait_until(lambda: system.run("python3", "-c", ask, check=False).returncode == 0, what="an HTTP answer")
    assert system.run("python3", "-c", ask).stdout.split()[0] == "302"
    assert "nyc1" in system.run("python3", "-c", ask).stdout
    spool = system.sh("stat -c '%a %U %G' /var/spool/geosteer").strip()
    assert spool == "2770 geosteer geosteer"
    assert "geosteer" in system.sh("systemctl show -P SupplementaryGroups geosteer-http").split()
    system.run("systemctl", "stop", "geosteer-http")


def test_every_unit_starts_answers_and_stops(system: debian.System) -> None:
    units = ["geosteer-metrics", "geosteer-probe", "geosteer-web", "geosteer-http"]
    system.run("systemctl", "start", *units)
    for port, path, expected in ((8310, "/", "<html"), (9717, "/metrics", "geosteer_redis_up 1.0")):
        ask = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}{path}', timeout=5).read().decode())"
        wait_until(
            lambda ask=ask, expected=expected: (
                expected in system.run("python3", "-c", ask, check=False).stdout
            ),  # type: ignore[misc]
            30,
            f"port {port}",
        )
    system.run("systemctl", "stop", *(unit for unit in units if unit != "geosteer-probe"))
    assert "geosteer" not in system.sh("systemctl list-units --failed --no-legend --plain")
    links = json.loads(system.run("geosteer", "doctor", "--json").stdout)["links"]
    assert {link["link"] for link in links if link["state"] != "ok"} <= {"data", "worker"}, links
    listed = system.sh(
        "ls /usr/lib/systemd/system/geosteer-*.service /lib/systemd/system/geosteer-*.service | sort -u"
    )
    others = {"geosteer-publish", "geosteer-follow", "geosteer-latency"}
    found = {path.rpartition("/")[2].removesuffix(".service") for path in listed.split()}
    assert found == {*units, *others}


def test_an_upgrade_under_load_loses_no_answer_and_runs_the_new_code(
    system: debian.System, packages: tuple[list[Path], list[Path]]
) -> None:
    _, second = packages
    prober = system.sh("systemctl show -P MainPID geosteer-probe")
    workers = system.sh("pgrep -x geosteer-pipe || grep -lx geosteer-pipe /proc/[0-9]*/comm")
    script = (
        "while [ ! -e /tmp/enough ]; do n=$((n + 1));"
        f" a=$(dig @127.0.0.1 +short +tries=3 +time=2 +subnet=81.128.$((n % 250)).0/24 {NAME} A);"
        " case $a in 192.0.2.1) ;; 198.51.100.1) echo elsewhere;; *192.0.2.1) echo again;;"
        ' *) echo "wrong: $a";; esac; done; echo "asked $n"'
    )
    load = subprocess.Popen(system.enter("sh", "-c", script), stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(2)
        install(system, second, *INSTALLED)
        time.sleep(3)
    finally:
        system.sh("touch /tmp/enough")
        said, _ = load.communicate(timeout=60)
    # On a busy machine a worker's new start may take longer than PowerDNS lets a question wait, and then its client asks
    # again; or longer than a first question waits for Redis, and then it gets a node of the last resort.
    asked = re.fullmatch(r"(?:again\n|elsewhere\n)*asked (\d+)\n", said)
    assert asked, said
    assert int(asked[1]) > 20
    print(
        f"upgrade: {asked[1]} asked, {said.count('again')} of them more than once, {said.count('elsewhere')} last resort"
    )
    assert said.count("elsewhere") <= 2
    assert "-2~deb" in system.sh("dpkg-query -W -f '${Version} ' geosteer-loader geosteer-backend")
    assert system.sh("pgrep -x geosteer-pipe || grep -lx geosteer-pipe /proc/[0-9]*/comm") == workers
    log = system.sh("journalctl -b -o cat -u pdns")
    assert len(re.findall("reloaded", log)) >= len(workers.split()), log[-2000:]
    assert system.sh("systemctl is-active geosteer-probe").strip() == "active"
    assert system.sh("systemctl show -P MainPID geosteer-probe") != prober


def test_a_removal_warns_while_powerdns_is_set_up_and_a_purge_leaves_nothing(system: debian.System) -> None:
    system.run("systemctl", "disable", "--now", "geosteer-publish.timer", "geosteer-probe")
    done = system.run("dpkg", "--remove", "geosteer-http", "geosteer-loader", "geosteer-backend")
    assert "PowerDNS is set up to run geosteer-pipe" in done.stdout + done.stderr
    assert (system.root / "etc/geosteer/backend.toml").exists()
    system.run("dpkg", "--purge", "geosteer-http", "geosteer-loader", "geosteer-backend")
    system.sh("rm -f /root/*.deb; systemctl daemon-reload")
    left = system.sh("find / -xdev -name '*geosteer*' ! -path '/proc/*'")
    assert left == ""
    assert "geosteer" not in system.sh("systemctl list-unit-files --no-legend; dpkg -l")
    assert "geosteer" not in system.sh("cat /etc/redis/redis.conf")
    system.run("systemctl", "restart", "redis-server")
