"""The planner's program: least cost, no node too full, what there is no room for, and closings of nodes."""

from __future__ import annotations

import builtins
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.decision.model import bias_factor
from geosteer.errors import SourceError
from geosteer_loader.shares import placement, weights
from geosteer_loader.shares.demand import Region, read_demand
from geosteer_loader.shares.linear_program import NoSolver, Plan, Problem, solve
from geosteer_loader.shares.node_loss import close_each
from geosteer_loader.sources.countries import CONTINENTS, COUNTRIES
from geosteer_loader.sources.geography import CONTINENT_PLACES, COUNTRY_PLACES

PAIR = {"lon1": 100.0, "ams1": 100.0}


def region(name: str, demand: float) -> Region:
    layer = "default" if name == "default" else "asns" if name.startswith("AS1") else "countries"
    return Region(layer=layer, key="" if name == "default" else name, demand=demand)


def rounded(plan: Plan) -> dict[str, dict[str, float]]:
    return {
        name: {node: round(amount, 6) for node, amount in flow.items()} for name, flow in plan.flows.items()
    }


# ---------------------------------------------------------------- demand


def regions_of(text: str) -> list[tuple[str, str, float]]:
    found = read_demand(enumerate(text.splitlines(), 1), Path("demand.txt"))
    return [(one.layer, one.key, one.demand) for one in found]


def test_regions_of_every_kind_are_read_largest_first() -> None:
    text = "GB 10\n  700 us\nUS-CA,3.5\n@eu\t20\nAS15169 40 # Google\ndefault 1\n\n# nothing\n"
    assert regions_of(text) == [
        ("countries", "US", 700), ("asns", "AS15169", 40), ("continents", "EU", 20), ("countries", "GB", 10),
        ("subdivisions", "US-CA", 3.5), ("default", "", 1),
    ]  # fmt: skip


def test_lines_of_one_region_add_up_and_a_region_without_demand_is_left_out() -> None:
    assert regions_of("GB 10\nNL 0\n5 GB\n- 2\n3 default") == [("countries", "GB", 15), ("default", "", 5)]


def test_a_place_may_follow() -> None:
    (found,) = read_demand([(1, "GB 10 51.5 -0.1"), (2, "GB 1")], Path("x"))
    assert (found.demand, found.place, found.name) == (11, (51.5, -0.1), "GB")


def test_every_malformed_line_is_named_at_once() -> None:
    lines = [
        "GB", "GB 1 2", "UK 10", "GB -1", "GB nan", "GB inf", "@XX 1", "AS0 1", "AS4294967296 1", "ZZ-A 1", "GB 1 91 0",
        "15169 1", "GB 1 1 1", "GB 1 2 2",
    ]  # fmt: skip
    with pytest.raises(SourceError) as refusal:
        read_demand(enumerate(lines, 1), Path("demand.txt"))
    told = str(refusal.value).splitlines()
    assert len(told) == len(lines) - 1
    assert told[0] == "demand.txt: line 1: is not a region, a number, and maybe latitude and longitude: 'GB'"
    assert (
        told[2] == "demand.txt: line 3: 'UK' is not a region: use a country, US-CA, @EU, AS15169 or default"
    )
    assert told[3] == "demand.txt: line 4: not a demand of 0 or more: '-1'"
    assert told[-1] == "demand.txt: line 14: GB has a different place than before"


def test_a_file_without_demand_is_refused() -> None:
    with pytest.raises(SourceError, match=r"^demand\.txt: no demand in it$"):
        regions_of("# nothing\nGB 0\n")


def test_every_country_and_continent_has_a_place_in_the_right_part_of_the_world() -> None:
    assert COUNTRY_PLACES.keys() == COUNTRIES
    assert CONTINENT_PLACES.keys() == CONTINENTS
    south = {"AU", "ZA", "BR", "AR", "NZ", "ID", "PE", "MG"}
    west = {"US", "CA", "BR", "GB", "PT", "MX", "CL", "SN", "ES"}
    assert all(COUNTRY_PLACES[code][0] < 0 for code in south)
    assert all(COUNTRY_PLACES[code][1] < 0 for code in west)
    assert all(-90 <= lat <= 84 and -180 <= lon <= 180 for lat, lon in COUNTRY_PLACES.values())


