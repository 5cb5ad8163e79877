"""Moments on the command line: a date and time, or how long ago."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import click

from geosteer.durations import parse_duration

Moment = Callable[[float], float]
"""The time now -> the time that is meant, both seconds since 1970."""


class MomentType(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in later versions only
    """`2026-11-27 14:00` in local time, the same with a zone (`2026-11-27T14:00Z`, `+01:00`), `-3h` or `3h` ago, or `now`."""

    name = "time"

    def convert(
        self, value: str | Moment, param: click.Parameter | None, ctx: click.Context | None
    ) -> Moment:
        """A function, since only the server's clock says what is three hours ago."""
        if callable(value):
            return value
        text = value.strip()
        if text == "now":
            return lambda now: now
        try:
            ago = parse_duration(text.removeprefix("-"))
        except ValueError:
            pass
        else:
            return lambda now: now - ago
        try:
            moment = datetime.fromisoformat(text).astimezone().timestamp()  # without a zone: local time
        except (ValueError, OverflowError, OSError):
            self.fail(
                f"{text!r}: neither a time such as '2026-11-27 14:00' or 2026-11-27T14:00Z nor a duration such as -3h",
                param,
                ctx,
            )
        return lambda _now: moment


MOMENT = MomentType()
