"""A draft as text, and what the checker of configurations says of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from geosteer.errors import ConfigError
from geosteer_loader.config import dns_names, rdata
from geosteer_loader.config.config import check
from geosteer_loader.config.toml_file import parse_toml
from geosteer_loader.importing.toml_text import text

if TYPE_CHECKING:
    from geosteer_loader.importing.draft import Draft

NAME = Path("geosteer.toml")


def unfit(draft: Draft) -> None:
    """Take out what geosteer does not serve: types of records, and names of its own zones that have no address."""
    for name, zone in draft.zones.items():
        for record in list(zone.records):
            owner, kind, content, _ = record
            try:
                dns_names.owner(name)(f"{owner}.")
                rdata.content(rdata.rtype(kind), content)
            except ValueError as exc:
                draft.lose(f"{owner} {kind}", f"{content[:60]}: {exc}; it is left out")
                zone.records.remove(record)
    for name, node in list(draft.nodes.items()):
        if node.hostname and not (node.a or node.aaaa) and dns_names.zone_of(node.hostname, draft.zones):
            draft.lose(
                node.hostname,
                f"node {name} has this name of a zone that is served here, and no address; it is left out",
            )
            draft.drop_node(name)


def checked(draft: Draft) -> tuple[str, list[str]]:
    """The file's text, and what the original allows and geosteer does not, each `geosteer.toml: line N: place: reason`."""
    unfit(draft)
    made = text(draft)
    try:
        check(parse_toml(made, NAME), NAME, {}, made)
    except ConfigError as exc:
        return made, exc.problems
    return made, []
