"""How far a worker is in following one Redis: every state, every event, and what follows, as one table. No I/O."""

from __future__ import annotations

AWAY = "away"
"""No connection stands."""
OPENING = "opening"
"""All that changes is being read; what `current` names is not in force yet."""
ADOPTING = "adopting"
"""All is read, but the generation that `current` names: it is still being fetched."""
OPENING_EMPTY = "opening, nothing published"
OPENING_FOREIGN = "opening, of another schema"
OPENING_UNUSABLE = "opening, unusable"
OPENING_USABLE = "opening, usable"
"""As `opening`, after `current` was read: empty; for a newer program; unusable; already in force."""
LIVE_EMPTY = "nothing published"
LIVE_FOREIGN = "of another schema"
LIVE_UNUSABLE = "unusable"
LIVE_USABLE = "usable"
"""All is read and pushes follow; what stands under `current`, as above."""

OPENED = "opened"
"""A connection stands, and what changes was asked for."""
CLOSED = "closed"
"""It is lost, or could not be had."""
READ = "read"
"""All that was asked for on opening is in."""
EMPTIED = "emptied"
"""`current` has no fields."""
ANNOUNCED = "announced"
"""`current` names a generation that is not in force; it is being fetched."""
ALIEN = "alien"
"""`current` is of another schema."""
REFUSED = "refused"
"""What `current` names cannot be used, or a part of it was missing or damaged."""
IN_FORCE = "in force"
"""What `current` names is in force."""

EVENTS = (OPENED, CLOSED, READ, EMPTIED, ANNOUNCED, ALIEN, REFUSED, IN_FORCE)
_ROWS = {
    AWAY: (OPENING, AWAY, AWAY, AWAY, AWAY, AWAY, AWAY, AWAY),
    OPENING: (
        OPENING, AWAY, ADOPTING, OPENING_EMPTY, OPENING, OPENING_FOREIGN, OPENING_UNUSABLE, OPENING_USABLE,
    ),
    OPENING_EMPTY: (
        OPENING, AWAY, LIVE_EMPTY, OPENING_EMPTY, OPENING, OPENING_FOREIGN, OPENING_UNUSABLE, OPENING_USABLE,
    ),
    OPENING_FOREIGN: (
        OPENING, AWAY, LIVE_FOREIGN, OPENING_EMPTY, OPENING, OPENING_FOREIGN, OPENING_UNUSABLE, OPENING_USABLE,
    ),
    OPENING_UNUSABLE: (
        OPENING, AWAY, LIVE_UNUSABLE, OPENING_EMPTY, OPENING, OPENING_FOREIGN, OPENING_UNUSABLE, OPENING_USABLE,
    ),
    OPENING_USABLE: (
        OPENING, AWAY, LIVE_USABLE, OPENING_EMPTY, OPENING, OPENING_FOREIGN, OPENING_UNUSABLE, OPENING_USABLE,
    ),
    ADOPTING: (OPENING, AWAY, ADOPTING, LIVE_EMPTY, ADOPTING, LIVE_FOREIGN, LIVE_UNUSABLE, LIVE_USABLE),
    # what is read while a first generation comes in is believed
    LIVE_EMPTY: (OPENING, AWAY, LIVE_EMPTY, LIVE_EMPTY, LIVE_UNUSABLE, LIVE_FOREIGN, LIVE_UNUSABLE, LIVE_USABLE),
    # until a newer generation is in force, all stays as it was
    LIVE_FOREIGN: (OPENING, AWAY, LIVE_FOREIGN, LIVE_EMPTY, LIVE_FOREIGN, LIVE_FOREIGN, LIVE_UNUSABLE, LIVE_USABLE),
    LIVE_UNUSABLE: (OPENING, AWAY, LIVE_UNUSABLE, LIVE_EMPTY, LIVE_UNUSABLE, LIVE_FOREIGN, LIVE_UNUSABLE, LIVE_USABLE),
    LIVE_USABLE: (OPENING, AWAY, LIVE_USABLE, LIVE_EMPTY, LIVE_USABLE, LIVE_FOREIGN, LIVE_UNUSABLE, LIVE_USABLE),
}  # fmt: skip
"""State -> the next one for each of `EVENTS`, in their order; an event that cannot come in a state leaves it as it is."""
TRANSITIONS = {state: dict(zip(EVENTS, row, strict=True)) for state, row in _ROWS.items()}

LIVE = frozenset({LIVE_EMPTY, LIVE_FOREIGN, LIVE_UNUSABLE, LIVE_USABLE})
"""Redis tells what is published there, and every change of it."""
EMPTY = frozenset({OPENING_EMPTY, LIVE_EMPTY})
"""Nothing is published: absent keys say nothing about node states then."""
WELL = frozenset({LIVE_FOREIGN, LIVE_USABLE})
"""Redis is well; leaving these is the last proof of life."""
