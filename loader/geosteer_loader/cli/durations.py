"""Values on the command line, checked while it is read."""

from __future__ import annotations

import click

from geosteer_loader.config.values import duration


class Duration(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in later versions only
    """Seconds, or text such as `90s`, `2h`, `1h30m`."""

    name = "time"

    def __init__(self, low: float = 1) -> None:
        """Args: low: the least that is taken, seconds."""
        self._low = low

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        try:
            plain = isinstance(value, str) and value.isascii() and value.isdigit()
            return float(duration(self._low)(int(value) if plain else value))
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


DURATION = Duration()
