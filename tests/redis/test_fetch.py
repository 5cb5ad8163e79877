"""Sources that are URLs, from a real HTTPS server that misbehaves: whatever comes, a good copy is never lost."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import logging
import tarfile
import time
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import ConfigError, SourceError
from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load, source_problems
from geosteer_loader.fetch import Copies, FetchFailed, checksum
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.store import connect
from support.data import shared
from support.https_server import HttpsServer, folder_of
from support.publishing import contents, current_of, objects_in, write_config
from support.source_formats import pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.certificates import Certificates
    from support.servers import RedisServer

DATA = b"10.0.0.0/8,GB\n" + b"# filler\n" * 2000
NEWER = b"10.0.0.0/8,NL\n" + b"# filler\n" * 2001


@pytest.fixture
def server(certificates: Certificates) -> Iterator[HttpsServer]:
    with HttpsServer(certificates) as running:
        yield running


@pytest.mark.parametrize("strict", [False, True])
def test_an_authority_without_key_usage_is_trusted_unless_the_source_is_strict(
    tmp_path: Path, certificates: Certificates, strict: bool
) -> None:
    with HttpsServer(certificates, "homemade") as homemade:
        homemade.put("/geo.csv", DATA)
        source = Source(tmp_path, f"{homemade.url}/geo.csv", certificates)
        source.settings = {"ca": str(certificates["plain"]), "tls_strict": strict}
        if strict:
            with pytest.raises(FetchFailed, match="key usage"):
                source.fetch()
        else:
            source.fetch()
            assert source.copy == DATA


class Source:
    """One configured URL and its copy."""

    def __init__(self, folder: Path, url: str, certificates: Certificates) -> None:
        self.folder = folder
        self.url = url
        self.settings: dict[str, Any] = {"ca": str(certificates["ca"])}
        self.environ: dict[str, str] = {}
        self.form = "csv"

    def config(self, redis: str = "unix:///nowhere", **options: Any) -> Any:
        lines = [f"{key} = {json.dumps(value)}" for key, value in self.settings.items() if key != "headers"]
        headers = ", ".join(
            f"{key} = {json.dumps(one)}" for key, one in self.settings.get("headers", {}).items()
        )
        path = write_config(self.folder, redis, **options)
        entry = f'[sources]\ncache = "copies"\n[[sources.geo]]\nformat = "{self.form}"\npath = "{self.url}"\n'
        entry += "\n".join(lines) + "\n" + (f"headers = {{ {headers} }}\n" if headers else "")
        path.write_text(path.read_text().replace("[nodes.lon1]", entry + "[nodes.lon1]", 1))
        return load(path, {})

    @property
    def path(self) -> Path:
        path: Path = self.config().sources["geo"][0].path
        return path

    @property
    def copy(self) -> bytes:
        return self.path.read_bytes()

    def fetch(self) -> Copies:
        copies = Copies(self.config().sources["geo"], self.environ)
        copies.refresh()
        return copies


@pytest.fixture
def source(tmp_path: Path, server: HttpsServer, certificates: Certificates) -> Source:
    server.put("/geo.csv", DATA)
    return Source(tmp_path, f"{server.url}/geo.csv", certificates)


def test_a_file_is_fetched_once_and_then_only_asked_about(source: Source, server: HttpsServer) -> None:
    source.fetch()
    assert source.copy == DATA
    assert source.path.stat().st_mtime == 1_770_000_000
    assert source.path.parent == source.folder / "copies"
    assert source.path.name.endswith("-geo.csv")
    source.fetch()
    first, second = server.requests("/geo.csv")
    assert "If-None-Match" not in first
    assert second["If-None-Match"] == server.files["/geo.csv"].etag
    assert folder_of(source.path.parent) == [source.path.name, f"{source.path.name}.json"]


def test_a_server_without_etags_is_asked_by_date(source: Source, server: HttpsServer) -> None:
    server.put("/geo.csv", DATA, etag=None)
    source.fetch()
    source.fetch()
    assert server.requests("/geo.csv")[1]["If-Modified-Since"] == server.files["/geo.csv"].modified


def test_a_server_that_names_no_version_is_asked_for_all_of_it(source: Source, server: HttpsServer) -> None:
    server.put("/geo.csv", DATA, etag=None, modified=None, length=False)
    source.fetch()
    server.put("/geo.csv", NEWER, etag=None, modified=None, length=False)
    source.fetch()
    assert source.copy == NEWER


def test_a_copy_that_somebody_changed_is_fetched_anew(source: Source) -> None:
    source.fetch()
    source.path.write_bytes(b"junk")
    source.fetch()
    assert source.copy == DATA


def test_a_download_that_was_cut_off_is_resumed_by_the_next_run(source: Source, server: HttpsServer) -> None:
    server.put("/geo.csv", DATA, cut=7000)
    with pytest.raises(FetchFailed, match="cut off") as caught:
        source.fetch()
    assert caught.value.exit_code == 1
    assert not source.path.exists()
    server.put("/geo.csv", DATA)
    server.seen.clear()
    source.fetch()
    (asked,) = server.requests("/geo.csv")
    assert asked["Range"] == "bytes=7000-"
    assert asked["If-Range"] == server.files["/geo.csv"].etag
    assert source.copy == DATA


def test_a_file_that_changed_since_it_was_cut_off_is_fetched_from_its_beginning(
    source: Source, server: HttpsServer
) -> None:
    server.put("/geo.csv", DATA, cut=7000)
    with pytest.raises(FetchFailed):
        source.fetch()
    server.put("/geo.csv", NEWER)
    source.fetch()
    assert source.copy == NEWER


def test_a_server_that_has_no_such_part_any_more_is_asked_for_all_of_it(
    source: Source, server: HttpsServer
) -> None:
    etag = server.put("/geo.csv", DATA, cut=7000).etag
    with pytest.raises(FetchFailed):
        source.fetch()
    server.put("/geo.csv", DATA[:5000], etag=etag)
    source.fetch()
    assert source.copy == DATA[:5000]


def test_a_server_that_resumes_wrongly_is_asked_for_all_of_it_by_the_next_run(
    source: Source, server: HttpsServer
) -> None:
    server.put("/geo.csv", DATA, cut=7000)
    with pytest.raises(FetchFailed):
        source.fetch()
    server.put("/geo.csv", DATA, wrong_range=True)
    with pytest.raises(FetchFailed, match="a different range"):
        source.fetch()
    source.fetch()
    assert source.copy == DATA


BAD = [
    ({"cut": 100}, "cut off after 100 of"),
    ({"cut": 0}, "cut off"),
    ({"status": 404}, "status 404 Not Found"),
    ({"status": 500}, "status 500 Internal Server Error"),
    ({"endless": True}, "more than max_size"),
    ({"content": bytes(200_000)}, "has 200000 bytes, more than max_size, 100000"),
    ({"content": b""}, "is empty"),
    ({"pause": 0.05}, "not finished within 1 s"),
    ({"stall": 3}, "not finished within 1 s"),
    ({"location": "http://127.0.0.1/geo.csv"}, "not https"),
    ({"location": "/geo.csv"}, "redirects more than 5 times"),
    ({"location": "https://[:"}, "redirects to an invalid URL"),
    ({"raw": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"}, "redirects to an invalid URL"),
    ({"raw": b"HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n"}, "status 416 to an unconditional request"),
    (
        {"raw": b"HTTP/1.1 206 Part\r\nContent-Length: 4\r\nContent-Range: bytes 0-3/9\r\n\r\n10.0"},
        "sends a different range",
    ),
    # Each byte comes in time, and the whole never would.
    ({"raw": b"HTTP/1.1 200 OK\r\nX: " + bytes(9000), "pause": 0.02}, "not finished within 1 s"),
    (
        {"raw": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 9000, "pause": 0.02},
        "not finished within 1 s",
    ),
]


@pytest.mark.parametrize(("ways", "message"), BAD, ids=[f"{n} {BAD[n][1]}" for n in range(len(BAD))])
def test_the_copy_stays_when_the_new_one_is_bad(
    source: Source, server: HttpsServer, caplog: pytest.LogCaptureFixture, ways: dict[str, Any], message: str
) -> None:
    source.settings |= {"timeout": 1, "max_size": 100_000}
    source.fetch()
    server.put("/geo.csv", **{"content": NEWER, **ways})
    began = time.monotonic()
    source.fetch()
    assert time.monotonic() - began < 60
    assert source.copy == DATA
    assert message in caplog.text
    assert "the copy of 2026-02-02T02:40:00Z is used" in caplog.text
    if "content" not in ways:
        server.put("/geo.csv", NEWER)
        source.fetch()
        assert source.copy == NEWER


def test_what_was_never_fetched_cannot_be_unchanged(source: Source, server: HttpsServer) -> None:
    server.put("/geo.csv", DATA, status=304)
    with pytest.raises(FetchFailed, match="status 304 to an unconditional request"):
        source.fetch()


def test_a_part_that_ends_before_the_file_does_is_no_whole_file(source: Source, server: HttpsServer) -> None:
    etag = server.put("/geo.csv", DATA, cut=7000).etag
    with pytest.raises(FetchFailed):
        source.fetch()
    head = f"HTTP/1.1 206 Part\r\nETag: {etag}\r\nContent-Length: 9\r\nConnection: close\r\n"
    head += f"Content-Range: bytes 7000-7008/{len(DATA)}\r\n\r\n"
    server.put("/geo.csv", DATA, raw=head.encode() + DATA[7000:7009])
    with pytest.raises(FetchFailed, match=f"cut off after 7009 of {len(DATA)} bytes"):
        source.fetch()
    server.put("/geo.csv", DATA)
    server.seen.clear()
    source.fetch()
    ((_, sent),) = server.seen
    assert sent["Range"] == "bytes=7009-"
    assert source.copy == DATA


def test_without_a_copy_a_failure_is_an_error_that_names_the_place(
    source: Source, server: HttpsServer
) -> None:
    server.put("/geo.csv", DATA, status=503)
    with pytest.raises(FetchFailed, match=rf"sources\.geo\[1\]: {server.url}/geo\.csv: status 503") as caught:
        source.fetch()
    assert caught.value.exit_code == 1


def test_a_server_that_is_away_or_not_who_it_should_be_is_told_in_words(
    source: Source, server: HttpsServer, certificates: Certificates
) -> None:
    with HttpsServer(certificates, "unknown") as stranger:
        stranger.put("/geo.csv", DATA)
        source.url = f"{stranger.url}/geo.csv"
        with pytest.raises(FetchFailed, match="TLS: "):
            source.fetch()
    with pytest.raises(FetchFailed, match="cannot connect"):
        source.fetch()
    source.url = "https://nowhere.invalid/geo.csv"
    with pytest.raises(FetchFailed, match=r"unknown host name|cannot connect"):
        source.fetch()


def digits(content: bytes, algorithm: str = "sha256") -> str:
    return hashlib.new(algorithm, content).hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        "{sha256}  geo.csv\n",
        "{sha256}\n",
        "0123456789abcdef0123456789abcdef *other.csv\n{sha256} *geo.csv\n",
        "MD5 (geo.csv) = {md5}\n",
        "SHA256 (a/geo.csv) = {sha256}\n",
        "{sha1}  geo_20260201.csv",
    ],
)
def test_checksum_files_are_read_as_mirrors_write_them(
    source: Source, server: HttpsServer, text: str
) -> None:
    told = {algorithm: digits(DATA, algorithm) for algorithm in ("md5", "sha1", "sha256")}
    server.put("/sum", text.format(**told).encode())
    source.settings["checksum"] = f"{server.url}/sum"
    source.fetch()
    assert source.copy == DATA


@pytest.mark.parametrize(
    "text", ["", "<html>", "0123456789abcdef0123456789abcdef  other.csv\n" * 2 + "ab" * 20 + "  b\n"]
)
def test_a_checksum_file_without_a_checksum_of_the_file_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"checksum"):
        checksum.parse(text, "geo.csv")


def test_a_wrong_checksum_keeps_the_copy_and_the_right_one_replaces_it(
    source: Source, server: HttpsServer, caplog: pytest.LogCaptureFixture
) -> None:
    source.settings["checksum"] = f"{server.url}/sum"
    server.put("/sum", digits(DATA).encode())
    source.fetch()
    server.seen.clear()
    source.fetch()
    assert server.requests("/geo.csv") == []  # the checksum says that nothing changed
    server.put("/geo.csv", NEWER)
    server.put("/sum", digits(b"something else").encode())
    source.fetch()
    assert source.copy == DATA
    assert f"has the checksum {digits(NEWER)}" in caplog.text
    server.put("/sum", b"", status=404)
    source.fetch()
    assert "its checksum https://" in caplog.text
    server.put("/sum", digits(NEWER).encode())
    source.fetch()
    assert source.copy == NEWER


def tar(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        folder = tarfile.TarInfo("GeoLite2_20260201")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in members.items():
            info = tarfile.TarInfo(f"GeoLite2_20260201/{name.replace('_', '.')}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_the_member_of_a_tar_archive_is_taken(source: Source, server: HttpsServer) -> None:
    source.settings["member"] = "*.csv"
    server.put("/geo.csv", tar(LICENSE_txt=b"text", geo_csv=DATA))
    source.fetch()
    assert source.copy == DATA


@pytest.mark.parametrize(
    ("content", "member", "message"),
    [
        (tar(a_txt=b"x", b_txt=b"y"), "*.csv", "has no member *.csv; it has GeoLite2_20260201/a.txt, GeoLite2_20260201/b.txt"),
        (tar(geo_csv=DATA), None, "is a tar archive: say with `member`"),
        (tar(geo_csv=DATA)[:-40], "*.csv", "the compressed data ends in the middle"),
        (b"\x1f\x8b" + bytes(100), "*.csv", "damaged"),
        (tar(geo_csv=bytes(200_000)), "*.csv", "holds more than max_size"),
        (gzip.compress(b"10.0.0.0/8,GB\n" * 20_000), None, "holds more than max_size"),
        (bz2.compress(DATA)[:-20], None, "ends in the middle"),
    ],
    ids=["no such member", "member not said", "truncated", "damaged", "a bomb", "a list that is one", "truncated list"],
)  # fmt: skip
def test_archives_that_cannot_be_used_are_bad_copies(
    source: Source, server: HttpsServer, content: bytes, member: str | None, message: str
) -> None:
    source.settings["max_size"] = 100_000
    if member:
        source.settings["member"] = member
    server.put("/geo.csv", content)
    with pytest.raises(FetchFailed) as caught:
        source.fetch()
    assert message in str(caught.value)
    assert folder_of(source.path.parent) == []


def test_an_archive_of_blocks_and_locations_is_kept_whole_and_recognised(
    source: Source, server: HttpsServer
) -> None:
    archive = pair()
    server.put("/geo.csv", archive)
    source.form = "auto"
    source.fetch()
    assert source.copy == archive
    (configured,) = [each for each in source.config().sources["geo"] if each.remote]
    taken = configured.recognised("geo")
    assert taken is not None
    assert taken.format == "geolite2"
    server.put("/geo.csv", archive[:-30])
    source.fetch()
    assert source.copy == archive


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, bytes], ids=["gzip", "bzip2", "plain"])
def test_a_compressed_database_is_unpacked_for_its_reader(
    source: Source, server: HttpsServer, pack: Any
) -> None:
    database = shared("maxmind/test-data/GeoIP2-Country-Test.mmdb").read_bytes()
    server.put("/geo.csv", pack(database))
    source.form = "mmdb"
    source.fetch()
    assert source.copy == database


def test_a_compressed_database_within_an_archive_is_unpacked_too(source: Source, server: HttpsServer) -> None:
    database = shared("maxmind/test-data/GeoIP2-Country-Test.mmdb").read_bytes()
    server.put("/geo.csv", tar(geo_mmdb_gz=gzip.compress(database)))
    source.form = "mmdb"
    source.settings["member"] = "*.mmdb.gz"
    source.fetch()
    assert source.copy == database


def test_a_compressed_list_stays_as_it_is(source: Source, server: HttpsServer) -> None:
    packed = gzip.compress(DATA)
    server.put("/geo.csv", packed)
    source.fetch()
    assert source.copy == packed


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nno colon here\r\n : x\r\n\r\n" + DATA,
        b"HTTP/1.1 403 your key is s3cret/key\r\nContent-Length: 0\r\n\r\n",
        b"s3cret/key\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://h/?k=s3cret%2Fkey\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["odd headers", "reason", "no status", "redirect"],
)
def test_whatever_a_server_says_of_a_secret_is_not_told(
    source: Source, server: HttpsServer, caplog: pytest.LogCaptureFixture, raw: bytes
) -> None:
    caplog.set_level(logging.DEBUG)
    path = "/geo.csv?license_key=s3cret%2Fkey"
    server.put(path, DATA)
    source.url = f"{server.url}/geo.csv?license_key=${{KEY}}"
    source.environ = {"KEY": "s3cret/key"}
    source.fetch()
    server.put(path, DATA, raw=raw)
    source.fetch()
    assert len(server.seen) == 2
    assert "s3cret" not in caplog.text


def test_secrets_come_from_the_environment_and_are_told_to_nobody(
    source: Source, server: HttpsServer, caplog: pytest.LogCaptureFixture, own_redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    secrets = {"KEY": "s3cret/key", "PASSWORD": "pass:word", "TOKEN": "t0ken-t0ken"}
    server.put("/geo.csv?license_key=s3cret%2Fkey", DATA)
    source.url = f"{server.url}/geo.csv?license_key=${{KEY}}"
    source.settings |= {
        "username": "me", "password": "${PASSWORD}", "headers": {"X-Api-Key": "${TOKEN}", "X-Plain": "yes"},
    }  # fmt: skip
    source.environ = secrets
    source.fetch()
    ((_, sent),) = server.seen
    assert sent["Authorization"] == "Basic bWU6cGFzczp3b3Jk"
    assert sent["X-Api-Key"] == "t0ken-t0ken"
    assert sent["X-Plain"] == "yes"
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    config = source.config(own_redis.url)
    with connect(config.redis) as store:
        publish(config, store)
    server.put("/geo.csv?license_key=s3cret%2Fkey", DATA, status=403)
    with connect(config.redis) as store:
        publish(config, store)
    assert "status 403" in caplog.text
    client = own_redis.client()
    told = caplog.text + repr(config) + str(current_of(client))
    told += "".join(str(client.hget("{geosteer}:object", name)) for name in objects_in(client))
    told += "".join(path.name + path.read_text() for path in source.path.parent.iterdir())
    for secret in ("s3cret", "pass:word", "t0ken-t0ken", "bWU6cGFzczp3b3Jk"):
        assert secret not in told


def test_a_secret_that_is_not_set_is_named(source: Source) -> None:
    source.settings |= {"username": "me", "password": "${NOT_SET_HERE}"}
    with pytest.raises(FetchFailed, match="environment variable NOT_SET_HERE is not set"):
        source.fetch()
    assert any("NOT_SET_HERE is not set" in line for line in source_problems(source.config())[0])


def test_credentials_go_to_the_host_that_is_configured_and_to_no_other(
    source: Source, server: HttpsServer
) -> None:
    source.settings |= {"username": "me", "password": "${P}", "headers": {"X-Api-Key": "${P}"}}
    source.environ = {"P": "secret"}
    server.put("/geo.csv", b"", location=f"{server.elsewhere}/there")
    server.put("/there", DATA)
    source.fetch()
    assert source.copy == DATA
    (home,), (there,) = server.requests("/geo.csv"), server.requests("/there")
    assert {"Authorization", "X-Api-Key"} <= home.keys()
    assert not {"Authorization", "X-Api-Key"} & there.keys()


def test_a_checksum_from_another_host_is_asked_for_without_credentials(
    source: Source, server: HttpsServer
) -> None:
    source.settings |= {
        "username": "me", "password": "${P}", "headers": {"X-Api-Key": "${P}"}, "checksum": f"{server.elsewhere}/sum",
    }  # fmt: skip
    source.environ = {"P": "secret"}
    server.put("/sum", digits(DATA).encode())
    source.fetch()
    (asked,) = server.requests("/sum")
    assert not {"Authorization", "X-Api-Key"} & asked.keys()
    source.settings["checksum"] = f"{server.url}/sum"
    source.fetch()
    (asked,) = server.requests("/sum")
    assert {"Authorization", "X-Api-Key"} <= asked.keys()


def test_two_runs_do_not_fetch_at_once(
    source: Source, server: HttpsServer, caplog: pytest.LogCaptureFixture
) -> None:
    import fcntl

    source.fetch()
    server.put("/geo.csv", NEWER)
    with source.path.with_name(source.path.name + ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        source.fetch()
    assert source.copy == DATA
    assert "another run is fetching it" in caplog.text


def test_a_publish_uses_the_copy_before_when_the_new_one_makes_no_table(
    source: Source, server: HttpsServer, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = own_redis.client()

    def run(**options: Any) -> list[str]:
        config = source.config(own_redis.url, **options)
        with connect(config.redis) as store:
            return publish(config, store).changed

    assert run() == ["geo", "config"]
    server.put("/geo.csv", b"<html><body>maintenance</body></html>\n")
    assert run(weight=50) == ["config"]
    assert "geo.csv: line 1: " in caplog.text
    assert "the previous copy is used" in caplog.text
    assert source.copy == DATA
    caplog.clear()
    server.seen.clear()
    assert run(weight=50) == []
    assert "still the version from which no table could be built" in caplog.text
    assert str(server.files["/geo.csv"].etag) in server.requests("/geo.csv")[0]["If-None-Match"]
    server.put("/geo.csv", DATA + b"11.0.0.0/8,NL\n")
    assert run(weight=50) == ["geo"]
    assert contents(client, current_of(client))["geo.v4"][0x0B000000] == "NL"
    assert folder_of(source.path.parent) == [source.path.name, f"{source.path.name}.json"]


def test_a_first_copy_that_makes_no_table_is_an_error(
    source: Source, server: HttpsServer, own_redis: RedisServer
) -> None:
    server.put("/geo.csv", b"<html>\n")
    config = source.config(own_redis.url)
    with connect(config.redis) as store, pytest.raises(SourceError, match="line 1"):
        publish(config, store)
    assert current_of(own_redis.client()) == {}


def test_an_unchanged_url_publishes_nothing_and_its_copy_is_not_read(
    source: Source, server: HttpsServer, own_redis: RedisServer
) -> None:
    config = source.config(own_redis.url)
    with connect(config.redis) as store:
        publish(config, store)
        assert publish(config, store).changed == []
    assert current_of(own_redis.client())["geo.built"] == "2026-02-02T02:40:00Z"


@pytest.mark.parametrize(
    ("url", "settings", "place", "message"),
    [
        ("http://h/x.csv", {}, "path", "must be a file or an https:// URL"),
        ("https://me:pw@h/x.csv", {}, "path", "must not have credentials"),
        ("https://h/x?license_key=abc", {}, "path", "literal secret"),
        ("https://${H}/x", {}, "path", "must not have credentials"),
        ("https://h/x.csv", {"password": "abc", "username": "me"}, "password", "literal secret"),
        ("https://h/x.csv", {"password": "${P}"}, "password", "needs a username"),
        ("https://h/x.csv", {"headers": {"Authorization": "Bearer abc"}}, "headers.Authorization", "literal secret"),
        ("https://h/x.csv", {"headers": {"a b": "c"}}, 'headers."a b"', "not a valid header name"),
        ("https://h/x.csv", {"max_size": "2T"}, "max_size", "must be a number of bytes"),
        ("https://h/x.csv", {"timeout": 0}, "timeout", "must be a duration"),
        ("https://h/x.csv", {"checksum": "x.sha256"}, "checksum", "https:// URL"),
        ("x.csv", {"checksum": "https://h/x"}, "checksum", "applies only to a path that is an https:// URL"),
        ("x.csv", {"retries": 3}, "retries", "unknown setting"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_problems(
    tmp_path: Path, certificates: Certificates, url: str, settings: dict[str, Any], place: str, message: str
) -> None:
    source = Source(tmp_path, url, certificates)
    source.settings = {
        key: value for key, value in settings.items() if key != "headers" or "a b" not in value
    }  # fmt: skip
    if "a b" in settings.get("headers", {}):
        source.settings = {"headers": {'"a b"': "c"}}
    with pytest.raises(ConfigError) as caught:
        source.config()
    assert len(caught.value.problems) == 1
    assert f"sources.geo[1].{place}: " in caught.value.problems[0]
    assert message in caught.value.problems[0]


def test_the_command_fails_with_1_and_without_a_traceback(
    source: Source, server: HttpsServer, own_redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.put("/geo.csv", DATA, cut=10)
    config = source.config(own_redis.url)
    assert main(["plan", "--config", str(config.path)]) == 1
    err = capsys.readouterr().err
    assert "cut off after 10 of" in err
    assert "Traceback" not in err
