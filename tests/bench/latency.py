"""How well policy `latency` steers: synthetic worlds in which clients measure, next to other policies and an oracle.

Nothing is timed here, so it does not matter what else runs: every number follows from the seeds.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

from .latency_trial import HOUR, POLICIES, Feed, Trial
from .latency_world import Shape, World
from .report import Section, Table
from .rounds import Spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from .latency_trial import Outcome
    from .latency_world import Net
    from .stage import Stage

NETWORKS, DAYS = 1000, 4
"""Of each world: the whole section then takes some minutes on two cores."""
LEARNING = 2
"""Days after which a world counts as known."""
WORKERS = 2
"""Worlds that go on at the same time."""
SHOCK = 60.0
"""Milliseconds that a node gets slower by."""
LIMIT = 72.0
"""Hours for which clients are waited for that do not leave a node."""
PARTS: dict[str, Callable[[Net], bool]] = {
    "all": lambda _net: True,
    "measured": lambda net: net.measured,
    "unmeasured in a measured AS": lambda net: not net.measured and net.system.measured,
    "AS never measured": lambda net: not net.system.measured,
}
"""Parts of the clients that are told apart."""
PLENTY = 300.0
"""Samples of a network and day."""


@dataclass(frozen=True, slots=True)
class Case:
    """A world, and how its clients measure."""

    name: str
    shape: Shape
    feed: Feed = field(default_factory=Feed)
    usual: bool = False
    """The bars are put to it."""


@dataclass(slots=True)
class Played:
    """What came of a case."""

    outcomes: dict[str, list[Outcome]]
    """Policy -> of each window of the last day."""
    changed: float
    """Part of the networks that change their node in a day, once the world is known."""

    def mean(self, policy: str, of: Callable[[Net], bool] = PARTS["all"]) -> float:
        """Mean excess, milliseconds."""
        return _average([outcome.mean(of) for outcome in self.outcomes[policy]])

    def ratio(self, policy: str, of: Callable[[Net], bool] = PARTS["all"]) -> float | None:
        """Mean excess of that of `nearest`; None: `nearest` has none."""
        nearest = self.mean("nearest", of)
        return self.mean(policy, of) / nearest if nearest else None


def run(stage: Stage) -> Section:
    """Every case, then a node that gets worse and a feed that stops."""
    section = Section("latency")
    networks, days = (100, 1) if stage.quick else (NETWORKS, DAYS)
    quality = Table(
        "Latency: mean excess over the best node of the time, ms, and of `nearest`'s",
        [
            "world",
            "policy",
            "excess",
            "of nearest's",
            *list(PARTS)[1:],
            "p95",
            "20 ms worse, %",
            "changes a day, %",
        ],
        notes=[
            "parts: excess of nearest's, by what is known of the client; p95: ms; changes a day: of all networks"
        ],
    )
    played = {}
    with ProcessPoolExecutor(max_workers=WORKERS) as workers:  # each world by itself, as its seed says
        all_of = list(cases(networks))
        for case, found in zip(
            all_of, workers.map(play, all_of, repeat(stage.folder), repeat(days)), strict=True
        ):
            stage.say(f"latency: {case.name}")
            played[case.name] = found
            _add(quality, case.name, found)
        section.tables += [quality, _reaction(section, stage, workers, networks)]
    usual = [played[case.name] for case in cases(networks) if case.usual]
    section.judge("latency.excess", Spread([found.ratio("latency") or 0.0 for found in usual]))
    known = [found.ratio("latency", lambda net: net.system.measured) or 0.0 for found in usual]
    section.judge("latency.known", Spread(known))
    section.judge("latency.changes", Spread([100 * found.changed for found in usual]))
    section.data = {
        name: {policy: found.mean(policy) for policy in POLICIES} | {"changed": found.changed}
        for name, found in played.items()
    }
    return section


def cases(networks: int) -> Iterator[Case]:
    """The worlds. Args: networks: of each."""
    for seed in (1, 2, 3, 13, 14):
        yield Case(f"usual, seed {seed}", Shape(seed=seed, networks=networks), usual=True)
    yield Case("unmeasured scattered", Shape(seed=4, networks=networks, scattered=True))
    yield Case("sparse: 6 samples a day", Shape(seed=5, networks=networks), Feed(a_day=6.0))
    yield Case("IPv6", Shape(seed=6, networks=networks, bits=128))
    yield Case("one AS has 60 %", Shape(seed=7, networks=networks, dominant=0.6))
    yield Case("5 nodes", Shape(seed=8, networks=networks, nodes=5))
    yield Case("40 nodes", Shape(seed=9, networks=networks, nodes=40))
    yield Case("noise", Shape(seed=10, networks=networks, jitter=15.0, outliers=0.1))
    yield Case("forged reports", Shape(seed=11, networks=networks), Feed(forged=liars))


def play(case: Case, folder: Path, days: int) -> Played:
    """Let a world go on for some days."""
    with _trial(case, folder) as trial:
        steps = round(24 * HOUR / trial.config.latency.window * 2)
        outcomes: dict[str, list[Outcome]] = {policy: [] for policy in POLICIES}
        changed = []
        for number in range(days * steps):
            changed_part = trial.step()
            if number >= LEARNING * steps:
                changed.append(changed_part)
            if number >= (days - 1) * steps:
                for policy in POLICIES:
                    outcomes[policy].append(trial.outcome(policy))
        return Played(outcomes, sum(changed) * steps / max(1, len(changed)))


def liars(world: World, hour: float) -> Iterator[tuple[str, str, float]]:
    """A third of the networks of each measured AS say that one node takes no time and another one fails."""
    near, far, *_ = world.nodes
    for net in world.nets:
        if net.measured and net.number % 3 == 0:
            for _ in range(20):
                yield net.address, near, 0.5
                yield net.address, far, -1.0


def worsen(trial: Trial, part: float = 0.1) -> tuple[list[Net], dict[int, str]]:
    """Slow down the node that most networks have, in some of the measured ASes; who ought to leave it, and AS -> node.

    Whoever is served by distance, since too little is measured nearby, is not among them: nobody would notice.
    """
    world = trial.world
    used: dict[int, Counter[str]] = {}
    for net in world.nets:
        if net.system.measured:
            used.setdefault(net.system.number, Counter())[trial.served["latency"][net.number]] += 1
    chosen = trial.chance.sample(sorted(used), max(3, int(part * len(used))))
    nodes = {number: used[number].most_common(1)[0][0] for number in chosen}
    for number, node in nodes.items():
        world.slower[number, node] = SHOCK
    hit = []
    for net in world.nets:
        own = nodes.get(net.system.number)
        if own is not None and own == trial.served["latency"][net.number] and "=" in trial.record(net):
            best = min(world.time(net, other, trial.hour % 24) for other in world.nodes)
            if world.time(net, own, trial.hour % 24) > best + max(15.0, 0.15 * best):
                hit.append(net)
    return hit, nodes


def hours_until_left(trial: Trial, limit: float = LIMIT) -> dict[float, float]:
    """Part of the clients -> hours until so many of them have left a node that got worse."""
    hit, nodes = worsen(trial)
    began, total = trial.hour, sum(net.weight for net in hit)
    told: dict[float, float] = {}
    while trial.hour - began < limit and 0.9 not in told:
        trial.step()
        left = sum(
            net.weight for net in hit if trial.served["latency"][net.number] != nodes[net.system.number]
        )
        for part in (0.5, 0.9):
            if left >= part * total:
                told.setdefault(part, trial.hour - began)
    return told


@dataclass(frozen=True, slots=True)
class Reaction:
    """What became of clients whose node got worse, and of those whose feed stopped."""

    left: dict[float, float]
    """Part of the clients -> hours until so many of them have left it."""
    frozen: float
    """Part of the networks that change their node in three days without samples."""
    fallen: float
    """Part of them that go by `nearest` after `forget`."""


def react(seed: int, a_day: float, networks: int, learning: float, folder: Path) -> Reaction:
    """Let a world go on for some hours, slow a node down for some, and then let nobody measure any more."""
    with _trial(Case("", Shape(seed=seed, networks=networks), Feed(a_day=a_day)), folder) as trial:
        while trial.hour < learning:
            trial.step()
        left = hours_until_left(trial)
        return Reaction(left, *_silence(trial))


def _reaction(section: Section, stage: Stage, workers: Executor, networks: int) -> Table:
    table = Table(
        f"Latency: a node gets slower by {SHOCK:.0f} ms for 10 % of the measured ASes",
        ["samples of a network and day", "half of the clients have left, h", "90 %, h"],
        notes=[
            f"of the clients that have measured times; the end of a window counts; at most {LIMIT:.0f} h are waited for"
        ],
    )
    size, learning = max(120, networks // 4), 24.0 * (1 if stage.quick else LEARNING)
    for key, a_day in (("latency.left", Feed().a_day), ("latency.left.plenty", PLENTY)):
        stage.say(f"latency: a node gets worse, {a_day:.0f} samples a day")
        seeds = (12, 15, 16)
        found = list(
            workers.map(react, seeds, repeat(a_day), repeat(size), repeat(learning), repeat(stage.folder))
        )
        half, most = (Spread([each.left.get(part, LIMIT) for each in found]) for part in (0.5, 0.9))
        section.judge(key, most, f"90 % of the clients, {a_day:.0f} samples of a network and day")
        table.rows.append([f"{a_day:.0f}", half, most])
        frozen, fallen = (
            100 * _average(list(parts))
            for parts in zip(*((each.frozen, each.fallen) for each in found), strict=True)
        )
        table.notes.append(
            f"{a_day:.0f} samples, then none any more: {frozen:.1f} % of the networks change their node in 3 days, "
            f"and {fallen:.1f} % are where `nearest` puts them once `forget` is over"
        )
    return table


def _silence(trial: Trial) -> tuple[float, float]:
    """The feed stops: part of the networks that change within three days, and that go by `nearest` after `forget`."""
    began, before = trial.hour, trial.served["latency"]
    while trial.hour - began < 72:
        trial.step(silent=True)
    changed = _differ(before, trial.served["latency"])
    while (trial.hour - began) * HOUR <= trial.config.latency.settings.forget:
        trial.step(silent=True)
    return changed, 1 - _differ(trial.served["nearest"], trial.served["latency"])


def _differ(some: list[str], others: list[str]) -> float:
    return _average([float(here != there) for here, there in zip(some, others, strict=True)])


def _trial(case: Case, folder: Path) -> Trial:
    return Trial(World(case.shape), Path(tempfile.mkdtemp(dir=folder)), case.feed)


def _add(table: Table, name: str, found: Played) -> None:
    for policy in POLICIES:
        table.rows.append(
            [
                name if policy == POLICIES[0] else "",
                policy,
                found.mean(policy),
                found.ratio(policy),
                *(found.ratio(policy, PARTS[part]) for part in list(PARTS)[1:]),
                _average([outcome.p95() for outcome in found.outcomes[policy]]),
                100 * _average([outcome.worse() for outcome in found.outcomes[policy]]),
                100 * found.changed if policy == "latency" else None,
            ]
        )


def _average(values: list[float]) -> float:
    return sum(values) / len(values)
