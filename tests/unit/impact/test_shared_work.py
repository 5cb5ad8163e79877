"""What is shared for speed (equal maps, nodes and policies, both sides) comes to what each service comes to alone."""

from __future__ import annotations

import random
from collections import Counter
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.decision.client import Client
from geosteer.decision.director import Director
from geosteer.decision.distribution import Distribution, Projection, all_up
from geosteer.decision.model import Model
from geosteer.decision.node_state import NodeState, Override
from geosteer.decision.probabilities import Group, distance, kept
from geosteer.keys import FAMILIES, root_field
from geosteer_loader.impact.joint_tables import Side
from geosteer_loader.impact.measure import measure
from geosteer_loader.impact.service_change import MOMENTS, Shift, as_json
from geosteer_loader.impact.unserved import unserved
from geosteer_loader.store.pages import Pages
from support import tiny
from support.long import LONG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer.decision.model import Service

NOW = 1_770_000_000.0
NODES = ("n1", "n2", "n3", "n4", "n5")
COUNTRIES = ("GB", "NL", "DE", "US")
ORDER = ["networks", "asns", "subdivisions", "countries", "continents"]
TABLES = ("geo", "bgp", "rtt")


# ---------------------------------------------------------------- probabilities


def every_order(members: list[tuple[str, float]]) -> list[tuple[list[str], float]]:
    """Every order of (name, weight) with its probability, drawn in proportion to weight without replacement."""
    orders = []
    for order in permutations(members):
        chance, left = 1.0, sum(weight for _, weight in members)
        for _, weight in order:
            chance, left = chance * weight / left, left - weight
        orders.append(([name for name, _ in order], chance))
    return orders


def enumerated(groups: list[list[tuple[str, float, float]]], answers: int) -> tuple[dict[str, float], float]:
    """What `kept` returns, by every combination of who keeps the client and every order of every group."""
    everybody = [member for group in groups for member in group]
    chances = dict.fromkeys([name for name, _, _ in everybody], 0.0)
    unkept = 0.0
    for bits in range(1 << len(everybody)):
        keeping = {name for at, (name, _, _) in enumerate(everybody) if bits >> at & 1}
        likely = 1.0
        for name, share, _ in everybody:
            likely *= share if name in keeping else 1 - share
        outcomes: list[tuple[list[str], float]] = [([], likely)]
        for group in groups:
            orders = every_order([(name, weight) for name, _, weight in group if name in keeping])
            outcomes = [(front + back, one * two) for front, one in outcomes for back, two in orders]
        for order, chance in outcomes:
            unkept += 0.0 if order else chance
            for name in order[:answers]:
                chances[name] += chance / min(answers, len(order))
    return chances, unkept


def test_nodes_are_kept_as_every_order_and_every_combination_of_shares_says() -> None:
    rng = random.Random("kept")
    for _ in range(400 if LONG else 60):
        names = iter("abcdef")
        shares = rng.choice([[1.0], [1.0, 0.5], [1.0, 0.0, 0.3], [0.2, 0.5, 0.9]])
        groups = []
        for size in rng.choice([[1], [4], [2, 2], [1, 1, 1, 1], [3, 1], [1, 3]]):
            weights = rng.choice([[1.0], [1.0, 2.0, 7.5, 100.0]])
            groups.append([(next(names), rng.choice(shares), rng.choice(weights)) for _ in range(size)])
        answers = rng.choice([1, 1, 2, 3, 8])
        chances, unkept = kept([Group(group) for group in groups], answers)
        expected, left = enumerated(groups, answers)
        assert chances == pytest.approx(expected, abs=1e-11), (groups, answers)
        assert unkept == pytest.approx(left, abs=1e-11)


# ---------------------------------------------------------------- impact


def weights(rng: random.Random) -> dict[str, int]:
    return {name: rng.choice([0, 50, 100, 100]) for name in rng.sample(NODES, rng.randint(1, 4))}


def one_map(rng: random.Random) -> dict[str, Any]:
    return {
        "order": ORDER,
        "all_down": rng.choice(["all", "all", "none"]),
        "asns": {f"AS{number}": weights(rng) for number in rng.sample(range(1, 4), rng.randint(0, 2))},
        "countries": {code: weights(rng) for code in rng.sample(COUNTRIES, rng.randint(0, 3))},
        "continents": {"EU": weights(rng)} if rng.random() < 0.5 else {},
        "default": {**weights(rng), "n5": 100},
    }


