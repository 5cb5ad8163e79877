"""Sources that are compressed, or one file of an archive: every format reads them all, within a size."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geosteer.decision.client import prefix_text
from geosteer.errors import SourceError
from geosteer_loader.sources.archive import damaged, open_packed
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.report import Report
from support import mrt_writer as mrt
from support.mmdb_writer import Database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CSV = b"network,cc\n192.0.2.0/24,GB\n"


def tar(odd: dict[str, bytes] | None = None, /, **members: bytes) -> bytes:
    """A tar archive; `_` stands for a dot, `__` for a slash in names, but not in *odd* ones."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in _named(odd, members):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _named(odd: dict[str, bytes] | None, members: dict[str, bytes]) -> list[tuple[str, bytes]]:
    plain = {name.replace("__", "/").replace("_", "."): content for name, content in members.items()}
    return [*(odd or {}).items(), *plain.items()]


def zipped(odd: dict[str, bytes] | None = None, /, **members: bytes) -> bytes:
    """A zip archive, names as in `tar`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _named(odd, members):
            archive.writestr(name, content)
    return buffer.getvalue()


def database(folder: Path) -> bytes:
    made = Database().add("192.0.2.0/24", {"country": {"iso_code": "GB"}})
    return made.write(folder / "plain.mmdb").read_bytes()


def contents(folder: Path) -> dict[tuple[str, str], tuple[bytes, str]]:
    """Table and format -> a small file of it, and its one row."""
    return {
        ("geo", "mmdb"): (database(folder), "192.0.2.0/24 GB"),
        ("geo", "csv"): (CSV, "192.0.2.0/24 GB"),
        ("geo", "nerd"): (b"192.0.2.0/24 :127.0.3.58:gb\n", "192.0.2.0/24 GB"),
        ("bgp", "pyasn"): (b"8.0.0.0/9\t10\n", "8.0.0.0/9 AS10"),
        ("bgp", "prefix2as"): (b"8.0.0.0\t9\t10\n", "8.0.0.0/9 AS10"),
        ("bgp", "bgpdump"): (b"TABLE_DUMP2|1|B|9.9.9.9|701|8.0.0.0/9|701 10|IGP\n", "8.0.0.0/9 AS10"),
        ("bgp", "mrt"): (mrt.peers(1) + mrt.rib("8.0.0.0/9", [701, 10]), "8.0.0.0/9 AS10"),
    }


PACKED: dict[str, tuple[Callable[[bytes], bytes], str | None]] = {
    "gzip": (gzip.compress, None),
    "bzip2": (bz2.compress, None),
    "xz": (lzma.compress, None),
    "zip": (lambda data: zipped(x_data=data), None),
    "zip and member": (lambda data: zipped(README_txt=b"read me", x__x_data=data), "*.data"),
    "tar": (lambda data: tar(a_txt=b"read me", x__x_data=data), "*.data"),
    "zip.gz": (lambda data: gzip.compress(zipped(x_data=data)), None),
    "zip.xz and member": (lambda data: lzma.compress(zipped(a_txt=b"a", x__x_data=data)), "*.data"),
    "tar.gz": (lambda data: gzip.compress(tar(x__x_data=data)), "x/x.data"),
    "tar.bz2": (lambda data: bz2.compress(tar(x__x_data=data)), "x.data"),
    "tar.xz": (lambda data: lzma.compress(tar(x__x_data=data)), "?.data"),
    "gz in tar": (lambda data: tar(x_data_gz=gzip.compress(data)), "*.gz"),
    "xz in zip": (lambda data: zipped(x_data_xz=lzma.compress(data)), "*.xz"),
    "gz of two parts": (lambda data: gzip.compress(data[:10]) + gzip.compress(data[10:]), None),
    "what macOS adds": (lambda data: tar({"x/._x.data": b"Mac OS X"}, x__x_data=data), "*.data"),
    "what macOS adds to zip": (lambda data: zipped({"__MACOSX/._x.data": b"Mac OS X"}, x_data=data), None),
}


@pytest.mark.parametrize("packing", PACKED)
def test_every_format_is_read_however_it_is_packed(tmp_path: Path, packing: str):
    pack, member = PACKED[packing]
    for (table, form), (data, row) in contents(tmp_path).items():
        path = tmp_path / f"x.{form}"
        path.write_bytes(pack(data))
        rows = [
            f"{prefix_text(*row[:3])} {row[3]}"
            for row in open_source(table, form, path, member).rows(Report())
        ]
        assert rows == [row], form


UNREADABLE = "which cannot be read: decompress it, or take gzip, bzip2, xz or zip"
REFUSED = {
    "no member": (tar(x_csv=CSV), None, 'is a tar archive: say with `member` which file in it, for example "*.mmdb"'),
    "no such member": (zipped(a_txt=b"a", b_txt=b"b"), "*.csv", "has no member *.csv; it has a.txt, b.txt"),
    "several": (zipped(a_txt=b"a", b_txt=b"b"), None, "is a zip archive: say with `member` which file in it: a.txt, b.txt"),
    "empty archive": (zipped(), "*.csv", "has no member *.csv; it has no files"),
    "not an archive": (CSV, "*.csv", "is not an archive: it has no member *.csv"),
    "compressed, no archive": (gzip.compress(CSV), "*.csv", "is not an archive: it has no member *.csv"),
    "archive in an archive": (tar(x_tar=tar(x_csv=CSV)), "*.tar", "the member *.tar is an archive itself (tar)"),
    "bomb of a zip in gzip": (
        gzip.compress(b"PK\x03\x04" + bytes(200_000)), None, "holds more than max_size, 100000 bytes",
    ),
    "zip in gzip cut off": (gzip.compress(zipped(x_csv=CSV)[:-9]), None, "damaged: File is not a zip file"),
    "cut off": (gzip.compress(CSV * 100)[:-9], None, "the compressed data ends in the middle"),
    "zip cut off": (zipped(x_csv=CSV)[:-9], None, "damaged: File is not a zip file"),
    "bomb": (gzip.compress(bytes(200_000)), None, "holds more than max_size, 100000 bytes"),
    "bomb in zip": (zipped(x_csv=bytes(200_000)), None, "holds more than max_size, 100000 bytes"),
    "bomb before the member": (
        gzip.compress(tar(a_bin=bytes(200_000), x_csv=CSV)), "*.csv", "holds more than max_size, 100000 bytes",
    ),
    "quine": (functools.reduce(lambda data, _: gzip.compress(data), range(5), CSV), None, "is compressed more than 4 times"),
    **{
        name: (magic + bytes(600), None, f"is compressed ({name}), {UNREADABLE}")
        for name, magic in {
            "zstd": b"\x28\xb5\x2f\xfd", "7z": b"7z\xbc\xaf\x27\x1c", "rar": b"Rar!\x1a\x07", "lz4": b"\x04\x22\x4d\x18",
            "compress": b"\x1f\x9d\x90", "lzip": b"LZIP\x01",
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("form", ["csv", "mmdb"])
def test_what_cannot_be_unpacked_is_refused_with_the_reason(tmp_path: Path, form: str, case: str):
    data, member, reason = REFUSED[case]
    path = tmp_path / "packed"
    path.write_bytes(data)
    with pytest.raises(SourceError) as refusal:
        list(open_source("geo", form, path, member, 100_000).rows(Report()))
    assert str(refusal.value) in {f"{path}: reading: {reason}", f"{path}: decompressing: {reason}"}


def test_an_encrypted_member_is_refused(tmp_path: Path):
    data = bytearray(zipped(x_csv=CSV))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"the member x.csv is encrypted$"):
        list(open_source("geo", "csv", path).rows(Report()))


def test_a_dump_that_begins_as_bzip2_does_is_a_dump(tmp_path: Path):
    """Its first four bytes are its time: `BZh1` is 11 April 2005."""
    path = tmp_path / "rib"
    data = mrt.peers(1) + mrt.rib("8.0.0.0/9", [701, 10])
    path.write_bytes(b"BZh1" + data[4:])
    assert len(list(open_source("bgp", "mrt", path).rows(Report()))) == 1


def test_the_decompressed_database_is_gone_with_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    path = tmp_path / "x.mmdb.gz"
    path.write_bytes(gzip.compress(database(tmp_path)))
    source = open_source("geo", "mmdb", path)
    assert len(list(source.rows(Report()))) == 1
    assert len(list((tmp_path / "temporary").iterdir())) == 1
    del source
    assert list((tmp_path / "temporary").iterdir()) == []


# Packed once: gzip and zip write the time of packing, which what is drawn must not depend on.
packings = st.sampled_from([pack(CSV * 20) for pack, _ in PACKED.values()])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damage_anywhere_is_read_or_refused_with_a_reason_and_nothing_else(drawn):
    data = bytearray(drawn.draw(packings))
    for place, byte in drawn.draw(
        st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=4)
    ):
        data[place] = byte
    data = data[: drawn.draw(st.integers(0, len(data)))]
    member = drawn.draw(st.sampled_from((None, "*.data", "*")))
    try:
        with damaged():
            layer = open_packed(io.BytesIO(bytes(data)), member, 1 << 20)
            while layer.read1(1 << 16):
                pass
    except ValueError as exc:
        assert str(exc)  # noqa: PT017
