"""Values of documents (JSON, YAML) in the shape that is expected; all else is refused with its place."""

from __future__ import annotations

from typing import Any

from geosteer.errors import ConfigError


def table(value: Any, place: str) -> dict[str, Any]:
    """A table, empty where nothing stands. Raises: ConfigError: something else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError([f"{place}: settings are expected"])
    return {str(key): entry for key, entry in value.items()}


def entries(value: Any, place: str) -> list[Any]:
    """A list, empty where nothing stands; a single value is a list of one. Raises: ConfigError: a table."""
    if value is None:
        return []
    if isinstance(value, dict):
        raise ConfigError([f"{place}: a list is expected"])
    return value if isinstance(value, list) else [value]


def text(value: Any, place: str) -> str:
    """Text, or a number as such. Raises: ConfigError: something else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigError([f"{place}: text is expected"])
    return str(value)


def whole(value: Any, place: str) -> int:
    """A whole number from 0 on, as text too. Raises: ConfigError: something else."""
    try:
        number = int(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1
    except (ValueError, OverflowError):
        number = -1
    if number < 0:
        raise ConfigError([f"{place}: a whole number is expected"])
    return number
