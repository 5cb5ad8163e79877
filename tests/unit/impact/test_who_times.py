"""`geosteer who` with measured times: means over the clients of whose node one is known."""

from __future__ import annotations

import click

from geosteer_loader.cli.text.who import text
from geosteer_loader.impact.service_change import RoundTrips, Shift
from geosteer_loader.query.who import MeasuredTimes, Who, shares


def shift(clients: float, times: RoundTrips) -> dict[str, Shift]:
    return {
        "v4": Shift(total=clients, known=clients, after={"now": {"lon1": clients}}, times_after=times),
    }


def test_times_are_means_over_the_clients_of_whom_one_is_known() -> None:
    countries = {
        "GB": shift(100.0, RoundTrips(clients=50.0, got=50.0 * 12, best=50.0 * 10)),
        "FR": shift(300.0, RoundTrips(clients=150.0, got=150.0 * 32, best=150.0 * 20)),
        "DE": shift(400.0, RoundTrips()),
    }
    part = shares(countries)["v4"]
    assert part.times == MeasuredTimes(share=0.25, got_ms=27.0, best_ms=17.5)
    by_country = {line.country: line.times for line in part.countries}
    assert by_country == {
        "GB": MeasuredTimes(share=0.5, got_ms=12.0, best_ms=10.0),
        "FR": MeasuredTimes(share=0.5, got_ms=32.0, best_ms=20.0),
        "DE": None,
    }
    who = Who(
        service="www.a.example", map="default", policy="latency", generation=1, time="now", parts={"v4": part}
    )
    lines = click.unstyle(text(who)).splitlines()
    assert "round trip: 27 (18) ms, for 25.0 % of the clients" in lines
    assert [line.split()[4] for line in lines if line.startswith(("GB", "DE"))] == ["-", "12"]


def test_without_times_nothing_of_them_is_shown() -> None:
    part = shares({"GB": shift(100.0, RoundTrips())})["v4"]
    who = Who(
        service="www.a.example", map="default", policy="best", generation=1, time="now", parts={"v4": part}
    )
    assert part.times is None
    assert "MS" not in text(who)
    assert "round trip" not in text(who)
