"""`geosteer doctor`: the whole chain, link by link."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from geosteer_loader.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from geosteer_loader.install.doctor.link import Link

COLORS = {"ok": "green", "warning": "yellow", "wrong": "red", "unknown": "cyan"}


@click.command(
    epilog=options.examples(
        "geosteer doctor",
        "geosteer doctor try",
        "geosteer doctor --json",
        "geosteer doctor --pdns-config /etc/powerdns",
    )
)
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--pdns-config",
    "pdns_config",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where pdns.conf lies.",
)
@click.option("--root", type=click.Path(path_type=Path), help="Look at the files of another host.")
@options.as_json
@click.pass_context
def doctor(
    ctx: click.Context, *, folder: Path | None, pdns_config: Path | None, root: Path | None, as_json: bool
) -> None:
    """Check the whole chain, from files to an answer by DNS.

    Says of each link whether it is ok, wrong or unknown, why that matters, and the command that mends it. Nothing is changed.
    DIR is where `geosteer init` put the configuration; default: /etc/geosteer. As root it sees most. Exit code 1 when a link
    is wrong; warnings do not count.
    """
    from geosteer_loader.install.doctor.doctor import diagnose, exit_code
    from geosteer_loader.install.doctor.scene import Scene
    from geosteer_loader.install.host import Host
    from geosteer_loader.install.place import SYSTEM

    host = Host(Path("/") if root is None else root.absolute())
    scene = Scene(SYSTEM if folder is None else folder.absolute(), host, pdns_config)
    links = diagnose(scene)
    code = exit_code(links)
    shown = {"ok": code == 0, "links": [link.to_json() for link in links]}
    options.emit(shown, lambda: "\n".join(_lines(links)), json_wanted=as_json)
    ctx.exit(code)


def _lines(links: Sequence[Link]) -> Iterator[str]:
    width = max((len(link.link) for link in links), default=0)
    for link in links:
        state = click.style(f"{link.state.value:7}", fg=COLORS[link.state.value])
        yield f"{state}  {link.link:{width}}  {link.what}"
        if link.why:
            yield f"{'':9}{'':{width}}  {link.why}"
        if link.cure:
            yield f"{'':9}{'':{width}}  -> {link.cure}"
    counts = {state: sum(link.state.value == state for link in links) for state in COLORS}
    yield ", ".join(f"{number} {state}" for state, number in counts.items() if number or state == "ok")
