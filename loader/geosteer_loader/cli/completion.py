"""`geosteer completion`: a script for shells."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from geosteer_loader.cli import options

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog=options.examples(
        'eval "$(geosteer completion bash)"',
        "geosteer completion fish > ~/.config/fish/completions/geosteer.fish",
    )
)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script for shell completion.

    With it a shell completes commands, options, guards, and the names of published nodes and
    services and of kept generations.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "geosteer", "_GEOSTEER_COMPLETE").source())
