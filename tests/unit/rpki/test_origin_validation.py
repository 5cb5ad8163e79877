"""Origin validation by RFC 6811, against a reading of its text that is slow and plain; and what validators write."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer_loader.rpki import roas
from geosteer_loader.rpki.roas import UnusableRoas, read_roas
from geosteer_loader.rpki.vrps import State, Vrps
from geosteer_loader.sources.prefix import parse_network

ENTRY = {"asn": "AS64500", "prefix": "192.0.2.0/24", "maxLength": 24}

Roa = tuple[ipaddress.IPv4Network, int, int]


def vrps(*entries: tuple[str, int, int]) -> Vrps:
    return Vrps((*parse_network(prefix), longest, asn) for prefix, longest, asn in entries)


def read(document: object, now: float | None = 1_700_000_000) -> roas.Roas:
    return read_roas([json.dumps(document).encode()], now)


@pytest.mark.parametrize(
    ("prefix", "origin", "state"),
    [
        ("10.1.0.0/16", 64500, State.VALID),
        ("10.1.0.0/16", 64501, State.VALID),
        ("10.1.0.0/17", 64501, State.INVALID),
        ("10.1.16.0/20", 64500, State.VALID),
        ("10.1.16.0/21", 64500, State.INVALID),
        ("10.0.0.0/8", 64500, State.NOT_FOUND),
        ("10.1.0.0/16", 64502, State.INVALID),
        ("10.1.0.0/16", None, State.INVALID),
        ("10.1.0.0/16", 0, State.INVALID),
        ("10.2.0.0/16", None, State.NOT_FOUND),
        ("10.3.0.0/24", 64500, State.INVALID),
        ("10.3.0.0/24", 0, State.INVALID),
        ("10.3.1.0/24", 64503, State.VALID),
    ],
)
def test_a_route_is_valid_if_any_roa_fits_and_invalid_if_some_cover_it(
    prefix: str, origin: int | None, state: State
) -> None:
    """`10.3.0.0/16 AS0` makes all in it invalid, but not where another one fits (RFC 6483, 4)."""
    known = vrps(
        ("10.1.0.0/16", 20, 64500),
        ("10.1.0.0/16", 16, 64501),
        ("10.3.0.0/16", 32, 0),
        ("10.3.1.0/24", 24, 64503),
    )
    assert known.state(*parse_network(prefix), origin) is state


def plain_state(known: list[Roa], route: ipaddress.IPv4Network, origin: int | None) -> State:
    """RFC 6811, section 2, word by word."""
    covering = [roa for roa in known if route.subnet_of(roa[0])]
    matched = [roa for roa in covering if route.prefixlen <= roa[1] and origin == roa[2] != 0]
    return State.VALID if matched else State.INVALID if covering else State.NOT_FOUND


@st.composite
def networks(draw: st.DrawFn) -> ipaddress.IPv4Network:
    length = draw(st.integers(0, 6))
    return ipaddress.IPv4Network((draw(st.integers(0, 2**length - 1)) << (32 - length), length))


@st.composite
def made_roas(draw: st.DrawFn) -> Roa:
    network = draw(networks())
    return network, draw(st.integers(network.prefixlen, 8)), draw(st.integers(0, 3))


@given(st.lists(made_roas(), max_size=12), networks(), st.none() | st.integers(0, 3))
def test_it_says_what_a_plain_reading_of_the_rfc_says(
    known: list[Roa], route: ipaddress.IPv4Network, origin: int | None
) -> None:
    fast = vrps(*((str(network), longest, asn) for network, longest, asn in known))
    assert fast.state(*parse_network(str(route)), origin) is plain_state(known, route, origin)
    assert fast.count == len(set(known))


@pytest.mark.parametrize(
    ("document", "built"),
    [
        (
            {
                "metadata": {"buildmachine": "x", "buildtime": "2023-11-14T22:13:20Z", "roas": 1},
                "roas": [{"asn": 64500, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "ripe", "expires": 1700000001}],
                "bgpsec_keys": [{"asn": 64500, "ski": "00", "pubkey": "AA==", "ta": "ripe", "expires": 1700000001}],
                "aspas": [{"customer_asid": 64500, "providers": [64501]}],
            },
            1_700_000_000,
        ),
        ({"metadata": {}, "roas": [{**ENTRY, "ta": "ripe"}]}, None),
        (
            {"metadata": {"generated": 1700000000, "generatedTime": "2023-11-14"}, "roas": [{**ENTRY, "ta": "x"}]},
            1_700_000_000,
        ),
        (
            {
                "metadata": {"generatedTime": "2023-11-14T22:13:20Z"},
                "roas": [{**ENTRY, "source": [{"type": "roa", "uri": "rsync://x/y.roa", "validity": {}}]}],
                "routerKeys": [],
            },
            1_700_000_000,
        ),
        ({"roas": [ENTRY, ENTRY]}, None),
    ],
    ids=["rpki-client", "rpki-client of 2021", "Routinator", "Routinator jsonext", "FORT"],
)  # fmt: skip
def test_every_validators_json_is_read(document: object, built: float | None) -> None:
    found = read(document)
    assert (found.vrps.count, found.built, found.expired) == (1, built, 0)
    assert found.vrps.authorised(*parse_network("192.0.2.0/24")) == frozenset({64500})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b'{"roas": [{"asn": "AS64500", "prefix": "192.0.', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no list `roas`"),
        (b'{"roas": {}}', "no list `roas`"),
        (b'{"metadata": {}, "roas": []}', "no entries"),
        (b'{"roas": [1]}', "no ROA"),
        (b'{"roas": [{"asn": 1}]}', "no ROA"),
        (b"\xff\xfe\x00", "not JSON"),
    ],
)
def test_what_gives_no_roas_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(UnusableRoas, match=why):
        read_roas([text], None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"asn": "AS"}, {"asn": "ASx"}, {"asn": -1}, {"asn": 1 << 32}, {"asn": True}, {"asn": None}, {"asn": 1.5},
        {"asn": "AS99999999999"}, {"prefix": 1}, {"prefix": "192.0.2.1/24"}, {"prefix": "192.0.2.0/33"}, {"prefix": ""},
        {"maxLength": 23}, {"maxLength": 33}, {"maxLength": "24"}, {"maxLength": True}, {"expires": "soon"}, {"expires": []},
    ],
)  # fmt: skip
def test_one_malformed_entry_makes_the_file_unusable(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnusableRoas, match="malformed entry"):
        read({"roas": [ENTRY, {**ENTRY, **wrong}]})


def test_what_expired_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"roas": [{**ENTRY, "expires": 100}, {**ENTRY, "asn": 64501, "expires": 300}]}
    found = read(document, 200)
    assert (found.vrps.count, found.expired) == (1, 1)
    assert found.vrps.authorised(*parse_network("192.0.2.0/24")) == frozenset({64501})
    assert read(document, None).vrps.count == 2
    monkeypatch.setattr(roas, "MOST_BYTES", 10)
    with pytest.raises(UnusableRoas, match="more than"):
        read(document)
