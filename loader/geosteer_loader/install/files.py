"""The complete set of files for the answers that were given; nothing is written here."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer_loader.config import samples
from geosteer_loader.install import configuration
from geosteer_loader.install.host import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from geosteer_loader.install.answers import Answers
    from geosteer_loader.install.host import Host
    from geosteer_loader.install.place import Place

ROLES = ("worker", "loader", "reader", "replica", "admin")
"""Users of Redis, each with a password of its own."""

PACKAGED = "geosteer-publish.service"
"""The unit by which a Debian package is known to have brought units, users and folders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of the set."""

    path: Path
    """As the host names it."""
    text: str
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """A line that makes a program read a file of ours."""

    path: Path
    """The file of the program."""
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSet:
    """All that is to be written."""

    files: tuple[File, ...]
    includes: tuple[Include, ...]
    folders: tuple[Path, ...]
    """Folders that programs expect; their own parents are made as needed."""


def file_set(
    answers: Answers, place: Place, host: Host, password: Callable[[str], str], *, loaders: str | None = None
) -> FileSet:
    """The files.

    Args: password: that of a role; loaders: geosteer.toml, where there is one already.
    Raises: ConfigError: the answers do not fit together.
    """
    passwords = {role: password(role) for role in ROLES}
    files = [*_configuration(answers, place, passwords, loaders), *_servers(answers, place, passwords)]
    packaged = place.system and _packaged(host)
    files += _units(answers, place, host, packaged=packaged)
    if not packaged:
        files += _system(answers, place)
    files.append(_rotation(answers, place))
    includes: tuple[Include, ...] = ()
    folders: tuple[Path, ...] = (place.folder / "redis", place.folder / "state" / "metrics")
    if place.system:
        includes = (
            Include(path=Path(answers.server.config), line=f"include {place.redis_config(answers.server)}"),
        )
        folders = ()
    return FileSet(files=tuple(files), includes=includes, folders=folders)


def _packaged(host: Host) -> bool:
    unit = host.unit(PACKAGED)
    return unit is not None and not unit.is_relative_to(host.at("/etc"))


def _configuration(
    answers: Answers, place: Place, passwords: Mapping[str, str], loaders: str | None
) -> Iterator[File]:
    group = answers.system_user
    toml = loaders or configuration.loader(answers, place)
    path = place.folder / "geosteer.toml"
    workers = configuration.worker(answers, place, toml, path)
    yield File(path=path, text=toml, mode=0o640, group=group)
    yield File(path=place.folder / "backend.toml", text=workers, mode=0o640, group=group)
    for role, password in passwords.items():
        # Workers face the internet and are in the group: they may read their own password and no other.
        owner = answers.system_user if role == "loader" else "root"
        yield File(
            path=place.folder / f"{role}.password",
            text=f"{password}\n",
            mode=0o640,
            owner=owner,
            group=group if role == "worker" else "root",
        )


def _servers(answers: Answers, place: Place, passwords: Mapping[str, str]) -> Iterator[File]:
    server = answers.server
    users = place.users(server)
    redis = samples.read("redis.conf")
    redis = re.sub(r"(?m)^unixsocket .*", f"unixsocket {answers.socket}", redis)
    redis = re.sub(r"(?m)^aclfile .*", f"aclfile {users}", redis)
    redis = redis.replace("/etc/redis/geosteer.conf", str(place.redis_config(server)))
    redis = redis.replace("/etc/redis/redis.conf", server.config).replace(
        "/run/redis/redis.sock", answers.socket
    )
    redis = redis.replace("group redis", f"group {server.user}")
    if not place.system:
        redis += f"\n# A {server.program} of this folder alone.\nport 0\ndir {place.folder / 'redis'}\n"
    yield File(path=place.redis_config(server), text=redis, mode=0o640, owner=server.user, group=server.user)
    yield File(path=users, text=_users(answers, passwords), mode=0o640, owner=server.user, group=server.user)
    pdns = samples.read("pdns.conf")
    command = f"{program('geosteer-pipe')} --config {place.folder / 'backend.toml'}"
    for key, value in {
        "local-address": ",".join(answers.listen),
        "local-port": answers.port,
        "pipe-command": command,
    }.items():
        pdns = re.sub(rf"(?m)^{key}=.*", f"{key}={value}", pdns)
    if not place.system:
        pdns += (
            "\n# A PowerDNS of this folder alone, in the foreground.\ndaemon=no\nguardian=no\nwrite-pid=no\n"
        )
        pdns += f"disable-syslog=yes\nsecurity-poll-suffix=\nsocket-dir={place.folder}\n"
    yield File(path=place.pdns_config, text=pdns, mode=0o640, group=answers.pdns_user)


def _users(answers: Answers, passwords: Mapping[str, str]) -> str:
    """users.acl with digests of the passwords (`#`, ACL SETUSER)."""
    text = samples.read("users.acl").replace("{geosteer}", f"{{{answers.prefix}}}")
    text = text.replace("user geosteer-", f"user {answers.redis_user}-")
    for role, password in passwords.items():
        text = text.replace(f">CHANGE-{role}", f"#{hashlib.sha256(password.encode()).hexdigest()}")
    return text


def _unit_text(answers: Answers, place: Place, name: str) -> str:
    text = samples.read(name)
    text = re.sub(r"(?m)^SupplementaryGroups=.*\n", "", text)
    text = text.replace("/opt/geosteer/bin/geosteer ", f"{program('geosteer')} ")
    text = text.replace("/etc/geosteer/", f"{place.folder}/")
    text = text.replace("redis-server.service", f"{answers.server.unit}.service")
    text = re.sub(r"(?m)^(User|Group)=geosteer$", rf"\1={answers.system_user}", text)
    return text.replace(
        "adduser geosteer redis", f"adduser {answers.system_user} {answers.server.user}"
    ).replace("--group geosteer", f"--group {answers.system_user}")


def groups(answers: Answers, host: Host) -> list[str]:
    """Groups that a member of which may use Redis's socket; none where that group is not there: no such unit starts."""
    return [answers.server.user] if host.group(answers.server.user) is not None else []


