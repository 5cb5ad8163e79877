"""Squid, nginx, Varnish, HAProxy and geosteer-http as processes of a test's own, on loopback, and origins behind them."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from support import watchdog
from support.data import ROOT
from support.servers import free_port, need, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

BRITISH, DUTCH, AMERICAN = "127.1.0.9", "127.2.0.9", "127.3.0.9"
"""Addresses that a test's client may connect from, and that lie in these countries."""

TABLES = {"geo": {"127.1.0.0/16": "GB", "127.2.0.0/16": "NL", "127.3.0.0/16": "US", "::1/128": "NL"}}

NODES = {"lon1": "127.11.0.1", "ams1": "127.11.0.2", "nyc1": "127.11.0.3"}
"""Where the origins listen."""


class Server:
    """A process in the foreground, with a folder and a log of its own."""

    def __init__(self, command: Sequence[str], *, folder: Path | None = None) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="gs-fe-"))
        with (self.folder / "stderr").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        watchdog.watch(self.process.pid, self.folder)

    @property
    def log(self) -> str:
        """All that it wrote to stdout and stderr."""
        return (self.folder / "stderr").read_text(errors="replace")

    def ready(self, port: int, seconds: float = 20) -> Self:
        """Wait until something listens on the port."""

        def listens() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.process.args!r} ended:\n{self.log[-3000:]}")
            with socket.socket() as probe:
                return not probe.connect_ex(("127.0.0.1", port))

        try:
            wait_until(listens, seconds, f"port {port}")
        except BaseException:
            self.close()
            raise
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        watchdog.release(self.process.pid)

    def close(self) -> None:
        """End the process, and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Reply:
    """A response as it came."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.fields = headers
        self.body = body

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        return ", ".join(self.all(name))

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


def ask(
    port: int, path: str = "/", *, host: str | None = "www.cdn.example.net", client: str = BRITISH, method: str = "GET",
    headers: Mapping[str, str] | None = None, to: str = "127.0.0.1", body: bytes | None = None, timeout: float = 10,
) -> Reply:  # fmt: skip
    """One request of a client; redirects are not followed."""
    source = ("::1" if ":" in to else client, 0)
    connection = http.client.HTTPConnection(to, port, timeout=timeout, source_address=source)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        if host is not None:
            connection.putheader("Host", host)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return Reply(response.status, response.getheaders(), response.read())


def raw(
    port: int, data: bytes, *, client: str = BRITISH, to: str = "127.0.0.1", timeout: float = 10
) -> bytes:
    """All that comes back for bytes sent as they are, until the other end closes or falls silent."""
    with socket.create_connection((to, port), timeout, ("::1" if ":" in to else client, 0)) as connection:
        connection.sendall(data)
        connection.settimeout(0.5)
        came = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while part := connection.recv(1 << 16):
                came += part
        return came


@contextlib.contextmanager
def origins() -> Iterator[int]:
    """One web server for each node, all on one port; each tells its name and what it was asked for. Gives the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            told = {
                "node": getattr(self.server, "node", ""),
                "path": self.path,
                "headers": dict(self.headers),
                "method": self.command,
            }
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815  # as http.server calls it

        def log_message(self, *_: object) -> None:
            pass

    port = free_port(list(NODES.values()))
    with contextlib.ExitStack() as stack:
        for node, address in NODES.items():
            server = stack.enter_context(http.server.ThreadingHTTPServer((address, port), Handler))
            server.node = node  # type: ignore[attr-defined]
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(server.shutdown)
        yield port


def start_http(config: Path, *options: str, port: int = 0) -> tuple[Server, int]:
    """geosteer-http on a free port of 127.0.0.1, or on that one."""
    port = port or free_port()
    command = [str(ROOT / "bin" / "geosteer-http"), "--config", str(config), "--listen", f"127.0.0.1:{port}"]
    return Server([*command, *options]).ready(port), port


def shipped(name: str, *changes: tuple[str, str | Callable[[re.Match[str]], str]]) -> str:
    """A file of conf/ with some of its text changed, each pattern at least once."""
    text = (ROOT / "conf" / name).read_text()
    for pattern, replacement in changes:
        text, times = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert times, f"conf/{name} has no {pattern}"
    return text


def start_squid(config: Path, origin: int, *options: str, channels: bool = True) -> tuple[Server, int]:
    """Squid with conf/squid.conf and the helper of this checkout; *options* go to the helper.

    Without *channels*: one request at a time for each helper, without an ID, and with Squid's own `url_rewrite_extras`.
    """
    program, port = need("squid"), free_port()
    folder = Path(tempfile.mkdtemp(prefix="gs-squid-"))
    folder.chmod(0o755)
    helper = " ".join([str(ROOT / "bin" / "geosteer-squid"), "--config", str(config), *options])
    text = shipped(
        "squid.conf",
        (r"^http_port 80 ", f"http_port 127.0.0.1:{port} "),
        (r"^url_rewrite_program .*", f"url_rewrite_program {helper}"),
        (r"^cache_peer 192\.0\.2\.1 parent 80 0 (.*)", rf"cache_peer 127.11.0.3 parent {origin} 0 \1"),
        (r"^cache_peer_access 192\.0\.2\.1", "cache_peer_access 127.11.0.3"),
        (r"^access_log .*", f"access_log stdio:{folder}/access.log steered"),
    )
    if not channels:
        text, times = re.subn(r"concurrency=100|^url_rewrite_extras .*", "", text, flags=re.MULTILINE)
        assert times == 2
    text += f"""
