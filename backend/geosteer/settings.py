"""`backend.toml`: where Redis is, how long to wait for it, and what to answer without it.

Parsing TOML costs a third of a worker's start, so a checked copy in JSON is kept beside the snapshot and used while the
file's content is the same.
"""

from __future__ import annotations

import os  # the interpreter has loaded it already
from errno import ELOOP

from geosteer import files
from geosteer.cmodules import dump_json, load_json
from geosteer.decision.model import Node
from geosteer.errors import ConfigError
from geosteer.resp.url import Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

DEFAULT_PATH = "/etc/geosteer/backend.toml"
DEFAULT_URL = "unix:///run/redis/redis.sock"
DEFAULT_SNAPSHOT = "/var/lib/geosteer/last-good.json"
DEFAULT_METRICS = "/run/geosteer"
DEFAULT_LOG = "/var/log/geosteer/decisions.log"
COPY_FORMAT = 6
"""Of the checked copy: goes up when what is checked changes."""
_TOP = {
    "snapshot",
    "max_stale",
    "timeout",
    "first_wait",
    "cache",
    "redis",
    "beacon",
    "debug",
    "log",
    "metrics",
    "fallback",
}
_DEBUG = {"networks"}
_LOG = {"sample", "file"}
_METRICS = {"folder"}
_FALLBACK = {"ttl", "zones", "servers"}
LONGEST_PASSWORD = 1 << 16
"""Characters that are read of a password file."""
_REDIS = {"url", "prefix", "username", "password", "password_file", "ca", "cert", "key", "tls_strict"}


class Settings:
    """A worker's settings."""

    __slots__ = (
        "address", "beacon", "cache", "debug_networks", "doubt", "fallback_ttl", "first_wait", "log_file", "log_sample",
        "max_stale", "metrics", "metrics_asked", "modified", "password", "path", "prefix", "servers", "snapshot",
        "timeout", "tls", "url", "username", "zones",
    )  # fmt: skip

    def __init__(self, data: Mapping[str, Any], path: str = "", modified: float = 0.0) -> None:
        """Make settings of a file's tables.

        Args: data: the file's tables; modified: its time, the serial of zones known from it alone.

        Raises: ConfigError: what a worker cannot run with; `geosteer check-config --backend` finds far more.
        """
        folder = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120  # pathlib costs the start too much
        redis, fallback = data.get("redis", {}), data.get("fallback", {})
        debug, decision_log = data.get("debug", {}), data.get("log", {})
        problems = [f"{path}: {key}: unknown setting" for key in data if key not in _TOP]
        problems += [f"{path}: redis.{key}: unknown setting" for key in redis if key not in _REDIS]
        problems += [f"{path}: debug.{key}: unknown setting" for key in debug if key not in _DEBUG]
        problems += [f"{path}: log.{key}: unknown setting" for key in decision_log if key not in _LOG]
        problems += [f"{path}: fallback.{key}: unknown setting" for key in fallback if key not in _FALLBACK]
        metrics = data.get("metrics", {})
        problems += [f"{path}: metrics.{key}: unknown setting" for key in metrics if key not in _METRICS]
        self.doubt = ""
        """A warning for operators about the checked copy; "": none."""
        self.path = path
        self.modified = modified
        self.snapshot: str = os.path.join(folder, data.get("snapshot", DEFAULT_SNAPSHOT))  # noqa: PTH118
        self.max_stale = float(data.get("max_stale", 300))
        """Seconds after the last proof of life in which the last known states still steer."""
        self.timeout = float(data.get("timeout", 50)) / 1000
        """Seconds that a question may wait for Redis."""
        self.first_wait = float(data.get("first_wait", 1))
        """Seconds after the start for which questions may wait while nothing at all is known yet."""
        self.cache = int(data.get("cache", 3 << 20))
        """Bytes of decoded pages, those above the leaves included."""
        where: str = metrics.get("folder", DEFAULT_METRICS)
        self.metrics: str = where and os.path.join(folder, where)  # noqa: PTH118
        """The folder for counters; "": they are not kept."""
        self.metrics_asked = "folder" in metrics
        """The operator named the folder; the default one need not be there."""
        self.url: str = redis.get("url", DEFAULT_URL)
        self.prefix: str = redis.get("prefix", "geosteer")
        self.address = _address(self.url, path, problems)
        """The parsed URL."""
        self.username: str = redis.get("username", "") or self.address.username
        self.tls = {key: os.path.join(folder, redis[key]) for key in ("ca", "cert", "key") if redis.get(key)}  # noqa: PTH118
        if redis.get("tls_strict"):
            self.tls["tls_strict"] = "yes"
        self.password = _secret(redis, folder, path, problems)
        if not self.password:
            self.password = _secret({"password": self.address.password}, folder, path, problems)
        self.debug_networks: tuple[str, ...] = tuple(debug.get("networks", ()))
        """Whose resolvers may ask by DNS why a client gets its answer; empty: nobody's."""
        self.log_sample = float(decision_log.get("sample", 0))
        """Part of the decisions that is logged, 0 to 1."""
        self.log_file: str = os.path.join(folder, decision_log.get("file", DEFAULT_LOG))  # noqa: PTH118
        self.beacon: Mapping[str, Any] = {**data.get("beacon", {})}
        """The table as it is written: `geosteer.redirect.beacons.settings` reads it, for who serves beacons."""
        self.fallback_ttl = int(fallback.get("ttl", 10))
        self.zones: Mapping[str, Any] = {
            name.lower().rstrip("."): zone for name, zone in fallback.get("zones", {}).items()
        }
        self.servers = [
            Node(server.get("name", "?"), {**server, "well_connected": server.get("weight", 1)})
            for server in fallback.get("servers", ())
        ]
        if problems:
            raise ConfigError(problems)

    @property
    def origin(self) -> str:
        """Which Redis and prefix, without a password: whose a snapshot is."""
        return f"{self.address} {self.address.database} {self.prefix}"

    def __repr__(self) -> str:
        return f"Settings({self.path})"


