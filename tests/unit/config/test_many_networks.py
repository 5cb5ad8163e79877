"""Lists of networks are read line by line, and summed up as their whole text would be."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.config import networks as networks_module
from geosteer_loader.tables import provenance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@pytest.mark.parametrize(
    "networks",
    [
        {},
        {"one": ((32, 0, 0),)},
        {"two": ((32, 1, 32), (128, 1 << 127, 1)), "none": (), "it's": ((32, 5, 32),)},
        {"many": tuple((32, number, 32) for number in range(5000))},
        {"just": tuple((32, number, 32) for number in range(4096))},
    ],
    ids=["none", "one", "quoted", "several pieces", "one piece"],
)
def test_the_sum_of_networks_is_that_of_their_text(
    networks: Mapping[str, Sequence[tuple[int, int, int]]],
) -> None:
    told = json.loads(provenance.networks(networks))
    assert told[0]["sha256"] == hashlib.sha256(repr(sorted(networks.items())).encode()).hexdigest()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\v", "\u2028"])
@pytest.mark.parametrize("last", ["", "x", "\n"])
def test_a_list_is_split_as_a_whole_would_be(monkeypatch: pytest.MonkeyPatch, end: str, last: str) -> None:
    monkeypatch.setattr(networks_module, "_PIECE", 7)
    content = end.join(["10.0.0.0/8", "", "#", "a" * 20, "b"]) + "\n" + end.join(["c", "d"]) + last
    assert list(networks_module._split(networks_module._pieces(content))) == content.splitlines()
