"""What publishing tests share: a small configuration, and a walk over what lies in Redis that trusts nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer.keys import FAMILIES, digest
from geosteer.tables import page_format
from geosteer_loader.config.config import Config, load
from geosteer_loader.tables.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


LINES = ("192.0.2.0/24,GB", "198.51.100.0/25,US-CA,37.75,-122.42", "2001:db8::/32,NL", "203.0.113.0/24,A1")

SHAPE = """
[redis]
url = "{url}"
prefix = "{prefix}"
{geo}
{networks}
[nodes.lon1]
a = ["192.0.2.1"]
[nodes.lon2]
a = ["192.0.2.2"]
[nodes.ams1]
a = ["192.0.2.3"]
weight = {weight}
well_connected = 1
[maps.default]
countries = {{ GB = {{ lon1 = 100, lon2 = 50 }} }}
default = {{ ams1 = 100 }}
[guard]
max_shrink = 1.0
max_country_change = 1.0
max_impact = 1.0
keep = {keep}
keep_for = {keep_for}
grace = {grace}
{more}
"""

SERVICE = """
[zones."cdn.example.net"]
soa = { mname = "ns1.example.net", rname = "hostmaster.example.net" }
ns = ["ns1.example.net"]
[services."www.cdn.example.net"]
map = "default"
"""
"""What makes it complete: one service on its map, and the service's zone."""


def write_csv(path: Path, lines: Sequence[str] = LINES) -> Path:
    """A country list."""
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def write_config(
    folder: Path,
    url: str,
    prefix: str = "geosteer",
    *,
    geo: Sequence[Path] = (),
    networks: Mapping[str, Sequence[str]] | None = None,
    weight: int = 100,
    keep: int = 8,
    keep_for: float = 0,
    grace: float = 600,
    more: str = "",
) -> Path:
    """A `geosteer.toml` with three nodes, a map, a zone with a service (unless *more* has one), and what is given."""
    kinds = {".csv": "csv", ".mmdb": "mmdb", ".rbldnsd": "nerd"}
    sources = [f'[[sources.geo]]\nformat = "{kinds[path.suffix]}"\npath = "{path}"\n' for path in geo]
    named = [f"[networks.{name}]\nprefixes = {list(nets)}\n" for name, nets in (networks or {}).items()]
    path = folder / "geosteer.toml"
    path.write_text(
        SHAPE.format(
            url=url, prefix=prefix, geo="".join(sources), networks="".join(named), weight=weight, keep=keep, keep_for=keep_for,
            grace=grace, more=more,
        )
        + ("" if "[services" in more else SERVICE)
    )  # fmt: skip
    return path


def make_config(folder: Path, url: str, prefix: str = "geosteer", **options: Any) -> Config:
    """The same, loaded."""
    return load(write_config(folder, url, prefix, **options), {})


def current_of(client: Any, prefix: str = "geosteer") -> dict[str, str]:
    """The fields of `current`."""
    return {key.decode(): value.decode() for key, value in client.hgetall(f"{{{prefix}}}:current").items()}


def walk(fetch: Callable[[str], bytes | None], bits: int, root: str) -> tuple[Ranges, set[str]]:
    """All ranges below a root page and the names of all pages; every digest and every page's place is checked."""
    names: set[str] = set()
    starts: list[int] = []
    records: list[str] = []

    def visit(name: str, height: int | None, first: int, last: int) -> None:
        data = fetch(name)
        assert data is not None, f"page {name} is missing"
        assert digest(data).hex() == name
        names.add(name)
        page = page_format.decode(data)
        height = page.height if height is None else height
        assert page.fits(bits, height, first, last)
        spans = list(page.spans(first))
        for (start, value), following in zip(spans, [*spans[1:], (last + 1, b"")], strict=True):
            if isinstance(value, bytes):
                size = (1 << (bits - page_format.decode(_known(fetch(value.hex()))).prefix_len)) - 1
                visit(value.hex(), height - 1, start, start + size)
                assert start + size < following[0]
            elif not records or records[-1] != value:
                starts.append(start)
                records.append(value)

    visit(root, None, 0, (1 << bits) - 1)
    return Ranges(bits=bits, starts=starts, records=records, prefixes=0), names


def _known(data: bytes | None) -> bytes:
    assert data is not None
    return data


def contents(client: Any, fields: Mapping[str, str], prefix: str = "geosteer") -> dict[str, dict[int, str]]:
    """Every published table as `{"geo.v4": {start: record}}`, all checked; and that the configuration is there."""
    key = f"{{{prefix}}}:object"
    document = client.hget(key, fields["config"])
    assert document is not None
    assert digest(document).hex() == fields["config"]
    found = {}
    for table in ("geo", "bgp", "path", "rtt", "nets"):
        for suffix, bits in FAMILIES.items():
            name = f"{table}.{suffix}"
            if name in fields:
                ranges, _ = walk(lambda page: client.hget(key, page), bits, fields[name])
                found[name] = dict(zip(ranges.starts, ranges.records, strict=True))
    return found


def needed_objects(client: Any, fields: Mapping[str, str], prefix: str = "geosteer") -> set[str]:
    """Names of all objects that a generation needs."""
    needed = {fields["config"]}
    for table in ("geo", "bgp", "path", "rtt", "nets"):
        for suffix, bits in FAMILIES.items():
            if f"{table}.{suffix}" in fields:
                needed |= walk(
                    lambda page: client.hget(f"{{{prefix}}}:object", page), bits, fields[f"{table}.{suffix}"]
                )[1]
    return needed


def objects_in(client: Any, prefix: str = "geosteer") -> set[str]:
    """Names of all objects; for tests only, since it stops a large server."""
    return {name.decode() for name in client.hkeys(f"{{{prefix}}}:object")}