def load(path: str, *, copies: bool = True) -> Settings:
    """Read a worker's settings.

    Args: copies: use, and leave, the checked copy beside the snapshot.

    Raises: ConfigError: the file is missing, is not TOML, or says what no worker understands.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            stat = os.fstat(file.fileno())
            raw = file.read()
            text = raw.decode()
    except (OSError, ValueError) as exc:
        raise ConfigError([f"{path}: {getattr(exc, 'strerror', None) or exc}"]) from exc
    stamp = [COPY_FORMAT, os.path.abspath(path), files.seal(raw).decode()]  # noqa: PTH100
    copy = _copy_of(path, text)
    data, doubt = _recall(copy, stamp) if copies else (None, "")
    try:
        if data is not None:
            return Settings(data, path, stat.st_mtime)
        data = _parse(path, text)
        settings = _checked(data, path, stat.st_mtime)
    except (TypeError, ValueError, AttributeError, KeyError) as exc:
        raise ConfigError([f"{path}: {exc} (geosteer check-config --backend {path} says more)"]) from exc
    settings.doubt = doubt
    if copies:
        _remember(copy, stamp, data)
    return settings


def _parse(path: str, text: str) -> Mapping[str, Any]:
    import tomllib

    from geosteer.settings_fallback import plain

    try:
        data = tomllib.loads(text.removeprefix("\ufeff"))  # some editors put a byte order mark in front
    except ValueError as exc:
        raise ConfigError([f"{path}: {exc}"]) from exc
    except RecursionError:
        raise ConfigError([f"{path}: is nested too deeply"]) from None
    return plain(data)


def _checked(data: Mapping[str, Any], path: str, modified: float) -> Settings:
    from geosteer.settings_fallback import try_out

    settings = Settings(data, path, modified)
    try_out(settings.zones, settings.servers, settings.modified)
    return settings


def _copy_of(path: str, text: str) -> str:
    """Where the checked copy lies; the snapshot's path is read off its line, since the file is not parsed yet."""
    snapshot = DEFAULT_SNAPSHOT
    for line in text.split("\n"):
        key, _, value = line.partition("=")
        if line.startswith("["):
            break
        if key.strip() == "snapshot":
            snapshot = value.partition("#")[0].strip().strip("\"'")
    return os.path.join(os.path.dirname(os.path.abspath(path)), snapshot + ".settings")  # noqa: PTH100, PTH118, PTH120


def _recall(copy: str, stamp: list[Any]) -> tuple[Mapping[str, Any] | None, str]:
    """The checked copy's tables, None where it is of something else; and a warning for operators, or ""."""
    try:
        copied = load_json(files.unsealed(files.read(copy, forbidden=files.PRIVATE)).decode())
        return (copied["data"], "") if copied["stamp"] == stamp else (None, "")
    except files.Untrusted as exc:
        return None, f"{copy}: {exc.strerror}: ignored"
    except OSError as exc:
        return None, f"{copy}: is a symbolic link: ignored" if exc.errno == ELOOP else ""
    except (ValueError, TypeError, KeyError):
        return None, ""


def _remember(copy: str, stamp: list[Any], data: Mapping[str, Any]) -> None:
    """Keep the checked copy; if that fails, only time is lost."""
    try:
        body = dump_json({"stamp": stamp, "data": data}).encode()
        aside = files.replace(copy, files.sealed(body), 0o600)  # it may hold a password
        try:
            os.rename(aside, copy)  # noqa: PTH104
        except OSError:
            os.unlink(aside)  # noqa: PTH108
    except (OSError, TypeError, ValueError):  # a TOML date, say
        return


def _address(url: str, path: str, problems: list[str]) -> Address:
    try:
        return Address(url)
    except ValueError as exc:
        problems.append(f"{path}: redis.url: {exc}")
        return Address(DEFAULT_URL)


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # nobody may ever write to a FIFO


def _secret(redis: Mapping[str, Any], folder: str, path: str, problems: list[str]) -> str:
    """The password: as written, `${NAME}` from the environment, or a file's first line."""
    if "password_file" in redis:
        where = os.path.join(folder, redis["password_file"])  # noqa: PTH118
        try:
            with open(where, encoding="utf-8", opener=_at_once) as file:
                return file.readline(LONGEST_PASSWORD).removeprefix("\ufeff").strip()
        except (OSError, ValueError) as exc:
            problems.append(
                f"{path}: redis.password_file: {where}: {getattr(exc, 'strerror', None) or 'not text'}"
            )
            return ""
    password: str = redis.get("password", "")
    if password.startswith("${") and password.endswith("}"):
        name = password[2:-1]
        if name not in os.environ:
            problems.append(f"{path}: redis.password: no {name} in the environment")
        return os.environ.get(name, "")
    return password
