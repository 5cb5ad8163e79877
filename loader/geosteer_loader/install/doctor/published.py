"""Links that are in Redis: what is published, how old it is, and whether somebody checks the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.errors import StoreError
from geosteer_loader.install.doctor.link import good, warning, wrong
from geosteer_loader.query.status import gather
from geosteer_loader.sources.builtin_age import OLD_DATA
from geosteer_loader.store.store import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.install.doctor.link import Link
    from geosteer_loader.install.doctor.scene import Scene
    from geosteer_loader.query.status import Status

DAY = 86400


def published(scene: Scene) -> Iterator[Link]:
    """A generation that is whole and new enough, from which the nodes can be told."""
    if scene.config is None:
        return
    try:
        with connect(scene.config.redis) as store:
            status = gather(store)
    except StoreError as exc:
        if "nothing is published" in str(exc) or "published" in str(exc):
            yield wrong("publish", str(exc), scene.publish, "workers answer from their last resort")
        return  # else: told by the links about Redis
    yield from _generation(scene, status)
    yield from _ages(scene, status)
    yield from _prober(scene, status)


def _generation(scene: Scene, status: Status) -> Iterator[Link]:
    failed = status.failure
    if failed is not None:
        yield wrong(
            "publish",
            f"it has failed since {failed.since}: {failed.why}",
            f"geosteer plan --config {scene.loader_file}",
        )
    if status.held:
        yield warning(
            "publish",
            f"held after a rollback: {status.held}",
            f"{scene.publish} --release",
            "new data is not published",
        )
    broken = [name for name, table in status.tables.items() if not table.there]
    if broken:
        yield wrong(
            "publish",
            f"table {broken[0]} is not all there",
            scene.publish,
            "some clients get the last resort",
        )
    if not failed and not status.held and not broken:
        yield good(
            "publish", f"generation {status.generation}, {status.zones} zones, {status.services} services"
        )
    if status.maps_without_node:
        yield wrong(
            "nodes",
            f"no node of map {status.maps_without_node[0]} serves",
            f"geosteer status --config {scene.loader_file}",
            "its clients are given nodes that are believed to be down",
        )


def _ages(scene: Scene, status: Status) -> Iterator[Link]:
    assert scene.config is not None
    newer = f"name a newer source in {scene.loader_file} and {scene.publish}"
    old = False
    for line in status.warnings:
        if OLD_DATA in line:
            old = True
            yield warning("data", line, newer, "clients are placed by old data")
    for name, table in status.tables.items():
        limit = scene.config.guard.max_age.get(name)
        if name != "nets" and table.age and limit and table.age > limit and not (old and name == "geo"):
            yield warning(
                "data",
                f"table {name} is of {table.built}, {table.age / DAY:.0f} days old",
                newer,
                "by [guard] max_age",
            )
            old = True
    if not old:
        yield good("data", ", ".join(f"{name} of {table.built}" for name, table in status.tables.items()))


def _prober(scene: Scene, status: Status) -> Iterator[Link]:
    assert scene.config is not None
    checked = [name for name, node in scene.config.document["nodes"].items() if node.get("checks")]
    start = (
        "systemctl enable --now geosteer-probe"
        if scene.place.system
        else f"geosteer probe --watch --config {scene.loader_file}"
    )
    silent = [name for name, beat in status.beats.items() if beat.silent]
    if silent:
        yield wrong(
            "prober",
            f"{silent[0]} has been silent for {status.beats[silent[0]].age:.0f} s",
            start,
            "node states are frozen",
        )
    elif checked and not status.beats:
        yield wrong(
            "prober",
            f"{len(checked)} nodes have a check, and nobody runs it",
            start,
            "a dead node keeps its clients",
        )
    else:
        what = ", ".join(status.beats) or "no node has a check, so that none is needed"
        yield good("prober", what)
