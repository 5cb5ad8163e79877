"""Lines as ExaBGP 4 and 5 write them, made by hand from what the programs were seen to write."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Path = Sequence[int | set[int]]


class Exabgp:
    """Writes the lines of one ExaBGP, of which every peer's are counted."""

    def __init__(self, version: int = 5) -> None:
        self._version = version
        self._counters: dict[str, count[int]] = {}

    def up(self, peer: str, asn: int = 65001) -> bytes:
        return self._line("state", peer, asn, {"state": "up"})

    def connected(self, peer: str, asn: int = 65001) -> bytes:
        return self._line("state", peer, asn, {"state": "connected"})

    def down(self, peer: str, asn: int = 65001) -> bytes:
        return self._line("state", peer, asn, {"state": "down", "reason": "closing connection"})

    def eor(self, peer: str, family: str = "ipv4", asn: int = 65001) -> bytes:
        return self._line("update", peer, asn, {"message": {"eor": {"afi": family, "safi": "unicast"}}})

    def announce(
        self, peer: str, path: Path, *prefixes: str, ids: Sequence[int] = (), asn: int = 65001
    ) -> bytes:
        families: dict[str, Any] = {}
        for family, nlri in self._nlri(prefixes, ids).items():
            families[family] = {"10.99.0.4": nlri}
        update = {"attribute": {"origin": "igp", **self._path(path)}, "announce": families}
        return self._line("update", peer, asn, {"message": {"update": update}})

    def withdraw(self, peer: str, *prefixes: str, ids: Sequence[int] = (), asn: int = 65001) -> bytes:
        update = {"withdraw": self._nlri(prefixes, ids)}
        return self._line("update", peer, asn, {"message": {"update": update}})

    @staticmethod
    def _nlri(prefixes: Sequence[str], ids: Sequence[int]) -> dict[str, list[dict[str, str]]]:
        families: dict[str, list[dict[str, str]]] = {}
        for place, prefix in enumerate(prefixes):
            entry = {"nlri": prefix}
            if ids:
                entry["path-information"] = f"0.0.{ids[place] >> 8}.{ids[place] & 255}"
            families.setdefault("ipv6 unicast" if ":" in prefix else "ipv4 unicast", []).append(entry)
        return families

    def _path(self, path: Path) -> dict[str, Any]:
        if self._version == 4:
            ases = [step for step in path if isinstance(step, int)]
            members = [sorted(step) for step in path if isinstance(step, set)]
            told: dict[str, Any] = {"as-path": ases, "confederation-path": []}
            return {**told, "as-set": members[0]} if members else told
        parts: list[tuple[str, list[int]]] = []
        for step in path:
            if isinstance(step, set):
                parts.append(("as-set", sorted(step)))
            elif parts and parts[-1][0] == "as-sequence":
                parts[-1][1].append(step)
            else:
                parts.append(("as-sequence", [step]))
        return {
            "as-path": {
                str(place): {"element": element, "value": value}
                for place, (element, value) in enumerate(parts)
            }
        }

    def _line(self, kind: str, peer: str, asn: int, content: Mapping[str, Any]) -> bytes:
        counter = next(self._counters.setdefault(peer, count(1)))
        neighbor = {
            "address": {"local": "10.99.0.5", "peer": peer},
            "asn": {"local": 65005, "peer": asn},
            **content,
        }
        document = {
            "exabgp": "5.0.0" if self._version == 5 else "4.0.1",
            "time": 1795859104.2,
            "host": "vm",
            "pid": 1,
            "ppid": 1,
            "counter": counter,
            "type": kind,
            "neighbor": neighbor,
        }
        return json.dumps(document).encode()
