"""Who asks: every form of a client network, which address is looked up for it, and what scope is told."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.decision.client import FLOORS, Client, from_question, parse, quick
from support.long import examples

RESOLVER = "198.51.100.53"
PRIVATE = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "looked_up"),
    [
        ("192.0.2.1", "192.0.2.1/32"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.77/24", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("255.255.255.255/32", "255.255.255.255/32"),
        ("2001:db8::/56", "2001:db8::/56"),
        ("2001:db8:0:12ff::1/56", "2001:db8:0:1200::/56"),
        ("2001:DB8::1", "2001:db8::1/128"),
        ("::/0", "::/0"),
        ("fe80::1%eth1", "fe80::1/128"),
        ("fe80::1%eth1/64", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("64:ff9b::192.0.2.1", "192.0.2.1/32"),
        ("64:ff9b::c000:200/120", "192.0.2.0/24"),
        ("2002:c000:0201::1", "192.0.2.1/32"),
        ("2002:c000:0200::/40", "192.0.2.0/24"),
        ("2002:c000:0201::/56", "192.0.2.1/32"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45/32"),
        ("2001:0:4136:e378::/64", "2001:0:4136:e378::/64"),
        ("2001:1::1", "2001:1::1/128"),
        ("64:ff9b:1::192.0.2.1", "64:ff9b:1::c000:201/128"),
        ("::192.0.2.1", "::192.0.2.1/128"),
        ("::ffff:0:192.0.2.1", "::ffff:0:c000:201/128"),
        ("::fffe:192.0.2.1", "::fffe:c000:201/128"),
        ("2003::/16", "2003::/16"),
        ("2002::/15", "2002::/15"),
        ("::ffff:0:0/95", "::fffe:0:0/95"),
    ],
)
def test_an_address_or_network_is_looked_up_as_what_it_carries(text: str, looked_up: str):
    assert str(parse(text)) == looked_up


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "/24", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/24/24", "192.0.2.0/+8", "192.0.2",
        "192.0.2.256", "192.0.2.1.1", "1", "0x7f.1", "192.0.2.0/2 4", "2001:db8::/129", "2001:db8:::", ":", "::g",
        "example.net", " 192.0.2.1", "192.0.2.1\n", "192.0.2.1\0", "192.0.2.١", "192.0.2.0/²", "%eth0", "1/" + "9" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011  # the text itself is all there is to say
        parse(text)


@settings(max_examples=examples(500), deadline=None)
@given(st.text(alphabet="0123456789abcdefx.:/% \0é", max_size=50) | st.text(max_size=20))
def test_any_text_is_a_client_or_a_value_error(text: str):
    try:
        client = parse(text)
    except ValueError:
        return
    assert 0 <= client.address < 1 << client.bits
    assert 0 <= client.length <= client.bits
    assert client.address % (1 << (client.bits - client.length)) == 0
    assert from_question(text, text) is None or from_question(text, text).scope(0) >= 1


@pytest.mark.parametrize(
    ("text", "length", "scope"),
    [
        ("192.0.2.0/24", 20, 20),
        ("192.0.2.0/24", 28, 28),
        ("192.0.2.0/24", 0, 1),
        ("2001:db8::/56", 32, 32),
        ("::ffff:192.0.2.0/120", 20, 116),
        ("64:ff9b::192.0.2.1", 20, 116),
        ("2002:c000:0200::/40", 20, 36),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", 20, 128),
        ("2001:0:4136:e378::/64", 32, 128),
        ("2002::/15", 14, 128),
        ("::ffff:192.0.2.0/120", 0, 97),
    ],
)
def test_a_scope_is_told_in_the_family_of_the_asker(text: str, length: int, scope: int):
    assert parse(text).scope(length) == scope


@pytest.mark.parametrize(
    ("subnet", "looked_up"),
    [
        (None, RESOLVER),
        ("", RESOLVER),
        ("0.0.0.0/0", RESOLVER),
        ("192.0.2.0/0", RESOLVER),
        ("::/0", RESOLVER),
        ("::ffff:0:0/96", RESOLVER),
        ("nonsense", RESOLVER),
        ("10.1.2.0/24", RESOLVER),
        ("100.64.0.0/10", RESOLVER),
        ("100.127.255.0/24", RESOLVER),
        ("127.0.0.1/32", RESOLVER),
        ("169.254.1.0/24", RESOLVER),
        ("172.16.0.0/12", RESOLVER),
        ("172.31.255.0/24", RESOLVER),
        ("192.168.0.0/16", RESOLVER),
        ("0.0.0.1/32", RESOLVER),
        ("fd00::/48", RESOLVER),
        ("fe80::1%eth0/128", RESOLVER),
        ("::1/128", RESOLVER),
        ("::/128", RESOLVER),
        ("::ffff:10.0.0.0/104", RESOLVER),
        ("2002:0a00:0001::/48", RESOLVER),
        ("8.8.8.0/24", "8.8.8.0"),
        ("172.32.0.0/16", "172.32.0.0"),
        ("100.128.0.0/16", "100.128.0.0"),
        ("2001:db8::/56", "2001:db8::"),
        ("::ffff:8.8.8.0/120", "8.8.8.0"),
    ],
)
def test_a_network_of_length_0_or_a_private_one_gives_way_to_the_resolver(subnet: str | None, looked_up: str):
    client = from_question(RESOLVER, subnet)
    assert client is not None
    assert str(client).partition("/")[0] == looked_up


@pytest.mark.parametrize(
    ("remote", "subnet"),
    [
        ("0.0.0.0", "0.0.0.0/0"), ("::", "::/0"), ("::ffff:0.0.0.0", None), ("0.0.0.0", None), ("nonsense", None),
        ("", ""), ("0.0.0.0", "10.0.0.0/8"),
    ],
)  # fmt: skip
def test_where_the_server_asks_for_itself_nobody_is_known(remote: str, subnet: str | None):
    assert from_question(remote, subnet) is None


@pytest.mark.parametrize(
    ("subnet", "scope"),
    [
        ("10.1.2.0/24", 8),
        ("10.0.0.0/7", 8),
        ("0.0.0.0/1", 8),
        ("172.16.0.0/12", 12),
        ("fd00::/48", 7),
        ("::/64", 127),
        ("::ffff:10.1.2.0/120", 104),
        ("2002:0a00:0001::/48", 24),
        ("64:ff9b::192.168.1.1/128", 112),
        ("::ffff:0:0/96", 128),
        ("2001:0:4136:e378:8000:63bf:f5ff:fdd2/128", 128),  # Teredo of 10.0.2.45
    ],
)
def test_the_answer_for_a_resolver_holds_in_the_private_block_that_was_named(subnet: str, scope: int):
    client = from_question(RESOLVER, subnet)
    assert client is not None
    assert str(client) == RESOLVER + "/32"
    assert client.scope(20) == scope


@pytest.mark.parametrize(
    ("subnet", "scope"),
    [
        ("8.0.0.0/24", 7),  # 10.0.0.0/8 begins at /7
        ("11.0.0.0/24", 8),
        ("128.0.0.0/24", 3),  # 169.254, 172.16 and 192.168 lie behind
        ("172.32.0.0/16", 11),
        ("2600::/32", 6),  # 2001::/32 and 2002::/16 lie in 2000::/6, fc00::/7 farther off
        ("2001:1::/32", 32),
        ("2001:db8::/32", 21),
        ("2003::/16", 16),
    ],
)
def test_a_scope_does_not_reach_over_addresses_with_other_rules(subnet: str, scope: int):
    client = from_question(RESOLVER, subnet)
    assert client is not None
    assert client.scope(0) == scope


BASES = [
    int(ipaddress.IPv6Address(text))
    for text in (
        "::", "::1", "::ffff:0:0", "::ffff:10.0.0.0", "::ffff:9.255.255.255", "::fffe:0:0", "64:ff9b::", "64:ff9b::8.8.8.8",
        "64:ff9b:1::", "2001::", "2001:0:1::", "2001:1::", "2001:db8::", "2002::", "2002:a00::", "2002:808:808::", "2003::",
        "2600::", "fc00::", "fe80::", "ff00::", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    )
]  # fmt: skip
BASES4 = [
    int(ipaddress.IPv4Address(text))
    for text in (
        "0.0.0.0",
        "8.0.0.0",
        "10.0.0.0",
        "11.0.0.0",
        "100.64.0.0",
        "128.0.0.0",
        "172.15.255.0",
        "192.168.9.0",
    )
]


def subnets(bits: int, bases: list[int]) -> st.SearchStrategy[tuple[int, int, int]]:
    near = st.builds(
        lambda base, bit, low: base ^ (1 << bit) ^ low,
        st.sampled_from(bases),
        st.integers(0, bits - 1),
        st.integers(0, 99),
    )
    values = st.sampled_from(bases) | near | st.integers(0, (1 << bits) - 1)
    return st.tuples(st.just(bits), values, st.integers(1, bits))


@settings(max_examples=examples(2000), deadline=None)
@given(
    subnets(128, BASES) | subnets(32, BASES4),
    st.integers(0, 128),
    st.integers(0, (1 << 128) - 1) | st.sampled_from(BASES) | st.integers(0, 1 << 33),
)
def test_every_address_within_a_scope_is_looked_up_within_the_prefix_that_it_was_told_for(
    subnet: tuple[int, int, int], length: int, other: int
):
    """Asker's side: client/scope. Ours: whoever is in it is looked up in the same /*length*, or is the same resolver."""
    bits, value, size = subnet
    kind = ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address
    client = from_question(RESOLVER, f"{kind(value)}/{size}")
    assert client is not None
    length = min(length, client.bits)
    scope = client.scope(length)
    assert 1 <= scope <= bits
    host = bits - scope
    neighbour = value >> (bits - size) << (bits - size) >> host << host | other % (1 << host)
    met = from_question(RESOLVER, f"{kind(neighbour)}/{bits}")
    assert met is not None
    if str(client) == RESOLVER + "/32":
        assert str(met) == str(client) or scope == bits
    elif scope < bits:
        assert met.bits == client.bits
        assert (met.address ^ client.address) >> (client.bits - length) == 0


