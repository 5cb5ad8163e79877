"""The offsets that keep nodes to their `max_share`, put into the configuration document before it is published."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from geosteer.errors import CorruptPage
from geosteer_loader.impact.catchments import Placed, limited, place
from geosteer_loader.impact.over_share import over_share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.impact.table_diff import Roots
    from geosteer_loader.store.pages import Pages

MADE_HERE = ("offsets", "over_share")
"""Keys of a service that are worked out from the tables: what is added to distances, and limits that this does not keep."""


def put_offsets(
    document: dict[str, Any], published: Mapping[str, Any] | None, pages: Pages, roots: Mapping[str, Roots]
) -> list[str]:
    """Add the offsets to the services of *document* that need some; a warning for each limit that they do not keep.

    Where neither the tables nor the configuration changed, they stay as they are published; they are made of nothing else.

    Args:
        published: the configuration document that is published now.
        roots: field of `current` (`geo.v4`) -> digest of the root page before and after, None where there is none.
    Raises: StoreError.
    """
    if not limited(document["services"]):
        return []
    warnings: list[str] = []
    if (
        published is not None
        and all(was == now for was, now in roots.values())
        and _same(document, published)
    ):
        placed = _published(published)
    else:
        try:
            placed = place(document, pages, roots)
        except CorruptPage as exc:
            warnings.append(f"max_share: {exc}, so that offsets stay as they are published")
            placed = _published(published or {})
    for key, values in zip(MADE_HERE, (placed.offsets, placed.over_share), strict=True):
        document["services"] = {
            name: {**spec, key: values[name]} if name in values else spec
            for name, spec in document["services"].items()
        }
    return [*warnings, *over_share(document)]


def _published(document: Mapping[str, Any]) -> Placed:
    services = document.get("services", {})
    offsets, over = (
        {name: spec[key] for name, spec in services.items() if spec.get(key)} for key in MADE_HERE
    )
    return Placed(offsets, over)


def _same(document: Mapping[str, Any], published: Mapping[str, Any]) -> bool:
    """Whether a document is the published one but for what is made here."""
    bare = {
        name: {key: value for key, value in spec.items() if key not in MADE_HERE}
        for name, spec in published["services"].items()
    }
    first, second = (json.dumps(each, sort_keys=True) for each in (document, {**published, "services": bare}))
    return first == second
