"""What a publish refuses unless it is forced: tables that look wrong compared with what is published."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from geosteer.client import parse
from geosteer.errors import CorruptPage, Refused
from geosteer.schema import FAMILIES, root_field
from geosteer_loader.coverage import Tally, country_of, record_at
from geosteer_loader.tables import pages_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from geosteer_loader.config import Config
    from geosteer_loader.store import Store
    from geosteer_loader.tables import Table

log = logging.getLogger(__name__)

GUARDS = ("max_shrink", "max_country_change", "empty_country", "canaries")
"""Names of the guards, as `--force` takes them."""

GUARDED = ("geo", "bgp", "path")
"""Tables that come from elsewhere; what the configuration itself says is meant."""

Finding = tuple[str, str]
"""A guard's name, and what it found."""


def guard(
    config: Config, store: Store, before: Mapping[str, str], tables: Sequence[Table], force: Collection[str]
) -> list[str]:
    """Look at the new tables; the names of the guards that would have refused, had they not been forced.

    Raises: Refused: a guard that is not in *force* says no; the text has every finding.
    """
    pages = {name.hex(): page for built in pages_of(tables) for name, page in built.pages.items()}

    def fetch(name: str) -> bytes | None:
        return pages.get(name) or store.objects([name])[0]

    findings = [*_canaries(config.guard.canaries, tables, fetch)]
    for table in tables:
        if table.name in GUARDED and not table.kept:
            try:
                findings += _compared(config, before, table, fetch)
            except CorruptPage as exc:
                log.warning("%s: cannot be compared with what is published: %s", table.name, exc)
    refused = [(name, text) for name, text in findings if name not in force]
    if refused:
        lines = [f"{name}: {text}" for name, text in refused]
        names = " ".join(f"--force {name}" for name in dict.fromkeys(name for name, _ in refused))
        raise Refused(
            "\n".join([*lines, f"nothing was published; if this is right: geosteer publish {names}"])
        )
    for name, text in findings:
        log.warning("forced %s: %s", name, text)
    return list(dict.fromkeys(name for name, _ in findings))


def _canaries(
    canaries: Mapping[str, str], tables: Sequence[Table], fetch: Callable[[str], bytes | None]
) -> Iterator[Finding]:
    geo = next((table for table in tables if table.name == "geo"), None)
    for address, wanted in canaries.items():
        if geo is None:
            yield "canaries", f"{address}: there is no table geo"
            continue
        client = parse(address)
        record = record_at(fetch, geo.fields[root_field("geo", client.bits)], client.address)
        if country_of(record) != wanted:
            yield "canaries", f"{address} has {record or 'no record'}, not {wanted}"


def _compared(
    config: Config, before: Mapping[str, str], table: Table, fetch: Callable[[str], bytes | None]
) -> Iterator[Finding]:
    tally = Tally(fetch, country_of if table.name == "geo" else lambda _record: "any")
    whole = Tally(fetch, lambda _record: "any") if table.name == "geo" else tally
    named = _named_countries(config.document) if table.name == "geo" else []
    for suffix, bits in FAMILIES.items():
        field = root_field(table.name, bits)
        old, new = before.get(field), table.fields[field]
        if old is None or old == new:
            continue
        had, has = whole.count(old).total(), whole.count(new).total()
        if has < had * (1 - config.guard.max_shrink):
            share = 1 - has / had
            yield (
                "max_shrink",
                f"table {table.name}.{suffix} would lose {_percent(share)} of the addresses that it covers",
            )
        yield from _countries(
            config.guard.max_country_change, named, suffix, tally.count(old), tally.count(new)
        )


def _countries(
    limit: float, named: Sequence[str], suffix: str, old: Mapping[str, int], new: Mapping[str, int]
) -> Iterator[Finding]:
    for country in named:
        had, has = old.get(country, 0), new.get(country, 0)
        if had and not has:
            yield "empty_country", f"{country}, which a map names, would lose all its {suffix} addresses"
        elif had and abs(has - had) > limit * had:
            word = "gain" if has > had else "lose"
            change = _percent(abs(has - had) / had)
            yield (
                "max_country_change",
                f"{country}, which a map names, would {word} {change} of its {suffix} addresses",
            )


def _named_countries(document: Mapping[str, Any]) -> list[str]:
    found: set[str] = set()
    for spec in document["maps"].values():
        found.update(spec["countries"])
        found.update(country_of(subdivision) for subdivision in spec["subdivisions"])
    return sorted(found)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
