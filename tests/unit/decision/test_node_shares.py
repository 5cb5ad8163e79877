"""A share means one thing under every policy: the same part of a node's own clients, client by client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.decision import policy
from geosteer.decision.client import Client, parse
from geosteer.decision.director import Director
from geosteer.decision.distribution import Distribution, Projection
from geosteer.decision.layer_walk import levels, node_share
from geosteer.decision.model import Model, Node
from geosteer.decision.node_state import NodeState, Override
from support.long import LONG, examples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geosteer.decision.decision import Decision

NOW = 1_770_000_000.0
POLICIES = ("best", "weighted", "hash", "nearest", "path", "latency")
NODES = {
    name: {"a": [f"192.0.2.{number}"], "location": [51, number / 10], "ramp": 600}
    for number, name in enumerate("abcdefgh", 1)
}
RECORDS = {"geo": ("GB 51 0", 8), "path": ("a=3 b=3 c=3 d=2", 8), "rtt": ("a=30 b=31 c=32 d=90", 8)}
SWEEP = [parse(f"32.{number >> 8}.{number & 255}.0/24") for number in range(2000 if LONG else 500)]


def model(layers: Sequence[Mapping[str, float]], name: str, **service: Any) -> Model:
    """A service `www` on a map of these layers, the last being the default."""
    spec: dict[str, Any] = {"order": ["countries", "continents"], "default": layers[-1]}
    for layer, key, weights in zip(("countries", "continents"), ("GB", "EU"), layers[:-1], strict=False):
        spec[layer] = {key: weights}
    document = {
        "format": 1, "nodes": NODES, "maps": {"m": spec}, "continents": {"GB": "EU"},
        "services": {"www": {"map": "m", "policy": name, **service}},
    }  # fmt: skip
    return Model(document)


def kept(percent: float) -> NodeState:
    state = NodeState()
    state.state = "up"
    state.override = Override("drain", percent)
    return state


def shedding(part: float) -> NodeState:
    state = NodeState()
    state.update({"state": "up", "shed": str(part)})
    return state


def ramping(since: float) -> NodeState:
    state = NodeState()
    state.state, state.came_back, state.since = "up", True, since
    return state


def decide(
    made: Model,
    client: Client | None,
    states: Mapping[str, NodeState],
    *,
    ticket: float = 0.0,
    now: float = NOW,
) -> Decision:
    return Director(made).decide(
        made.services["www"], client, lambda table: RECORDS.get(table, ("", 1)), states, now, ticket
    )


def order(made: Model, client: Client, states: Mapping[str, NodeState], ticket: float) -> list[str]:
    """The nodes for a client, best first."""
    return [node.name for node in decide(made, client, states, ticket=ticket).answer["A"]]


def tickets() -> list[tuple[Client, float]]:
    """Clients, each with a ticket that does not go with its network."""
    return [(client, number * 769 % len(SWEEP) / len(SWEEP)) for number, client in enumerate(SWEEP)]


LAYERS = {
    "one candidate": [{"a": 100}, {"b": 100}],
    "two candidates": [{"a": 100, "b": 50}, {"c": 100}],
    "two equals": [{"a": 100, "b": 100}, {"c": 100}],
    "many candidates": [{"a": 10, "b": 20, "c": 30, "d": 40, "e": 5}, {"f": 1, "g": 2}],
    "in two layers": [{"a": 100}, {"a": 100, "b": 100}, {"c": 1}],
}


@pytest.mark.no_cover
@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("state", [kept(30), shedding(0.7)], ids=["drain", "shed"])
def test_a_node_keeps_exactly_its_share_of_its_own_clients(
    name: str, layers: list[dict[str, int]], state: NodeState
) -> None:
    made = model(layers, name)
    ranked = model(layers, name, max_answers=8)
    own = remaining = 0
    for client, ticket in tickets():
        (before,) = order(made, client, {}, ticket)
        (after,) = order(made, client, {"a": state}, ticket)
        if before != "a":
            assert after == before
            continue
        own += 1
        if policy.unit("a", client.network)[0] < 0.3:
            remaining += 1
            assert after == "a"
        else:
            of_layer = order(ranked, client, {}, ticket)
            following = of_layer[1] if len(of_layer) > 1 else "b"
            assert after == following, "the next one by the same policy, then of the next layer"
    assert own == 0 or abs(remaining - 0.3 * own) < 5 * (0.21 * own) ** 0.5
    assert own or name in {"path", "best", "nearest", "latency"}


@pytest.mark.no_cover
@pytest.mark.parametrize("name", POLICIES)
def test_a_large_sample_comes_within_a_point_of_the_share(name: str) -> None:
    made = model([{"a": 100}, {"b": 100}], name)
    size = 20_000
    clients = [parse(f"33.{number >> 8 & 255}.{number & 255}.0/24") for number in range(size // 2)]
    clients += [parse(f"34.{number >> 8 & 255}.{number & 255}.0/24") for number in range(size // 2)]
    remaining = sum(order(made, client, {"a": kept(30)}, 0.5) == ["a"] for client in clients)
    assert abs(remaining / size - 0.3) < 0.01


def test_whom_nobody_keeps_goes_to_the_highest_share_under_every_policy() -> None:
    states = {"a": kept(10), "b": kept(20), "c": kept(15)}
    for name in POLICIES:
        made = model([{"a": 100, "b": 50}, {"c": 100}], name)
        for client, ticket in tickets()[:500]:
            keepers = {node for node, share in (("a", 0.1), ("b", 0.2), ("c", 0.15))
                       if policy.unit(node, client.network)[0] < share}  # fmt: skip
            (chosen,) = order(made, client, states, ticket)
            assert chosen in (keepers or {"b"})


class ByPath(Client):
    """As the front ends make one: hashes go by the path."""

    __slots__ = ()

    @property
    def key(self) -> str:
        return "/films/1.mp4"


def test_hash_by_path_ranks_by_the_path_and_keeps_by_the_clients_network() -> None:
    made = model([{"a": 100, "b": 100, "c": 100}], "hash")
    ranking = [one.node.name for one in policy.hashed(
        [policy.Candidate(node, 100, 1) for node in made.services["www"].map.nodes], "/films/1.mp4"
    )]  # fmt: skip
    first, second, _ = ranking
    for client in SWEEP[:500]:
        by_path = ByPath(client.bits, client.address, client.length)
        keeps = policy.unit(first, client.network)[0] < 0.3
        assert order(made, by_path, {}, 0.0) == [first]
        assert order(made, by_path, {first: kept(30)}, 0.0) == [first if keeps else second]


# ---------------------------------------------------------------- what the distribution says


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("answers", [1, 2, 3])
def test_the_distribution_is_exactly_what_all_draws_of_shares_come_to(name: str, answers: int) -> None:
    """Every combination of who keeps the client, by itself, with all shares 0 or 1 then, adds up to the distribution."""
    layers = [{"a": 10, "b": 20, "c": 20}, {"b": 5, "d": 7}, {"e": 1, "a": 1}]
    made = model(layers, name, max_answers=answers)
    shares = {"a": 0.3, "b": 0.5, "c": 0.9, "d": 0.25, "e": 0.6}
    director, service = Director(made), made.services["www"]
    seen = {table: Projection(director, service, table)(RECORDS[table][0]) for table in service.tables}
    whole = Distribution(made, {node: kept(100 * share) for node, share in shares.items()}, NOW)
    expected: dict[str, float] = {}
    for bits in range(1, 32):  # somebody keeps the client
        keepers = {node for number, node in enumerate(shares) if bits >> number & 1}
        likely = 1.0
        for node, share in shares.items():
            likely *= share if node in keepers else 1 - share
        # Shares of next to nothing: given away, and yet met.
        states = {node: kept(100 if node in keepers else 1e-12) for node in shares}
        for node, chance in Distribution(made, states, NOW).chances(service, seen)["A"].items():
            expected[node] = expected.get(node, 0.0) + likely * chance
    unkept = 1.0
    for share in shares.values():
        unkept *= 1 - share
    expected["c"] += unkept  # the highest
    assert whole.chances(service, seen)["A"] == pytest.approx(expected, abs=1e-9)


# ---------------------------------------------------------------- times

BOUNDARY = st.sampled_from(
    [-1e9, -86400.0, -600.0, -60.0, -1e-3, -1e-9, 0.0, 1e-9, 1e-3, 30.0, 60.0, 600.0, 1e9]
)


@st.composite
def node_states(draw: st.DrawFn) -> NodeState:
    state = NodeState()
    state.state = draw(st.sampled_from(["up", "up", "down", "unknown"]))
    state.came_back = draw(st.booleans())
    state.since = max(0.0, NOW + draw(BOUNDARY))
    state.shed = draw(st.sampled_from([0.0, 0.3, 1.0, 1e-300]))
    state.failing = draw(st.booleans())
    if draw(st.booleans()):
        until = draw(st.none() | BOUNDARY.map(lambda after: NOW + after))
        state.override = Override(
            draw(st.sampled_from(["up", "down", "drain"])),
            draw(st.sampled_from([0.0, 1e-300, 30.0, 100.0])),
            until,
        )
    return state


@settings(max_examples=examples(400), deadline=None)
@given(
    st.sampled_from(POLICIES), st.lists(node_states(), min_size=5, max_size=5),
    st.lists(st.sampled_from([0, 1e-300, 1e-9, 60, 600, 2**31 - 1]), min_size=5, max_size=5),
    BOUNDARY, st.floats(0, 1, exclude_max=True), st.integers(1, 3),
)  # fmt: skip
def test_every_moment_has_an_answer_that_lasts_as_long_as_it_says(
    name: str, states: list[NodeState], ramps: list[float], after: float, ticket: float, answers: int
) -> None:
    made = model(
        [{"a": 100, "b": 50, "c": 50}, {"b": 1, "d": 0}, {"e": 5, "a": 1}], name, max_answers=answers
    )
    for node, ramp in zip("abcde", ramps, strict=True):
        made.nodes[node].ramp = ramp
    known = dict(zip("abcde", states, strict=True))
    now = NOW + after
    decision = decide(made, SWEEP[7], known, ticket=ticket, now=now)
    answer = [node.name for node in decision.answer["A"]]
    assert answer
    assert 1 <= decision.ttl <= 60
    if decision.valid_until is not None:
        assert decision.valid_until == decision.valid_until
        until = decision.valid_until
    else:
        until = now + 1e9
    for moment in (now + (until - now) * part for part in (0.1, 0.5, 0.999)):
        if now < moment < until - 1e-3:  # a double knows the time of day to less than that
            later = decide(made, SWEEP[7], known, ticket=ticket, now=moment)
            assert [node.name for node in later.answer["A"]] == answer, (now, moment, until)


@given(node_states(), st.sampled_from([0, 1e-300, 60, 2**31 - 1]), BOUNDARY)
def test_a_nodes_share_is_a_number_at_every_moment(state: NodeState, ramp: float, after: float) -> None:
    node = Node("a", {"a": ["192.0.2.1"], "ramp": ramp})
    for level in levels("all"):
        share, reason = node_share(node, 100, state, NOW + after, level)
        assert 0 <= share <= 1
        assert reason or share > 0
    when = state.reaches(0.5, NOW + after, ramp)
    assert when is None or when >= 0


def test_a_node_without_a_ramp_is_all_there_also_while_the_clock_is_behind() -> None:
    state = ramping(NOW + 60)
    assert state.share(NOW, 0) == 1
    assert not state.ramping(NOW, 0)
    assert state.reaches(1.0, NOW, 0) is None
