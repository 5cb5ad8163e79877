"""`geosteer who`: which node has which part of a service's clients, by country, in the figures of `plan`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.decision.model import Model
from geosteer.keys import FAMILIES, TABLES, root_field
from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.impact.joint_tables import Side
from geosteer_loader.impact.measure import measure
from geosteer_loader.impact.service_change import as_json
from geosteer_loader.publish.plan import plan
from geosteer_loader.publish.publish import publish
from geosteer_loader.store import current, node_states
from geosteer_loader.store.pages import Pages
from geosteer_loader.store.store import connect
from support.world import DOWNLOADS, SERVICE, write_world

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.impact.service_change import Impact
    from geosteer_loader.store.store import Store
    from support.servers import RedisServer


@pytest.fixture
def site(tmp_path: Path, redis_server: RedisServer, prefix: str) -> Path:
    """The configuration of a world that is published."""
    path = write_world(tmp_path, redis_server.url, prefix)
    config = load(path, {})
    with connect(config.redis) as store:
        publish(config, store)
    return path


def who(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert main(["who", SERVICE, "--json", "--config", str(path), *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def measured(store: Store) -> Impact:
    """What `plan` and the guards measure, of the generation that is published against itself."""
    fields = current.read(store)
    model = Model(current.document(store, fields))
    names = [root_field(table, bits) for table in TABLES for bits in FAMILIES.values()]
    roots = {name: (fields.get(name), fields.get(name)) for name in names}
    states = node_states.read(store, model.nodes).states
    return measure(
        Pages(store),
        roots,
        Side(model=model, after=False),
        Side(model=model, after=True),
        states,
        store.now(),
    )


def put_down(store: Store, node: str) -> None:
    store.call("HSET", store.keys.node(node), "state", "down", "since", "2026-02-01T00:00:00Z")


@pytest.mark.parametrize("down", [(), ("fra1",), ("nyc1", "sjc1", "gru1")])
def test_shares_are_those_that_plan_measures(
    site: Path, capsys: pytest.CaptureFixture[str], down: tuple[str, ...]
) -> None:
    with connect(load(site, {}).redis) as store:
        for node in down:
            put_down(store, node)
        impact = measured(store)[SERVICE]
    found = who(site, capsys)
    assert list(found["parts"]) == ["v4", "v6"]
    for part, share in found["parts"].items():
        shift = impact[part]
        assert share["clients"] == shift.known
        wanted = {node: amount / shift.known for node, amount in shift.after["now"].items() if amount}
        assert share["nodes"] == pytest.approx(wanted, abs=1e-12)
        assert not set(down) & set(share["nodes"])
        assert sum(line["clients"] for line in share["countries"]) == shift.known
        summed: dict[str, float] = {}
        for line in share["countries"]:
            assert sum(line["nodes"].values()) == pytest.approx(1)
            for node, each in line["nodes"].items():
                summed[node] = summed.get(node, 0.0) + each * line["share"]
        assert summed == pytest.approx(wanted, abs=1e-12)
        assert [line["clients"] for line in share["countries"]] == sorted(
            (line["clients"] for line in share["countries"]), reverse=True
        )


def test_after_a_publish_the_shares_are_those_that_the_plan_before_it_gave(
    site: Path, capsys: pytest.CaptureFixture[str], redis_server: RedisServer, prefix: str
) -> None:
    before = who(site, capsys)
    config = load(write_world(site.parent, redis_server.url, prefix, more="NL = { lon1 = 100 }", shift=4), {})
    with connect(config.redis) as store:
        planned = plan(config, store).impact[SERVICE]
        publish(config, store)
    after = who(site, capsys)
    for part in FAMILIES:
        for node, (was, now) in planned[part]["now"]["nodes"].items():
            assert before["parts"][part]["nodes"].get(node, 0.0) == pytest.approx(was, abs=1e-12)
            assert after["parts"][part]["nodes"].get(node, 0.0) == pytest.approx(now, abs=1e-12)
    by_country = {line["country"]: line for line in after["parts"]["v4"]["countries"]}
    assert by_country["NL"]["nodes"] == {"lon1": 1.0}
    assert by_country["US"]["clients"] == 20 << 16


def test_clients_of_a_file_are_counted_in_place_of_addresses(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clients = site.parent / "clients.txt"
    rows = [line.split(",") for line in (site.parent / "world.csv").read_text().splitlines()]
    lines = {country: prefix for prefix, country in rows if ":" not in prefix}
    clients.write_text(f"{lines['GB']} 30\n{lines['JP']} 10\n127.0.0.1 5\n")
    found = who(site, capsys, "--clients", str(clients))
    assert list(found["parts"]) == ["clients"]
    part = found["parts"]["clients"]
    assert part["clients"] == 40
    assert part["nodes"] == pytest.approx({"lon1": 0.75, "sin1": 0.15, "tyo1": 0.1})
    assert [(line["country"], line["clients"]) for line in part["countries"]] == [("GB", 30), ("JP", 10)]


def test_text_has_every_country_where_a_program_reads(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["who", DOWNLOADS, "--config", str(site)]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0].startswith(f"{DOWNLOADS}: map world, policy best, generation 1")
    assert "US       1,572,864  7.29 %  nyc1 100.0 %" in text
    assert "\nZW " in text


def test_an_unknown_service_is_named(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["who", "nothing.example.net", "--config", str(site)]) == 2
    assert "nothing.example.net: no such service" in capsys.readouterr().err


def test_one_measure_stands_behind_all(site: Path) -> None:
    with connect(load(site, {}).redis) as store:
        assert as_json(measured(store))[SERVICE]["v4"]["now"]["nodes"] == {}
