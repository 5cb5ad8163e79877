"""Lists of prefixes as others publish them: bogons, DROP, ranges, JSON lines, in any encoding."""

from __future__ import annotations

from pathlib import Path

import pytest

from geosteer.errors import ConfigError
from support.config_file import GOOD, load

CYMRU = "# last updated 1700000000 (Tue Nov 14 22:13:20 2023 GMT)\n0.0.0.0/8\n10.0.0.0/8\n"
DROP = "; Spamhaus DROP List 2024/01/01\n; Expires\n0.0.0.0/8 ; SBL1\n10.0.0.0/8;SBL2\n"
OBJECTS = (
    '{"cidr":"0.0.0.0/8","sblid":"SBL1","rir":"apnic"}\n{"cidr":"10.0.0.0/8","sblid":"SBL#;2"}\n'
    '{"type":"metadata","timestamp":1700000000,"size":2}\n'
)
RANGES = "0.0.0.0-0.255.255.255\n10.0.0.0 - 10.255.255.255 # private\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize(
    "content", [CYMRU, DROP, OBJECTS, RANGES], ids=["bogons", "DROP", "JSON lines", "ranges"]
)
def test_lists_of_others_are_networks(content: str, encoding: str) -> None:
    Path("list").write_bytes(content.encode(encoding))
    loaded = load(GOOD + '[networks.listed]\nfile = "list"\n')
    assert loaded.networks["listed"] == ((32, 0, 8), (32, 10 << 24, 8))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("10.0.0.9-10.0.0.1", "not a range of addresses: '10.0.0.9-10.0.0.1'"),
        ("10.0.0.9-2001:db8::", "not a range of addresses: '10.0.0.9-2001:db8::'"),
        ("10.0.0.9-x", "not an address: 'x'"),
        ('{"cidr":', "not a JSON object: '{\"cidr\":'"),
        ('{"asn": 10}', "no network in '{\"asn\": 10}'"),
        ('{"cidr": 10}', "no network in '{\"cidr\": 10}'"),
        ('{"cidr": "10.0.0.1/8"}', "10.0.0.1/8 has host bits set; the network is 10.0.0.0/8"),
    ],
)
def test_a_malformed_line_of_a_list_is_named(line: str, reason: str) -> None:
    Path("list").write_text(f"# one\n{line}\n")
    with pytest.raises(ConfigError) as refused:
        load(GOOD + '[networks.listed]\nfile = "list"\n')
    assert any(problem.endswith(f"line 2: {reason}") for problem in refused.value.problems)


@pytest.mark.parametrize("content", ["", "# nothing\n; at all\n", '{"type":"metadata","records":0}\n'])
def test_a_list_without_prefixes_is_warned_of(content: str) -> None:
    Path("list").write_text(content)
    warnings = load(GOOD + '[networks.listed]\nfile = "list"\n').warnings
    assert any(told.endswith("networks.listed.file: list contains no prefix") for told in warnings), warnings
