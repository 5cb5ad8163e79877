"""The blocks of code in README and docs/, each with what is said of it above; and a host in a folder to run them on."""

from __future__ import annotations

import datetime
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from support.data import ROOT, small
from support.servers import PowerDNS, RedisServer, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
FENCE = re.compile(r"^( *)```([^\n`]*)$")
LIST = "list"
"""An item of a list goes on: its paragraphs are indented too."""
REMARK = re.compile(r"^<!-- (.*) -->$")
SERVER = re.compile(
    r"^geosteer (?:.* --(?:follow|watch)\b|(?:web|metrics|follow)\b(?!.*--(?:textfile|once|help)).*)"
)
"""Commands that go on until they are ended. `geosteer metrics` alone ends by itself, which does no harm."""
FOLDERS = (
    "etc/redis", "etc/powerdns/pdns.d", "etc/systemd/system", "usr/lib/systemd/system", "var/lib/powerdns",
    "var/lib/geosteer-worker", "var/log/geosteer", "run/geosteer", "run/geosteer-web",
)  # fmt: skip
"""Of a host."""
NAMED = r"(?<![\w.-])/(etc/(?:geosteer|redis|powerdns)|var/lib/(?:geosteer|powerdns)|var/log/geosteer|run/geosteer)"
"""Paths in pages that this host has in its folder."""
WORKER_TABLES = {"beacon", "debug", "log", "metrics", "fallback"}
"""Tables of `backend.toml`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block between fences."""

    page: str
    line: int
    language: str
    text: str
    remark: str
    """The comment above it, as `tried by tests/...` or `not run: why`; "": none."""

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.page}:{self.line}"


def blocks(path: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    lines = path.read_text().splitlines()
    begun: int | None = None
    for number, line in enumerate(lines):
        fence = FENCE.match(line)
        if fence is None:
            continue
        if begun is None:
            begun = number
            continue
        indent, language = FENCE.match(lines[begun]).groups()  # type: ignore[union-attr]
        above = REMARK.match(lines[begun - 1].strip()) if begun else None
        text = "".join(f"{each.removeprefix(indent)}\n" for each in lines[begun + 1 : number])
        yield Block(
            page=path.name, line=begun + 1, language=language, text=text, remark=above[1] if above else ""
        )
        begun = None


def indented(path: Path) -> list[int]:
    """Lines of blocks that are set off by four blanks: these have no language, and nothing tells what they are."""
    found, fenced, before = [], False, ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced and line.startswith("    ") and line.strip() and not before.strip():
            found.append(number)
        if re.match(r" *(?:[-*]|\d+\.) ", line) or (
            before == LIST and (not line.strip() or line.startswith("  "))
        ):
            before = LIST
        else:
            before = line
    return found


def toml(data: Any) -> str:
    """TOML of what `tomllib` read, in inline tables."""
    if isinstance(data, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(value)}" for key, value in data.items()) + " }"
    if isinstance(data, list):
        return "[" + ", ".join(map(toml, data)) + "]"
    return json.dumps(data, ensure_ascii=False)


