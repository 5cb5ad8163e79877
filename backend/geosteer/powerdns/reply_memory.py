"""Replies remembered by the hash of their question: for each place eight bytes of hash and two of a number. No I/O."""

from __future__ import annotations

import sys

from geosteer.cmodules import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    Answer = tuple[bytes, int]
    """A reply, and where it is counted."""

FEWEST, MOST = 1 << 9, 1 << 16
"""Places at first and at most: 5 KiB and 640 KiB."""
ANSWERS = 1 << 14
"""Different replies at most."""

_hashes = sys.hash_info
KEYED = bool(sys.flags.hash_randomization) and _hashes.width >= 64 and _hashes.algorithm.startswith("siphash")
"""Whether a question's hash can stand for it: 64 bits, by a key that nobody outside knows. Else nothing is remembered."""


class ReplyMemory:
    """What was answered to which question, byte by byte with its end; a question takes the place of another one.

    The hot path is, without a call: `key = hash(question)`, `at = key & memory.mask`, and where `tags[at] == key` the reply is
    `answers[numbers[at]]`, else None. A hash of 64 bits stands for the question: that another one, asked by chance, gets its
    reply has a probability of one in 10^14. `tags`, `numbers` and `answers` stay the same objects, `mask` changes.
    """

    __slots__ = ("_left", "_most", "_number", "answers", "mask", "numbers", "tags")

    def __init__(self, most: int = MOST) -> None:
        """Args: most: places at most, a power of two."""
        self._most = most
        self.tags = array("q")
        self.numbers = array("H")
        self.answers: list[Answer | None] = []
        """By number; the first is None, which a question with the hash 0 finds at an empty place."""
        self._number: dict[Answer, int] = {}
        self._grow_from_nothing()

    def keep(self, question: bytes, answer: Answer) -> None:
        """Remember the answer to a question: one or several bytes, whatever they are."""
        key = hash(question)
        if not KEYED or not key:  # an empty place has the hash 0
            return
        number = self._number_of(answer)
        at = key & self.mask
        if self.tags[at] != key:
            self._left -= 1
            if not self._left:
                self._double()
                at = key & self.mask
        self.tags[at], self.numbers[at] = key, number

    def shared(self, answer: Answer) -> Answer:
        """The one object for all answers that are equal: records are many, nodes and prefix lengths few."""
        return self.answers[self._number_of(answer)] or answer

    def clear(self) -> None:
        """Forget everything."""
        if self.mask == FEWEST - 1 and self._left == FEWEST // 2:  # no question was kept
            del self.answers[1:]
            self._number.clear()
        elif self._number:
            self._grow_from_nothing()

    def _number_of(self, answer: Answer) -> int:
        number = self._number.get(answer)
        if number is None:
            if len(self.answers) >= ANSWERS:
                self.clear()
            number = self._number[answer] = len(self.answers)
            self.answers.append(answer)
        return number

    def _grow_from_nothing(self) -> None:
        del self.tags[:], self.numbers[:], self.answers[:]
        self.tags.frombytes(bytes(8 * FEWEST))
        self.numbers.frombytes(bytes(2 * FEWEST))
        self.answers.append(None)
        self._number.clear()
        self.mask = FEWEST - 1
        self._left = FEWEST // 2
        """Questions to be kept until there are twice as many places."""

    def _double(self) -> None:
        """Make twice as many places, while there may be more.

        What was at a place is then at both that may be its own now; at one of them it is never found, and soon replaced.
        """
        places = self.mask + 1
        if places < self._most:
            self.tags.extend(self.tags)
            self.numbers.extend(self.numbers)
            self.mask = 2 * places - 1
            self._left = places
