"""`geosteer init`: what it writes loads in a real Redis and a real PowerDNS and answers rightly; it overwrites nothing."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import stat
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.cli.main import main
from support.data import ROOT
from support.installed import NODES, ZONE, Installed, clients
from support.long import takes_long
from support.servers import valkey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RIGHT = {
    "GB": "lon1", "DE": "lon1", "FR": "lon1", "ES": "lon1", "PL": "lon1", "EG": "lon1",
    "US": "nyc1", "CA": "nyc1", "MX": "nyc1", "BR": "nyc1",
    "AU": "syd1", "NZ": "syd1", "JP": "syd1", "ID": "syd1",
}  # fmt: skip
"""Country -> the nearest of the three nodes."""
ZONE_AND_NODE = ["--zone", ZONE, "--node", "lon1=192.0.2.1"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The files of a host with Redis, PowerDNS and systemd, for `--root`."""
    root = tmp_path / "host"
    for folder in ("etc/redis", "etc/powerdns/pdns.d", "etc/systemd/system", "usr/lib/systemd/system"):
        (root / folder).mkdir(parents=True)
    (root / "usr/lib/systemd/systemd").touch()
    (root / "etc/redis/redis.conf").write_text("bind 127.0.0.1\nsave 900 1")
    (root / "etc/passwd").write_text(
        "root:x:0:0::/root:/bin/sh\ngeosteer:x:700:700::/:/bin/sh\npdns:x:701:701::/:/bin/sh\n"
    )
    (root / "etc/group").write_text("root:x:0:\ngeosteer:x:700:\npdns:x:701:\nredis:x:702:\n")
    return root


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("server", ["redis", pytest.param("valkey", marks=takes_long)])
def test_what_it_writes_answers_clients_of_real_countries_rightly(
    server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program = "redis-server" if server == "redis" else valkey()
    with Installed(f"--server={server}", program=program) as host:
        said, warned = capsys.readouterr()
        assert f"geosteer publish --config {host.folder}/geosteer.toml" in said
        assert "the built-in country table is of 2026-02-01" in warned, "publish says that it is old"
        networks = clients(list(RIGHT))
        answers = {country: host.ask(f"www.{ZONE}", network) for country, network in networks.items()}
        assert answers == {country: [NODES[node][0]] for country, node in RIGHT.items()}
        assert host.ask(f"lon1.{ZONE}") == ["192.0.2.1"]
        assert host.ask(ZONE, rdtype="NS") == [f"ns1.{ZONE}."]
        with host.admin() as admin:
            assert admin.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        for name in ("worker", "loader", "admin"):
            assert stat.S_IMODE((host.folder / f"{name}.password").stat().st_mode) == 0o640


def test_each_set_has_passwords_of_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert main(["init", str(tmp_path / name), *ZONE_AND_NODE]) == 0
    words = [path.read_text() for path in tmp_path.glob("*/*.password")]
    assert len(words) == len(set(words)) == 10
    assert min(map(len, words)) > 30
    users = (tmp_path / "a" / "users.acl").read_text()
    assert not any(word.strip() in users for word in words)


def test_nothing_is_overwritten_and_every_file_in_the_way_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "backend.toml").write_text("mine")
    (folder / "pdns.conf").symlink_to("nowhere")
    command = ["init", str(folder), *ZONE_AND_NODE]
    assert main(command) == 3
    err = capsys.readouterr().err
    assert f"{folder}/backend.toml" in err
    assert f"{folder}/pdns.conf" in err
    assert "geosteer.toml" not in err
    assert sorted(path.name for path in folder.iterdir()) == ["backend.toml", "pdns.conf"]
    assert main([*command, "--force"]) == 0
    assert "mine" not in (folder / "backend.toml").read_text()
    assert not (folder / "pdns.conf").is_symlink()


def test_a_dry_run_writes_nothing_and_shows_no_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path / "set"), *ZONE_AND_NODE, "--dry-run", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert f"{tmp_path}/set/geosteer.toml" in shown["files"]
    assert shown["in_the_way"] == []
    assert list(tmp_path.iterdir()) == []


