"""Pages of section 1: `geosteer` and its commands, from click; the other programs, from their --help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from blocks import Heading, Item, Page, Paragraph, Verbatim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blocks import Block


def pages() -> Iterator[Page]:
    """One page for each command and program."""
    from geosteer_loader.cli.group import geosteer

    yield from _pages(geosteer, "geosteer", None)
    yield from _programs()


def _pages(command: click.Command, name: str, parent: click.Context | None) -> Iterator[Page]:
    context = click.Context(command, info_name=name.rpartition(" ")[2], parent=parent, max_content_width=90)
    yield _page(command, name, context)
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            inner = command.get_command(context, word)
            if inner is not None and not inner.hidden:
                yield from _pages(inner, f"{name} {word}", context)


def _page(command: click.Command, name: str, context: click.Context) -> Page:
    summary, _, rest = (command.help or "").replace("\b", "").strip().partition("\n\n")
    blocks: list[Block] = [
        Heading("Synopsis"),
        Verbatim(" ".join([name, *command.collect_usage_pieces(context)])),
    ]
    if rest:
        blocks += [Heading("Description"), *(Paragraph(part) for part in rest.split("\n\n") if part.strip())]
    records = [record for one in command.get_params(context) if (record := one.get_help_record(context))]
    if records:
        blocks += [Heading("Options"), *(Item(*record) for record in records)]
    if isinstance(command, click.Group):
        blocks.append(Heading("Commands"))
        for word in command.list_commands(context):
            inner = command.get_command(context, word)
            if inner is not None and not inner.hidden:
                blocks.append(Item(f"{name} {word}", inner.get_short_help_str(200)))
    blocks += _epilog(command)
    if context.parent is None:
        blocks += [Heading("Files"), *FILES]
    return Page(name=name.replace(" ", "-"), section=1, summary=_summary(summary), blocks=blocks)


FILES = (
    Item("/etc/geosteer/geosteer.toml", "The loader's configuration: geosteer.toml(5)."),
    Item("/etc/geosteer/backend.toml", "The workers' settings: backend.toml(5)."),
)


def _epilog(command: click.Command) -> list[Block]:
    text = (command.epilog or "").replace("\b", "").strip()
    if not text:
        return []
    title, _, examples = text.partition("\n")
    if title.strip().lower() == "examples:":
        lines = [line.strip() for line in examples.splitlines()]
        return [Heading("Examples"), Verbatim("\n".join(lines).strip())]
    return [Heading("Exit status"), Paragraph(text.removeprefix("Exit codes: "))]


def _summary(text: str) -> str:
    plain = " ".join(text.split()).rstrip(".")
    return plain[:1].lower() + plain[1:]


def _programs() -> Iterator[Page]:
    from geosteer.powerdns import pipe
    from geosteer.redirect import squid

    yield _program("geosteer-pipe", "PowerDNS coprocess that answers from Redis", pipe.USAGE)
    yield _program("geosteer-squid", "Squid helper that rewrites URLs to the client's node", squid.USAGE)
    try:
        from geosteer.redirect import server
    except SystemExit:  # installed without its server
        return
    yield _program("geosteer-http", "redirect HTTP clients to their node", server.USAGE)


def _program(name: str, summary: str, usage: str) -> Page:
    synopsis, _, rest = usage.strip().partition("\n\n")
    blocks = [Heading("Synopsis"), Verbatim(synopsis), Heading("Description"), Verbatim(rest)]
    return Page(name=name, section=1, summary=summary, blocks=blocks)
