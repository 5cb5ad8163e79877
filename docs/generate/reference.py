"""Pages of the reference that are no program's: exit codes and Redis keys, read off the code."""

from __future__ import annotations

import geosteer.keys
from geosteer import errors


def pages() -> dict[str, str]:
    """Markdown by name."""
    return {"exit-codes": exit_codes(), "redis-keys": redis_keys()}


def exit_codes() -> str:
    """Which error ends a command with which code."""
    lines = [
        "# Exit codes",
        "",
        "The same for every command: 0 done or nothing to do, 1 failed and nothing changed, 2 bad usage or",
        "configuration, 3 refused.",
        "128 + N after signal N. `geosteer status --check` ends as monitoring plug-ins do: 0 fine, 1 warning, 2 critical.",
        "",
        "| code | error | what it means |",
        "|---|---|---|",
    ]
    classes = sorted(_below(errors.GeosteerError), key=lambda one: (one.exit_code, one.__name__))
    for one in classes:
        said = " ".join((one.__doc__ or "").split()).replace("|", "\\|")
        lines.append(f"| {one.exit_code} | `{one.__name__}` | {said} |")
    return "\n".join(lines) + "\n"


def redis_keys() -> str:
    """What lies in Redis, as the module says that makes the keys."""
    text = (geosteer.keys.__doc__ or "").partition("\n\n")[2].replace("{P}", "{geosteer}")
    return f"# Redis keys\n\nWith the prefix `geosteer` (`[redis] prefix`).\n\n{text}\n"


def _below(kind: type[errors.GeosteerError]) -> set[type[errors.GeosteerError]]:
    found: set[type[errors.GeosteerError]] = set()
    for one in kind.__subclasses__():
        if one.__module__ == errors.__name__:
            found |= {one, *_below(one)}
    return found