def test_a_host_gets_its_files_in_their_places_and_loses_them_again(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(tree)
    words = ["init", "--root", str(tree)]
    assert main([*words, *ZONE_AND_NODE]) == 0
    made = files(tree)
    assert {
        "etc/geosteer/geosteer.toml", "etc/geosteer/backend.toml", "etc/geosteer/worker.password",
        "etc/redis/geosteer.conf", "etc/redis/users.acl", "etc/powerdns/pdns.d/geosteer.conf",
        "etc/systemd/system/geosteer-publish.timer", "etc/systemd/system/geosteer-probe.service",
        "etc/systemd/system/pdns.service.d/geosteer.conf", "etc/tmpfiles.d/geosteer.conf",
        "etc/sysusers.d/geosteer.conf", "etc/logrotate.d/geosteer",
    } <= made.keys()  # fmt: skip
    redis = made["etc/redis/redis.conf"].decode()
    assert redis == "bind 127.0.0.1\nsave 900 1\ninclude /etc/redis/geosteer.conf\n"
    assert b"unixsocket /run/redis/redis.sock\n" in made["etc/redis/geosteer.conf"]
    assert b"aclfile /etc/redis/users.acl\n" in made["etc/redis/geosteer.conf"]
    assert b"d /var/spool/geosteer 2770 geosteer geosteer\n" in made["etc/tmpfiles.d/geosteer.conf"]
    assert b"pipe-timeout=5000\n" in made["etc/powerdns/pdns.d/geosteer.conf"]
    drop_in = made["etc/systemd/system/pdns.service.d/geosteer.conf"].decode()
    assert "SupplementaryGroups=geosteer redis\n" in drop_in
    assert "StateDirectory=geosteer-worker\n" in drop_in
    assert (
        'snapshot = "/var/lib/geosteer-worker/last-good.json"' in made["etc/geosteer/backend.toml"].decode()
    )
    assert main([*words, *ZONE_AND_NODE, "--force"]) == 0
    assert files(tree)["etc/redis/redis.conf"].decode().count("include") == 1

    changed = tree / "etc/logrotate.d/geosteer"
    changed.write_text("my own")
    capsys.readouterr()
    assert main([*words, "--undo"]) == 0
    said = capsys.readouterr().out
    assert "kept /etc/logrotate.d/geosteer" in said
    left = {name: content for name, content in files(tree).items() if not name.startswith("etc/geosteer/")}
    redis = left.pop("etc/redis/redis.conf").decode()
    assert redis == "bind 127.0.0.1\nsave 900 1\n"
    assert left.pop("etc/logrotate.d/geosteer") == b"my own"
    assert left == {name: content for name, content in before.items() if name != "etc/redis/redis.conf"}
    assert (tree / "etc/geosteer/geosteer.toml").is_file()


def test_a_group_that_is_not_there_stands_in_no_unit(tree: Path) -> None:
    (tree / "etc/group").write_text("root:x:0:\ngeosteer:x:700:\n")
    assert main(["init", "--root", str(tree), *ZONE_AND_NODE, "--server", "valkey"]) == 0
    texts = [path.read_text() for path in (tree / "etc/systemd/system").rglob("*") if path.is_file()]
    named = [line for text in texts for line in text.splitlines() if line.startswith("SupplementaryGroups=")]
    assert named == ["SupplementaryGroups=geosteer"]
    assert any("After=valkey-server.service" in text for text in texts)
    backend = tomllib.loads((tree / "etc/geosteer/backend.toml").read_text())
    assert backend["redis"]["url"] == "unix:///run/valkey/valkey-server.sock"


def test_what_a_package_brought_is_not_written_again(tree: Path) -> None:
    (tree / "usr/lib/systemd/system/geosteer-publish.service").write_text("[Service]\n")
    assert main(["init", "--root", str(tree), *ZONE_AND_NODE]) == 0
    units = sorted(
        str(path.relative_to(tree / "etc/systemd/system"))
        for path in (tree / "etc/systemd/system").rglob("*")
        if path.is_file()
    )
    in_group = [
        path.name
        for path in sorted((ROOT / "conf").glob("geosteer-*.service"))
        if "\nSupplementaryGroups=redis\n" in path.read_text()
    ]
    assert {"geosteer-web.service", "geosteer-follow.service"} <= set(in_group)
    assert units == [f"{unit}.d/geosteer-redis.conf" for unit in (*in_group, "pdns.service")]
    assert not (tree / "etc/tmpfiles.d").exists()
    rotation = (tree / "etc/logrotate.d/geosteer").read_text()
    assert rotation == (ROOT / "conf/geosteer.logrotate").read_text()


def test_a_repair_writes_what_is_lost_and_keeps_what_is_there(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["init", "--root", str(tree)]
    (tree / "etc/group").write_text("root:x:0:\ngeosteer:x:700:\n")
    (tree / "usr/lib/systemd/system/geosteer-publish.service").write_text("[Service]\n")
    assert main([*words, *ZONE_AND_NODE]) == 0
    whole = files(tree)
    configuration = tree / "etc/geosteer/geosteer.toml"
    configuration.write_text(configuration.read_text().replace("192.0.2.1", "192.0.2.77"))
    edited = configuration.read_bytes()

    capsys.readouterr()
    assert main([*words, "--repair"]) == 0
    assert capsys.readouterr().out == "nothing is missing\n"
    assert files(tree) == {**whole, "etc/geosteer/geosteer.toml": edited}, "nothing was lost"

    for name in ("etc/geosteer/backend.toml", "etc/powerdns/pdns.d/geosteer.conf", "etc/redis/users.acl"):
        (tree / name).unlink()
    (tree / "etc/redis/redis.conf").write_text("bind 127.0.0.1\nsave 900 1\n")
    capsys.readouterr()
    assert main([*words, "--repair", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["files"]) == 4, "and the manifest"
    repaired = files(tree)
    assert "192.0.2.77" in repaired.pop("etc/geosteer/backend.toml").decode(), "by what is configured now"
    assert (
        repaired.items()
        >= {
            name: content
            for name, content in whole.items()
            if name
            not in {"etc/geosteer/backend.toml", "etc/geosteer/geosteer.toml", "etc/geosteer/init.json"}
        }.items()
    )

    # A group that came later is in the units; a password that is lost is in the ACL file, too.
    (tree / "etc/group").write_text("root:x:0:\ngeosteer:x:700:\nredis:x:701:\n")
    (tree / "etc/geosteer/reader.password").unlink()
    assert main([*words, "--repair"]) == 0
    assert (tree / "etc/systemd/system/pdns.service.d/geosteer-redis.conf").is_file()
    digest = hashlib.sha256((tree / "etc/geosteer/reader.password").read_bytes().strip()).hexdigest()
    assert f"user geosteer-reader on #{digest}" in (tree / "etc/redis/users.acl").read_text()
    assert main([*words, "--undo"]) == 0
    assert not (tree / "etc/systemd/system/pdns.service.d").exists()
    assert not (tree / "etc/redis/users.acl").exists()


@pytest.mark.parametrize("more", ["--force", "--dry-run", "--undo"])
def test_a_repair_goes_with_no_other_way_of_writing(
    tmp_path: Path, more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path / "set"), "--repair", more]) == 2
    assert f"--repair does not go with {more}" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{}", '{"files": {}, "includes": [], "about": {"server": 3}}', "["])
def test_a_repair_without_a_whole_manifest_is_refused(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "init.json").write_text(content)
    assert main(["init", str(tmp_path), "--repair"]) == 1
    assert "damaged" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["init.json"]


def test_what_cannot_be_written_whole_is_not_written_at_all(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "etc/logrotate.d").write_text("in the way of a folder")
    before = files(tree)
    assert main(["init", "--root", str(tree), *ZONE_AND_NODE]) == 1
    assert "etc/logrotate.d" in capsys.readouterr().err
    assert files(tree) == before


def test_a_bind_backend_beside_the_workers_is_noted(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "etc/powerdns/pdns.d").mkdir(parents=True, exist_ok=True)
    (tree / "etc/powerdns/pdns.d/bind.conf").write_text(
        "launch+=bind\nbind-config=/etc/powerdns/named.conf\n"
    )
    assert main(["init", "--root", str(tree), *ZONE_AND_NODE]) == 0
    told = capsys.readouterr().out
    assert "/etc/powerdns/pdns.d/bind.conf: PowerDNS does not start" in told
    assert "launch=pipe,bind in /etc/powerdns/pdns.d/geosteer.conf" in told


def test_a_cron_line_takes_the_place_of_the_timer(tree: Path) -> None:
    assert main(["init", "--root", str(tree), *ZONE_AND_NODE, "--cron", "--system-user", "cdn"]) == 0
    made = files(tree)
    assert not any(name.endswith(".timer") for name in made)
    lines = [line for line in made["etc/cron.d/geosteer"].decode().splitlines() if "* * * *" in line]
    assert all(line.split()[5] == "cdn" for line in lines)
    assert f"PATH={ROOT}/bin:" in made["etc/cron.d/geosteer"].decode()


def test_the_names_that_were_asked_for_stand_in_every_file(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    words = [
        "--prefix",
        "cdn",
        "--redis-user",
        "edge",
        "--service",
        "img",
        "--service",
        "dl",
        "--check",
        "https",
    ]
    nodes = [
        "--node",
        "a=2001:db8::1",
        "--node",
        "b=192.0.2.9",
        "--country",
        "DE=b,a",
        "--ns",
        "dns1=192.0.2.53,2001:db8::53",
    ]
    assert main(["init", str(folder), "--zone", "Example.ORG.", *words, *nodes]) == 0
    users = (folder / "users.acl").read_text()
    assert "user edge-worker on #" in users
    assert "%R~{cdn}:current" in users
    assert "geosteer" not in users
    config = tomllib.loads((folder / "geosteer.toml").read_text())
    assert config["redis"] | {"url": ""} == {
        "url": "", "prefix": "cdn", "username": "edge-loader", "password_file": "loader.password"
    }  # fmt: skip
    assert list(config["services"]) == ["img.example.org", "dl.example.org"]
    assert config["maps"]["default"]["countries"] == {"DE": {"b": 100, "a": 50}}
    assert config["services"]["img.example.org"]["policy"] == "best"
    assert config["nodes"]["a"]["check"]["url"] == "https://[2001:db8::1]/"
    assert (
        main(
            [
                "check-config",
                "--offline",
                str(folder / "geosteer.toml"),
                "--backend",
                str(folder / "backend.toml"),
            ]
        )
        == 0
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--zone", ZONE], "--node is needed"),
        (["--node", "a=192.0.2.1"], "--zone is needed"),
        (["--zone", "192.0.2.1", "--node", "a=192.0.2.1"], "--zone"),
        ([*ZONE_AND_NODE, "--node", "b=example.net"], "not an address: 'example.net'"),
        ([*ZONE_AND_NODE, "--node", "b=192.0.2.2@Atlantis"], "must be a country code"),
        ([*ZONE_AND_NODE, "--node", "b=192.0.2.2@91/0"], "must be a country code"),
        ([*ZONE_AND_NODE, "--node", "b"], "must be NAME=ADDRESS"),
        ([*ZONE_AND_NODE, "--node", "b c=192.0.2.2"], "invalid name"),
        ([*ZONE_AND_NODE, "--country", "QQ=lon1"], "unknown country code"),
        ([*ZONE_AND_NODE, "--country", "DE=fra1"], "no --node is called fra1"),
        ([*ZONE_AND_NODE, "--check", "ftp"], "must be none, http, https or tcp:PORT"),
        ([*ZONE_AND_NODE, "--prefix", "a{b"], "--prefix"),
        ([*ZONE_AND_NODE, "--listen", "lo"], "not an address"),
        ([*ZONE_AND_NODE, "--socket", "/" + "x" * 107], "longer than a socket's path may be"),
        (["--undo"], "`geosteer init` wrote nothing there"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path / "set"), *words]) in {1, 2}
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_is_named_twice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "set"), *ZONE_AND_NODE, "--node", "lon1=192.0.2.2"]) == 2
    assert "lon1" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    both = pty.openpty()
    yield both
    for end in both:
        os.close(end)


def test_on_a_terminal_it_asks(terminal: tuple[int, int], tmp_path: Path) -> None:
    ours, theirs = terminal
    asking = subprocess.Popen(
        [ROOT / "bin" / "geosteer", "init", tmp_path / "set"], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.write(ours, b"192.0.2.1\ncdn.example.net\nlon1=192.0.2.1@GB\nnyc1=198.51.100.1@US\n\n")
    assert asking.wait(60) == 0
    said = os.read(ours, 65536).decode()
    assert "Zone that PowerDNS is to serve" in said
    nodes = tomllib.loads((tmp_path / "set" / "geosteer.toml").read_text())["nodes"]
    assert list(nodes) == ["lon1", "nyc1"]
