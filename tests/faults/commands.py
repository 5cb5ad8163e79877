"""The loader's commands beside a scene, with a configuration that says what is published there."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from faults.scene import TABLE, document
from support.data import ROOT

if TYPE_CHECKING:
    from faults.scene import Scene

DROPPED = {"format", "networks", "continents"}
"""Members of a document that its configuration does not have."""


def toml(value: Any) -> str:
    """A value as inline TOML."""
    if isinstance(value, dict):
        members = (f"{json.dumps(key)} = {toml(kept)}" for key, kept in value.items())
        return "{ " + ", ".join(members) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)


class Loader:
    """`geosteer COMMAND`."""

    def __init__(self, scene: Scene) -> None:
        rows = (f"{net},{where}\n" for net, where in TABLE.items())
        (scene.folder / "geo.csv").write_text("network,country\n" + "".join(rows))
        self._config = scene.folder / "geosteer.toml"
        made = document()
        del made["services"]["cname.cdn.example.net"]  # some nodes are without a host name
        tables = "".join(
            f"[{table}]\n" + "".join(f"{json.dumps(name)} = {toml(kept)}\n" for name, kept in members.items())
            for table, members in made.items()
            if table not in DROPPED
        )
        self._config.write_text(
            f'[redis]\nurl = "{scene.redis.url}"\n[[sources.geo]]\nformat = "csv"\npath = "geo.csv"\n{tables}'
        )

    def run(self, *words: str, stdin: str = "", code: int = 0) -> str:
        """What it prints, without errors. Raises: AssertionError: another exit code, or a traceback."""
        command = [str(ROOT / "bin" / "geosteer"), *words, "--config", str(self._config)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=200)
        assert done.returncode == code, (words, done.returncode, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout + done.stderr