def document(rng: random.Random) -> dict[str, Any]:
    first = one_map(rng)
    nodes = {
        name: {
            "a": [f"192.0.2.{number}"],
            "aaaa": [f"2001:db8::{number}"] if rng.random() < 0.7 else [],
            "location": [number * 5, 0],
            "weight": rng.choice([100, 100, 50]),
        }
        for number, name in enumerate(NODES, 1)
    }
    services = {
        f"s{number}": {
            "map": rng.choice(["first", "same", "other"]),
            "policy": rng.choice(["best", "best", "weighted", "hash", "nearest", "latency"]),
            "max_answers": rng.choice([1, 1, 2]),
        }
        for number in range(6)
    }
    return {
        "format": 1,
        "nodes": nodes,
        "maps": {"first": first, "same": first, "other": one_map(rng)},
        "services": services,
        "continents": {"GB": "EU", "NL": "EU", "DE": "EU", "US": "NA"},
    }


def altered(rng: random.Random, before: dict[str, Any]) -> dict[str, Any]:
    after = {**before, **{part: dict(before[part]) for part in ("nodes", "maps", "services")}}
    change = rng.choice(["nothing", "map", "node", "service", "all"])
    if change in {"map", "all"}:
        after["maps"][rng.choice(["first", "same", "other"])] = one_map(rng)
    if change in {"node", "all"}:
        name = rng.choice(NODES)
        after["nodes"][name] = {**after["nodes"][name], "weight": 70, "location": [30, 30]}
    if change in {"service", "all"}:
        after["services"]["s0"] = {**after["services"]["s0"], "map": "other", "policy": "best"}
        del after["services"]["s5"]
    return after


def random_states(rng: random.Random) -> dict[str, NodeState]:
    states = {}
    for name in NODES:
        state = states[name] = NodeState()
        state.state = rng.choice(["up", "up", "unknown", "down"])
        state.shed = rng.choice([0, 0, 0.3, 1.0])
        said = rng.choice([None, None, None, "down", "drain"])
        if said:
            state.override = Override(said, rng.choice([0, 25]) if said == "drain" else 100)
    return states


def random_tables(rng: random.Random) -> dict[str, dict[str, str]]:
    """Records of some /6 and /8."""
    tables: dict[str, dict[str, str]] = {table: {} for table in TABLES}
    for table, records in (
        ("geo", [*COUNTRIES, "GB 50 0", "US 20 20"]),
        ("bgp", ["AS1", "AS2 AS3", "AS9"]),
        ("rtt", ["n1=5 n2=6 n3=90", "n4=20", "n5=1 n1=10040"]),
    ):
        for length in (6, 8):
            for _ in range(6):
                octet = rng.randrange(0, 256, 1 << (8 - length))
                tables[table][f"{octet}.0.0.0/{length}"] = rng.choice(records)
    return tables


def record(entries: Mapping[str, str], octet: int) -> str:
    """The longest match."""
    for length in (8, 6):
        start = octet >> (8 - length) << (8 - length)
        if f"{start}.0.0.0/{length}" in entries:
            return entries[f"{start}.0.0.0/{length}"]
    return ""


def alone(
    models: tuple[Model, Model], tables: tuple[Any, Any], name: str, states: Mapping[str, NodeState]
) -> Shift:
    """What becomes of a service's IPv4 clients, /8 by /8, with nothing remembered."""
    shift = Shift()
    pair = [model.services[name] for model in models]
    asked = {table for service in pair for table in service.tables}
    shift.everybody = not asked
    order = sorted(asked)
    octets = Counter(
        tuple(tuple(record(side[table], octet) for table in order) for side in tables) for octet in range(256)
    )
    anybody = any(any(was + now) for was, now in octets)
    for records, count in octets.items():
        known = any(records[0] + records[1])
        size = float(count << 24)
        shift.total += size
        shift.known += size if known else 0.0
        for moment in MOMENTS:
            chances = [
                chances_of(
                    models[side],
                    pair[side],
                    dict(zip(order, records[side], strict=True)),
                    states if moment == "now" else None,
                )
                for side in (0, 1)
            ]
            apart, old, new = compared(*chances)
            for amounts, part in ((shift.moved, 1.0), (shift.moved_known, 1.0 if known else 0.0)):
                amounts[moment] = amounts.get(moment, 0.0) + apart * size * part
            if known or not anybody:
                for nodes, spread in ((shift.before, old), (shift.after, new)):
                    mine = nodes.setdefault(moment, {})
                    for node, chance in spread.items():
                        mine[node] = mine.get(node, 0.0) + chance * size
    return shift


