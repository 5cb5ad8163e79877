"""Every block of code in README and docs/ is run, read by the program that it is for, or says by which test it is, or why not.

Shell commands run on a host in a folder, page by page: the sample configuration published, PowerDNS with workers. Settings are
checked by `geosteer check-config` within the sample. `tried by` names the test that runs a block in another way.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import dns.rdatatype
import dns.zone
import pytest

from support.data import ROOT
from support.documented import PAGES, Block, Host, blocks, indented, matches
from support.servers import need

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCKS = [block for page in PAGES for block in blocks(page)]
ELSEWHERE = re.compile(r"(?:tried by|session:) (tests/[\w/]+\.py)\b")
NOT_RUN = re.compile(r"not run(?: here)?: \S+ \S+")
OTHERS = {
    ("beacons.md", "html"): "tests/servers/test_beacon_page.py",
    ("beacons.md", "text"): "tests/redis/test_beacon_collector.py",
    ("beacons.md", "nginx"): "tests/servers/test_beacon_page.py",
    ("exports.md", "console"): "tests/servers/test_export_redirects.py",
    ("exports.md", "nginx"): "tests/servers/test_export_redirects.py",
    ("exports.md", "yaml"): "tests/servers/test_export_knot.py",
    ("review.md", "yaml"): "tests/redis/test_plan_markdown.py",
    ("latency.md", "text"): "tests/unit/sources/test_rtt_file.py",
    ("latency.md", "nginx"): "tests/servers/test_latency_logs.py",
    ("follow.md", "text"): "tests/servers/test_follow_routers.py",
}
"""Page, and language or first word, of blocks that are another program's -> the test that sets that program up so."""
RUN = ("sh", "console")
READ = ("toml", "json", "zone", "ini")


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    for program in ("redis-server", "pdns_server", "dig"):
        need(program)
    with Host() as made:
        made.wait_answering()
        yield made


def told(block: Block) -> bool:
    """Whether it is not run here, by its page or by `OTHERS`."""
    return bool(others(block)) or bool(ELSEWHERE.match(block.remark) or NOT_RUN.match(block.remark))


def others(block: Block) -> str:
    """The test of `OTHERS` that does what a block says; "": none is named."""
    words = block.text.split()
    return (
        OTHERS.get((block.page, block.language)) or OTHERS.get((block.page, words[0] if words else "")) or ""
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_block_stands_between_fences_and_says_what_it_is(page) -> None:
    assert indented(page) == [], "lines of a block without fences"
    for block in blocks(page):
        if others(block):
            assert (ROOT / others(block)).exists(), block.place
            continue
        if block.language in {*RUN, *READ, "python"} or block.language.startswith("{"):
            continue
        assert block.language == "", f"{block.place}: nothing reads {block.language}"
        assert re.search(r"->|<-|--|\|", block.text), f"{block.place}: neither a drawing nor named"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.remark], ids=lambda block: block.place)
def test_a_block_that_is_not_run_here_names_its_test_or_a_reason(block: Block) -> None:
    assert told(block), f"{block.place}: {block.remark}"
    if test := ELSEWHERE.match(block.remark):
        source = (ROOT / test[1]).read_text()
        assert block.page in source or block.text.split()[0].rpartition("/")[2] in source, (
            f"{test[1]} does not run it"
        )


def test_blocks_of_python_are_those_that_the_test_of_the_library_runs() -> None:
    source = (ROOT / "tests" / "redis" / "test_library.py").read_text()
    for block in BLOCKS:
        if block.language == "python":
            assert f'{block.page}"' in source, block.place


def commands(page: str) -> list[Block]:
    return [
        block
        for block in BLOCKS
        if block.page == page and not told(block) and block.language in {*RUN, "toml"}
    ]


@pytest.mark.parametrize(
    "page", sorted({block.page for block in BLOCKS if block.language in {*RUN, "toml"} and not told(block)})
)
def test_commands_run_and_settings_are_valid_on_every_page(host: Host, page: str) -> None:
    variables = "".join(block.text for block in BLOCKS if block.page == page and block.language == "ini")
    for block in commands(page):
        if block.language == "toml":
            done = host.check_settings(block.text, tuple(variables.split()))
            assert done.returncode == 0, f"{block.place}: {done.stderr}"
            if any(each.language == "sh" for each in commands(page)):
                host.take_over()
            continue
        steps = [(block.text, None)] if block.language == "sh" else session(block)
        for script, shown in steps:
            done = host.run(script)
            assert done.returncode == 0, f"{block.place}: {script}\n{done.stdout}\n{done.stderr}"
            assert "Traceback" not in done.stderr
            assert not (shown or "").strip() or matches(str(shown), done.stdout), (
                f"{block.place}: {script}\n{done.stdout}"
            )
    host.run("geosteer node auto '*'")


def session(block: Block) -> list[tuple[str, str | None]]:
    """Commands of a session, and what each prints."""
    parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "zone"], ids=lambda block: block.place
)
def test_records_are_those_of_a_zone(block: Block) -> None:
    lines = "".join(re.sub(r"^(\S+) +", r"\1 3600 IN ", line) + "\n" for line in block.text.splitlines())
    zone = dns.zone.from_text(lines, origin="example.net.", check_origin=False)
    assert {dns.rdatatype.to_text(rdataset.rdtype) for _, rdataset in zone.iterate_rdatasets()} == {"NS", "A"}


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "ini"], ids=lambda block: block.place
)
def test_variables_are_used_on_their_page(block: Block) -> None:
    page = "".join(each.text for each in BLOCKS if each.page == block.page and each.language == "toml")
    for line in block.text.splitlines():
        name, equals, _ = line.partition("=")
        assert equals
        assert f"${{{name}}}" in page, name


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "json"], ids=lambda block: block.place
)
def test_a_line_of_the_decision_log_has_the_fields_that_are_shown(host: Host, block: Block) -> None:
    assert host.pdns is not None
    host.pdns.query("www.cdn.example.net", subnet="145.97.0.0/24")
    lines = (host.root / "var/log/geosteer/decisions.log").read_text().splitlines()
    assert set(json.loads(block.text)) == set(json.loads(lines[-1]))


def test_a_block_that_nobody_runs_and_a_wrong_output_would_be_found(tmp_path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "text\n\n    geosteer status\n\n- item\n\n    more of it\n\n```sh\na\n```\n<!-- not run: x -->\n```sh\nb\n```\n"
    )
    assert indented(page) == [3]
    first, second = blocks(page)
    assert (first.text, first.remark, first.line) == ("a\n", "", 9)
    assert not told(second), "a reason has more than one word"
    assert matches("A  12 ms\n...\nend\n", "A 3 s\nx\ny\nend\n")
    assert not matches("A  12 ms\nend\n", "B 3 s\nend\n")
