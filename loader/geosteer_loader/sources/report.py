"""What sources found odd on the way, for the log: counted, with an example of each kind."""

from __future__ import annotations

from collections import Counter

EXAMPLES = 3
"""How many different examples of a kind are kept."""

LONGEST = 100
"""Characters of an example."""

MOST_PASSED_OVER = 100_000
"""Invalid routes that are remembered; the Internet has some thousands."""


class Report:
    """Collects what is worth a line in the log; passed through every source of a table."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}
        self._continents: dict[str, Counter[str]] = {}
        self.built: int | None = None
        """Date of the newest data that says its own date, in seconds since 1970."""
        self.judged: Counter[str] = Counter()
        """What origin validation calls the routes (valid, invalid, not found) -> how many there are."""
        self.passed_over: list[tuple[int, int, int, int | None]] = []
        """Invalid ones, at most `MOST_PASSED_OVER`: address bits, first address, length, origin AS (None: an AS set)."""

    def note(self, kind: str, example: str, count: int = 1) -> None:
        """Count something odd: *kind* as in `A1: prefixes are misses`, *example* a prefix or a line."""
        self._counts[kind] += count
        examples = self._examples.setdefault(kind, [])
        if len(examples) < EXAMPLES and example[:LONGEST] not in examples:
            examples.append(example[:LONGEST])

    def pass_over(self, prefix: tuple[int, int, int], origin: int | None) -> None:
        """A route does not count, since its origin is invalid."""
        if len(self.passed_over) < MOST_PASSED_OVER:
            self.passed_over.append((*prefix, origin))

    def count(self, kind: str) -> int:
        """How often *kind* was noted."""
        return self._counts[kind]

    def lines(self) -> list[str]:
        """One line for each kind, for example `A1: prefixes are misses: 12, such as A1 192.0.2.0/24`."""
        return [
            f"{kind}: {count}, such as {', '.join(self._examples[kind])}"
            for kind, count in self._counts.items()
        ]

    def place(self, country: str, continent: str, count: int = 1) -> None:
        """A source put *country* in *continent*, so many times."""
        self._continents.setdefault(country, Counter())[continent] += count

    def date(self, seconds: int) -> None:
        """A source says that its data is of that time."""
        self.built = seconds if self.built is None else max(self.built, seconds)

    @property
    def continents(self) -> dict[str, str]:
        """Country -> continent as the sources say it; the one said most often wins."""
        return {
            country: max(votes, key=lambda name: (votes[name], name))
            for country, votes in self._continents.items()
        }
