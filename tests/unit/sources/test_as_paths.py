"""AS paths as programs print them: sets and confederations in any spelling mean the same path."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer_loader.sources.bgp_routes import as_path
from geosteer_loader.sources.bgpdump import parse_path
from support.long import examples

ASN = st.one_of(st.sampled_from([0, 1, 701, 15169, 23456, 64512, 4294967295]), st.integers(0, 0xFFFFFFFF))
MEMBERS = st.lists(ASN, min_size=1, max_size=5)
STEP = st.one_of(
    ASN.map(lambda asn: ("", [asn])),
    MEMBERS.map(lambda members: ("{}", members)),
    MEMBERS.map(lambda members: ("()", members)),
    MEMBERS.map(lambda members: ("[]", members)),
)
BETWEEN = st.sampled_from([",", " ", ", ", " ,", "  "])
EDGE = st.sampled_from(["", " ", ",", ", "])


@st.composite
def printed_paths(draw: st.DrawFn):
    """The text of a path, and its steps."""
    words: list[str] = []
    steps: list[frozenset[int] | tuple[int]] = []
    for brackets, members in draw(st.lists(STEP, min_size=1, max_size=6)):
        if brackets:
            between, edge = draw(BETWEEN), draw(EDGE)
            words.append(f"{brackets[0]}{edge}{between.join(map(str, members))}{edge}{brackets[1]}")
        else:
            words.append(str(members[0]))
        if brackets == "{}":
            steps.append(frozenset(members))
        elif not brackets:
            steps.append((members[0],))
    return draw(st.sampled_from(["", " "])) + draw(st.sampled_from([" ", "  ", "\t"])).join(words), steps


@settings(deadline=None, max_examples=examples(800))
@given(printed_paths())
def test_a_path_in_any_spelling_is_the_path(printed):
    text, steps = printed
    assert parse_path(text) == as_path(steps), text
