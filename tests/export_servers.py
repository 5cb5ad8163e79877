"""Name servers that answer from exported files: PowerDNS with its geoip backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from servers import PowerDNS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class GeoIP(PowerDNS):
    """A pdns_server with the geoip backend, set up as the exported settings say."""

    def __init__(self, exported: Path, settings: Mapping[str, str | int] | None = None) -> None:
        super().__init__(command="-", settings=settings)
        self.settings = {key: value for key, value in self.settings.items() if not key.startswith("pipe-")}
        lines = exported.read_text().splitlines()
        self.settings |= dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        # What the pipe backend needs, and this one does not.
        self.settings |= {"consistent-backends": "yes", "zone-cache-refresh-interval": 300}
