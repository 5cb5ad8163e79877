"""Offsets that keep nodes to their `max_share`: no more clients than allowed, the same ones each time, at the least detour."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.decision.client import parse
from geosteer.decision.director import Director
from geosteer.decision.distribution import Distribution, Projection, all_up
from geosteer.decision.model import Model
from geosteer.keys import FAMILIES, root_field
from geosteer_loader.impact.catchments import place
from geosteer_loader.impact.max_share import Kind, Solver
from geosteer_loader.impact.over_share import over_share
from geosteer_loader.store.pages import Pages
from support import tiny
from support.long import LONG

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geosteer_loader.impact.catchments import Placed
    from geosteer_loader.impact.max_share import Outcome

NOW = 1_770_000_000.0
STEP = 10.0


def kind(size: float, **measures: float) -> Kind:
    count = len(measures)
    return Kind(size, tuple(measures), tuple(measures.values()), (100,) * count, (0,) * count, 0)


def least_cost(kinds: list[Kind], caps: Mapping[str, float], nodes: list[str]) -> float:
    """The least mean measure with which all limits hold."""
    optimize = pytest.importorskip("scipy.optimize")
    total, count = sum(kind.size for kind in kinds), len(nodes)
    costs, equal, above = [], [], {node: [0.0] * count * len(kinds) for node in caps}
    for at, each in enumerate(kinds):
        measures = dict(zip(each.nodes, each.measures, strict=True))
        costs += [measures[node] for node in nodes]
        row = [0.0] * count * len(kinds)
        row[at * count : (at + 1) * count] = [1.0] * count
        equal.append(row)
        for node in caps:
            above[node][at * count + nodes.index(node)] = 1.0
    found = optimize.linprog(
        costs, A_ub=list(above.values()), b_ub=[cap * total for cap in caps.values()],
        A_eq=equal, b_eq=[each.size for each in kinds],
    )  # fmt: skip
    return float(found.fun) / total


def scattered(seed: int) -> tuple[list[Kind], dict[str, float], list[str]]:
    """Places and nodes on a plane, and limits of all nodes but one."""
    dice = random.Random(seed)
    nodes = [f"n{number}" for number in range(dice.choice((3, 4, 5)))]
    at = {node: (dice.random() * 4000, dice.random() * 4000) for node in nodes}
    kinds = []
    for _ in range(200):
        x, y = dice.random() * 4000, dice.random() * 4000
        away = {node: ((x - there[0]) ** 2 + (y - there[1]) ** 2) ** 0.5 for node, there in at.items()}
        kinds.append(kind(dice.randint(1, 100), **away))
    return kinds, {node: dice.choice((0.08, 0.15, 0.3)) for node in nodes[1:]}, nodes


@pytest.mark.parametrize("seed", range(12 if LONG else 4))
def test_no_node_has_more_than_it_may_and_the_detour_is_about_the_least(seed: int) -> None:
    kinds, caps, nodes = scattered(seed)
    solver = Solver(kinds, caps, STEP)
    outcome = solver.solve()
    assert outcome.over == {}
    assert sum(outcome.shares.values()) == pytest.approx(1)
    for node, cap in caps.items():
        assert outcome.shares.get(node, 0.0) <= cap + 3e-4
    best = least_cost(kinds, caps, nodes)
    assert best * 0.999 <= solver.cost() <= best * 1.04


def test_the_same_clients_come_out_whatever_the_order_of_nodes_and_kinds() -> None:
    kinds, caps, _ = scattered(3)
    first = Solver(kinds, caps, STEP).solve()
    turned = Solver(kinds, dict(reversed(caps.items())), STEP).solve()
    assert turned.levels == first.levels


def test_a_small_change_of_the_table_moves_few() -> None:
    kinds, caps, _ = scattered(5)
    before = Solver(kinds, caps, STEP)
    before.solve()
    dice = random.Random(1)
    changed = [replace(each, size=each.size * (1 + dice.random() / 50)) for each in kinds]
    after = Solver(changed, caps, STEP)
    after.solve()
    moved = sum(
        each.size * sum(abs(old.get(node, 0.0) - new.get(node, 0.0)) for node in old.keys() | new.keys()) / 2
        for each in kinds
        for old, new in ((before.parts(each), after.parts(each)),)
    )
    assert moved / before.total < 0.03


def solved(kinds: list[Kind], **caps: float) -> Outcome:
    return Solver(kinds, caps, STEP).solve()


def test_those_go_whose_next_node_is_the_least_farther_away() -> None:
    kinds = [kind(10, a=100, b=100 + 100 * number) for number in range(1, 11)]
    solver = Solver(kinds, {"a": 0.7}, STEP)
    solver.solve()
    assert [solver.parts(each).get("a", 0.0) for each in kinds] == [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]


def test_many_clients_in_one_place_are_divided() -> None:
    outcome = solved([kind(60, a=10, b=500), kind(40, a=900, b=20)], a=0.25)
    assert outcome.shares == {"a": pytest.approx(0.25, abs=1e-3), "b": pytest.approx(0.75, abs=1e-3)}
    assert outcome.levels["a"].keep == pytest.approx(25 / 60, abs=1e-3)


def test_nodes_in_one_place_are_pushed_away_together_until_the_rest_takes_the_surplus() -> None:
    everywhere = [kind(1, a=number * 20, b=number * 20, far=3000) for number in range(50)]
    outcome = solved(everywhere, a=0.2, b=0.3)
    assert outcome.over == {}
    assert 0.5 <= outcome.shares["far"] <= 0.56


def test_without_a_surplus_nothing_is_pushed() -> None:
    assert solved([kind(1, a=1, b=2), kind(1, a=2, b=1)], a=0.5, b=0.6).levels == {}


def test_clients_who_have_no_other_node_stay_and_it_is_told() -> None:
    outcome = solved([kind(40, a=10), kind(60, a=10, b=20)], a=0.3)
    assert outcome.over == {"a": pytest.approx(0.4)}
    assert outcome.bound == {"a": pytest.approx(0.4)}
    assert outcome.shares["b"] == pytest.approx(0.6)


# ---------------------------------------------------------------- from tables to answers

NODES = {
    name: {"a": [f"192.0.2.{number}"], "location": spot}
    for number, (name, spot) in enumerate(
        {"lon1": [51.5, 0], "ams1": [52.4, 4.9], "fra1": [50.1, 8.7], "nyc1": [40.7, -74]}.items(), 1
    )
}
GEO = {
    f"{20 + block}.{number * 16}.0.0/12": f"GB {48 + block * 1.3 + number / 50:.2f} {number * 0.9 - 3:.2f}"
    for block in range(5) for number in range(16)
}  # fmt: skip
GEO |= {"40.0.0.0/9": "US 41 -75", "41.0.0.0/9": "US", "42.0.0.0/10": "@EU"}
RTT = {
    f"{20 + block}.{number * 16}.0.0/12": f"lon1={8 + number} ams1={12 + block} fra1={22 - number}"
    for block in range(4) for number in range(0, 16, 2)
}  # fmt: skip


def configuration(**service: Any) -> dict[str, Any]:
    return {
        "format": 1, "nodes": NODES,
        "maps": {"m": {"order": ["continents"], "continents": {"NA": {"nyc1": 100, "ams1": 50}},
                       "default": dict.fromkeys(NODES, 100)}},
        "services": {"www": {"map": "m", **service}}, "continents": {"GB": "EU", "US": "NA"},
        "middles": {"US": [39, -98]},
    }  # fmt: skip


def placed(document: dict[str, Any], tables: Mapping[str, Mapping[str, str]]) -> Placed:
    built, roots = [], {}
    for table, entries in tables.items():
        for bits in FAMILIES.values():
            made = tiny.build(entries, bits)
            if made is not None:
                built.append(made)
                roots[root_field(table, bits)] = None, made.root.hex()
    return place(document, Pages(None, built), roots)  # type: ignore[arg-type]  # all pages are here


def looking(records: Mapping[str, str]) -> Callable[[str], tuple[str, int]]:
    return lambda table: (records[table], 12)


CASES: list[dict[str, Any]] = [
    {"policy": "nearest", "max_share": {"lon1": 0.2}},
    {"policy": "nearest", "near_km": 0, "max_share": {"lon1": 0.15, "fra1": 0.2, "ams1": 0.3}},
    {"policy": "nearest", "bias": {"lon1": 60, "nyc1": -50}, "max_share": {"lon1": 0.3, "ams1": 0.25}},
    {"policy": "latency", "max_share": {"lon1": 0.1, "ams1": 0.4}},
    {"policy": "latency", "bias": {"fra1": 20}, "equal_ms": 0, "max_share": {"fra1": 0.1, "lon1": 0.1}},
]


@pytest.mark.parametrize("spec", CASES, ids=str)
def test_a_workers_answers_keep_to_the_limits_and_are_what_the_distribution_says(
    spec: dict[str, Any],
) -> None:
    tables = {"geo": GEO, "rtt": RTT} if spec["policy"] == "latency" else {"geo": GEO}
    document = configuration(**spec)
    found = placed(document, tables)
    assert found.over_share == {}
    document["services"]["www"]["offsets"] = found.offsets["www"]
    model = Model(document)
    director, service = Director(model), model.services["www"]
    distribution = Distribution(model, all_up(model), NOW)
    expected: defaultdict[str, float] = defaultdict(float)
    counted: defaultdict[str, float] = defaultdict(float)
    clients, total = 160, 0
    for net, record in GEO.items():
        size = 1 << (32 - int(net.partition("/")[2]))
        total += size
        records = {"geo": record, "rtt": RTT.get(net, "") if spec["policy"] == "latency" else ""}
        seen = {table: Projection(director, service, table)(records[table]) for table in service.tables}
        for node, chance in distribution.chances(service, seen)["A"].items():
            expected[node] += chance * size
        first = net.split(".")
        for number in range(clients):
            client = parse(f"{first[0]}.{first[1]}.{number}.0/24")
            decision = director.decide(service, client, looking(records), {}, NOW)
            counted[decision.answer["A"][0].name] += size / clients
    for node, limit in spec["max_share"].items():
        assert expected[node] / total <= limit + 1e-3, node
        assert counted[node] / total <= limit + 0.01, node
    for node in NODES:
        assert counted[node] / total == pytest.approx(expected[node] / total, abs=0.012)
    loosest = max(spec["max_share"], key=lambda node: expected[node] / total - spec["max_share"][node])
    assert expected[loosest] / total > spec["max_share"][loosest] - 0.02, "no more is moved than has to be"


def test_only_those_at_an_edge_are_told_apart_by_their_network() -> None:
    document = configuration(**CASES[0])
    document["services"]["www"]["offsets"] = placed(document, {"geo": GEO}).offsets["www"]
    model = Model(document)
    director, service = Director(model), model.services["www"]
    split = Counter(
        director.decide(service, parse(net), looking({"geo": record}), {}, NOW).split
        for net, record in GEO.items()
    )
    assert split[True] < 0.7 * len(GEO)


def test_clients_are_those_of_ipv6_where_tables_know_no_others() -> None:
    geo = {"2001:db8::/34": "GB 51.5 0", "2001:db8:4000::/34": "NL 52.4 4.9"}
    found = placed(configuration(policy="nearest", near_km=0, max_share={"lon1": 0.2}), {"geo": geo})
    assert found.offsets["www"]["lon1"]["keep"] == pytest.approx(0.8, abs=2e-3)


def test_a_service_without_a_table_or_a_surplus_gets_no_offsets() -> None:
    assert placed(configuration(policy="nearest", max_share={"lon1": 0.2}), {}).offsets == {}
    assert placed(configuration(policy="nearest", max_share={"lon1": 0.99}), {"geo": GEO}).offsets == {}
    assert placed(configuration(policy="nearest"), {"geo": GEO}).offsets == {}


def test_what_cannot_be_kept_to_is_told() -> None:
    document = configuration(policy="nearest", max_share={"nyc1": 0.01})
    document["maps"]["m"]["continents"] = {"NA": {"nyc1": 100}}
    (over,) = placed(document, {"geo": GEO}).over_share["www"].values()
    assert over["share"] == over["bound"] > 0.01


def test_a_warning_tells_what_keeps_a_node_above_its_limit() -> None:
    service: dict[str, Any] = {
        "max_share": {"a": 0.2, "b": 0.3},
        "over_share": {"b": {"share": 0.31, "bound": 0.1}},
    }
    (warning,) = over_share({"services": {"www": service}})
    assert warning == (
        "service www: node b has 31.0% of the clients, more than its max_share of 30.0%: "
        "no distances were found that keep all limits of the service; give its nodes more room"
    )
    service["over_share"]["b"]["bound"] = 0.305
    (warning,) = over_share({"services": {"www": service}})
    assert warning.endswith(": 30.5% of the clients have no other node to go to, or no known place")


@pytest.mark.parametrize(
    "over", [[], "b", {"b": 1}, {"b": {}}, {"b": {"share": "x", "bound": 1}}, {"c": {"share": 1, "bound": 1}}]
)
def test_what_another_version_noted_is_passed_over(over: object) -> None:
    assert over_share({"services": {"www": {"max_share": {"b": 0.3}, "over_share": over}}}) == []


def test_services_alike_in_all_but_their_names_are_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    document = configuration(policy="nearest", max_share={"lon1": 0.2})
    www = document["services"]["www"]
    document["services"] |= {"web": dict(www), "img": {**www, "max_share": {"lon1": 0.25}}}
    solve, solved_for = Solver.solve, []

    def noted(solver: Solver) -> Outcome:
        solved_for.append(solver)
        return solve(solver)

    monkeypatch.setattr(Solver, "solve", noted)
    offsets = placed(document, {"geo": GEO}).offsets
    assert len(solved_for) == 2
    assert offsets["web"] == offsets["www"] != offsets["img"]


def test_the_work_is_bounded_and_what_came_of_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen limited nodes that hardly fit: their levels go by one another for long."""
    monkeypatch.setattr("geosteer_loader.impact.max_share.MOST_WORK", 100_000)
    dice = random.Random(3)
    nodes = [f"n{number}" for number in range(16)]
    kinds = [
        kind(dice.randint(1, 100), **{node: dice.randint(1, 9000) for node in nodes}) for _ in range(200)
    ]
    solver = Solver(kinds, dict.fromkeys(nodes, 0.063), STEP)
    outcome = solver.solve()
    assert solver.work < 200_000
    assert sum(outcome.shares.values()) == pytest.approx(1)
    assert outcome.over.keys() == {node for node, share in outcome.shares.items() if share > 0.064}
    assert outcome.over, "so little work does not do"