# ---------------------------------------------------------------- the program


def test_everybody_is_served_from_the_cheapest_node_while_there_is_room() -> None:
    cost = {"GB": {"lon1": 10, "ams1": 300}, "NL": {"lon1": 350, "ams1": 20}}
    plan = solve(Problem(demand={"GB": 60, "NL": 40}, capacity=PAIR, cost=cost))
    assert rounded(plan) == {"GB": {"lon1": 60}, "NL": {"ams1": 40}}
    assert plan.shortfall == 0
    assert plan.mean_cost == pytest.approx((600 + 800) / 100)


def test_what_does_not_fit_goes_where_the_detour_costs_least() -> None:
    cost = {"GB": {"lon1": 10, "ams1": 300}, "FR": {"lon1": 100, "ams1": 130}}
    plan = solve(Problem(demand={"GB": 80, "FR": 50}, capacity=PAIR, cost=cost))
    assert rounded(plan) == {"GB": {"lon1": 80}, "FR": {"ams1": 30, "lon1": 20}}
    assert plan.loads() == pytest.approx({"lon1": 100, "ams1": 30})


def test_demand_that_is_too_much_is_left_over_by_exactly_the_shortfall() -> None:
    cost = {"GB": {"lon1": 1, "ams1": 9}, "NL": {"lon1": 9, "ams1": 1}}
    plan = solve(Problem(demand={"GB": 150, "NL": 90}, capacity=PAIR, cost=cost))
    assert plan.shortfall == pytest.approx(40)
    assert plan.loads() == pytest.approx({"lon1": 100, "ams1": 100})


def test_a_region_that_no_node_can_serve_is_left_over_however_small() -> None:
    cost = {"GB": {"lon1": 1}, "NL": {}}
    plan = solve(
        Problem(
            demand={"GB": 1e9, "NL": 1e-3, "FR": 1e-3},
            capacity={"lon1": 2e9},
            cost={**cost, "FR": {"lon1": 1}},
        )
    )
    assert plan.unserved == {"NL": 1e-3}
    assert plan.flows["FR"] == {"lon1": 1e-3}
    assert solve(Problem(demand={"NL": 1}, capacity={"lon1": 1}, cost={})).shortfall == 1


def test_room_is_never_left_empty_while_demand_is_left_over() -> None:
    cost = {"GB": {"lon1": 1}, "FR": {"lon1": 5, "far": 20000}}
    plan = solve(Problem(demand={"GB": 100, "FR": 100}, capacity={"lon1": 100, "far": 100}, cost=cost))
    assert plan.shortfall == pytest.approx(0)
    assert rounded(plan) == {"GB": {"lon1": 100}, "FR": {"far": 100}}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=3),
    st.lists(st.integers(0, 8), min_size=1, max_size=3),
    st.lists(st.integers(0, 30), min_size=9, max_size=9),
)
def test_the_plan_is_as_cheap_as_the_best_of_all_plans(
    demands: list[int], rooms: list[int], costs: list[int]
) -> None:
    demand = {f"r{number}": float(amount) for number, amount in enumerate(demands)}
    capacity = {f"n{number}": float(room) for number, room in enumerate(rooms)}
    cost = {
        region: {node: float(costs[3 * r + n]) for n, node in enumerate(capacity)}
        for r, region in enumerate(demand)
    }
    plan = solve(Problem(demand=demand, capacity=capacity, cost=cost))
    served = sum(demand.values()) - plan.shortfall
    least_short, least_cost = cheapest(
        demands, rooms, [costs[3 * r : 3 * r + len(rooms)] for r in range(len(demands))]
    )
    assert plan.shortfall == pytest.approx(least_short, abs=1e-5)
    assert plan.mean_cost * served == pytest.approx(least_cost, abs=1e-3)
    for name, amount in demand.items():
        assert sum(plan.flows.get(name, {}).values()) + plan.unserved.get(name, 0) == pytest.approx(
            amount, abs=1e-5
        )
    for node, load in plan.loads().items():
        assert load <= capacity[node] + 1e-5