def socket_units() -> list[str]:
    """Our units whose programs use Redis's socket, as packages name them."""
    named = {path.name for path in samples.folder().glob("geosteer-*.service")}
    return sorted({*named, "geosteer-http.service"})  # its sample comes with a package of its own


def _group(answers: Answers, member: list[str]) -> str:
    """A drop-in. Shipped units come after Redis; where it is Valkey, they have to be told."""
    order = f"[Unit]\nAfter={answers.server.unit}.service\n" if answers.server.user != "redis" else ""
    return f"# Redis's unix socket is for members of its group.\n{order}[Service]\nSupplementaryGroups={' '.join(member)}\n"


def _units(answers: Answers, place: Place, host: Host, *, packaged: bool) -> Iterator[File]:
    ours = ["geosteer-probe.service", "geosteer-publish.service"]
    if not packaged and not answers.cron:
        for name in (*ours, "geosteer-publish.timer"):
            yield File(path=place.unit(name), text=_unit_text(answers, place, name))
    if answers.cron:
        text = samples.read("geosteer.cron").replace("/etc/geosteer/", f"{place.folder}/")
        folder = program("geosteer").rpartition("/")[0]
        text = text.replace("PATH=/opt/geosteer/bin:", f"PATH={folder}:")
        text = re.sub(r"(?m)^(\S+ \* \* \* \*) geosteer ", rf"\1 {answers.system_user} ", text)
        yield File(path=place.etc("cron.d", "geosteer"), text=text)
    member = groups(answers, host)
    if packaged:
        if member:
            for unit in (*socket_units(), "pdns.service"):
                yield File(path=place.unit(f"{unit}.d/geosteer-redis.conf"), text=_group(answers, member))
        return
    if member and not answers.cron:
        for unit in ours:
            yield File(path=place.unit(f"{unit}.d/geosteer-redis.conf"), text=_group(answers, member))
    text = samples.read("pdns.service.conf").replace("redis-server.service", f"{answers.server.unit}.service")
    listed = " ".join([answers.system_user, *member])
    text = re.sub(r"(?m)^SupplementaryGroups=.*", f"SupplementaryGroups={listed}", text)
    text = re.sub(r"(?m)^StateDirectory=.*", "StateDirectory=geosteer-worker", text)
    text = text.replace("/var/lib/geosteer,", "/var/lib/geosteer-worker,")
    yield File(path=place.unit("pdns.service.d/geosteer.conf"), text=text)


def _system(answers: Answers, place: Place) -> Iterator[File]:
    user = answers.system_user
    yield File(
        path=place.etc("sysusers.d", "geosteer.conf"),
        text=f'u {user} - "geosteer publishes and probes" /var/lib/geosteer /usr/sbin/nologin\n',
    )
    yield File(
        path=place.etc("tmpfiles.d", "geosteer.conf"),
        text=(
            "# Configuration and passwords are for root and members of the group; only the loader reads its own.\n"
            f"d {place.folder} 0750 root {user}\n"
            f"z {place.folder}/*.toml 0640 root {user}\n"
            f"z {place.folder}/worker.password 0640 root {user}\n"
            f"z {place.folder}/loader.password 0640 {user} root\n"
            "# What workers count.\n"
            f"d /run/geosteer 2770 {user} {user}\n"
            f"d /var/lib/geosteer 0750 {user} {user}\n"
            "# What pages measure: geosteer-http writes it as a member of the group, the ingest deletes what it has counted.\n"
            f"d /var/spool/geosteer 2770 {user} {user}\n"
        ),
    )


def _rotation(answers: Answers, place: Place) -> File:
    """No package brings it: where PowerDNS's user is not there, logrotate fails over it."""
    text = samples.read("geosteer.logrotate").replace(" pdns ", f" {answers.pdns_user} ")
    return File(path=place.etc("logrotate.d", "geosteer"), text=text)
