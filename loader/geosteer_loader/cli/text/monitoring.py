"""`status --check`: one line and an exit code, as monitoring plug-ins give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.cli.text.formatting import span

if TYPE_CHECKING:
    from geosteer_loader.query.status import Status
    from geosteer_loader.query.worker_answers import WorkerStatus

OK, WARNING, CRITICAL = 0, 1, 2
"""Exit codes (Monitoring Plugins Development Guidelines, "Plugin Return Codes")."""

_WORDS = ("OK", "WARNING", "CRITICAL")


def judge(status: Status, max_age: float | None = None) -> tuple[int, str]:
    """Exit code and line for a gathered status; tables older than *max_age* seconds are a warning."""
    critical = [f"map {name} has no serving node" for name in status.maps_without_node]
    critical += [f"table {name} is incomplete" for name, table in status.tables.items() if not table.there]
    warnings = []
    if status.held:
        warnings.append(f"held: {status.held}")
    for name, node in status.nodes.items():
        # What an operator said is known already.
        if node.state == "down" and not node.override:
            warnings.append(f"{name} {node.excluded}")
        elif node.failing:
            warnings.append(f"{name} fails checks")
        if node.warning:
            warnings.append(f"{name}: {node.warning}")
    warnings += [f"{name} silent for {span(beat.age)}" for name, beat in status.beats.items() if beat.silent]
    if max_age is not None:
        warnings += [
            f"table {name} is {span(table.age)} old"
            for name, table in status.tables.items()
            if name != "nets" and table.age is not None and table.age > max_age
        ]
    warnings += status.warnings
    code = CRITICAL if critical else WARNING if warnings else OK
    return code, f"{_WORDS[code]} - " + "; ".join([*critical, *warnings, _summary(status)])


def judge_worker(found: WorkerStatus, max_age: float | None = None) -> tuple[int, str]:
    """Exit code and line for what workers of a host have: critical where Redis is not live for them."""
    if found.status is None:
        return failed(f"workers answer {found.tier}: {found.redis}: {'; '.join(found.troubles)}")
    code, line = judge(found.status, max_age)
    return code, f"{line}; workers answer {found.tier}"


def failed(reason: str) -> tuple[int, str]:
    """Exit code and line when the status cannot be gathered."""
    return CRITICAL, f"{_WORDS[CRITICAL]} - {' '.join(reason.split())}"


def _summary(status: Status) -> str:
    serving = sum(node.serving for node in status.nodes.values())
    tables = ", ".join(
        f"{name} {span(table.age)} old" for name, table in status.tables.items() if name != "nets"
    )
    summary = f"generation {status.generation}, {serving} of {len(status.nodes)} nodes serving"
    unknown = f"; not known to this user of Redis: {', '.join(status.unknown)}" if status.unknown else ""
    return (f"{summary}, {tables}" if tables else summary) + unknown
