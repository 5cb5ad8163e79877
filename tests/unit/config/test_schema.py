"""The JSON Schema of both files finds the faults of shape that the checks find, and no others."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator

from geosteer.errors import ConfigError
from geosteer_loader.config import config, schema
from geosteer_loader.config.section import Problems, Table
from geosteer_loader.config.worker import check_worker
from support.config_file import GOOD
from support.data import ROOT
from support.long import LONG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.config.schema import Whose

CONF = ROOT / "conf"
TAPLO = ROOT / ".venv" / "bin" / "taplo"
FILES: dict[Whose, str] = {"loader": "geosteer", "worker": "backend"}
NAME = "name.example"

SHAPE = re.compile(
    r"must be (?:text|true or false|a list|a table|a name, a glob|a number|a whole number|a duration|\"|a URL such|an https|"
    r"\[latitude)|must not be empty|unknown setting|: is missing|has no name$|is a setting of|is for .* only|"
    r"such as 30, |not an address$|not a network such|not a layer|must begin with|applies only to"
)
"""Problems that a schema can find: of types, bounds, words, missing and unknown settings."""

CROSS = re.compile(
    r"must not be (?:longer|more|less) than|has neither|needs a username|is for .* only|is missing: the (?:node|network) "
)
"""Problems of how settings go together."""

FAULTS: tuple[object, ...] = (True, 7.5, -(10**9), 10**18, " ", "no such word", [True], {"odd": 1})


@cache
def built(whose: Whose) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((CONF / f"{FILES[whose]}.schema.json").read_text())
    return read


def problems(whose: Whose, document: dict[str, Any]) -> list[str]:
    path = Path("/etc/geosteer/file.toml")
    if whose == "worker":
        noted = Problems(str(path))
        check_worker(Table(document, "", noted), path.parent)
        return noted.errors()
    try:
        config.check(document, path, {})
    except ConfigError as exc:
        return exc.problems
    return []


def resolved(node: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    return whole["definitions"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def tables(
    node: Any, whole: dict[str, Any], path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Every table of the schema, with a path to it; 0 for the first of a list."""
    if not isinstance(node, dict):
        return
    node = resolved(node, whole)
    if "properties" in node or "additionalProperties" in node:
        yield path, node
        for key, inner in node.get("properties", {}).items():
            yield from tables(inner, whole, (*path, key))
        yield from tables(node.get("additionalProperties"), whole, (*path, NAME))
    if isinstance(node.get("items"), dict):
        yield from tables(node["items"], whole, (*path, 0))
    for inner in node.get("anyOf", ()):
        yield from tables(inner, whole, path)


def document(path: tuple[str | int, ...], value: object) -> Any:
    """A file that holds nothing else."""
    for part in reversed(path):
        value = [value] if part == 0 else {part: value}
    return value