def merged(before: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Tables with those of a page in them; lists and values of the page count."""
    both = {
        key: merged(before[key], value)
        if isinstance(value, dict) and isinstance(before.get(key), dict)
        else value
        for key, value in more.items()
    }
    return {**before, **both}


class Host:
    """A host in a folder: the sample configuration published into a Redis of its own, PowerDNS with workers, users' paths."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="gs-", dir="/tmp"))  # short, for unix sockets
        self.etc = self.root / "etc" / "geosteer"
        self.redis = RedisServer()
        self.port = free_port()
        self.pdns: PowerDNS | None = None
        self.fresh = self.root
        """The tree that `geosteer init` set up last."""

    def __enter__(self) -> Self:
        self.tree(self.root)
        for folder in ("etc/geosteer", "bin"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "conf").symlink_to(self.etc)  # where commands look after /etc/geosteer
        chown = self.root / "bin" / "chown"
        chown.write_text("#!/bin/sh\nexit 0\n")  # users of packages that are not installed here
        chown.chmod(0o755)
        self.redis.start()
        text = small((ROOT / "conf" / "geosteer.toml").read_text())
        (self.etc / "geosteer.toml").write_text(
            re.sub(r"(?m)^url = .*unix:.*", f'url = "{self.redis.url}"', text, count=1)
        )
        text = (ROOT / "conf" / "backend.toml").read_text()
        text = re.sub(r"(?m)^#?url = .*unix:.*", f'url = "{self.redis.url}"', text, count=1)
        (self.etc / "backend.toml").write_text(
            self.mapped(re.sub(r"(?m)^#(snapshot|folder) =", r"\1 =", text))
        )
        self._generations()
        self.pdns = PowerDNS(self._worker(), threads=2)
        self.pdns.start()
        self.port = self.pdns.port
        return self

    @staticmethod
    def tree(root: Path) -> Path:
        """What `geosteer init` finds on a host with Redis, PowerDNS and systemd, and folders that packages make."""
        for folder in FOLDERS:
            (root / folder).mkdir(parents=True)
        (root / "usr/lib/systemd/systemd").touch()
        (root / "etc/redis/redis.conf").write_text("bind 127.0.0.1\n")
        (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\n")
        return root

    def __exit__(self, *_: object) -> None:
        if self.pdns is not None:
            self.pdns.close()
        self.redis.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def _worker(self) -> Path:
        """The workers' settings: those of the sample, and what the page on asking a name server has."""
        path = self.etc / "asked.toml"
        path.write_text(
            f'snapshot = "{self.root}/last-good.json"\n[redis]\nurl = "{self.redis.url}"\n'
            f'[metrics]\nfolder = "{self.root}/run/geosteer"\n[debug]\nnetworks = ["127.0.0.1"]\n'
            f'[log]\nsample = 1\nfile = "{self.root}/var/log/geosteer/decisions.log"\n'
        )
        return path

    def _generations(self) -> None:
        """Publish 41 to 43, as the pages have them, each with other weights."""
        path = self.etc / "geosteer.toml"
        sample = path.read_text()
        for number, weight in ((41, 20), (42, 19), (43, 20)):
            path.write_text(sample.replace("well_connected = 20", f"well_connected = {weight}"))
            done = self.run("geosteer publish -q")
            assert done.returncode == 0, done.stderr
            if number == 41:
                with self.redis.client() as client:
                    client.hset("{geosteer}:current", "generation", "41")
                    self._begin_at(client)

    @staticmethod
    def _begin_at(client: Any) -> None:
        """Call the first generation 41 in the history too."""
        ((_, fields),) = client.xrange("{geosteer}:history")
        client.delete("{geosteer}:history")
        client.xadd("{geosteer}:history", {**fields, b"generation": b"41"})

    def mapped(self, text: str) -> str:
        """Commands or settings with this host's folders, ports and times in place of those that pages name."""
        text = re.sub(NAMED, rf"{self.root}/\1", text)
        text = re.sub(r"@(?:127\.0\.0\.1|ns1\.example\.net)\b", f"@127.0.0.1 -p {self.port}", text)
        text = re.sub(r"geosteer (init|doctor) --", self._elsewhere, text)
        text = re.sub(r"geosteer workers$", f"geosteer workers --backend {self.etc}/asked.toml", text)
        text = text.replace("pdnsutil ", f"pdnsutil --config-dir={self.root}/etc/powerdns ")
        text = text.replace("2026-11-27 14:00", f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S}")  # noqa: DTZ005  # local, as typed
        return text.replace("--at -3h", "--at -0s")

    def _elsewhere(self, command: re.Match[str]) -> str:
        """Set up another host, as this one is."""
        if command[1] == "init":
            self.fresh = self.tree(Path(tempfile.mkdtemp(dir=self.root)))
        return f"geosteer {command[1]} --root {self.fresh} --"

    def run(self, script: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run shell commands as root of this host would."""
        lines = map(_bounded, self.mapped(script).splitlines())
        env = {
            **os.environ,
            "PATH": f"{self.root / 'bin'}:{ROOT / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin",
            "NO_COLOR": "1",
            "COLUMNS": "200",
            "RANDOM": str(time.monotonic_ns()),  # sh has none
            "GEOSTEER_REDIS_URL": self.redis.url,
        }
        return subprocess.run(
            ["sh", "-e", "-c", "\n".join(lines)],
            capture_output=True, text=True, timeout=seconds, cwd=self.root, env=env, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def check_settings(self, text: str, words: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Have `geosteer check-config` read settings of a page, in the sample file that they belong into."""
        data = tomllib.loads(text)
        worker = bool(data.keys() & (WORKER_TABLES | {"snapshot", "max_stale", "timeout"}))
        path = self.etc / ("backend.toml" if worker else "geosteer.toml")
        whole = merged(tomllib.loads(path.read_text()), tomllib.loads(self.mapped(text)))
        made = self.root / f"checked-{path.name}"
        made.write_text("".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in whole.items()))
        if not worker:
            (self.etc / "merged.toml").write_text(made.read_text())
        option = f"--backend {made}" if worker else f"{made} --offline"
        return self.run(" ".join(map(shlex.quote, words)) + f" geosteer check-config {option}")

    def take_over(self) -> None:
        """Use the settings that were checked last from now on, as a reader does who writes them into his file."""
        (self.etc / "merged.toml").rename(self.etc / "geosteer.toml")

    def wait_answering(self) -> None:
        """Until a worker has what is published."""
        assert self.pdns is not None
        wait_until(
            lambda: bool(self.pdns and self.pdns.query("www.cdn.example.net").answer), what="an answer"
        )


def _bounded(line: str) -> str:
    """A command that ends, whatever it is; exit code 9: it failed before it was ended."""
    if SERVER.match(line):
        bare, port = re.sub(r"\s+#.*", "", line), free_port()
        bare = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", bare)
        if bare.startswith("geosteer web") and "--listen" not in bare:
            bare += f" --listen 127.0.0.1:{port}"
        return f"timeout -s TERM 5 {bare} || case $? in 0|124) ;; *) exit 9;; esac"
    # Nobody runs systemd here, so some links are wrong.
    return f"{line} || [ $? = 1 ]" if line.startswith("geosteer doctor") else line


def shape(text: str) -> str:
    """What is printed without that which differs from host to host and from day to day: numbers, times, sizes, blanks."""
    text = re.sub(r"\b[\d,.]+ (?:kB|MB|B|GB)\b", "SIZE", text)
    text = re.sub(r"\b[\d,.]+ (?:ms|s|min|h|d)\b", "TIME", text)
    text = re.sub(r"\d[\d.,:TZ-]*", "N", text)
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def matches(shown: str, printed: str) -> bool:
    """Whether a command printed what the page shows; `...` stands for anything, alone on a line for lines."""
    pattern = "".join(
        "(?:.*\n)*" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + "\n"
        for line in shape(shown).splitlines()
    )
    return re.fullmatch(pattern, shape(printed) + "\n") is not None
