"""Tables that are left out of a text before it is parsed: what is kept is what the whole text says of it."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer.errors import ConfigError
from geosteer_loader.config import host
from geosteer_loader.config.toml_tables import without

if TYPE_CHECKING:
    from pathlib import Path

LARGE = frozenset({"networks", "nodes"})
BODIES = (
    "a = 1\n",
    "a = [\n  [1],\n [2, 3],\n]\n",
    'a = [\n["x"],\n]\n',
    "a = [ [1],\n[true] ]\n",
    "a = [\n# [redis]\n]\n",
    'a = "[redis]"\n',
    'a = """\n[redis]\n"""\n',
    "a = '''\n[networks]\n'''\n",
    "b.c = { d = [1] }\r\n",
    "",
)
HEADERS = (
    "[{}]\n", "  [ {} ] # why\n", "\t[{}.x]\n", "[[{}]]\n", "[[ {} . x ]]\r\n", '["{}"]\n', "['{}'.x]\n", '[[ "{}" ]]\n',
)  # fmt: skip
NAMES = ("networks", "nodes", "redis", "guard", "1", "net-works")


def agrees(text: str) -> None:
    """What is kept says of the other tables what the whole says."""
    whole = tomllib.loads(text)
    try:
        kept = tomllib.loads(without(text, LARGE))
    except tomllib.TOMLDecodeError:
        return  # the whole is parsed instead
    assert {name: kept.get(name) for name in whole.keys() - LARGE} == {
        name: value for name, value in whole.items() if name not in LARGE
    }
    assert kept.keys() <= whole.keys()


@given(
    st.sampled_from(("", *BODIES)),
    st.lists(
        st.tuples(st.sampled_from(HEADERS), st.sampled_from(NAMES), st.sampled_from(BODIES)), max_size=6
    ),
)
def test_the_other_tables_are_those_of_the_whole_text(top: str, tables: list[tuple[str, str, str]]) -> None:
    text = top + "".join(header.format(name) + body for header, name, body in tables)
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    agrees(text)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("body", BODIES)
def test_a_table_after_a_large_one_is_never_lost(header: str, body: str) -> None:
    agrees(f"[networks]\n{body}{header.format('redis')}url = 1\n[nodes.x]\n{body}[guard]\nb = 2\n")


def test_large_tables_are_left_out() -> None:
    text = '[redis]\nurl = "u"\n[networks]\nlab = [\n"10.0.0.0/8",\n]\n[nodes.a]\nx = 1\n  [guard]\ny = 2\n[[networks.x]]\n'
    assert without(text, LARGE) == '[redis]\nurl = "u"\n  [guard]\ny = 2\n'


def test_a_fault_is_told_with_its_line_in_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "geosteer.toml"
    path.write_text("[networks]\nlab = [\n]\n[redis]\nurl = = 1\n")
    with pytest.raises(ConfigError, match="line 5, column 7"):
        host.load(path, {})
    path.write_text('[networks]\nlab = 1\n[redis]\nurl = "redis://a"\n[prober]\nnonsense = 1\n')
    with pytest.raises(ConfigError, match=r"line 6: prober\.nonsense"):
        host.load(path, {})


def test_networks_are_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "geosteer.toml"
    listed = "".join(f'  "10.{number >> 8}.{number & 255}.0/24",\n' for number in range(65536))
    path.write_text(f'[networks]\nlab = [\n{listed}]\n[redis]\nurl = "redis://a"\n')
    parsed = []
    loads = tomllib.loads

    def counted(text: str) -> dict[str, Any]:
        parsed.append(len(text))
        return loads(text)

    monkeypatch.setattr(tomllib, "loads", counted)
    assert host.load(path, {}).redis.url == "redis://a"
    assert parsed == [len('[redis]\nurl = "redis://a"\n')]
