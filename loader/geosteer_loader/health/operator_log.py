"""What a prober tells its operators: changes, and troubles once each."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geosteer_loader.health.checks.result import Result
    from geosteer_loader.health.writer_report import Posted

log = logging.getLogger(__name__)


class Told:
    """Remembers what was said already."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def ill(self, what: str, text: str) -> None:
        """Warn of a trouble; not again until it changes or is over."""
        if self._said.get(what) != text:
            self._said[what] = text
            log.warning("%s", text)

    def well(self, what: str) -> None:
        """A trouble is over."""
        self._said.pop(what, None)

    def result(self, node: str, check: str, result: Result) -> None:
        """Warn of what a probe could not see, or of what somebody should see to."""
        key = f"{node}: {check}"
        if result.good is None:
            self.ill(key, f"{key}: not checked: {result.reason}")
        elif result.warning:
            self.ill(key, f"{key}: {result.warning}")
        else:
            self.well(key)

    def posted(self, posted: Posted) -> None:
        """Tell of nodes whose state changed."""
        for line in changes(posted):
            log.info("%s", line)

    def troubles(self, posted: Posted) -> None:
        """Warn of nodes that are held back, and of other writers."""
        if posted.judgement.held:
            self.ill("held", "; ".join(posted.judgement.held))
        else:
            self.well("held")
        for line in posted.trouble:
            self.ill("name", line)


def changes(posted: Posted) -> list[str]:
    """What was written of nodes, one line each."""
    lines = []
    for name, fields in posted.judgement.changes.items():
        said = []
        if "state" in fields:
            said.append(f"{fields['state']} (was {fields['before']})")
        elif "failing" in fields:
            said.append("failing" if fields["failing"] == "yes" else "no longer failing")
        if "shed" in fields:
            said.append(f"sheds {float(fields['shed']):.0%}")
        reason = fields.get("reason")
        lines.append(f"{name}: {', '.join(said)}" + (f": {reason}" if reason else ""))
    return lines
