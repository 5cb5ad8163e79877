"""The chooser that a program's settings ask for."""

from __future__ import annotations

from geosteer.library.chooser import Chooser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer.sync.tier import Tier


def new_chooser(
    tier: Tier,
    random: Callable[[int], int],
    ticket: Callable[[], float],
    log: Callable[[str], None],
    front_end: str,
) -> Chooser:
    """A chooser; one that logs its decisions where the settings say so. Args: as of `Chooser`; front_end: for that log."""
    if tier.settings.log_sample <= 0:
        return Chooser(tier, random, ticket, log)
    from geosteer.library.recorded import RecordedChooser

    return RecordedChooser(tier, random, ticket, log, front_end)
