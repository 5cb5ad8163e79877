"""The page itself: one HTML document with the world in it, a style sheet and a script; all from the package."""

from __future__ import annotations

from html import escape
from importlib.resources import files as resources
from typing import TYPE_CHECKING

from geosteer_loader.web.colours import COLOURS
from geosteer_loader.web.projection import HEIGHT, WIDTH
from geosteer_loader.web.svg import DOT, patterns
from geosteer_loader.web.world import world

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON = "application/json"
HTML = "text/html; charset=utf-8"


def files() -> dict[str, tuple[str, bytes]]:
    """Path -> content type and bytes of everything that does not change."""
    folder = resources("geosteer_loader.web") / "assets"
    texts = {
        name: (folder / name).read_text("utf-8") for name in ("page.html", "page.css", "page.js", "icon.svg")
    }
    html = texts["page.html"]
    for mark, text in (
        ("{{size}}", f"0 0 {WIDTH} {HEIGHT}"),
        ("{{patterns}}", "".join(patterns())),
        ("{{countries}}", "".join(_countries())),
    ):
        html = html.replace(mark, text)
    return {
        "/": (HTML, html.encode()),
        "/page.css": ("text/css; charset=utf-8", (texts["page.css"] + _slots()).encode()),
        "/page.js": ("text/javascript; charset=utf-8", texts["page.js"].encode()),
        "/icon.svg": ("image/svg+xml", texts["icon.svg"].encode()),
        "/favicon.ico": ("image/svg+xml", texts["icon.svg"].encode()),
    }


def _countries() -> Iterator[str]:
    for code, country in world().countries.items():
        x, y = country.at
        common = f'id="c-{code}" data-x="{x}" data-y="{y}" data-room="{country.room}" data-name="{escape(country.name)}"'
        if country.path:
            yield f'<path {common} d="{country.path}"/>'
        else:
            yield f'<circle {common} cx="{x}" cy="{y}" r="{DOT}"/>'


def _slots() -> str:
    """The rules that give countries and swatches the paint of their node: six plain, six hatched."""
    plain = "".join(
        f'[data-slot="{number}"]{{fill:{colour}!important}}\n' for number, colour in enumerate(COLOURS)
    )
    hatched = "".join(
        f'[data-slot="{number + len(COLOURS)}"]{{fill:url("#h{number}")!important}}\n'
        for number in range(len(COLOURS))
    )
    return plain + hatched
