"""The JSON Schema of both files, made of what their readers ask for: editors complete and mark by it.

Draft-07, since the editors' plug-ins for TOML (taplo, Even Better TOML) know no later one. Source:
https://json-schema.org/draft-07/json-schema-validation
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from geosteer_loader.config import config
from geosteer_loader.config.schema_descriptions import describe
from geosteer_loader.config.schema_recorder import NAME, Key, Run, Seen, explore, words
from geosteer_loader.config.shapes import begins
from geosteer_loader.config.worker import check_worker

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from geosteer_loader.config.schema_recorder import Entry
    from geosteer_loader.config.section import Table

DRAFT = "http://json-schema.org/draft-07/schema#"

Whose = Literal["loader", "worker"]


def schema(whose: Whose) -> dict[str, Any]:
    """The schema of the file of the `loader` or the `worker`."""
    base = Path("/etc/geosteer")

    def loader(root: Table) -> None:
        config.read_parts(root, base, {})

    def worker(root: Table) -> None:
        check_worker(root, base)

    runs = explore(loader if whose == "loader" else worker)
    title = f"geosteer: {'geosteer.toml, of the loader' if whose == 'loader' else 'backend.toml, of workers'}"
    builder = _Builder(runs)
    built = {"$schema": DRAFT, "title": title, **builder.table(""), "definitions": builder.definitions}
    own: dict[str, Any] = json.loads(json.dumps(built))  # shapes are shared, descriptions are not
    describe(own, whose)
    return own


def text(whose: Whose) -> str:
    """The schema as JSON."""
    return json.dumps(schema(whose), indent=1, ensure_ascii=False) + "\n"


class _Builder:
    def __init__(self, runs: list[Run]) -> None:
        self._runs = runs
        self.definitions: dict[str, Any] = {}
        """Tables that stand in several places."""

    def table(self, place: str) -> dict[str, Any]:
        """The schema of the table at one place."""
        runs = [run for run in self._runs if place in run.tables]
        seen = [run.tables[place] for run in runs]
        settings = _union(seen)
        built: dict[str, Any] = {"type": "object"}
        own = {key: self._setting(key, entries, seen) for key, entries in settings.items() if key != NAME}
        if own:
            built["properties"] = own
        if required := _required(place, runs):
            built["required"] = sorted(required)
        names = next((one.names for one in seen if one.names is not None), None)
        built["additionalProperties"] = (
            self._setting(NAME, settings[NAME], seen) if NAME in settings else False
        )
        if isinstance(names, dict):
            built["propertyNames"] = names
        if any("" in one.filled for one in seen):
            built["minProperties"] = 1
        if rules := list(self._rules(place, runs, settings, required)):
            built["allOf"] = rules
        return built

    def _setting(self, key: str, entries: Iterable[Entry], seen: Iterable[Seen]) -> Any:
        filled = any(key in one.filled for one in seen)
        shapes: list[Any] = []
        for entry in entries:
            for shape in self._shapes(entry, filled):
                if shape not in shapes:
                    shapes.append(shape)
        built = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
        default = next((one.defaults[key] for one in seen if key in one.defaults), None)
        if isinstance(default, bool | int | float | str) and default != "" and isinstance(built, dict):
            whole = isinstance(default, float) and default == int(default)
            built = {**built, "default": int(default) if whole else default}
        return built

    def _shapes(self, entry: Entry, filled: bool) -> list[Any]:
        if entry.kind == "value":
            return [entry.shape]
        if entry.kind == "table":
            return [self.table(entry.place)]
        item = entry.shape
        if entry.kind == "tables":
            item = self.table(entry.place)
        elif entry.kind == "one_or_more":
            name = entry.place.rpartition(".")[2]
            self.definitions[name] = self.table(entry.place)
            item = {"$ref": f"#/definitions/{name}"}
        items = {"type": "array", "items": item, **({"minItems": 1} if filled else {})}
        return [item, items] if entry.kind == "one_or_more" else [items]

    def _rules(
        self, place: str, runs: list[Run], everything: Mapping[str, list[Entry]], required: Collection[str]
    ) -> Iterable[dict[str, Any]]:
        """What holds if a setting has a certain word."""
        for key in dict.fromkeys(key for run in runs for key in words(run, place)):
            without = [run for run in runs if key not in words(run, place)]
            usual = self._rule(place, without, everything, required)
            by_rule: dict[str, list[str]] = {}
            for word in dict.fromkeys(words(run, place).get(key, "") for run in runs if run not in without):
                having = [run for run in runs if words(run, place).get(key) == word]
                alone = next((run for run in having if len(words(run, place)) == 1), having[0])
                same = alone.tables[place] == runs[0].tables[place]
                rule = usual if same else self._rule(place, having, everything, required)
                by_rule.setdefault(json.dumps(rule), []).append(word)
            for written, which in by_rule.items():
                rule = json.loads(written)
                if begins(which[0]):
                    yield _when(key, {"type": "string", "pattern": f"^{which[0]}"}, rule, usual)
                elif rule and (rule != usual or len(by_rule) > 1):
                    yield _when(key, {"enum": which}, rule, {})
            if usual and key not in required and len(by_rule) > 1 and json.dumps(usual) in by_rule:
                yield {
                    "if": {"not": {"required": [key]}},
                    "then": usual,
                }  # as with the word that is the default

    def _rule(
        self,
        place: str,
        runs: list[Run],
        everything: Mapping[str, list[Entry]],
        required: Collection[str],
    ) -> dict[str, Any]:
        seen = [run.tables[place] for run in runs]
        known = _union(seen)
        narrowed: dict[str, Any] = {key: False for key in everything if key not in known}
        for key, entries in known.items():
            if entries != everything[key] and key != NAME:
                narrowed[key] = self._setting(key, entries, seen)
                if isinstance(narrowed[key], dict):
                    narrowed[key].pop("default", None)
        more = sorted(_required(place, runs) - set(required))
        return ({"properties": narrowed} if narrowed else {}) | ({"required": more} if more else {})


def _union(seen: Iterable[Seen]) -> dict[str, list[Entry]]:
    """Every setting that may stand there, with each way in which it is read."""
    union: dict[str, list[Entry]] = {}
    for one in seen:
        for key, entries in one.settings.items():
            ways = union.setdefault(key, [])
            ways += [entry for entry in entries if entry not in ways and entry.shape is not False]
    return {key: ways for key, ways in union.items() if ways}


def _required(place: str, runs: Iterable[Run]) -> set[str]:
    """What every run misses in which it is not there."""
    runs = list(runs)
    runs = [run for run in runs if run.holds(place)] or runs
    missed = {key for run in runs for key in run.tables[place].required}
    return {
        key
        for key in missed
        if all(key in run.tables[place].required or Key(place, key) in run.script for run in runs)
    }


def _when(
    key: str, has: Mapping[str, Any], then: Mapping[str, Any], otherwise: Mapping[str, Any]
) -> dict[str, Any]:
    rule: dict[str, Any] = {"if": {"properties": {key: has}, "required": [key]}}
    if then:
        rule["then"] = then
    if otherwise:
        rule["else"] = otherwise
    return rule
