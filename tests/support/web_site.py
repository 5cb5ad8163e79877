"""A published world of its own Redis, and the page of `geosteer web` over it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.store import connect
from support.data import ROOT
from support.front_servers import Server, ask
from support.servers import RedisServer, free_port
from support.world import write_world

if TYPE_CHECKING:
    from pathlib import Path

    from support.front_servers import Reply

HERE = "127.0.0.1"


class Site:
    """All of it; `close` ends the servers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.redis = RedisServer()
        self.redis.start()
        self.config = write_world(folder, self.redis.url)
        self.publish()
        self.port = free_port()
        self.started = time.time()
        self.command = [str(ROOT / ".venv/bin/geosteer"), "web", "--config", str(self.config)]
        self.server = Server([*self.command, "--listen", f"{HERE}:{self.port}"]).ready(self.port)

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        return f"http://{HERE}:{self.port}/"

    def publish(self, *options: str) -> None:
        """Publish what the configuration says now."""
        config = load(self.config, {})
        with connect(config.redis) as store:
            publish(config, store, force=options)

    def run(self, *words: str) -> None:
        """A command of `geosteer` that succeeds."""
        assert main([*words, "--config", str(self.config)]) == 0

    def get(self, path: str, **options: Any) -> Reply:
        """One request, as a browser on this host sends it."""
        return ask(self.port, path, **{"host": f"{HERE}:{self.port}", "client": HERE, **options})

    def api(self, path: str) -> dict[str, Any]:
        """What the page is told."""
        reply = self.get(path)
        assert reply["content-type"] == "application/json"
        found: dict[str, Any] = reply.json()
        return found

    def close(self) -> None:
        """End the servers."""
        self.server.close()
        self.redis.close()
