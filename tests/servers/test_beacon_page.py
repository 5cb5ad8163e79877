"""The script of beacons in Debian's Chromium: a page measures real servers, and what it found is in the spool."""

from __future__ import annotations

import json
import socket
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.beacon_nodes import MEASURED, Nodes, PageSite
from support.browser import Browser
from support.data import ROOT
from support.front_servers import Server, start_http
from support.servers import need, wait_until
from support.steering import document, republish, write_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import RedisServer

GOOD, BARE, BROKEN, REFUSED = "127.11.1.1", "127.11.1.2", "127.11.1.3", "127.11.1.4"
"""A node as it should be; one without the header fields; one with an error of its own; one where nothing listens."""
NODES = {
    "good": GOOD,
    "bare": BARE,
    "broken": BROKEN,
    "refused": REFUSED,
    "good2": "127.11.1.5",
    "good3": "127.11.1.6",
}
WISHES = "Object.defineProperty(navigator, 'connection', {value: {saveData: true}})"


def services(*groups: tuple[str, ...]) -> dict[str, Any]:
    """A document with a service for each group of nodes, best first."""
    names = {"-".join(group): group for group in groups}
    return document(
        services={f"{name}.cdn.example.net": {"map": name} for name in names},
        maps={
            name: {
                "order": [],
                "all_down": "all",
                "default": {node: 100 - at for at, node in enumerate(group)},
            }
            for name, group in names.items()
        },
        nodes={name: {"a": [address]} for name, address in NODES.items()},
    )


ALL_GOOD, MIXED, UNREACHABLE = ("good", "good2", "good3"), ("good", "refused", "broken"), ("refused",)
WITHOUT_FIELDS = ("good", "bare")


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    good = (200, MEASURED)
    made = Nodes({GOOD: good, BARE: (200, {}), BROKEN: (503, MEASURED), NODES["good2"]: good})
    with nginx(NODES["good3"], made.port, shown("nginx")):
        yield made
    made.close()


def shown(language: str) -> str:
    """The first such block of docs/beacons.md."""
    page = (ROOT / "docs" / "beacons.md").read_text()
    return textwrap.dedent(page.partition(f"```{language}\n")[2].partition("```")[0])


def nginx(address: str, port: int, location: str) -> Server:
    """A node as the page says to set one up."""
    folder = Path(tempfile.mkdtemp(prefix="gs-node-"))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log stderr notice;\nevents {{}}\n"
        f"http {{ access_log off; {temporary}\nserver {{ listen {address}:{port};\n{location} }} }}\n"
    )
    server = Server([need("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")], folder=folder)

    def listens() -> bool:
        with socket.socket() as probe:
            return not probe.connect_ex((address, port))

    wait_until(listens, 20, "nginx")
    return server


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool")


@pytest.fixture(scope="module")
def server(
    redis_server: RedisServer, nodes: Nodes, spool: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, int]]:
    folder = tmp_path_factory.mktemp("beacons")
    republish(redis_server, "pages", services(ALL_GOOD, MIXED, UNREACHABLE, WITHOUT_FIELDS))
    key = folder / "key"
    key.write_text("k" * 32)
    key.chmod(0o600)
    config = write_settings(redis_server, "pages", folder)
    beacon = f'[beacon]\nkey_file = "key"\nspool = "{spool}"\nport = {nodes.port}\nto = "address"\nnetwork_rate = 100\n'
    config.write_text(config.read_text() + beacon)
    made, port = start_http(config, "--trust", "127.0.0.1")
    with made:
        yield made, port


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as made:
        yield made


class Visit:
    """A page of a service that a browser has opened."""

    def __init__(self, browser: Browser, port: int, nodes: Nodes, group: tuple[str, ...]) -> None:
        service = f"{'-'.join(group)}.cdn.example.net"
        script = (
            shown("html").replace("https://cdn.example.net/", "/").replace("www.cdn.example.net", service)
        )
        page = f"<!doctype html><title>page</title>{script}"
        self.site = PageSite(port, page, [f"http://{address}:{nodes.port}" for address in NODES.values()])
        browser.errors()
        browser.driver.get(f"http://127.0.0.1:{self.site.port}/")

    def paths(self) -> list[str]:
        return [f"{method} {path.partition('?')[0]}" for method, path, _ in self.site.asked]

    def reported(self) -> None:
        """Wait for its report."""
        wait_until(lambda: "POST /.geosteer/beacon" in self.paths(), 60, "a report")


