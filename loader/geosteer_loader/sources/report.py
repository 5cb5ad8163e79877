"""What sources found odd on the way, for the log: counted, with an example of each kind."""

from __future__ import annotations

from collections import Counter

EXAMPLES = 3
"""How many different examples of a kind are kept."""

LONGEST = 100
"""Characters of an example."""


class Report:
    """Collects what is worth a line in the log; passed through every source of a table."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}
        self._continents: dict[str, Counter[str]] = {}
        self.built: int | None = None
        """Date of the newest data that says its own date, in seconds since 1970."""

    def note(self, kind: str, example: str, count: int = 1) -> None:
        """Count something odd: *kind* as in `A1: prefixes are misses`, *example* a prefix or a line."""
        self._counts[kind] += count
        examples = self._examples.setdefault(kind, [])
        if len(examples) < EXAMPLES and example[:LONGEST] not in examples:
            examples.append(example[:LONGEST])

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
