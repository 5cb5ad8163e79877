"""`geosteer version`."""

from __future__ import annotations

from importlib.metadata import version as installed

import click


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(f"geosteer {installed('geosteer')}")