def cheapest(demands: list[int], rooms: list[int], costs: list[list[int]]) -> tuple[int, int]:
    """Least shortfall, then least cost, over every way to hand out whole units (such a program has a whole best plan)."""
    states: dict[tuple[int, ...], tuple[int, int]] = {tuple(rooms): (0, 0)}
    for amount, prices in zip(demands, costs, strict=True):
        following: dict[tuple[int, ...], tuple[int, int]] = {}
        for left, (short, spent) in states.items():
            for taken in product(*(range(min(amount, room) + 1) for room in left)):
                if sum(taken) <= amount:
                    key = tuple(room - part for room, part in zip(left, taken, strict=True))
                    value = (
                        short + amount - sum(taken),
                        spent + sum(part * price for part, price in zip(taken, prices, strict=True)),
                    )
                    following[key] = min(value, following.get(key, value))
        states = following
    return min(states.values())


def test_without_scipy_the_way_to_get_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: object, **options: object) -> object:
        if name.partition(".")[0] == "scipy":
            raise ModuleNotFoundError("No module named 'scipy'", name="scipy")
        return real(name, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        NoSolver, match=r"^scipy is missing: planning needs SciPy: pip install 'geosteer\[planner\]'$"
    ):
        solve(Problem(demand={"GB": 1}, capacity={"lon1": 1}, cost={"GB": {"lon1": 1}}))


# ---------------------------------------------------------------- weights


def test_weights_are_the_shares_by_largest_remainder() -> None:
    plan = Plan(flows={"GB": {"lon1": 2.0, "ams1": 1.0}, "NL": {"ams1": 7.0}}, unserved={}, mean_cost=0)
    regions = [region("NL", 7), region("GB", 3)]
    layers = weights.planned_map(plan, regions, {"lon1": 10, "ams1": 10}, {"lon1": 100, "ams1": 100})
    assert layers["countries"] == {"NL": {"ams1": 1000}, "GB": {"lon1": 667, "ams1": 333}}
    assert layers["default"] == {"": {"lon1": 800, "ams1": 200}}, "by what is left"


def test_a_nodes_own_weight_is_allowed_for() -> None:
    plan = Plan(flows={"GB": {"lon1": 50.0, "ams1": 50.0}}, unserved={}, mean_cost=0)
    own = {"lon1": 50, "ams1": 100}
    layers = weights.planned_map(plan, [region("GB", 100)], {"lon1": 60, "ams1": 60}, own)
    assert layers["countries"]["GB"] == {"lon1": 667, "ams1": 333}
    found = weights.loads(layers, [region("GB", 100)], own, {})
    assert found == pytest.approx({"lon1": 50, "ams1": 50}, abs=0.1)


def test_demand_of_nowhere_in_particular_is_spread_by_what_is_left() -> None:
    plan = Plan(
        flows={"GB": {"lon1": 80.0}, "default": {"lon1": 20.0, "ams1": 1.0}}, unserved={}, mean_cost=0
    )
    spread = weights.spread(plan, PAIR)
    assert spread.flows["default"] == pytest.approx({"lon1": 21 * 20 / 120, "ams1": 21 * 100 / 120})
    assert spread.flows["GB"] == plan.flows["GB"]


def test_the_loads_that_the_weights_come_to_follow_the_layers_of_a_map() -> None:
    layers: weights.Layers = {
        "asns": {"AS15169": {"lon1": 1}},
        "subdivisions": {"US-CA": {"nyc1": 1}},
        "countries": {"US": {"nyc1": 3, "lon1": 1}},
        "continents": {"EU": {"ams1": 1}},
        "default": {"": {"lon1": 1, "ams1": 1}},
    }
    own = {"lon1": 100, "ams1": 100, "nyc1": 100}
    regions = [
        Region(layer="subdivisions", key="US-CA", demand=10), Region(layer="countries", key="US", demand=40),
        Region(layer="countries", key="FR", demand=6), Region(layer="asns", key="AS15169", demand=5),
        Region(layer="asns", key="AS1", demand=2), Region(layer="default", key="", demand=8),
    ]  # fmt: skip
    continents = {"US": "NA", "FR": "EU"}
    assert weights.loads(layers, regions, own, continents) == {
        "nyc1": 10 + 30,
        "lon1": 10 + 5 + 1 + 4,
        "ams1": 6 + 1 + 4,
    }
    assert weights.loads(layers, regions, own, continents, {"nyc1"}) == {
        "lon1": 50 + 5 + 1 + 4,
        "ams1": 6 + 1 + 4,
    }
    assert weights.loads(layers, regions, own, continents, {"lon1", "ams1"})["nyc1"] == 71, (
        "any node of the map"
    )
    assert weights.loads(layers, regions, own, continents, own) == {}


