"""The commands of `geosteer`, by what they are for; each is thin: options in, an object of the loader, text or JSON out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib import import_module

import click

NAMES = (
    "bgp", "check-config", "completion", "doctor", "explain", "export", "feed", "follow", "history", "import", "init",
    "journal", "latency", "lookup", "map", "metrics", "mismatch", "node", "plan", "probe", "publish", "replay",
    "rollback", "shares", "status", "verify", "version", "web", "who", "workers",
)  # fmt: skip
MODULES = {"map": "world_map", "import": "import_configuration"}
"""Where a command stands whose name is one of Python's."""


class _Commands(Mapping[str, click.Command]):
    """Every command by its name, imported when it is asked for: `node` must not wait for what `publish` needs."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in NAMES:
            raise KeyError(name)
        word = MODULES.get(name, name.replace("-", "_"))
        command: click.Command = getattr(import_module(f"geosteer_loader.cli.{word}"), word)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


class HungUp(Exception):  # not an error
    """The reader of the results has seen enough."""


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        # click would make this exit code 1, which means that a command failed.
        try:
            return super().invoke(ctx)
        except BrokenPipeError as exc:
            raise HungUp from exc


@click.group(
    cls=_Group,
    commands=_Commands(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done or nothing to do, 1 failed and nothing changed, 2 bad usage or configuration, 3 refused.",
)
@click.version_option(package_name="geosteer", message="%(prog)s %(version)s")
@click.pass_context
def geosteer(ctx: click.Context) -> None:
    """Publish GeoIP tables, maps and node states into Redis, and look at what is published.

    Workers (PowerDNS, HTTP, Squid) answer from there which node a client should use.
    """
    # https://no-color.org; a dumb terminal shows escape sequences as they are
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        ctx.color = False
