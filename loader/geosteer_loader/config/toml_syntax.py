"""What the words of the standard library's TOML parser mean for the mistake that is mostly behind them."""

from __future__ import annotations

import re

_TYPOGRAPHIC = re.compile("[\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2033`]")
"""Quotation marks that word processors and web pages put in the place of plain ones."""
_NUMBER = re.compile(r"[+-]?[0-9][0-9_.]*(?=$|[\s,\]}#])")
_AMOUNT = re.compile(r"[+-]?[0-9][0-9_.]*(?:ms|[A-Za-z]{1,2}|%)(?=$|[\s,\]}#;])")
_WORD = re.compile(r"[^\s,\]}#;]+")
_ZEROS = re.compile(r"[+-]?0[0-9]")


def explanation(reason: str, text: str, line: int, column: int) -> str:
    """`: ...`, what to do about the *reason* that the parser gave for that *line* and *column*; nothing where it is clear.

    No value is quoted: it may be a secret.

    Args: line, column: counted from 1.
    """
    rows = text.split("\n")
    row = rows[line - 1] if line <= len(rows) else ""
    told = _of_row(reason, row, column)
    return f": {told}" if told else ""


def _of_row(reason: str, row: str, column: int) -> str:
    word = _WORD.match(row, column - 1)
    if reason.startswith("Cannot overwrite"):
        key = row.partition("=")[0].strip()
        if row.lstrip().startswith("["):
            return f"{key[:60]} is both a table, [...], and a list of tables, [[...]]: write each with the same brackets"
        return f"{key[:60]} is given twice in this table"
    if reason.startswith(("Cannot declare", "Cannot redefine", "Cannot mutate")):
        return "this table is in the file already; put its settings together"
    if row.startswith(("<<<<<<<", "=======", ">>>>>>>")):
        return "a version control system left its mark here: choose one side of the conflict"
    if row.lstrip().startswith((";", "//")):
        return "a comment begins with #"
    if "'\\r'" in reason:
        return "lines end with LF or CRLF"
    if marks := _TYPOGRAPHIC.search(row, max(0, column - 1)):
        return f'{marks[0]} is not a plain quotation mark, "'
    if reason.startswith("Illegal character '\\n'"):
        return "the text before has no quotation mark at its end"
    if reason.startswith("Expected '=' after a key"):
        return "a setting is written: key = value" if not row.lstrip().startswith("[") else ""
    return _of_value(reason, row, word[0] if word else "")


def _of_value(reason: str, row: str, word: str) -> str:
    _, equals, after = row.partition("=")
    value = after.strip()
    if reason.startswith("Invalid value"):
        if word.lower() in {"true", "false"}:
            return f"write {word.lower()}"
        if not word:
            return "there is no value"
        return "text has to be in quotation marks"
    if reason.startswith("Expected newline or end of document"):
        if _ZEROS.match(value) and _NUMBER.match(value):
            return "a number has no zeros in front"
        if amount := _AMOUNT.match(value):
            return (
                "write the number alone"
                if amount[0].endswith("%")
                else 'with a unit it is text: "30s", "64M"'
            )
        return "there is something else behind the value" if equals else ""
    if reason.startswith("Unclosed array"):
        return "a comma or a ] is missing before this, or the quotation marks around text"
    if (
        reason.startswith(("Invalid initial character for a key part", "Unclosed inline table"))
        and "{" in row
    ):
        return "a table in { } stands on one line, without a comma behind its last setting"
    return ""
