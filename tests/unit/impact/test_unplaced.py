"""The warnings of policies that go by what a table does not have."""

from __future__ import annotations

from typing import Any

import pytest

from geosteer.decision.model import Model
from geosteer_loader.impact.unplaced import SAMPLE, unplaced, unplaced_rows
from support import tiny

NODES = {"lon1": {"a": ["192.0.2.1"], "vantage": "lon"}, "nyc1": {"a": ["192.0.2.2"]}}


def model(**service: Any) -> Model:
    return Model(
        {
            "format": 1, "nodes": NODES, "maps": {"m": {"default": {"lon1": 1, "nyc1": 1}}},
            "services": {"www": {"map": "m", **service}, "dl": {"map": "m", **service}},
            "middles": {"GB": [54, -2]},
        }
    )  # fmt: skip


def warnings(tables: dict[str, dict[str, str]], **service: Any) -> list[str]:
    built = {
        (name, bits): tiny.build(entries, bits) for name, entries in tables.items() for bits in (32, 128)
    }
    pages = {digest.hex(): page for one in built.values() for digest, page in one.pages.items()}
    fields = {f"{name}.{'v4' if bits == 32 else 'v6'}": one.root.hex() for (name, bits), one in built.items()}
    return unplaced(model(**service), fields, pages.get)


GEO = {"20.0.0.0/8": "GB", "30.0.0.0/8": "@EU", "40.0.0.0/7": "GB 51 0", "50.0.0.0/9": "", "60.0.0.0/8": "JP"}


@pytest.mark.parametrize(
    ("service", "rest"),
    [
        ({}, "20.0% count as in the middle of their country, for 40.0% nodes rank as in best"),
        ({"country_middle": False}, "for 60.0% nodes rank as in best"),
    ],
)
def test_the_share_of_addresses_without_a_place_is_told_once_with_all_services(
    service: dict[str, Any], rest: str
) -> None:
    told = f"policy nearest: 60.0% of the IPv4 addresses in geo have no place; {rest} (dl, www)"
    assert warnings({"geo": GEO}, policy="nearest", **service) == [told]


def test_a_length_counts_only_from_a_vantage_point_of_a_node() -> None:
    path = {
        "20.0.0.0/8": "lon=2 ams=1",
        "30.0.0.0/8": "nyc1=1",
        "40.0.0.0/8": "ams=3",
        "50.0.0.0/8": "lon1=2",
    }
    (warning,) = warnings({"geo": GEO, "path": path}, policy="path")
    assert "of 50.0% of the IPv4 addresses in path no vantage point of a node knows the length" in warning


@pytest.mark.parametrize("policy", ["best", "weighted", "hash"])
def test_other_policies_ask_for_no_place(policy: str) -> None:
    assert warnings({"geo": GEO}, policy=policy) == []


def test_a_hundredth_is_not_worth_a_warning_and_no_table_is_told_elsewhere() -> None:
    assert warnings({"geo": {"20.0.0.0/8": "GB 51 0", "30.0.0.0/16": "GB"}}, policy="nearest") == []
    assert warnings({}, policy="nearest") == []


def test_rows_are_weighed_by_their_size_and_few_are_read() -> None:
    service = model(policy="nearest", country_middle=False).services["www"]
    rows = [
        (32, 0x14000000, 8, "GB"),
        (32, 0x1E000000, 9, "GB 51 0"),
        (32, 0x28000000, 9, ""),
        (128, 1 << 125, 3, "GB"),
    ]
    assert unplaced_rows(service, [rows]).startswith("policy nearest: 66.7% of the IPv4 addresses")
    assert unplaced_rows(service, [rows[3:]]).startswith("policy nearest: 100.0% of the IPv6 addresses")
    endless = iter(lambda: rows[1], None)
    assert unplaced_rows(service, [endless]) == ""
    assert sum(1 for _ in zip(range(SAMPLE), endless, strict=False)) == SAMPLE, "the rest was left alone"


def test_a_list_of_corrections_is_no_reason_for_a_warning() -> None:
    (service, _) = model(policy="nearest").services.values()
    database = [(32, 1 << 24, 8, "GB 51 0"), (128, 0x20 << 120, 8, "GB 51 0")]
    corrections = [(32, (1 << 24) + (number << 8), 24, "DE") for number in range(100)]
    assert unplaced_rows(service, [corrections]).startswith("policy nearest: 100.0%")
    assert unplaced_rows(service, [database, corrections]) == ""
    countries = [(128, 0x28 << 120, 8, "GB")]
    assert unplaced_rows(service, [database[:1], countries]).startswith("policy nearest: 100.0% of the IPv6")
