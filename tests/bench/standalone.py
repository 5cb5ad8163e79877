"""The DNS servers that answer by themselves, from a database of their own: PowerDNS's geoip backend, gdnsd, Knot DNS."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import dns.exception
import dns.message
import dns.query

from support.servers import PowerDNS, free_port, shipped_settings

from . import zone
from .machine import family
from .rivals import Pipe

if TYPE_CHECKING:
    from pathlib import Path

    from .rivals import Rival
    from .stage import Stage


class Geoip(Pipe):
    """PowerDNS with its own geoip backend: no pipe, no worker, no Redis; one thread, which suits it best."""

    def __init__(self, stage: Stage) -> None:
        database = f"mmdb:{stage.country.shared}"
        wanted = (
            "local-address",
            "edns-subnet-processing",
            "consistent-backends",
            "cache-ttl",
            "query-cache-ttl",
            "disable-axfr",
        )
        shipped = {key: value for key, value in shipped_settings().items() if key in wanted}
        self.server = PowerDNS(command="-", threads=1)
        self.server.settings = {
            **shipped, "launch": "geoip", "geoip-zones-file": str(_geoip_zones(stage.folder / "geoip.yaml")),
            "geoip-database-files": database, "distributor-threads": 1, "receiver-threads": 1,
            "local-address": "127.0.0.1", "daemon": "no", "guardian": "no", "write-pid": "no", "disable-syslog": "yes",
            "loglevel": 0, "socket-dir": str(self.server.directory), "security-poll-suffix": "",
        }  # fmt: skip
        self.server.start()
        self.port = self.server.port


class Process:
    """A server in the foreground, given its folder and command; it is ready once it answers for the zone."""

    warming = 0.0

    def __init__(self, folder: Path, command: list[str], port: int) -> None:
        self.port = port
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        question = dns.message.make_query(zone.NAME, "A")
        end = time.monotonic() + 15
        while True:
            try:
                dns.query.udp(question, "127.0.0.1", 0.2, port=port)
                return
            except (dns.exception.DNSException, OSError):
                if self._process.poll() is not None or time.monotonic() > end:
                    self.close()
                    raise RuntimeError(f"{command[0]}: {(folder / 'log').read_text()[-2000:]}") from None
                time.sleep(0.05)

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        return family(self._process.pid)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def gdnsd(stage: Stage) -> Rival:
    """gdnsd with its geoip plugin, one thread."""
    folder = stage.folder / "gdnsd"
    (folder / "zones").mkdir(parents=True, exist_ok=True)
    port = free_port()
    by_continent: dict[str, list[str]] = {continent: [] for continent in zone.CONTINENTS}
    for country, node in zone.COUNTRIES.items():
        by_continent[zone.continent_of(country)].append(f"{country} => [ {node} ]")
    regions = "\n".join(
        f"{continent} => {{ {', '.join([*by_continent[continent], f'default => [ {node} ]'])} }}"
        for continent, node in zone.CONTINENTS.items()
    )
    places = "\n".join(
        f"{node} => {{ addrs_v4 => {zone.ipv4(node)}, addrs_v6 => {zone.ipv6(node)} }}" for node in zone.NODES
    )
    (folder / "config").write_text(
        f"options => {{ listen => 127.0.0.1:{port}, udp_threads => 1, tcp_threads => 1, run_dir => {folder}/run,\n"
        f" state_dir => {folder}/state }}\n"
        f"plugins => {{ geoip => {{\n maps => {{ all => {{ geoip2_db => {stage.country.shared}\n"
        f" datacenters => [ {', '.join(zone.NODES)} ]\n map => {{ {regions}\n default => [ {zone.DEFAULT} ] }} }} }}\n"
        f" resources => {{ www => {{ map => all, dcmap => {{ {places} }} }} }} }} }}\n"
    )
    (folder / "zones" / zone.ZONE).write_text(
        f"@ {zone.TTL} SOA ns1.example.net. hostmaster.example.net. ( 1 3600 600 604800 30 )\n"
        f"@ 3600 NS ns1.example.net.\nwww {zone.TTL} DYNA geoip!www\n"
    )
    program = shutil.which("gdnsd") or "gdnsd"
    return Process(folder, [program, "-c", str(folder), "start"], port)


def knot(stage: Stage) -> Rival:
    """Knot DNS with its geoip module, one worker."""
    folder = stage.folder / "knot"
    folder.mkdir(exist_ok=True)
    port = free_port()
    rules = [
        ("*;*", zone.DEFAULT),
        *((f"{continent};*", node) for continent, node in zone.CONTINENTS.items()),
    ]
    rules += [(f"{zone.continent_of(country)};{country}", node) for country, node in zone.COUNTRIES.items()]
    (folder / "rules.yaml").write_text(
        f"{zone.NAME}:\n"
        + "".join(
            f'  - geo: "{key}"\n    A: {zone.ipv4(node)}\n    AAAA: {zone.ipv6(node)}\n'
            for key, node in rules
        )
    )
    (folder / "zone").write_text(
        f"$ORIGIN {zone.ZONE}.\n@ {zone.TTL} SOA ns1.example.net. hostmaster.example.net. 1 3600 600 604800 30\n"
        f"@ 3600 NS ns1.example.net.\nwww {zone.TTL} A {zone.ipv4(zone.DEFAULT)}\n"
        f"www {zone.TTL} AAAA {zone.ipv6(zone.DEFAULT)}\n"
    )
    (folder / "knot.conf").write_text(
        f'server:\n  rundir: "{folder}"\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n  tcp-workers: 1\n'
        f"  background-workers: 1\n  edns-client-subnet: on\n"
        f'log:\n  - target: stderr\n    any: warning\ndatabase:\n  storage: "{folder}"\n'
        f'mod-geoip:\n  - id: www\n    config-file: "{folder}/rules.yaml"\n    ttl: {zone.TTL}\n    mode: geodb\n'
        f'    geodb-file: "{stage.country.shared}"\n    geodb-key: [ continent/code, country/iso_code ]\n'
        f'zone:\n  - domain: {zone.ZONE}\n    storage: "{folder}"\n    file: "zone"\n    module: mod-geoip/www\n'
    )
    return Process(folder, [shutil.which("knotd") or "knotd", "-c", str(folder / "knot.conf")], port)


def _geoip_zones(path: Path) -> Path:
    """The zone for PowerDNS's geoip backend: a name for each country, and one for each continent behind it."""
    records: dict[str, object] = {
        zone.ZONE: [
            {"soa": "ns1.example.net hostmaster.example.net 1 3600 600 604800 30"},
            {"ns": "ns1.example.net"},
        ]
    }

    def at(label: str, node: str) -> None:
        records[f"{label}.{zone.ZONE}"] = [{"a": zone.ipv4(node)}, {"aaaa": zone.ipv6(node)}]

    for country, node in zone.COUNTRIES.items():
        at(f"{country.lower()}.country", node)
    for continent, node in zone.CONTINENTS.items():
        at(f"{continent.lower()}.continent", node)
    at("default", zone.DEFAULT)
    services = {zone.NAME: [f"{part}.{zone.ZONE}" for part in ("%cc.country", "%cn.continent", "default")]}
    domain = {"domain": zone.ZONE, "ttl": zone.TTL, "records": records, "services": services}
    path.write_text(json.dumps({"domains": [domain]}))  # JSON is YAML
    return path
