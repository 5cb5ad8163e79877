"""A partition of the address space as the fewest prefixes of which the longest that fits counts.

Source: R. P. Draves, C. King, S. Venkatachary, B. D. Zill, "Constructing Optimal IP Routing Tables", INFOCOM 1999: what two
halves could both be is decided bottom-up, what they are top-down: a prefix only names what differs from the one around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.cmodules import Address
from geosteer_loader.export.compiled_tables import STEP, carved, prefixes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from geosteer_loader.export.compiled_tables import Spans

    Node = int | tuple[int, "Node", "Node"]
    """A prefix with one number, `NOTHING` for none; or what a prefix could be (a bit for each number), and its halves."""

NOTHING = -1
NEVER = 0
"""What a prefix could be that must not be named, since there is something in it that none may cover."""


def fewest_prefixes(
    spans: Spans, progress: Callable[[int, int], None], left_out: Sequence[tuple[int, int]] = ()
) -> Iterator[tuple[str, int]]:
    """Prefixes in text with their numbers, ascending, shorter ones first; none has the length 0.

    Args: progress: hears of spans, done and all; left_out: blocks that no prefix may cover, as for `carved`.
    """
    size = spans.bits // 8
    waiting = [(_halved(spans, progress, left_out), 0, 0, NOTHING)]
    while waiting:
        node, first, length, around = waiting.pop()
        could = _could_be(node) if length else NEVER
        if could and (around == NOTHING or not could >> around & 1):
            around = (could & -could).bit_length() - 1
            yield f"{Address(first.to_bytes(size, 'big'))}/{length}", around
        if isinstance(node, tuple):
            _, low, high = node
            length += 1
            waiting.append((high, first + (1 << spans.bits - length), length, around))
            waiting.append((low, first, length, around))
        elif not length and node != NOTHING:  # the whole space is one
            for half in (0, 1):
                yield f"{Address((half << spans.bits - 1).to_bytes(size, 'big'))}/1", node


def _could_be(node: Node) -> int:
    if isinstance(node, tuple):
        return node[0]
    return NEVER if node == NOTHING else 1 << node


def _halved(spans: Spans, progress: Callable[[int, int], None], left_out: Sequence[tuple[int, int]]) -> Node:
    """The whole space, halved until each part has one number."""
    whole: list[tuple[int, Node, int]] = []  # complete so far: length, node, what it could be
    total = len(spans.starts)
    for done, (start, end, number) in enumerate(_complete(spans, left_out)):
        if not done % STEP:
            progress(min(done, total), total)
        for _, length in prefixes(start, end, spans.bits):
            node: Node = number
            at = length
            could = _could_be(number)
            while whole and whole[-1][0] == at:  # in order and without gaps: the other half
                _, low, low_could = whole.pop()
                could = (could & low_could or could | low_could) if could and low_could else NEVER
                node = could, low, node
                at -= 1
            whole.append((at, node, could))
    ((_, node, _),) = whole
    return node


def _complete(spans: Spans, left_out: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """The spans, and those that are left out with the number `NOTHING`."""
    at = 0
    for start, end, number in carved(spans, left_out):
        if start != at:
            yield at, start, NOTHING
        yield start, end, number
        at = end
    if at < 1 << spans.bits:
        yield at, 1 << spans.bits, NOTHING