def chances_of(
    model: Model, service: Service, records: Mapping[str, str], states: Mapping[str, NodeState] | None
) -> dict[str, dict[str, float]]:
    seen = {table: Projection(Director(model), service, table)(text) for table, text in records.items()}
    return Distribution(model, all_up(model) if states is None else states, NOW).chances(service, seen)


def compared(old: dict[str, Any], new: dict[str, Any]) -> tuple[float, dict[str, float], dict[str, float]]:
    kinds = [kind for kind in old if kind in new]
    if not kinds:
        apart = 0.0 if old == new else 1.0
        return apart, next(iter(old.values()), {}), next(iter(new.values()), {})
    return max(distance(old[kind], new[kind]) for kind in kinds), old[kinds[0]], new[kinds[0]]


def test_services_that_share_work_fare_as_each_would_alone() -> None:
    rng = random.Random("impact")
    for _ in range(60 if LONG else 8):
        documents = (before := document(rng), altered(rng, before))
        models = Model(documents[0]), Model(documents[1])
        old = random_tables(rng)
        tables = old, rng.choice([old, random_tables(rng)])
        states = random_states(rng)
        built, roots = [], {}
        for table in TABLES:
            for bits in FAMILIES.values():
                sides = [tiny.build(side[table], bits) for side in tables]
                built += sides
                roots[root_field(table, bits)] = sides[0].root.hex(), sides[1].root.hex()
        pages = Pages(None, built)  # type: ignore[arg-type]  # all pages are here
        impact = measure(
            pages, roots, Side(model=models[0], after=False), Side(model=models[1], after=True), states, NOW
        )
        assert list(impact) == [name for name in models[0].services if name in models[1].services]
        for name, parts in impact.items():
            mine = alone(models, tables, name, states)
            for part in ("total", "known"):
                assert getattr(parts["v4"], part) == getattr(mine, part)
            told, expected = (as_json({name: {"v4": shift}})[name]["v4"] for shift in (parts["v4"], mine))
            for moment in MOMENTS:
                for figure in ("moved", "share", "share_known"):
                    assert told[moment][figure] == pytest.approx(expected[moment][figure], rel=1e-9, abs=1e-6)
                assert told[moment]["nodes"].keys() == expected[moment]["nodes"].keys()
                for node, shares in told[moment]["nodes"].items():
                    assert shares == pytest.approx(expected[moment]["nodes"][node], rel=1e-9, abs=1e-6)
            assert parts["v4"].guarded() == pytest.approx(mine.guarded(), rel=1e-9, abs=1e-6)


# ---------------------------------------------------------------- countries that nobody serves


def troubles(model: Model, states: Mapping[str, NodeState]) -> dict[str, dict[str, None]]:
    """Trouble -> countries, every service and every country by itself."""
    found: dict[str, dict[str, None]] = {}
    for service in model.services.values():
        for country in COUNTRIES:
            decision = Director(model).decide(
                service, Client(32, 0, 32), lambda table, code=country: (code, 8) if table == "geo" else ("", 0),  # type: ignore[misc]
                states, NOW, trace=True,
            )  # fmt: skip
            for kind in service.kinds:
                rows = [
                    row for row in decision.trace if row["type"] == kind and row["excluded"] != f"no {kind}"
                ]
                own = [row for row in rows if row["layer"] == f"countries {country}"]
                meant = [row for row in rows if row["layer"] != "any"]
                begin = f"map {service.map.name}: {kind}: "
                if meant and not decision.answer[kind]:
                    text = "no node serves, and the map refuses to answer"
                elif meant and len(rows) > len(meant):
                    text = "no layer that names them has a serving node"
                elif own and all(row["excluded"] is not None for row in own):
                    layer = decision.layer[kind].partition(" ")[0]
                    text = f"no node of their own entry serves, layer {layer} answers"
                else:
                    continue
                found.setdefault(begin + text, {})[country] = None
    return found


def test_countries_that_nobody_serves_are_told_as_each_service_by_itself_says() -> None:
    rng = random.Random("unserved")
    told = 0
    for _ in range(400 if LONG else 80):
        model = Model(document(rng))
        states = random_states(rng)
        asking = {country: 1.0 + number for number, country in enumerate(COUNTRIES)}
        lines = unserved(model, states, NOW, asking)
        expected = troubles(model, states)
        assert [line.rpartition(": ")[0] for line in lines] == list(expected)
        for line, countries in zip(lines, expected.values(), strict=True):
            names = line.rpartition(": ")[2].partition(" (")[0].split(", ")
            assert sorted(names) == sorted(countries)
        told += len(lines)
    assert told > 40
