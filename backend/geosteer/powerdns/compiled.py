"""The part of the worker's loop that is written in C, where it was built; without it all is as it is, slower."""

from __future__ import annotations

import os

from geosteer.cmodules import SWITCH
from geosteer.counters.counters import HITS
from geosteer.decision.client import FLOORS
from geosteer.resp import link
from geosteer.tables import leaf, page_format

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from geosteer.counters.counters import Counters
    from geosteer.decision.model import Map
    from geosteer.powerdns._answerer import Answerer, Described, Layer
    from geosteer.sync.generation import Generation

VERSION = 8
"""Of the interface; what was built of other sources is left out."""


def load(counters: Counters) -> Answerer | None:
    """What answers questions in C and counts them there; pages and the replies that bring them are read in C from then on.

    Returns: None: it is not wanted, or of other sources.
    Raises: ImportError: it was not built, or for something else; OSError.
    """
    if os.environ.get(SWITCH) == "no":
        return None
    from geosteer.powerdns import _answerer

    if _answerer.VERSION != VERSION:
        return None
    page_format.outline_quickly, page_format.places_quickly = _answerer.outline, _answerer.places
    leaf.packed_quickly, link.exchange_quickly = _answerer.packed, _answerer.exchange
    return _answerer.Answerer(counters.cells, HITS, bytes(FLOORS))


WHOLE, WORDS, REGION, PLACE = range(4)
"""How a layer finds its entries in a record, as in C."""


def described(area: Map, generation: Generation) -> Described:
    """What C wants of a map: its tables, and its layers."""
    tables = list(dict.fromkeys([table for _, table, _ in area.layers]))
    trees = [tuple([generation.trees.get((table, bits)) for bits in (32, 128)]) for table in tables]
    return (
        [(v4.lists() if v4 else (), v6.lists() if v6 else ()) for v4, v6 in trees],
        [
            _layer(layer, tables.index(name), entries, generation.model.continents)
            for layer, name, entries in area.layers
        ],
    )


def _layer(name: str, table: int, entries: Iterable[str], continents: Mapping[str, str]) -> Layer:
    """A layer's kind, its table's number, a number that is above those of all entries, and what in a record is which entry.

    The same as `records.Keys.of`.
    """
    numbers = {key: number for number, key in enumerate(entries, 1) if key}
    radix = len(numbers) + 2
    if name == "networks":
        kind = WHOLE
    elif name == "asns":
        kind = WORDS
        numbers.pop("AS0", None)
    elif name == "subdivisions":
        kind = REGION
        numbers = {key: number for key, number in numbers.items() if "-" in key and not key.startswith("@")}
    elif name == "countries":
        kind = PLACE
        numbers = {
            key: number for key, number in numbers.items() if "-" not in key and not key.startswith("@")
        }
    else:
        kind = PLACE
        by_country = {
            country: numbers[name]
            for country, name in continents.items()
            if name in numbers and not country.startswith("@")
        }
        numbers = {**{f"@{key}": number for key, number in numbers.items()}, **by_country}
    return kind, table, radix, [(text, number) for text, number in numbers.items() if text.isascii()]
