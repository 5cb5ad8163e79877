"""What a shell completes to: names that are published. Nothing, when Redis cannot be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer.errors import GeosteerError
from geosteer_loader.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import click
    from click.shell_completion import CompletionItem

    from geosteer_loader.store.store import Store


def _items(
    ctx: click.Context, incomplete: str, names: Callable[[Store], Iterable[str]]
) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    try:
        with options.connect(ctx.params.get("config_path")) as store:
            return [CompletionItem(name) for name in names(store) if name.startswith(incomplete)]
    except GeosteerError:
        return []


def _document(store: Store) -> dict[str, Any]:
    from geosteer_loader.store import current

    return current.document(store, current.read(store))


def nodes(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Nodes that are published."""
    return _items(ctx, incomplete, lambda store: sorted(_document(store)["nodes"]))


def services(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Services that are published."""
    return _items(ctx, incomplete, lambda store: sorted(_document(store)["services"]))


def generations(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Generations that are kept, the newest first."""
    from geosteer_loader.query.generations import kept

    return _items(ctx, incomplete, lambda store: [str(entry.generation) for entry in kept(store)])
