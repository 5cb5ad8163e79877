"""YAML files of other systems, with the line of whatever is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from geosteer.errors import ConfigError
from geosteer_loader.importing import bounded_file

if TYPE_CHECKING:
    import re
    from collections.abc import Hashable
    from pathlib import Path

MOST_BYTES = 32 << 20


class _Loader(yaml.SafeLoader):
    """Takes no key twice, and leaves what looks like a date, a number with colons or a yes as the text that it is."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} is given twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_all(path: Path, without: re.Pattern[bytes] | None = None) -> list[Any]:
    """Every document of a file.

    Args: without: matches whole lines that are no YAML, and count as empty.
    Raises: ConfigError: it cannot be read, or is not YAML; with file and line.
    """
    data = bounded_file.read(path, MOST_BYTES)
    if without is not None:
        data = without.sub(lambda match: b"\n" * match[0].count(b"\n"), data)
    try:
        return list(yaml.load_all(data, _Loader))  # a SafeLoader
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise ConfigError([f"{path}: line {line}: {exc.problem or exc.context}"]) from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise ConfigError([f"{path}: not YAML: {exc or type(exc).__name__}"]) from exc
