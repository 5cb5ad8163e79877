"""`status --check`: one line and an exit code, as monitoring plug-ins give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.cli.text.formatting import span
from geosteer_loader.config.limits import MAX_AGE
from geosteer_loader.config.values import printable
from geosteer_loader.sources.builtin_age import FORMAT as BUILTIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geosteer_loader.query.status import Status
    from geosteer_loader.query.worker_answers import WorkerStatus

OK, WARNING, CRITICAL = 0, 1, 2
"""Exit codes (Monitoring Plugins Development Guidelines, "Plugin Return Codes")."""

SHOWN = 200
"""Characters of a failure's reason."""

_WORDS = ("OK", "WARNING", "CRITICAL")


def judge(
    status: Status, max_age: float | None = None, limits: Mapping[str, float] = MAX_AGE
) -> tuple[int, str]:
    """Exit code and line for a gathered status.

    Args:
        max_age: tables with data older than so many seconds are a warning, in place of *limits*.
        limits: the same by table (0: never). Twice as old is critical, but for the built-in table, and so is old data while
            publishes fail, or a failure that lasts longer than the lowest of them.
    """
    critical = [f"map {name} has no serving node" for name in status.maps_without_node]
    critical += [f"table {name} is incomplete" for name, table in status.tables.items() if not table.there]
    critical += status.foreign
    critical += [f"no {what} is published" for what in ("zone", "service") if not getattr(status, f"{what}s")]
    if not any(node.serving for node in status.nodes.values()):
        critical.append("no node is serving")
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
    for code, line in (*_ages(status, max_age, limits), *_failing(status, limits)):
        (critical if code == CRITICAL else warnings).append(line)
    warnings += status.warnings
    code = CRITICAL if critical else WARNING if warnings else OK
    return code, f"{_WORDS[code]} - " + "; ".join([*critical, *warnings, _summary(status)])


def judge_worker(found: WorkerStatus, max_age: float | None = None) -> tuple[int, str]:
    """Exit code and line for what workers of a host have: critical where Redis is not live for them."""
    if found.status is None:
        return failed(f"workers answer {found.tier}: {found.redis}: {'; '.join(found.troubles)}")
    code, line = judge(found.status, max_age)
    return code, f"{line}; workers answer {found.tier}"


def _ages(status: Status, max_age: float | None, limits: Mapping[str, float]) -> Iterator[tuple[int, str]]:
    for name, table in status.tables.items():
        limit = (limits.get(name) or None) if max_age is None else max_age
        if name == "nets" or table.age is None or limit is None or table.age <= limit:
            continue
        # an operator who begins with the built-in table cannot have a newer one of it
        shipped = any(source.get("format") == BUILTIN for source in table.source)
        grave = max_age is None and not shipped and (table.age > 2 * limit or status.failure is not None)
        told = f" (max_age {span(limit)})" if max_age is None else ""
        yield CRITICAL if grave else WARNING, f"table {name} is {span(table.age)} old{told}"


def _failing(status: Status, limits: Mapping[str, float]) -> Iterator[tuple[int, str]]:
    """A publish that failed: a warning, and critical when it lasts longer than the lowest limit of a published table."""
    failure = status.failure
    if failure is None:
        return
    named = [limits[name] for name in status.tables if limits.get(name)] or [
        age for age in limits.values() if age
    ]
    lasting = status.failing_for or 0.0
    guard = f", {failure.guard}" if failure.guard else ""
    yield (
        CRITICAL if named and lasting > min(named) else WARNING,
        f"publish has failed for {span(lasting)} ({failure.who}{guard}): {printable(failure.why)[:SHOWN]}",
    )


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
