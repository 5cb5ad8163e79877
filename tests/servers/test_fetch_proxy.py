"""Sources behind a proxy: a real Squid that wants a user and password, and what is told where it does not work."""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.config.environment import Expander
from geosteer_loader.fetch.download import Client, Request
from geosteer_loader.fetch.errors import FetchFailed
from geosteer_loader.fetch.proxies import proxy_for
from support.certificates import Certificates
from support.front_servers import Server
from support.https_server import HttpsServer
from support.servers import free_port, need

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = b"10.0.0.0/8,GB\n"
PASSWORD = "p@ss:word/ä"
ENCODED = "p%40ss%3Aword%2F%C3%A4"
HELPER = Path("/usr/lib/squid/basic_ncsa_auth")


def start_proxy() -> tuple[Server, int]:
    """A forward proxy on loopback that user `me` may use."""
    program, port = need("squid"), free_port()
    if not HELPER.exists():
        pytest.skip(f"{HELPER} not found")
    folder = Path(tempfile.mkdtemp(prefix="gs-proxy-"))
    folder.chmod(0o755)
    digest = subprocess.run(
        [need("openssl"), "passwd", "-apr1", "-stdin"],
        input=PASSWORD.encode(),
        capture_output=True,
        check=True,
    ).stdout.decode()
    (folder / "users").write_text(f"me:{digest}")
    (folder / "squid.conf").write_text(f"""
http_port 127.0.0.1:{port}
auth_param basic program {HELPER} {folder}/users
auth_param basic children 1
acl known proxy_auth REQUIRED
acl forbidden dstdomain forbidden.example.net
http_access deny forbidden
http_access allow known
http_access deny all
pid_filename none
access_log stdio:{folder}/access.log
cache_log {folder}/cache.log
coredump_dir {folder}
cache_store_log none
shutdown_lifetime 0 seconds
visible_hostname proxy.test
pinger_enable off
""")
    nobody = ["unshare", "--user", "--map-user=65534", "--map-group=65534"] if os.geteuid() == 0 else []
    server = Server([*nobody, program, "-N", "-f", str(folder / "squid.conf")], folder=folder)
    return server.ready(port), port


@pytest.fixture(scope="module")
def proxy() -> Iterator[tuple[Server, int]]:
    server, port = start_proxy()
    with server:
        yield server, port


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.authority()
    made.sign("server")
    return made


@pytest.fixture
def site(certificates: Certificates) -> Iterator[HttpsServer]:
    with HttpsServer(certificates) as server:
        server.put("/geo.csv", DATA)
        yield server


def get(url: str, ca: Path, environ: dict[str, str]) -> bytes:
    target = io.BytesIO()
    Client(Expander({}), 10, environ).get(Request(url=url, ca=ca), {}, target, 0, 1 << 20)
    return target.getvalue()


