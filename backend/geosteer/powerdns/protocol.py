"""The pipe backend's protocol: bytes in, lines out; what a line asks (PowerDNS, docs/backends/pipe.rst). No I/O."""

from __future__ import annotations

LONGEST = 1 << 20
"""Bytes of a line; the rest of a longer one is thrown away."""
FIELDS = {1: 6, 2: 7, 3: 8, 4: 8, 5: 8}
"""ABI version -> fields of a question, its tag included."""
_NOBODY = ("0.0.0.0", "::")  # an address that is asked from, not bound


class Lines:
    """Cuts a byte stream into lines; a line that is too long comes out as an empty one."""

    __slots__ = ("_overlong", "_pending")

    def __init__(self) -> None:
        self._pending = b""
        self._overlong = False

    @property
    def empty(self) -> bool:
        """Whether no part of a line is held back."""
        return not self._pending and not self._overlong

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are whole now, without their ends."""
        if not self._pending and not self._overlong and data.endswith(b"\n") and data.count(b"\n") == 1:
            return [data[:-1]]
        data = self._pending + data
        *lines, self._pending = data.split(b"\n")
        if self._overlong and lines:
            lines[0] = b""
            self._overlong = False
        if len(data) > LONGEST:
            lines = [line if len(line) <= LONGEST else b"" for line in lines]
            self._overlong = self._overlong or len(self._pending) > LONGEST
        if self._overlong:
            self._pending = b""
        return lines


class Question:
    """A `Q` line, its fields checked."""

    __slots__ = ("name", "qtype", "remote", "subnet", "zone_id")

    @property
    def hints(self) -> bool:
        """Whether HTTPS and SVCB records may have hints: clients' own questions come as ANY, or with a resolver's address.

        PowerDNS adds the HTTPS record of an alias's target to the answer, and asks for it as HTTPS on nobody's behalf:
        nobody's addresses would contradict the client's.
        """
        return self.qtype == b"ANY" or self.remote not in _NOBODY

    def __init__(self, fields: list[bytes], abi: int) -> None:
        """Raises: ValueError: not a question of that version of the protocol."""
        if len(fields) != FIELDS[abi]:
            raise ValueError(f"{len(fields)} fields, not {FIELDS[abi]}")
        fields[-1] = fields[-1].removesuffix(b"\r")  # typed by hand
        self.name = fields[1].lower()
        self.qtype = fields[3]
        self.zone_id = fields[4]
        self.remote = fields[5].decode("ascii")
        self.subnet = fields[7].decode("ascii") if abi >= 3 else None


def version(fields: list[bytes]) -> int:
    """The version that `HELO` asks for, as PowerDNS itself takes it: 0 is 1, more than 5 is 5.

    Raises: ValueError: no number.
    """
    number = fields[1].removesuffix(b"\r") if len(fields) == 2 else b""
    if not number.isdigit():
        raise ValueError("HELO without a version")
    return min(max(int(number[:4]), 1), 5)
