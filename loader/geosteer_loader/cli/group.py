"""The commands of `geosteer`, by what they are for; each is thin: options in, an object of the loader, text or JSON out."""

from __future__ import annotations

import os

import click

from geosteer_loader.cli import (
    bgp,
    check_config,
    completion,
    doctor,
    explain,
    export,
    feed,
    follow,
    history,
    init,
    journal,
    latency,
    lookup,
    metrics,
    mismatch,
    node,
    plan,
    probe,
    publish,
    replay,
    rollback,
    shares,
    status,
    verify,
    version,
    web,
    who,
    workers,
    world_map,
)


class HungUp(Exception):  # not an error
    """The reader of the results has seen enough."""


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        # click would make this exit code 1, which means that a command failed.
        try:
            return super().invoke(ctx)
        except BrokenPipeError as exc:
            raise HungUp from exc


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done or nothing to do, 1 failed and nothing changed, 2 bad usage or configuration, 3 refused.",
)
@click.version_option(package_name="geosteer", message="%(prog)s %(version)s")
@click.pass_context
def geosteer(ctx: click.Context) -> None:
    """Publish GeoIP tables, maps and node states into Redis, and look at what is published.

    Workers (PowerDNS, HTTP, Squid) answer from there which node a client should use.
    """
    # https://no-color.org; a dumb terminal shows escape sequences as they are
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        ctx.color = False


for _command in (
    init.init,
    doctor.doctor,
    check_config.check_config,
    plan.plan,
    publish.publish,
    follow.follow,
    history.history,
    journal.journal,
    rollback.rollback,
    verify.verify,
    status.status,
    workers.workers,
    lookup.lookup,
    bgp.bgp,
    latency.latency,
    explain.explain,
    replay.replay,
    node.node,
    probe.probe,
    feed.feed,
    export.export,
    shares.shares,
    mismatch.mismatch,
    metrics.metrics,
    completion.completion,
    who.who,
    world_map.world_map,
    web.web,
    version.version,
):
    geosteer.add_command(_command)