WAYS = {
    "https_proxy": ("https_proxy", "http://me:{password}@127.0.0.1:{port}"),
    "capitals": ("HTTPS_PROXY", "http://me:{password}@127.0.0.1:{port}/"),
    "no scheme": ("https_proxy", "me:{password}@127.0.0.1:{port}"),
    "ALL_PROXY": ("ALL_PROXY", "http://me:{password}@localhost:{port}"),
    "all_proxy": ("all_proxy", "me:{password}@localhost:{port}"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_source_is_fetched_through_a_proxy_with_a_password(
    proxy: tuple[Server, int], site: HttpsServer, certificates: Certificates, way: str
) -> None:
    server, port = proxy
    log = server.folder / "access.log"
    before = log.read_text() if log.exists() else ""
    variable, value = WAYS[way]
    environ = {variable: value.format(password=ENCODED, port=port)}
    assert get(f"{site.url}/geo.csv", certificates["ca"], environ) == DATA
    ((_, headers),) = site.seen
    assert "Proxy-Authorization" not in headers
    site.seen.clear()
    (line,) = log.read_text().removeprefix(before).splitlines()
    assert "TCP_TUNNEL/200" in line
    assert " me " in line


def test_what_a_proxy_refuses_is_told_apart_and_tells_no_password(
    proxy: tuple[Server, int], site: HttpsServer, certificates: Certificates
) -> None:
    _, port = proxy
    dead = free_port()
    place = f"127.0.0.1:{port}"
    cases = {
        place: f"the proxy {place} requires a user and password (status 407)",
        f"me:s3cret@{place}": f"the proxy {place} refuses the user and password (status 407)",
        f"me:s3cret@127.0.0.1:{dead}": f"the proxy 127.0.0.1:{dead}: cannot connect: Connection refused",
        "me:s3cret@proxy.invalid": "the proxy proxy.invalid:1080: unknown host name",
        f"socks5://me:s3cret@{place}": "https_proxy: unsupported scheme socks5://; http:// and https:// are supported",
        "http://": "https_proxy is not a proxy such as http://proxy.example.net:3128",
        "http://proxy:port": "https_proxy is not a proxy such as http://proxy.example.net:3128",
    }
    for value, reason in cases.items():
        with pytest.raises(FetchFailed) as refusal:
            get(f"{site.url}/geo.csv", certificates["ca"], {"https_proxy": value})
        assert str(refusal.value) == reason
    with pytest.raises(FetchFailed) as refusal:
        get("https://forbidden.example.net/x", certificates["ca"], {"https_proxy": f"me:{ENCODED}@{place}"})
    assert str(refusal.value) == f"the proxy {place} refuses the connection (status 403)"
    assert site.seen == []


def test_a_host_that_no_proxy_names_is_asked_directly(site: HttpsServer, certificates: Certificates) -> None:
    dead = {"https_proxy": f"127.0.0.1:{free_port()}"}
    for excluded in ("127.0.0.0/8", "*", "10.0.0.0/8, 127.0.0.1", "127.0.0.1"):
        assert get(f"{site.url}/geo.csv", certificates["ca"], {**dead, "no_proxy": excluded}) == DATA
        assert get(f"{site.url}/geo.csv", certificates["ca"], {**dead, "NO_PROXY": excluded}) == DATA
    with pytest.raises(FetchFailed, match="cannot connect"):
        get(f"{site.url}/geo.csv", certificates["ca"], {**dead, "no_proxy": "10.0.0.0/8,example.net"})


@pytest.mark.parametrize(
    ("host", "environ", "url"),
    [
        ("a.example.net", {"https_proxy": "proxy"}, "http://proxy:1080"),
        ("a.example.net", {"https_proxy": "https://proxy"}, "https://proxy:443"),
        ("a.example.net", {"https_proxy": "http://[2001:db8::1]:3128"}, "http://[2001:db8::1]:3128"),
        ("a.example.net", {"https_proxy": "a:1", "HTTPS_PROXY": "b:1", "ALL_PROXY": "c:1"}, "http://a:1"),
        ("a.example.net", {"HTTPS_PROXY": "b:1", "ALL_PROXY": "c:1"}, "http://b:1"),
        ("a.example.net", {"https_proxy": "", "ALL_PROXY": "c:1"}, "http://c:1"),
        ("a.example.net", {"http_proxy": "a:1"}, None),
        ("a.example.net", {"https_proxy": "p:1", "no_proxy": "example.net"}, None),
        ("a.example.net", {"https_proxy": "p:1", "no_proxy": ".example.net"}, None),
        ("A.Example.NET.", {"https_proxy": "p:1", "no_proxy": "example.net"}, None),
        ("a.example.net", {"https_proxy": "p:1", "no_proxy": "b.net example.net"}, None),
        ("badexample.net", {"https_proxy": "p:1", "no_proxy": "example.net"}, "http://p:1"),
        ("example.net", {"https_proxy": "p:1", "no_proxy": "a.example.net"}, "http://p:1"),
        ("2001:db8::5", {"https_proxy": "p:1", "no_proxy": "2001:db8::/32"}, None),
        ("2001:db9::5", {"https_proxy": "p:1", "no_proxy": "2001:db8::/32"}, "http://p:1"),
        ("2001:db8::5", {"https_proxy": "p:1", "no_proxy": "[2001:db8::5]"}, None),
        ("192.0.2.1", {"https_proxy": "p:1", "no_proxy": "2.1"}, "http://p:1"),
    ],
    ids=str,
)
def test_the_proxy_is_the_one_that_curl_would_take(
    host: str, environ: dict[str, str], url: str | None
) -> None:
    proxy = proxy_for(host, environ)
    assert (proxy.url if proxy else None) == url
