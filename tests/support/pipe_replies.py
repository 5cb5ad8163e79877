"""What every reply of a pipe worker has to be, whatever it was asked."""

from __future__ import annotations


def check_reply(reply: bytes) -> None:
    """A reply is whole lines, the last one of which ends it, and every record has its fields."""
    *records, last, rest = reply.split(b"\n")
    assert rest == b""
    assert last in {b"END", b"FAIL"}
    for record in records:
        fields = record.split(b"\t")
        if fields == [b"FAIL"]:
            continue  # FAIL, END: to a question for SOA
        assert fields[0] == b"DATA", reply
        assert len(fields) >= 9, reply
        assert fields[1].isdigit()
        assert int(fields[1]) <= 128
        assert fields[2] in {b"0", b"1"}
        assert fields[6].isdigit()
        assert int(fields[6]) < 1 << 32
        assert all(32 <= byte < 127 for field in fields for byte in field), reply