pid_filename none
cache_log {folder}/cache.log
coredump_dir {folder}
cache_store_log none
shutdown_lifetime 0 seconds
visible_hostname squid.test
pinger_enable off
"""
    (folder / "squid.conf").write_text(text)
    # Squid refuses to be root, and whom it would turn into could not read root's files: let root look like somebody else.
    nobody = ["unshare", "--user", "--map-user=65534", "--map-group=65534"] if os.geteuid() == 0 else []
    server = Server([*nobody, program, "-N", "-f", str(folder / "squid.conf")], folder=folder)
    return server.ready(port), port


def patient(text: str) -> str:
    """With times that are no reason for another answer on a busy machine, in place of the shipped half a second."""
    return re.sub(
        r"(timeout(?: =|) )0?[.\d]+m?s\b|(timeout (?:connect|server|queue) )\d+ms", r"\g<1>\g<2>10s", text
    )


def start_nginx(http_port: int, change: Callable[[str], str] = patient) -> tuple[Server, int, int]:
    """Nginx with conf/nginx.conf, changed, in front of geosteer-http; gives the ports that redirect and that fetch."""
    program, redirects, fetches = need("nginx"), free_port(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="gs-nginx-"))
    text = shipped(
        "nginx.conf",
        (r"server 127\.0\.0\.1:8302", f"server 127.0.0.1:{http_port}"),
        (r"listen 80;", f"listen 127.0.0.1:{redirects};"),
        (r"listen \[::\]:80;", f"listen [::1]:{redirects};"),
        (r"listen 8080;", f"listen 127.0.0.1:{fetches};"),
    )
    text = change(text)
    paths = [
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    ]
    (folder / "site.conf").write_text(text)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off; {' '.join(paths)} include {folder}/site.conf; }}\n"
    )
    server = Server([program, "-p", str(folder), "-c", str(folder / "nginx.conf")], folder=folder)
    return server.ready(redirects), redirects, fetches


def start_haproxy(
    http_port: int, line: str = "", change: Callable[[str], str] = patient
) -> tuple[Server, int]:
    """HAProxy with conf/haproxy.cfg, changed; *line*: what is added to its server line for geosteer-http."""
    program, port = need("haproxy"), free_port()
    folder = Path(tempfile.mkdtemp(prefix="gs-haproxy-"))
    text = shipped(
        "haproxy.cfg",
        (r"^    server http1 127\.0\.0\.1:8302 (.*)", rf"    server http1 127.0.0.1:{http_port} \1 {line}"),
        (r"^    bind :80$", f"    bind 127.0.0.1:{port}"),
        (r"^    bind :::80 v6only", f"    bind [::1]:{port}"),
    )
    (folder / "haproxy.cfg").write_text(change(text))
    return Server([program, "-db", "-f", str(folder / "haproxy.cfg")], folder=folder).ready(port), port


def start_varnish(http_port: int, change: Callable[[str], str] = patient) -> tuple[Server, int]:
    """Varnish with conf/varnish.vcl, changed."""
    program, port = need("varnishd"), free_port()
    folder = Path(tempfile.mkdtemp(prefix="gs-varnish-"))
    (folder / "default.vcl").write_text(change(shipped("varnish.vcl", (r'"8302"', f'"{http_port}"'))))
    command = [
        program,
        "-F",
        "-n",
        str(folder / "work"),
        "-f",
        str(folder / "default.vcl"),
        "-s",
        "malloc,16m",
    ]
    command += ["-a", f"127.0.0.1:{port}", "-a", f"[::1]:{port}", "-T", "none", "-j", "none"]
    return Server(command, folder=folder).ready(port), port