# ---------------------------------------------------------------- closings


def test_each_node_is_closed_in_turn_worst_first() -> None:
    problem = Problem(
        demand={"GB": 70.0, "NL": 30.0},
        capacity={"lon1": 80.0, "ams1": 80.0},
        cost={"GB": {"lon1": 1, "ams1": 5}, "NL": {"lon1": 5, "ams1": 1}},
    )
    regions = [region("GB", 70), region("NL", 30)]
    own = {"lon1": 100, "ams1": 100}
    capacity = {"lon1": 100.0, "ams1": 90.0}
    layers = weights.planned_map(solve(problem), regions, problem.capacity, own)
    worst, other = close_each(problem, layers, regions, capacity, own, {})
    assert (worst.node, worst.moved, worst.fullest) == ("lon1", 70, "ams1")
    assert worst.utilisation == pytest.approx(100 / 90)
    assert worst.over == pytest.approx(10)
    assert worst.shortfall == pytest.approx(20)
    assert (other.node, other.utilisation, other.over) == ("ams1", 1, 0)
    assert other.mean_cost == pytest.approx((70 * 1 + 10 * 5) / 80), "of what is served"


def test_closing_the_only_node_leaves_nobody() -> None:
    problem = Problem(demand={"GB": 7.0}, capacity={"lon1": 8.0}, cost={"GB": {"lon1": 1}})
    layers = weights.planned_map(solve(problem), [region("GB", 7)], problem.capacity, {"lon1": 100})
    (found,) = close_each(problem, layers, [region("GB", 7)], {"lon1": 10.0}, {"lon1": 100}, {})
    assert (found.fullest, found.utilisation, found.shortfall) == (None, 0, 7)


# ---------------------------------------------------------------- max_share and bias


def test_full_nodes_get_a_limit_and_the_others_none() -> None:
    problem = Problem(
        demand={"GB": 60.0, "NL": 30.0, "US": 10.0}, capacity={"lon": 40.0, "ams": 90.0},
        cost={"GB": {"lon": 1, "ams": 3}, "NL": {"lon": 3, "ams": 1}, "US": {"lon": 50, "ams": 60}},
    )  # fmt: skip
    assert placement.limits(solve(problem), problem.capacity) == {"lon": 0.4}


def test_a_bias_shrinks_full_nodes_until_every_regions_nearest_has_room() -> None:
    problem = Problem(
        demand={"GB": 60.0, "IE": 30.0, "NL": 20.0}, capacity={"lon": 70.0, "ams": 90.0},
        cost={"GB": {"lon": 100, "ams": 500}, "IE": {"lon": 450, "ams": 800}, "NL": {"lon": 400, "ams": 50}},
    )  # fmt: skip
    bias = placement.biases(problem)
    assert bias is not None
    assert set(bias) == {"lon"}
    loads = {"lon": 0.0, "ams": 0.0}
    for region, costs_there in problem.cost.items():
        nearest = min(costs_there, key=lambda node: costs_there[node] * bias_factor(bias.get(node, 0)))
        loads[nearest] += problem.demand[region]
    assert loads == {"lon": 60.0, "ams": 50.0}
    assert bias["lon"] == -44, "the least that does it: 450 / (1 - 0.44) is above 800"


def test_without_a_surplus_no_bias_is_needed_and_none_divides_a_region() -> None:
    fits = Problem(demand={"GB": 5.0}, capacity={"lon": 9.0, "ams": 9.0}, cost={"GB": {"lon": 1, "ams": 2}})
    assert placement.biases(fits) == {}
    large = Problem(demand={"GB": 15.0}, capacity={"lon": 9.0, "ams": 9.0}, cost={"GB": {"lon": 1, "ams": 2}})
    assert placement.biases(large) is None
