"""The table of cases that the Redis Function has to pass too."""

from __future__ import annotations

import json

import pytest

from geosteer.decision.client import from_question
from geosteer.decision.director import Director
from geosteer.decision.model import Model
from geosteer.decision.node_state import NodeState, Override
from support import tiny
from support.decision_cases import CASES, DOCUMENT, TABLES, Case

NOW = 1_770_000_000.0
RESOLVER = "198.51.100.53"
"""No table names it, so that it counts as nobody does."""


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_decision_is_what_the_table_says(case: Case) -> None:
    model = Model(DOCUMENT)
    states: dict[str, NodeState] = {}
    for name, fields in case.states.items():
        states.setdefault(name, NodeState()).update(fields)
    for name, override in case.overrides.items():
        states.setdefault(name, NodeState()).override = Override.read(json.dumps(override))
    look = tiny.looker(TABLES)
    client = from_question(RESOLVER, case.client, lambda network: [look(network)(table) for table in TABLES])
    assert client is not None
    decision = Director(model).decide(model.services["www"], client, look(client), states, NOW)
    for kind, (node, scope) in case.answer.items():
        assert ([one.name for one in decision.answer[kind]], decision.scopes[kind]) == ([node], scope)
