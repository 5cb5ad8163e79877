"""Which names are debug names, who may ask them, and how a text stands in a TXT record."""

from __future__ import annotations

import pytest
from dns.rdata import from_text
from dns.rdtypes.ANY.TXT import TXT
from hypothesis import given
from hypothesis import strategies as st

from geosteer.decision.networks import Networks
from geosteer.powerdns.debug_name import quoted, service_name


@pytest.mark.parametrize(
    ("qname", "service"),
    [
        (b"_geosteer.www.example.net", b"www.example.net"),
        (b"1234._geosteer.www.example.net", b"www.example.net"),
        (b"a-b_c._geosteer.www.example.net", b"www.example.net"),
        (b"_geosteer.net", b"net"),
        (b"*._geosteer.www.example.net", None),
        (b"a.b._geosteer.www.example.net", None),
        (b"a\\.b._geosteer.www.example.net", None),
        (b"_geosteer", None),
        (b"1._geosteer", None),
        (b"www._geosteerx.example.net", None),
        (b"", None),
        (b".", None),
        (b"._geosteer.www.example.net", None),
    ],
)
def test_a_debug_name_is_the_label_with_at_most_one_before_it(qname: bytes, service: bytes | None):
    assert service_name(qname) == service


@pytest.mark.parametrize(
    ("networks", "address", "held"),
    [
        (["192.0.2.0/28"], "192.0.2.15", True),
        (["192.0.2.0/28"], "192.0.2.16", False),
        (["192.0.2.0/28"], "::ffff:192.0.2.1", True),
        (["192.0.2.7"], "192.0.2.7", True),
        (["192.0.2.7"], "192.0.2.6", False),
        (["0.0.0.0/0"], "203.0.113.9", True),
        (["0.0.0.0/0"], "0.0.0.0", False),  # PowerDNS asks for itself
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["::/0"], "192.0.2.1", False),
        (["::/0"], "::", False),
        (["2002::/16"], "192.0.2.1", False),  # 6to4: no IPv4 address is let in by it
        (["64:ff9b::/96"], "192.0.2.1", False),
        (["2001:db8::/32"], "2001:db8:ffff::1%eth0", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        ([], "192.0.2.1", False),
        (["192.0.2.0/28"], "resolver", False),
        (["192.0.2.0/28"], "", False),
    ],
)
def test_an_address_lies_in_one_of_the_networks_or_not(networks: list[str], address: str, held: bool):
    assert Networks(networks).hold(address) is held


@pytest.mark.parametrize(
    "text", ["", "192.0.2", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/", "::/129", "x", "/8"]
)
def test_what_is_no_network_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011  # the address itself may be all that it says
        Networks([text])


@given(st.text(max_size=400))
def test_a_string_is_read_back_as_it_was_or_cut_at_255_bytes(text: str):
    line = quoted(text)
    assert line.isascii()
    assert line.isprintable()
    record = from_text("IN", "TXT", line)
    assert isinstance(record, TXT)
    (string,) = record.strings
    data = text.encode("utf-8", "replace")
    if len(data) <= 255:
        assert string == data
    else:
        assert len(string) <= 255
        assert string.endswith(b"...")
        assert data.startswith(string[:-3])