def kinds(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The table with nothing in it, and with each word by which others are read."""
    yield {}
    for rule in table.get("allOf", ()):
        for key, has in rule["if"].get("properties", {}).items():
            for word in has.get("enum", ("https://www.example.net/file",)):
                yield {key: word}


def agree(whose: Whose, mutant: dict[str, Any], validator: Draft7Validator) -> None:
    refused = [error.message for error in validator.iter_errors(mutant)]
    found = problems(whose, mutant)
    of_shape = [problem for problem in found if SHAPE.search(problem) and not CROSS.search(problem)]
    assert found or not refused, f"only the schema finds a fault in {mutant}: {refused}"
    assert refused or not of_shape, f"only the check finds a fault in {mutant}: {of_shape}"


@pytest.mark.parametrize("whose", FILES)
def test_the_shipped_schema_is_what_the_checks_make_of_it_now(whose):
    text = (CONF / f"{FILES[whose]}.schema.json").read_text()
    wanted = schema.text(whose)
    command = f"geosteer check-config --schema {whose} > conf/{FILES[whose]}.schema.json"
    assert text == wanted, f"make it anew: {command}"
    Draft7Validator.check_schema(json.loads(text))


@pytest.mark.parametrize("whose", FILES)
def test_every_setting_has_a_description(whose):
    whole = built(whose)
    bare = [
        (*path, key)
        for path, table in tables(whole, whole)
        for key, inner in table.get("properties", {}).items()
        if isinstance(inner, dict) and not inner.get("description")
    ]
    assert bare == []


@pytest.mark.parametrize("whose", FILES)
@pytest.mark.parametrize(
    "commented", [r"^#(?=[a-z_]+ = )", r"^$nothing"], ids=["every default", "as shipped"]
)
def test_the_shipped_files_have_no_fault(whose, commented):
    text = re.sub(commented, "", (CONF / f"{FILES[whose]}.toml").read_text(), flags=re.MULTILINE)
    assert list(Draft7Validator(built(whose)).iter_errors(tomllib.loads(text))) == []


def test_a_good_file_has_no_fault():
    assert list(Draft7Validator(built("loader")).iter_errors(tomllib.loads(GOOD))) == []


@pytest.mark.parametrize("whose", FILES)
def test_the_schema_and_the_checks_find_the_same_faults_in_every_setting(whose):
    whole = built(whose)
    validator = Draft7Validator(whole)
    tried = 0
    for path, table in tables(whole, whole):
        settings = [*table.get("properties", {}), "no_such_setting"]
        for kind in kinds(table):
            agree(whose, document(path, kind), validator)
            for key in settings:
                # of a kind of table, whether the setting is known there is enough
                for fault in FAULTS if not kind or LONG else (True, "no such word"):
                    agree(whose, document(path, {**kind, key: fault}), validator)
                    tried += 1
    assert tried > 500


@pytest.mark.parametrize("whose", FILES)
def test_the_schema_and_the_checks_find_the_same_faults_in_the_shipped_file(whose):
    text = re.sub(r"^#(?=[a-z_]+ = )", "", (CONF / f"{FILES[whose]}.toml").read_text(), flags=re.MULTILINE)
    whole = tomllib.loads(text)
    for section, data in whole.items():
        cut = {key: inner for key, inner in built(whose).items() if key != "required"}
        validator = Draft7Validator(cut)
        for mutant in mutants(data):
            agree(whose, {section: mutant}, validator)


@pytest.mark.skipif(not TAPLO.exists(), reason="no taplo for this machine")
@pytest.mark.parametrize("whose", FILES)
def test_the_editors_checker_takes_the_shipped_file_and_marks_a_fault(whose, tmp_path):
    name = FILES[whose]
    (tmp_path / f"{name}.schema.json").write_text(json.dumps(built(whose)))
    text = (CONF / f"{name}.toml").read_text()
    good = tmp_path / f"{name}.toml"
    good.write_text(text)
    asked = f"--schema=file://{tmp_path}/{name}.schema.json"
    assert subprocess.run([TAPLO, "lint", asked, good], capture_output=True, timeout=60).returncode == 0
    named = tmp_path / "named.toml"
    named.write_text(f"#:schema ./{name}.schema.json\n" + text.replace("[redis]\n", "[redis]\nurll = 1\n"))
    marked = subprocess.run([TAPLO, "lint", named], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert marked.returncode != 0
    assert "'urll' was unexpected" in marked.stderr + marked.stdout


def mutants(value: Any) -> Iterator[Any]:
    """The value with one thing missing, unknown or of another type."""
    if isinstance(value, dict):
        yield {**value, "no_such_setting": True}
        for key, inner in value.items():
            yield {other: kept for other, kept in value.items() if other != key}
            for fault in mutants(inner):
                yield {**value, key: fault}
    elif isinstance(value, list):
        yield {"odd": value}
        for at, inner in enumerate(value):
            for fault in mutants(inner):
                yield [*value[:at], fault, *value[at + 1 :]]
    else:
        yield [value]
        yield True if not isinstance(value, bool) else "true"
