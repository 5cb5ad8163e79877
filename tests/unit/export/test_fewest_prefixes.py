"""The fewest prefixes of which the longest counts: everywhere what was asked for, and not one too many."""

from __future__ import annotations

import random
from ipaddress import ip_address, ip_network
from itertools import product

import pytest

from geosteer_loader.export.compiled_tables import Spans, prefixes
from geosteer_loader.export.fewest_prefixes import fewest_prefixes


def made(
    bits: int, spans: list[tuple[int, int]], left_out: tuple[tuple[int, int], ...] = ()
) -> list[tuple[str, int]]:
    given = Spans(bits)
    for start, number in spans:
        given.add(start, number)
    return list(fewest_prefixes(given, lambda _done, _all: None, left_out))


def found(table: list[tuple[str, int]], address: int, bits: int) -> int | None:
    """What the longest prefix around an address says."""
    best: tuple[int, int | None] = (-1, None)
    for text, number in table:
        network = ip_network(text)
        shift = bits - network.prefixlen
        if int(network.network_address) >> shift == address >> shift:
            best = max(best, (network.prefixlen, number))
    return best[1]


@pytest.mark.parametrize("bits", [32, 128])
def test_each_address_has_its_number_and_what_is_left_out_has_none(bits: int) -> None:
    draw = random.Random(bits)
    for _ in range(60):
        lengths = [draw.choice((1, 3, 8, 9, 16, bits)) for _ in range(draw.randrange(12))]
        starts = sorted({0, *(draw.getrandbits(length) << bits - length for length in lengths)})
        numbers = [draw.randrange(4) for _ in starts]
        holes = tuple(
            (draw.getrandbits(length) << bits - length, length)
            for length in draw.sample((7, 16, 24), draw.randrange(3))
        )
        table = made(bits, list(zip(starts, numbers, strict=True)), holes)
        assert all(ip_network(text).prefixlen for text, _ in table)
        assert table == sorted(
            table, key=lambda row: (ip_network(row[0]).network_address, ip_network(row[0]).prefixlen)
        )
        ends = [start + (1 << bits - length) for start, length in holes]
        for edge in (*starts, *ends, *(start for start, _ in holes), 1 << bits):
            for address in (edge - 1, edge):
                if not 0 <= address < 1 << bits:
                    continue
                number = next(
                    number
                    for start, number in zip(reversed(starts), reversed(numbers), strict=True)
                    if start <= address
                )
                inside = any(address >> bits - length == start >> bits - length for start, length in holes)
                assert found(table, address, bits) == (None if inside else number), (
                    table,
                    str(ip_address(address)),
                )


def fewest_by_trying(leaves: tuple[int, ...], around: int | None) -> int:
    """As few as it takes, by trying every number for every prefix."""
    own = {leaves[0]} if len(leaves) == 1 else {0, 1, 2}
    half = len(leaves) // 2

    def below(number: int | None) -> int:
        if len(leaves) == 1:
            return 0 if number == leaves[0] else 99
        return fewest_by_trying(leaves[:half], number) + fewest_by_trying(leaves[half:], number)

    return min(below(around), *(1 + below(number) for number in own))


def test_they_are_the_fewest() -> None:
    for leaves in product(range(3), repeat=4):
        # below one /1, whose other half is told apart by a number of its own
        spans = [(part << 29, number) for part, number in enumerate(leaves)] + [(1 << 31, 3)]
        assert len(made(32, spans)) == fewest_by_trying(leaves, None) + 1, leaves


def test_one_number_everywhere_takes_two_halves() -> None:
    assert made(32, [(0, 5)]) == [("0.0.0.0/1", 5), ("128.0.0.0/1", 5)]
    assert made(128, [(0, 5)]) == [("::/1", 5), ("8000::/1", 5)]


def test_the_whole_space_in_pieces_needs_a_fraction_of_the_pieces() -> None:
    draw = random.Random(1)
    spans = [(at << 8, 0 if draw.random() < 0.7 else draw.randrange(1, 9)) for at in range(4096)]
    given = Spans(32)
    for span in spans:
        given.add(*span)
    assert len(made(32, spans)) < 0.7 * sum(1 for start, end, _ in given for _ in prefixes(start, end, 32))


@pytest.mark.parametrize("bits", [32, 128])
def test_numbers_are_raised_in_blocks_and_nowhere_else(bits: int) -> None:
    draw = random.Random(bits)
    for _ in range(200):
        starts = sorted({0, *(draw.getrandbits(6) << bits - 6 for _ in range(draw.randrange(9)))})
        before, spans = Spans(bits), Spans(bits)
        for start in starts:
            number = draw.randrange(3)
            before.add(start, number)
            spans.add(start, number)
        # none within another
        blocks = draw.choice(
            [[], [(0, 0)], [(0, 1), (5 << bits - 3, 3)], [(33 << bits - 6, 6), (1 << bits - 7, 7)]]
        )
        for block in blocks:
            spans.shift(block, 10)
        ends = [start + (1 << bits - length) for start, length in blocks]
        for edge in (*starts, *ends, *(start for start, _ in blocks), 1 << bits):
            for address in {max(edge - 1, 0), min(edge, (1 << bits) - 1)}:
                (was,) = [number for start, end, number in before if start <= address < end]
                (now,) = [number for start, end, number in spans if start <= address < end]
                inside = any(start <= address < end for (start, _), end in zip(blocks, ends, strict=True))
                assert now == was + 10 * inside