@settings(max_examples=examples(2000), deadline=None)
@given(subnets(128, BASES) | subnets(32, BASES4))
def test_the_quick_reading_of_a_network_says_the_same_as_the_thorough_one_or_nothing(
    subnet: tuple[int, int, int],
):
    bits, value, size = subnet
    text = f"{(ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address)(value)}/{size}"
    found = quick(text)
    if found is not None:
        client = from_question(RESOLVER, text)
        assert client is not None
        assert found == (client.bits, client.address, client.floor)
        assert (client.extra, client.fixed) == (0, 0)


@pytest.mark.parametrize(
    "text", ["8.8.8.0/24", "1.0.0.0/8", "8.0.0.0/5", "2600::/32", "2001:db8::/56", "2001:db8::1/128"]
)
def test_a_usual_network_is_read_quickly(text: str):
    assert quick(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "8.8.8.8", "8.8.8.0/0", "8.8.8.0/33", "8.8.8.0/+24", "8.8.8.0/024", "8.8.8/24", "x/24", "10.0.0.0/8",
        "0.0.0.0/1", "::ffff:8.8.8.8/128", "2002::/16", "2001::/32", "2001::/31", "2002::/15", "64:ff9b::/96", "::/0",
        "fc00::/7", "fe80::1%eth0/128",
    ],
)  # fmt: skip
def test_a_network_that_needs_thought_is_not_read_quickly(text: str):
    assert quick(text) is None


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("192.0.0.0/16", "192.0.0.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("2001:db8::/32", "2001:db8::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/24"),
    ],
)
def test_hashes_see_the_24_or_48_of_a_client(text: str, network: str):
    assert parse(text).network == network


