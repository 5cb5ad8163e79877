"""Real BGP daemons on loopback: GoBGP announces, BIRD and FRR receive, and all three dump their tables to one folder."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from support.servers import free_port, need, wait_until

FRR = "/usr/lib/frr/bgpd"
SECONDS = 5
"""Between two dumps of BIRD and of FRR."""
WAIT = 120.0

GOBGP = """
[global.config]
as = 65003
router-id = "127.0.0.3"
port = {port}
local-address-list = ["127.0.0.3"]
[[mrt-dump]]
[mrt-dump.config]
dump-type = "table"
file-name = "{folder}/gobgp.dump"
dump-interval = 60
"""
NEIGHBOUR = """
[[neighbors]]
[neighbors.config]
neighbor-address = "127.0.0.{number}"
peer-as = 6500{number}
[neighbors.transport.config]
passive-mode = true
[neighbors.ebgp-multihop.config]
enabled = true
multihop-ttl = 5
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv4-unicast"
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv6-unicast"
"""
BIRD_CONFIG = """
router id 127.0.0.1;
ipv4 table master4;
ipv6 table master6;
protocol device {{}}
protocol bgp up {{
  local 127.0.0.1 port {own} as 65001;
  neighbor 127.0.0.3 port {port} as 65003;
  multihop;
  connect delay time 1;
  connect retry time 1;
  ipv4 {{ import all; export none; next hop keep; }};
  ipv6 {{ import all; export none; }};
}}
protocol mrt routes4 {{ table "master4"; filename "{folder}/bird_%N_%F_%T.mrt"; period {seconds}; }}
"""
FRR_CONFIG = """
router bgp 65002
 bgp router-id 127.0.0.2
 no bgp ebgp-requires-policy
 bgp disable-ebgp-connected-route-check
 neighbor 127.0.0.3 remote-as 65003
 neighbor 127.0.0.3 port {port}
 neighbor 127.0.0.3 ebgp-multihop 5
 neighbor 127.0.0.3 timers connect 1
 neighbor 127.0.0.3 update-source 127.0.0.2
dump bgp routes-mrt {folder}/frr.%Y%m%d.%H%M%S {seconds}
"""


class Routers:
    """The three, from `with` on; ended one by one."""

    def __init__(self) -> None:
        # GoBGP takes digits and some words in a file's name for parts of a date
        letters = "".join(random.choice("bcdfgh") for _ in range(12))
        self.folder = Path(tempfile.gettempdir()) / f"gs{letters}"
        self.api = free_port()
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.folder.mkdir()
        self.folder.chmod(0o777)
        port, own = free_port(), free_port()
        for name, text in (
            ("gobgp.toml", GOBGP + NEIGHBOUR.format(number=1) + NEIGHBOUR.format(number=2)),
            ("bird.conf", BIRD_CONFIG),
            ("frr.conf", FRR_CONFIG),
        ):
            (self.folder / name).write_text(
                text.format(port=port, own=own, folder=self.folder, seconds=SECONDS)
            )
        config = self.folder
        self._start(
            need("gobgpd"),
            "-f",
            f"{config}/gobgp.toml",
            "--api-hosts",
            f"127.0.0.1:{self.api}",
            "--pprof-disable",
        )
        wait_until(lambda: self._quiet("gobgp", "-p", str(self.api), "neighbor"), WAIT, "GoBGP's API")
        self._start(need("bird"), "-f", "-c", f"{config}/bird.conf", "-s", f"{config}/bird.ctl")
        if shutil.which(FRR):
            self._start(
                FRR, "-f", f"{config}/frr.conf", "-i", f"{config}/frr.pid", "-n", "-Z", "-S", "--vty_socket", str(config),
                "-p", "0",
            )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.terminate()
        for process in self._started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def announce(self, prefix: str, *path: int) -> None:
        """Have GoBGP originate a route; a path of its own replaces the one before."""
        aspath = ",".join(map(str, path))
        self._run(
            "gobgp",
            "-p",
            str(self.api),
            "global",
            "rib",
            "add",
            prefix,
            "aspath",
            aspath,
            "nexthop",
            "1.2.3.4",  # FRR refuses a next hop on loopback
        )

    def withdraw(self, prefix: str) -> None:
        self._run("gobgp", "-p", str(self.api), "global", "rib", "del", prefix)

    def origins(self, daemon: str) -> dict[str, int]:
        """Prefix -> origin AS, as the daemon itself lists its routes (IPv4)."""
        if daemon == "gobgp":
            listed = json.loads(self._run("gobgp", "-p", str(self.api), "global", "rib", "-j") or "{}")
            return {
                prefix: attribute["as_paths"][0]["asns"][-1]
                for prefix, routes in listed.items()
                for attribute in routes[0]["attrs"]
                if attribute["type"] == 2
            }
        if daemon == "frr":
            text = self._run("vtysh", "--vty_socket", str(self.folder), "-c", "show bgp ipv4 unicast json")
            return {
                prefix: int(routes[0]["path"].split()[-1])
                for prefix, routes in json.loads(text)["routes"].items()
            }
        text = self._run("birdc", "-s", f"{self.folder}/bird.ctl", "show", "route", "table", "master4")
        return {
            prefix: int(asn) for prefix, asn in re.findall(r"^(\S+/\d+) .*\[AS(\d+)\S\]", text, re.MULTILINE)
        }

    def wait_for(self, daemon: str, origins: dict[str, int]) -> None:
        """Until a daemon has just these routes, and has had the time to dump them."""
        wait_until(lambda: self._has(daemon, origins), WAIT, f"{daemon}'s table")

    def _has(self, daemon: str, origins: dict[str, int]) -> bool:
        time.sleep(0.2)
        try:
            return self.origins(daemon) == origins
        except (subprocess.CalledProcessError, json.JSONDecodeError, KeyError):
            return False

    def _start(self, *command: str) -> None:
        with (self.folder / f"{Path(command[0]).name}.log").open("wb") as log:
            self._started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def _run(self, *command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    def _quiet(self, *command: str) -> bool:
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