def lines(spool: Path) -> list[dict[str, Any]]:
    """All that is in the spool, closed or not."""
    texts = [path.read_text() for path in sorted(spool.iterdir())]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def by_node(new: list[dict[str, Any]]) -> dict[str, float | bool]:
    assert {line["client"] for line in new} == {"127.0.0.0"}
    return {line["node"]: line.get("failed", line.get("ms", 0.0)) for line in new}


def visited(
    browser: Browser, server: tuple[Server, int], nodes: Nodes, spool: Path, group: tuple[str, ...]
) -> tuple[dict[str, float | bool], Visit]:
    """What one visit brings into the spool."""
    before = len(lines(spool))
    visit = Visit(browser, server[1], nodes, group)
    try:
        visit.reported()
        wait_until(lambda: len(lines(spool)) > before, 20, "lines in the spool")
    finally:
        visit.site.close()
    return by_node(lines(spool)[before:]), visit


def test_a_page_measures_three_nodes(
    browser: Browser, server: tuple[Server, int], nodes: Nodes, spool: Path
) -> None:
    nodes.asked.clear()
    measured, visit = visited(browser, server, nodes, spool, ALL_GOOD)
    assert set(measured) == set(ALL_GOOD)
    assert all(isinstance(ms, float) and 0 < ms < 5000 for ms in measured.values())
    assert browser.errors() == []
    # Twice each, past every cache, and nothing that says who it is: no cookie (the page has one) and no page's address.
    asked = sorted(address for address, _, _ in nodes.asked)
    assert asked == sorted([NODES[name] for name in ALL_GOOD if name != "good3"] * 2)
    assert len({path for _, path, _ in nodes.asked}) == 4
    assert all(path.startswith("/.geosteer/pixel?") for _, path, _ in nodes.asked)
    script = [fields for _, path, fields in visit.site.asked if not path.startswith("/.geosteer/beacon.js")]
    for fields in (*script, *(fields for _, _, fields in nodes.asked)):
        assert not {"cookie", "referer"} & {name.lower() for name in fields}
    assert browser.run("return document.cookie") == "a=b"
    assert visit.paths().count("POST /.geosteer/beacon") == 1


def test_a_node_that_refuses_or_breaks_is_a_failure(
    browser: Browser, server: tuple[Server, int], nodes: Nodes, spool: Path
) -> None:
    measured, _ = visited(browser, server, nodes, spool, MIXED)
    assert measured.pop("good") > 0
    assert measured == {"refused": True, "broken": True}


def test_a_node_without_the_header_fields_has_neither_a_time_nor_a_failure(
    browser: Browser, server: tuple[Server, int], nodes: Nodes, spool: Path
) -> None:
    measured, _ = visited(browser, server, nodes, spool, WITHOUT_FIELDS)
    assert set(measured) == {"good"}


def test_who_reaches_no_node_says_nothing_of_them_and_who_saves_data_does_not_measure(
    browser: Browser, server: tuple[Server, int], nodes: Nodes, spool: Path
) -> None:
    before = len(lines(spool))
    visit = Visit(browser, server[1], nodes, UNREACHABLE)
    try:
        wait_until(lambda: "GET /.geosteer/candidates" in visit.paths(), 60, "candidates")
        pause(browser, 1)
        assert "POST /.geosteer/beacon" not in visit.paths()
    finally:
        visit.site.close()
    script = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WISHES})
    saving = Visit(browser, server[1], nodes, ALL_GOOD)
    try:
        wait_until(lambda: "GET /.geosteer/beacon.js" in saving.paths(), 60, "the script")
        pause(browser, 3)
        assert saving.paths() == ["GET /.geosteer/beacon.js"]
    finally:
        saving.site.close()
        browser.driver.execute_cdp_cmd(
            "Page.removeScriptToEvaluateOnNewDocument", {"identifier": script["identifier"]}
        )
    assert len(lines(spool)) == before


def pause(browser: Browser, seconds: int) -> None:
    """Wait until a page's own clock says that so many seconds have passed."""
    browser.run("window.late = 0; setTimeout(() => window.late = 1, arguments[0])", 1000 * seconds)
    wait_until(lambda: browser.run("return window.late") == 1, 60, "a page's clock")
