"""Which objects a generation needs: the pages below its roots, found by reading inner pages only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.errors import CorruptPage
from geosteer.keys import roots
from geosteer.tables import page_format
from geosteer_loader.store.store import BATCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from geosteer_loader.store.store import Store


def needed(
    store: Store, generations: Iterable[Mapping[str, str]], known: Mapping[str, int], *, whole: bool = False
) -> dict[str, int]:
    """Every object that *generations* (fields as of `current`) need -> its height, without *known*.

    A configuration document counts as height 0. What is not in Redis is left out, and so is all below it; with *whole* that
    is an error, for what lies below a missing page must not count as unneeded.
    Raises: CorruptPage: an inner page is not a page, or is missing. StoreError.
    """
    heights: dict[str, int] = {}
    documents: list[str] = []
    tops: dict[str, None] = {}
    for fields in generations:
        tops.update(dict.fromkeys(roots(fields)))
        if "config" in fields:
            documents.append(fields["config"])
    _descend(store, [name for name in tops if name not in known], known, heights, whole)
    heights.update({name: 0 for name in documents if name not in known})
    return heights


def _descend(
    store: Store, level: list[str], known: Mapping[str, int], heights: dict[str, int], whole: bool
) -> None:
    top = set(level)
    while level:
        below: dict[str, None] = {}
        for low in range(0, len(level), BATCH):
            names = level[low : low + BATCH]
            for name, data in zip(names, store.objects(names), strict=True):
                if data is None:
                    if whole:
                        what = "root page" if name in top else "page"
                        raise CorruptPage(f"{store.name}: {what} {name} of the published tables is missing")
                    continue
                page = _decoded(name, data)
                heights[name] = page.height
                children = [value.hex() for value in page.values if isinstance(value, bytes)]
                if page.height == 1:  # leaves need not be read
                    heights.update({child: 0 for child in children if child not in known})
                else:
                    below.update(dict.fromkeys(children))
        level = [name for name in below if name not in known and name not in heights]


def _decoded(name: str, data: bytes) -> page_format.Page:
    try:
        return page_format.decode(data)
    except CorruptPage as exc:
        raise CorruptPage(f"object {name}: {exc}") from exc
