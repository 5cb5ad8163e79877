"""Tokens of candidate lists: nobody else makes one, none serves another network, and each serves once."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import ConfigError
from geosteer.redirect.beacons.tokens import LONGEST, BadToken, Grant, Tokens, Used, _mac, _text, read_keys

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = b"k" * 32, b"n" * 32
NOW = 1_790_000_000
GRANT = Grant(NOW + 600, "www.cdn.example.net", ("fra1", "ams1", "nyc1"), "00ff")
NETWORK = "192.0.2.0/24"
OTHERS: list[Any] = [
    [2, NOW + 1, "s", ["n"], "00"],
    [1],
    {},
    None,
    [1, "x", "s", ["n"], "00"],
    [1, NOW, 5, 5, 5],
]
"""Payloads that no token has."""


def reason(token: str, network: str = NETWORK, now: float = NOW, keys: tuple[bytes, ...] = (NEW,)) -> str:
    with pytest.raises(BadToken) as refused:
        Tokens(keys).check(token, network, now)
    return str(refused.value)


def test_a_token_grants_what_it_was_issued_for() -> None:
    assert Tokens([NEW]).check(Tokens([NEW]).issue(GRANT, NETWORK), NETWORK, NOW) == GRANT


def test_the_longest_names_fit() -> None:
    grant = Grant(NOW + 600, "s" * 253, ("n" * 63, "m" * 63, "o" * 63), "0" * 18)
    token = Tokens([NEW]).issue(grant, "2001:db8:ffff::/48")
    assert len(token) <= LONGEST
    assert Tokens([NEW]).check(token, "2001:db8:ffff::/48", NOW) == grant


def test_a_token_of_the_previous_key_is_good_and_new_ones_have_the_current_key() -> None:
    assert Tokens([NEW, OLD]).check(Tokens([OLD]).issue(GRANT, NETWORK), NETWORK, NOW) == GRANT
    assert Tokens([NEW]).check(Tokens([NEW, OLD]).issue(GRANT, NETWORK), NETWORK, NOW) == GRANT
    assert reason(Tokens([OLD]).issue(GRANT, NETWORK)) == "forged"


def test_it_is_good_until_it_expires_and_for_its_network_alone() -> None:
    token = Tokens([NEW]).issue(GRANT, NETWORK)
    assert Tokens([NEW]).check(token, NETWORK, GRANT.expires - 0.001) == GRANT
    assert reason(token, now=GRANT.expires) == "expired"
    assert reason(token, network="192.0.3.0/24") == "forged"
    assert NETWORK.partition("/")[0] not in base64.urlsafe_b64decode(token.partition(".")[0] + "==").decode()


def test_every_change_of_any_character_is_noticed() -> None:
    """But for bits that no byte has: there are several spellings of one token, and they are used together."""
    token = Tokens([NEW]).issue(GRANT, NETWORK)
    for at, letter in enumerate(token):
        for other in "Aa0-_.":
            changed = token[:at] + other + token[at + 1 :]
            if other == letter:
                continue
            try:
                assert Tokens([NEW]).check(changed, NETWORK, NOW) == GRANT
                assert at in {token.index(".") - 1, len(token) - 1}
            except BadToken:
                pass


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b", "ä.ö", "=.=", "W10.", "\0.\0", "A" * LONGEST + ".A", "e30.e30", " . ", "\ud800.A"]
)  # fmt: skip
def test_what_is_no_token_is_forged(token: str) -> None:
    assert reason(token) == "forged"


def test_a_payload_of_another_format_is_not_taken_though_the_key_is_right() -> None:
    for document in OTHERS:
        payload = json.dumps(document).encode()
        assert reason(f"{_text(payload)}.{_text(_mac(NEW, NETWORK, payload))}") == "forged"


def test_a_token_serves_once_and_what_is_remembered_is_bounded() -> None:
    used = Used(most=3)
    grants = [Grant(NOW + number, "s", ("n",), str(number)) for number in range(1, 6)]
    assert all(used.take(grant, NOW) for grant in grants[:3])
    assert not any(used.take(grant, NOW) for grant in grants[:3])
    assert used.take(grants[3], NOW)  # the oldest is forgotten for it
    assert not used.take(grants[1], NOW)
    assert used.take(grants[4], NOW + 3)
    assert len(used._expiry) == 2  # those that expired are gone


def test_keys_are_read_from_a_file_that_others_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("n" * 32 + "\n" + "k" * 40 + "\n")
    for mode in (0o600, 0o400, 0o640):
        path.chmod(mode)
        assert read_keys(str(path)) == (b"n" * 32, b"k" * 40)
    for mode in (0o644, 0o660, 0o604):
        path.chmod(mode)
        with pytest.raises(ConfigError, match="is open to others"):
            read_keys(str(path))


@pytest.mark.parametrize(
    "text", ["", "short", "n" * 31, f"{'n' * 32}\nshort", "\n".join(["n" * 32] * 3), "é" * 32]
)
def test_a_file_without_good_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="key_file"):
        read_keys(str(path))


def test_a_key_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in ("missing", "link", "."):
        with pytest.raises(ConfigError, match="key_file"):
            read_keys(str(tmp_path / name))
