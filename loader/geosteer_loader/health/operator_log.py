"""What a prober logs for its operators: changes of state, and each trouble once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geosteer_loader.health.checks.result import Result
    from geosteer_loader.health.writer_report import PostResult

log = logging.getLogger(__name__)


class TroubleLog:
    """Logs each trouble once, until it changes or is over."""

    def __init__(self) -> None:
        self._logged: dict[str, str] = {}

    def trouble(self, what: str, text: str) -> None:
        """Warn of a trouble, unless that was done already."""
        if self._logged.get(what) != text:
            self._logged[what] = text
            log.warning("%s", text)

    def over(self, what: str) -> None:
        """A trouble is over: it is news when it comes again."""
        self._logged.pop(what, None)

    def result(self, node: str, check: str, result: Result) -> None:
        """Warn of a check that could not be made, or of what an operator should see to."""
        key = f"{node}: {check}"
        if result.good is None:
            self.trouble(key, f"{key}: not checked: {result.reason}")
        elif result.warning:
            self.trouble(key, f"{key}: {result.warning}")
        else:
            self.over(key)

    def posted(self, posted: PostResult) -> None:
        """Log nodes whose state changed."""
        for line in changes(posted):
            log.info("%s", line)

    def troubles(self, posted: PostResult) -> None:
        """Warn of nodes that are held back, and of other writers."""
        if posted.judgement.held:
            self.trouble("held", "; ".join(posted.judgement.held))
        else:
            self.over("held")
        for line in posted.trouble:
            self.trouble("name", line)


def changes(posted: PostResult) -> list[str]:
    """What was written about nodes, one line each."""
    lines = []
    for name, fields in posted.judgement.changes.items():
        parts = []
        if "state" in fields:
            parts.append(f"{fields['state']} (was {fields['before']})")
        elif "failing" in fields:
            parts.append("failing" if fields["failing"] == "yes" else "no longer failing")
        elif "since" in fields:
            parts.append("the time of its last change was invalid: set to now")
        if "shed" in fields:
            parts.append(f"sheds {float(fields['shed']):.0%}")
        reason = fields.get("reason")
        lines.append(f"{name}: {', '.join(parts)}" + (f": {reason}" if reason else ""))
    return lines