def test_a_client_made_by_hand_has_no_floor_but_1():
    assert Client(32, 0, 0).scope(0) == 1


# ---------------------------------------------------------------- private networks that something names

CORPORATE = {(32, 0x0A010000, 16): "office", (128, 0xFD00 << 112, 48): "plant"}


def corporate(client: Client) -> list[tuple[str, int]]:
    """Cells of a table that names 10.1.0.0/16 and fd00::/48, and of one that has neither."""
    for (bits, start, length), name in CORPORATE.items():
        if client.bits == bits and client.address >> (bits - length) == start >> (bits - length):
            return [(name, length), ("", 1)]
    return [("", 16 if client.bits == 32 else 48), ("", 1)]


@pytest.mark.parametrize(
    ("subnet", "looked_up", "scope"),
    [
        ("10.1.2.0/24", "10.1.2.0/24", 16),
        ("10.2.2.0/24", RESOLVER + "/32", 16),
        ("fd00::/56", "fd00::/56", 48),
        ("fd01::/56", RESOLVER + "/32", 48),
        ("::ffff:10.1.2.0/120", "10.1.2.0/24", 112),
        ("::ffff:10.2.2.0/120", RESOLVER + "/32", 112),
    ],
)
def test_a_private_network_counts_where_something_published_names_it(subnet: str, looked_up: str, scope: int):
    client = from_question(RESOLVER, subnet, corporate)
    assert client is not None
    assert (str(client), client.scope(4)) == (looked_up, scope)


def test_public_networks_are_not_looked_up_to_know_whose_they_are():
    def cells(_client: Client) -> list[tuple[str, int]]:
        raise AssertionError("asked")

    assert str(from_question(RESOLVER, "8.8.8.0/24", cells)) == "8.8.8.0/24"
    assert str(from_question(RESOLVER, "0.0.0.0/0", cells)) == RESOLVER + "/32"


def test_the_floor_by_a_first_octet_is_what_each_of_its_networks_has() -> None:
    private = [ipaddress.ip_network(text) for text in PRIVATE]
    floors = []
    for octet in range(256):
        around = [ipaddress.ip_network((octet << 24 >> 32 - size << 32 - size, size)) for size in range(1, 9)]
        free = [network for network in around if not any(map(network.overlaps, private))]
        holds_private = any(block.network_address.packed[0] == octet for block in private)
        floors.append(0 if holds_private else free[0].prefixlen)
    assert floors == FLOORS
