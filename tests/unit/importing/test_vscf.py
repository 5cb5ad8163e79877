"""gdnsd's configuration syntax: what gdnsd.config(5) shows, and what is refused."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer.errors import ConfigError
from geosteer_loader.importing.vscf import load

if TYPE_CHECKING:
    from pathlib import Path

SAME = [
    "options = {\n listen = [ 192.0.2.1, 192.0.2.2 ],\n}",
    '"options" => {\n listen => [ 192.0.2.1 192.0.2.2 ]\n}',
    "options={listen=[192.0.2.1 192.0.2.2]}",
    "; zone style\noptions => { # shell style\n listen => [ 192.0.2.1, \\\n 192.0.2.2 ] }".replace(
        "\\\n", "\n"
    ),
]
BYTES = [
    ("example", "example"), ('"example"', "example"), ("ex\\097mpl\\e", "example"), ('"ex\\097mpl\\e"', "example"),
    ('internal\\"doublequote', 'internal"doublequote'), ("white\\ space", "white space"), ('"\\\\==="', "\\==="),
    ("\\092\\=\\=\\=", "\\==="), ('"braces{every[where]oh}my"', "braces{every[where]oh}my"), ("a$b", "a$b"),
    ('"$x"', "$x"), ("\\$x", "$x"), ('""', ""), ("caf\u00e9", "caf\u00e9"),
]  # fmt: skip
REFUSED = [
    ("a => {", "line 1: a } is missing"), ("a =>\n[ b", "line 2: a ] is missing"),
    ("a => b\na => c", "line 2: 'a' is given twice"),
    ("a b", "line 1: => is missing after 'a'"), ("a => \\999", "line 1: \\999 is not a byte"), ("a => $b", "not '$'"),
    ("$include{nothing}", "nothing: no such file"), ("a => $include{x*}", "x*: no such file"), ("}", "a key is expected"),
    ("[ a ] b", "more follows after the array"), ("a => [ => ]", "a value is expected"), ("=> b", "a key is expected"),
    ('a => "b', "a value is expected"), ("a => " + "[" * 200, "levels"), ("a => " + "{ a => " * 200, "levels"),
]  # fmt: skip


@pytest.mark.parametrize("text", SAME)
def test_styles_mean_the_same(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == {"options": {"listen": ["192.0.2.1", "192.0.2.2"]}}


@pytest.mark.parametrize(("written", "meant"), BYTES)
def test_strings_may_be_quoted_and_escaped(tmp_path: Path, written: str, meant: str) -> None:
    assert read(tmp_path, f"a => {written}") == {"a": meant}
    assert read(tmp_path, f"a => [ {written} b ]") == {"a": [meant, "b"]}


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert why in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_files_are_included_as_values_and_as_settings(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("[ one two ]")
    (tmp_path / "more.d").mkdir()
    (tmp_path / "more.d" / "a").write_text("x => 1")
    (tmp_path / "more.d" / "b").write_text("y => $include{ deeper }")
    (tmp_path / "more.d" / "deeper").write_text("z => 2")
    (tmp_path / "empty.d").mkdir()
    text = 'v => $include{list}, $include{ "more.d/[ab]" } $include{empty.d}'
    assert read(tmp_path, text) == {"v": ["one", "two"], "x": "1", "y": {"z": "2"}}
    with pytest.raises(ConfigError, match="'x' is given twice"):
        read(tmp_path, "x => 3, $include{more.d/a}")


def test_files_that_include_themselves_end(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="levels"):
        read(tmp_path, "a => $include{config}")


@given(st.text(alphabet='ab=>{}[]",#;\\$ \n0129', max_size=60))
def test_whatever_stands_there_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    with suppress(ConfigError):
        assert isinstance(read(folder, text), dict)


def read(folder: Path, text: str) -> object:
    path = folder / "config"
    path.write_text(text, encoding="utf-8")
    return load(path)
