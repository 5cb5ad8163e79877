"""One spelling of durations, for the file of a worker and for the loader's."""

from __future__ import annotations

import pytest

from geosteer.durations import parse_duration
from geosteer.settings_fallback import plain
from geosteer_loader.config.values import duration

GOOD = {
    "30s": 30, "90s": 90, "1h30m": 5400, "1.5s": 1.5, "250ms": 0.25, "1w": 604800, "0s": 0, "1s1s": 2, "0.0000001s": 0,
}  # fmt: skip
BAD = [
    "",
    "30",
    "s",
    "1 s",
    "1s ",
    "-1s",
    "1S",
    "1h 30m",
    "1y",
    "٣s",
    "1.s",
    ".5s",
    "1e3s",
    "inf",
    "nan",
    "9" * 40 + "s",
]


@pytest.mark.parametrize("text", GOOD)
def test_worker_and_loader_read_the_same_duration(text: str) -> None:
    assert parse_duration(text) == GOOD[text]
    assert plain({"max_stale": text})["max_stale"] == GOOD[text]
    assert duration()(text) == GOOD[text]


def test_the_amount_is_in_the_unit_of_the_setting() -> None:
    assert parse_duration("1m1ms", "ms") == 60001
    assert plain({"timeout": "0.2s"}) == {"timeout": 200}
    assert isinstance(parse_duration("1500ms", "ms"), int)


@pytest.mark.parametrize("text", BAD)
def test_worker_and_loader_refuse_the_same(text: str) -> None:
    for parse in (parse_duration, duration(), lambda text: plain({"max_stale": text})):
        with pytest.raises(ValueError, match="not a duration such as"):
            parse(text)
