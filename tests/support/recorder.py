"""A worker that writes down its answers: python -m support.recorder URL PREFIX SEED SECONDS PAUSE FOLDER NAMES CLIENTS.

One JSON line an answer: the worker's time before and after, name, client, ticket, tier, generation, contents. It runs the
worker's own tier and responder, with what it remembers; nothing is asked while it is not yet live.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from geosteer.library.poll_loop import Pump
from geosteer.powerdns.responder import Responder
from geosteer.sync.tier import Tier
from support.steering import make_settings, wait_live

if TYPE_CHECKING:
    from collections.abc import Iterator

RESOLVER = "192.0.2.53"


def answers(
    url: str, prefix: str, seed: int, seconds: float, pause: float, folder: Path, names: list[str], clients: list[str]
) -> Iterator[dict[str, Any]]:  # fmt: skip
    dice = random.Random(seed)
    server: Any = SimpleNamespace(url=url)
    # A slow machine must not turn answers into those of the round robin.
    tier = Tier(make_settings(server, prefix, folder, timeout=5000), dice.randrange)
    drawn = [0.0]

    def ticket() -> float:
        drawn[0] = dice.random()
        return drawn[0]

    responder, pump = Responder(tier, dice.randrange, ticket, lambda _: None), Pump(tier, ())
    tier.start()
    wait_live(tier)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        until = time.monotonic() + pause
        while True:
            tier.due = min(tier.due, until)
            pump.arm()
            pump.handle(pump.poll())
            if time.monotonic() >= until:
                break
        name, client = dice.choice(names), dice.choice(clients)
        line = f"Q\t{name}\tIN\tANY\t-1\t{RESOLVER}\t127.0.0.1\t{client}".encode()
        asked = time.monotonic()
        before = tier.now()
        # As the loop of geosteer-pipe does it.
        tier.settle(asked)
        if responder.decider.outdated(asked):
            responder.refresh()
        reply = responder.reply(line, asked).decode()
        assert tier.generation is not None
        rows = [row.split("\t") for row in reply.splitlines()]
        yield {
            "before": before, "after": tier.now(), "name": name, "client": client, "ticket": drawn[0],
            "tier": tier.name, "generation": int(tier.generation.number),
            "contents": [row[8] for row in rows if row[0] == "DATA" and row[5] == "A"],
        }  # fmt: skip


def main(words: list[str]) -> None:
    url, prefix, seed, seconds, pause, folder, names, clients = words
    made = answers(
        url,
        prefix,
        int(seed),
        float(seconds),
        float(pause),
        Path(folder),
        names.split(","),
        clients.split(","),
    )
    for number, answer in enumerate(made):
        print(json.dumps(answer), flush=not number)


if __name__ == "__main__":
    main(sys.argv[1:])
