"""The map as one SVG file for a ticket or a mail: presentation attributes only, nothing loaded from elsewhere."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from geosteer_loader.config.values import printable
from geosteer_loader.percent import percent
from geosteer_loader.web.colours import COLOURS
from geosteer_loader.web.picture import RADIUS
from geosteer_loader.web.projection import HEIGHT, WIDTH
from geosteer_loader.web.world import world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.web.picture import Picture, PictureCountry, PictureNode

SEA, LAND, INK, MUTED, LINE = "#f2f5f7", "#dde2e6", "#1b2530", "#5b6873", "#3c4854"
DOT = 30
"""Radius of a country that is too small for a shape."""
HEAD, ROW, FOOT = 520, 190, 190
COLUMNS = 3
FAMILY = {"v4": "IPv4", "v6": "IPv6", "clients": "the clients given"}
FONT = "font-family=\"system-ui, 'DejaVu Sans', Arial, sans-serif\""


def svg(picture: Picture, part: str) -> str:
    """The file. Args: part: `v4`, `v6` or `clients`."""
    return "\n".join(_lines(picture, part)) + "\n"


def changes(before: Picture | None, after: Picture, part: str) -> str:
    """Both maps of a change in one file, the one of before above. Args: before: None: there is no service yet."""
    pictures = [picture for picture in (before, after) if picture is not None]
    whole = sum(map(_height, pictures))
    lines = [_opening(whole)]
    top = 0
    for picture in pictures:
        lines += [f'<g transform="translate(0 {top})">', *_body(picture, part), "</g>"]
        top += _height(picture)
    return "\n".join([*lines, "</svg>"]) + "\n"


def escape(text: str) -> str:
    """Text as it may stand in XML, which knows no control characters."""
    return html.escape(printable(text))


def patterns() -> Iterator[str]:
    """One pattern for each colour, hatched, called `h0` to `h5`."""
    for number, colour in enumerate(COLOURS):
        yield (
            f'<pattern id="h{number}" width="90" height="90" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            f'<rect width="90" height="90" fill="{colour}"/><rect width="34" height="90" fill="#fff"/></pattern>'
        )


def spoken(code: str, country: PictureCountry | None) -> str:
    """What a map says of a country in words."""
    name = world().countries[code].name if code in world().countries else code or "country not known"
    if country is None:
        return f"{name}: no clients"
    nodes = [f"{node} {percent(share)}" for node, share in country.nodes]
    nodes += [f"others {percent(country.others)}"] * (country.others > 0)
    return f"{name}: {', '.join(nodes) or 'no node'}"


def _lines(picture: Picture, part: str) -> Iterator[str]:
    yield _opening(_height(picture))
    yield from _body(picture, part)
    yield "</svg>"


def _rows(picture: Picture) -> int:
    """Of the legend."""
    return -(-len(picture.nodes) // COLUMNS)


def _height(picture: Picture) -> int:
    return HEAD + HEIGHT + 160 + _rows(picture) * ROW + FOOT


def _opening(height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="1200" height="{1200 * height // WIDTH}" role="img" {FONT} fill="{INK}">'
    )


def _body(picture: Picture, part: str) -> Iterator[str]:
    countries = picture.parts.get(part, {})
    rows, height = _rows(picture), _height(picture)
    title = f"{picture.service}: who serves the clients of {FAMILY.get(part, part)}"
    yield f"<title>{escape(title)}</title>"
    yield f"<defs>{''.join(patterns())}</defs>"
    yield f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    yield f'<text x="160" y="230" font-size="180" font-weight="600">{escape(title)}</text>'
    yield f'<text x="160" y="410" font-size="125" fill="{MUTED}">{escape(_under(picture, part))}</text>'
    yield f'<g transform="translate(0 {HEAD})">'
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{SEA}"/>'
    yield f'<g stroke="{LINE}" stroke-width="7" stroke-linejoin="round">'
    fills = {node.name: fill(node) for node in picture.nodes}
    for code, country in world().countries.items():
        lines = countries.get(code)
        paint = fills.get(lines.nodes[0][0], LAND) if lines and lines.nodes else LAND
        words = f"<title>{escape(spoken(code, lines))}</title>"
        if country.path:
            yield f'<path d="{country.path}" fill="{paint}">{words}</path>'
        else:
            x, y = country.at
            yield f'<circle cx="{x}" cy="{y}" r="{DOT}" fill="{paint}">{words}</circle>'
    yield "</g>"
    yield from _numbers(picture, part)
    for node in picture.nodes:
        yield from _marker(node)
    yield "</g>"
    for number, node in enumerate(picture.nodes):
        column, row = divmod(number, rows)
        yield from _entry(
            node, part, 160 + column * (WIDTH - 320) // COLUMNS, HEAD + HEIGHT + 260 + row * ROW
        )
    yield f'<text x="160" y="{height - 90}" font-size="95" fill="{MUTED}">{escape(_foot(countries, fills))}</text>'


def _under(picture: Picture, part: str) -> str:
    generation = f"generation {picture.generation}" if picture.generation is not None else "planned"
    known = picture.totals.get(part, 0.0)
    unit = {"v4": "addresses", "v6": "/48s"}.get(part, "clients")
    return f"map {picture.map}, policy {picture.policy}, {generation}, nodes as of {picture.time}; {known:,.0f} {unit} known"


def _foot(countries: dict[str, PictureCountry], fills: dict[str, str]) -> str:
    unknown = countries.get("")
    rest = f"Of {percent(unknown.share)} of the clients no country is known. " if unknown and fills else ""
    colours = "Each country has the colour of the node that serves most of its clients; grey: no clients."
    return f"{colours} {rest}Shapes: Natural Earth."


def fill(node: PictureNode) -> str:
    """The paint of a node."""
    return f"url(#h{node.colour})" if node.hatched else COLOURS[node.colour]


def _numbers(picture: Picture, part: str) -> Iterator[str]:
    """The number of the node that has most clients, in every country with room for it."""
    number_of = {node.name: node.number for node in picture.nodes}
    size = 110
    yield (
        f'<g font-size="{size}" text-anchor="middle" fill="{INK}" stroke="#fff" stroke-width="34" stroke-linejoin="round" '
        f'paint-order="stroke">'
    )
    for code, lines in picture.parts.get(part, {}).items():
        country = world().countries.get(code)
        if country and lines.nodes and country.room >= size * 0.8:
            x, y = country.at
            yield f'<text x="{x}" y="{y + size * 36 // 100}">{number_of.get(lines.nodes[0][0], "")}</text>'
    yield "</g>"


def _marker(node: PictureNode) -> Iterator[str]:
    """A node where it is: a circle while it serves, a square with a cross while it does not."""
    if node.place is None:
        return
    x, y = node.place
    if node.label is None:
        words = f"<title>{escape(_state(node))}</title>"
        yield f'<circle cx="{x}" cy="{y}" r="30" fill="{INK}" stroke="#fff" stroke-width="10">{words}</circle>'
        return
    at_x, at_y = node.label
    yield f'<g stroke="{INK}" stroke-width="14"><title>{escape(_state(node))}</title>'
    yield f'<path d="M{x} {y}L{at_x} {at_y}" stroke-width="12"/><circle cx="{x}" cy="{y}" r="16" fill="{INK}"/>'
    yield _badge(node, at_x, at_y)
    yield "</g>"


def _badge(node: PictureNode, x: int, y: int) -> str:
    number = (
        f'<text x="{x}" y="{y + 38}" font-size="105" font-weight="700" text-anchor="middle" stroke="#fff" '
        f'stroke-width="34" stroke-linejoin="round" paint-order="stroke" fill="{INK}">{node.number}</text>'
    )
    if node.excluded is None:
        return f'<circle cx="{x}" cy="{y}" r="{RADIUS - 12}" fill="#fff"/>{number}'
    half = RADIUS - 16
    cross = f'<path d="M{x - half} {y - half}l{2 * half} {2 * half}m0 {-2 * half}l{-2 * half} {2 * half}" stroke="#b3261e"/>'
    return f'<rect x="{x - half}" y="{y - half}" width="{2 * half}" height="{2 * half}" fill="#fff"/>{cross}{number}'


def _entry(node: PictureNode, part: str, x: int, y: int) -> Iterator[str]:
    """A line of the legend."""
    yield f'<rect x="{x}" y="{y - 100}" width="170" height="120" fill="{fill(node)}" stroke="{LINE}" stroke-width="8"/>'
    yield (
        f'<text x="{x + 230}" y="{y}" font-size="125"><tspan font-weight="700">{node.number}</tspan> '
        f'{escape(node.name)}<tspan fill="{MUTED}"> {percent(node.clients.get(part, 0.0))}{escape(_note(node))}</tspan></text>'
    )


def _note(node: PictureNode) -> str:
    if node.excluded is not None:
        return f", {node.excluded[:60]}"
    return "" if node.share >= 1 else f", keeps {percent(node.share)}"


def _state(node: PictureNode) -> str:
    return f"{node.name}: {'serves' if node.excluded is None else node.excluded}{_note(node) if node.excluded is None else ''}"
