"""The offsets that keep nodes to their `max_share`, put into the configuration document before it is published."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from geosteer.errors import CorruptPage
from geosteer_loader.impact.catchments import limited, place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.impact.table_diff import Roots
    from geosteer_loader.store.pages import Pages


def put_offsets(
    document: dict[str, Any], published: Mapping[str, Any] | None, pages: Pages, roots: Mapping[str, Roots]
) -> list[str]:
    """Add the offsets to the services of *document* that need some; what is to be said of them.

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
        offsets = _published(published)
    else:
        try:
            placed = place(document, pages, roots)
        except CorruptPage as exc:
            warnings.append(f"max_share: {exc}, so that offsets stay as they are published")
            offsets = _published(published or {})
        else:
            offsets, warnings = placed.offsets, placed.warnings
    document["services"] = {
        name: {**spec, "offsets": offsets[name]} if name in offsets else spec
        for name, spec in document["services"].items()
    }
    return warnings


def _published(document: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    return {
        name: spec["offsets"] for name, spec in document.get("services", {}).items() if spec.get("offsets")
    }


def _same(document: Mapping[str, Any], published: Mapping[str, Any]) -> bool:
    """Whether a document is the published one but for its offsets."""
    bare = {
        name: {key: value for key, value in spec.items() if key != "offsets"}
        for name, spec in published["services"].items()
    }
    first, second = (json.dumps(each, sort_keys=True) for each in (document, {**published, "services": bare}))
    return first == second
