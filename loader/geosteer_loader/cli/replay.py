"""`geosteer replay`: whether a decision log can be decided again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geosteer_loader.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command(
    epilog=options.examples(
        "geosteer replay /var/log/geosteer/decisions.log",
        "zcat /var/log/geosteer/decisions.log.2.gz | geosteer replay - --json",
    )
)
@click.argument("log", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@options.as_json
@options.common
def replay(*, log: Path, as_json: bool, config_path: Path | None) -> None:
    """Decide each line of a decision log again.

    LOG is a file ("-": stdin) that workers wrote by `[log]` of backend.toml. Each line is decided
    from the generation that it names and from the node states and overrides that the journal has
    for its time. Lines with other nodes are shown, and the exit code is 1 then.
    """
    from geosteer_loader.cli.text.replay import text
    from geosteer_loader.query.past import Timeline
    from geosteer_loader.query.replay import Outcome
    from geosteer_loader.query.replay import replay as run

    with options.connect(config_path) as store:
        result = run(Timeline(store), _lines(log))
    options.emit(result.to_json(), lambda: text(result), json_wanted=as_json)
    if result.outcomes[Outcome.DIFFERENT]:
        raise SystemExit(1)


LONGEST = 1 << 16
"""Bytes of a line that are read; the log's own lines are shorter, and what is left of a longer one is unreadable too."""


def _lines(path: Path) -> Iterator[bytes]:
    if str(path) == "-":
        yield from iter(lambda: sys.stdin.buffer.readline(LONGEST), b"")
        return
    with path.open("rb") as file:
        yield from iter(lambda: file.readline(LONGEST), b"")
