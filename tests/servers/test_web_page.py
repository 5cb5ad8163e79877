"""The page of `geosteer web` in a browser: as a new user opens it, at noon and in an outage, by mouse, keyboard and phone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.config.config import load
from geosteer_loader.percent import percent
from geosteer_loader.query.who import who
from geosteer_loader.store.store import connect
from geosteer_loader.web.world import world
from support.browser import Browser
from support.servers import wait_until
from support.web_site import Site
from support.world import DOWNLOADS, NODES, SERVICE, write_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALL = "return Object.fromEntries([...document.querySelectorAll('#countries > *')].map((s) => [s.id.slice(2), "
LABELS = ALL + "s.getAttribute('aria-label')]))"
SLOTS = ALL + "s.dataset.slot]))"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("page"))
    yield site
    site.close()


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def page(site: Site, window: Browser) -> Iterator[Browser]:
    """The page as it opens; nothing on it may make the console complain."""
    window.errors()
    window.look()
    window.driver.get(f"{site.url}?service={SERVICE}")
    window.wait("#state", "Generation")
    yield window
    window.look()
    assert window.errors() == []


def labels(site: Site) -> dict[str, str]:
    """What is to be said of each country, in the figures of `who`, which are those of `plan`."""
    with connect(load(site.config, {}).redis) as store:
        part = who(store, SERVICE).parts["v4"]
    said = {line.country: line.nodes.items() for line in part.countries}
    return {
        code: f"{country.name}: {', '.join(f'{node} {percent(share)}' for node, share in said[code])}"
        for code, country in world().countries.items()
    }


def hover(page: Browser, code: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    # Its middle may be sea: a point that is well inside is known.
    x, y = page.run(
        "const s = document.getElementById('c-' + arguments[0]), m = document.getElementById('map').getScreenCTM();"
        "return [m.a * s.dataset.x + m.e, m.d * s.dataset.y + m.f]",
        code,
    )
    actions = ActionChains(page.driver)
    actions.w3c_actions.pointer_action.move_to_location(int(x), int(y))
    actions.perform()


def hurry(page: Browser) -> None:
    """Look again before the page would by itself; an answer serves everybody for a second."""
    time.sleep(1.1)
    page.run("look().then(journal)")


def press(page: Browser, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(page.driver).send_keys(*keys).perform()


def test_at_noon_every_country_says_its_shares_in_words(site: Site, page: Browser) -> None:
    wanted = labels(site)
    assert page.run(LABELS) == wanted
    page.shot("noon")
    hover(page, "FR")
    assert page.text("#detail").splitlines()[:2] == ["France", "327\u2009680 addresses, 1.52 % of all"]
    assert "4 lon1" in page.text("#detail")
    assert page.text("#detail").count("50.0 %") == 2
    page.shot("hover")
    assert "24.39 %" in page.text("#node-rows")
    for number, name in enumerate(sorted(NODES), 1):
        assert f"{number} {name}" in page.text("#node-rows")
    assert "geo" in page.text("#table-rows")
    page.wait("#journal-rows", "publish")
    page.find("#v6").click()
    assert "/48s are known" in page.text("#legend")


def test_times_that_clients_have_and_could_have_are_a_layer(window: Browser, tmp_path: Path) -> None:
    site = Site(tmp_path)
    try:
        networks = [line.split(",") for line in (tmp_path / "world.csv").read_text().splitlines()]
        german, french = (
            [net for net, code in networks if code == each and ":" not in net] for each in ("DE", "FR")
        )
        lines = ["# geosteer rtt 1 2026-11-28T18:00:00Z", *(f"{net},fra1=12 lon1=30" for net in german)]
        lines += [f"{french[0]},lon1=20 fra1=120", f"{french[1]},fra1=8 lon1=10020"]
        (tmp_path / "rtt.csv").write_text("\n".join(lines) + "\n")
        text = site.config.read_text().replace('policy = "weighted"', 'policy = "latency"')
        site.config.write_text(f'{text}[[sources.latency]]\nformat = "rtt"\npath = "rtt.csv"\n')
        site.publish("impact")
        site.run("node", "down", "fra1")
        window.errors()
        window.look()
        window.driver.get(f"{site.url}?service={SERVICE}")
        window.wait("#state", "Generation 2")
        assert window.run(LABELS)["DE"] == "Germany: lon1 100.0 %"
        window.run("document.querySelector('[data-layer=times]').click()")
        labels = window.run(LABELS)
        assert labels["DE"] == "Germany: 30 ms to the nodes they get, 12 ms to the best ones known"
        # One of five networks has a time of the node that it gets; what fails somewhere has none there.
        assert labels["FR"] == (
            "France: 20 ms to the nodes they get, 20 ms to the best ones known, of the 20.0 % that were measured"
        )
        assert labels["JP"] == "Japan: no time is known"
        steps = window.run(ALL + "s.getAttribute('class')]))")
        assert [steps[code] for code in ("DE", "FR", "JP")] == ["time-1", "time-1", ""]
        assert "; 13 ms with the best nodes known" in window.text("#legend")
        hover(window, "DE")
        assert "12 ms to the best ones known" in window.text("#detail")
        window.driver.get(f"{site.url}?service={DOWNLOADS}")
        window.wait("#state", "Generation 2")
        assert window.run("return document.getElementById('layers').hidden"), "it asks for no times"
        assert window.errors() == []
    finally:
        site.close()


def test_neither_colour_nor_shape_alone_tells_nodes_apart(page: Browser) -> None:
    slots = page.run(SLOTS)
    leaders = {code: label.partition(": ")[2].split(" ")[0] for code, label in page.run(LABELS).items()}
    by_node: dict[str, set[str]] = {}
    for code, slot in slots.items():
        by_node.setdefault(leaders[code], set()).add(slot)
    assert all(len(each) == 1 for each in by_node.values())
    assert len({next(iter(each)) for each in by_node.values()}) == len(by_node)
    numbers = page.run("return [...document.querySelectorAll('#numbers text')].map((t) => t.textContent)")
    assert len(numbers) > 30
    assert set(numbers) <= {str(number) for number in range(1, 10)}
    paint = page.run(
        "return ['BR', 'AU'].map((c) => getComputedStyle(document.getElementById('c-' + c)).fill)"
    )
    assert paint[0].startswith("rgb(")
    assert paint[1].startswith('url("#h')


def test_the_keyboard_is_enough(page: Browser) -> None:
    from selenium.webdriver.common.keys import Keys

    page.run("document.getElementById('region').focus()")
    press(page, Keys.TAB)
    assert page.run("return document.activeElement.id") == "c-DE"
    assert page.text("#detail h3") == "Germany"
    press(page, Keys.ARROW_LEFT)
    first = page.text("#detail h3")
    assert first in {"Belgium", "Luxembourg", "Netherlands", "France"}
    press(page, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert page.text("#detail h3") not in {first, "Germany"}
    assert page.run("return document.querySelectorAll('#countries [tabindex=\"0\"]').length") == 1
    press(page, Keys.ESCAPE)
    assert "Point at a country" in page.text("#detail")
    press(page, Keys.TAB)
    assert page.run("return document.activeElement.tagName") == "SUMMARY"
    press(page, Keys.ENTER)
    assert "Germany (DE)" in page.text("#country-rows")


def test_it_fits_a_phone_and_a_dark_room(page: Browser) -> None:
    light = page.run("return getComputedStyle(document.body).backgroundColor")
    page.look(360, 760)
    for scheme in (False, True):
        page.look(360, 760, dark=scheme)
        assert page.run("return document.documentElement.scrollWidth") <= 360
        page.shot(f"phone-{'dark' if scheme else 'light'}")
    assert page.run("return getComputedStyle(document.body).backgroundColor") != light
    assert page.run("return document.querySelectorAll('#numbers text').length") == 0
    from selenium.webdriver.support.ui import Select

    Select(page.find("#region")).select_by_visible_text("Europe")
    wait_until(lambda: page.run("return document.querySelectorAll('#numbers text').length"), what="numbers")
    page.shot("phone-europe")
    page.look(1280, 900, dark=True)
    page.shot("dark")


def test_nothing_moves_for_who_wants_it_still(page: Browser) -> None:
    style = "return getComputedStyle(document.getElementById('c-FR')).transitionDuration"
    assert page.run(style) == "0s"
    page.look(still=False)
    assert page.run(style) == "0.25s"


def test_an_outage_shows_and_the_past_is_kept(site: Site, page: Browser) -> None:
    before = page.run(SLOTS)
    site.run("node", "down", "nyc1", "--why", "<b id=x>new disks</b>", "--for", "2h")
    try:
        hurry(page)
        page.wait("#node-rows", "does not serve: operator: down")
        assert "<b id=x>new disks</b>" in page.text("#node-rows")
        page.wait("#journal-rows", "nyc1")
        assert page.run("return document.querySelectorAll('#x').length") == 0
        after = page.run(SLOTS)
        assert after["US"] == before["MX"]
        assert after["BR"] == before["BR"]
        assert page.run(LABELS) == labels(site)
        page.shot("outage")
        page.find("[data-view=past]").click()
        page.wait("#when", "generation 1")
        page.find("#earlier").click()
        wait_until(lambda: page.run(SLOTS) == before, what="the map of before")
        page.shot("past")
        assert "down" not in page.text("#node-rows")
        page.find("[data-view=now]").click()
        page.wait("#node-rows", "does not serve")
    finally:
        site.run("node", "auto", "nyc1")
        hurry(page)


def test_the_next_publish_shows_what_moves(site: Site, page: Browser) -> None:
    write_world(site.folder, site.redis.url, more="NL = { lon1 = 100 }")
    try:
        was = page.run(SLOTS)
        page.find("[data-view=plan]").click()
        page.wait("#moves-text", "To be published: config.")
        assert "Netherlands: 90.9 % move; fra1 90.9 %, lon1 9.1 % \u2192 lon1 100.0 %" in page.text(
            "#moves-text"
        )
        assert page.run(SLOTS)["NL"] == was["GB"]
        page.find("[data-side=before]").click()
        assert page.run(SLOTS) == was
        page.find("[data-side=moves]").click()
        stepped = page.run(ALL + "s.getAttribute('class')]))")
        assert {code for code, step in stepped.items() if step} == {"NL"}
        assert stepped["NL"] == "step-3"
        page.shot("moves")
    finally:
        write_world(site.folder, site.redis.url)


def test_without_redis_the_last_picture_stays_and_says_so(site: Site, page: Browser) -> None:
    slots: dict[str, Any] = page.run(SLOTS)
    site.redis.freeze()
    try:
        hurry(page)
        page.wait("#state", "Redis does not answer")
        assert "this is the last picture, of 20" in page.text("#banner")
        assert page.run(SLOTS) == slots
        page.shot("redis-away")
        assert all("503" in error for error in page.errors())
    finally:
        site.redis.thaw()
    hurry(page)
    page.wait("#state", "Generation")
    assert all("503" in error for error in page.errors())
    assert not page.find("#banner").is_displayed()
