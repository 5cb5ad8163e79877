"""The lean JSON scanner, in an interpreter that has loaded nothing else: what `json.loads` gives, or a ValueError."""

from __future__ import annotations

import json
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

ODD = [
    "{state: down}", '{"state":"down"', '"down', '{"state":"down",}', "", " ", "[1", "[1 2", "[,]", "{,}", '{"a" 1}', '{"a":}',
    '{"a":1 "b":2}', "{1:2}", '"\\u12', '"\\x"', '"\\ud800"', '"\ud800"', '"\t"', '"\0"', "9" * 5000, "-" + "9" * 5000,
    "[" * 100_000, '{"a":' * 100_000, "NaN", "Infinity", "-Infinity", "[NaN]", "-", "01", "+1", "1.", ".5", "1e", "1e999",
    "tru", "\ufeff{}", "\xa01", "1\x0b", '{"a":1,"a":2}', "1." + "9" * 9000, " 1 ", "null x", "[]]",
]  # fmt: skip
READ = """
import sys
from geosteer.cmodules import load_json
assert "json" not in sys.modules
for line in sys.stdin:
    try:
        print(ascii(load_json(bytes.fromhex(line).decode("utf-8", "surrogatepass"))))
    except ValueError:
        print("refused")
"""


def lean(texts: list[str]) -> list[str]:
    """What the scanner makes of each."""
    lines = "".join(text.encode("utf-8", "surrogatepass").hex() + "\n" for text in texts)
    command = [sys.executable, "-I", "-c", READ]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


def public(text: str) -> str:
    try:
        return ascii(json.loads(text, parse_constant=_refuse))
    except (ValueError, RecursionError):
        return "refused"


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def test_odd_texts_are_read_as_json_is_or_refused() -> None:
    assert dict(zip(ODD, lean(ODD), strict=True)) == {text: public(text) for text in ODD}


documents = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
).map(lambda value: json.dumps(value, ensure_ascii=False))
pieces = st.text('{}[]",: \t\n\\\\0123456789.eE+-truefalsn\x00\x1f\ufeff\ud800u', max_size=12)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A document with something cut out and something put in."""
    text = draw(documents)
    low, high = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
    return text[:low] + draw(pieces) + text[high:]


@given(st.lists(st.one_of(documents, pieces, damaged()), min_size=20, max_size=200))
@settings(max_examples=20, deadline=None)
def test_any_text_is_read_as_json_is_or_refused(texts: list[str]) -> None:
    assert lean(texts) == [public(text) for text in texts]
