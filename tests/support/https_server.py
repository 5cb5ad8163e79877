"""An HTTPS server of our own that serves files as mirrors do, and misbehaves on request."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

    from support.certificates import Certificates


class File:
    """One file, and how it is served."""

    def __init__(self, content: bytes, **ways: object) -> None:
        self.content = content
        self.etag: str | None = f'"{hashlib.sha256(content).hexdigest()[:12]}"'
        self.modified: str | None = formatdate(1_770_000_000, usegmt=True)
        self.status = 0
        """Answer with this alone."""
        self.cut: int | None = None
        """Close the connection after so many bytes."""
        self.pause = 0.0
        """Seconds before every byte."""
        self.stall = 0.0
        """Seconds before the answer."""
        self.endless = False
        self.length = True
        """Say how long it is."""
        self.location: str | None = None
        """Redirect there."""
        self.wrong_range = False
        self.raw: bytes | None = None
        """Sent as it is, in place of every answer."""
        for name, value in ways.items():
            assert hasattr(self, name)
            setattr(self, name, value)


class HttpsServer:
    """Serves `files` (path -> File) at `url` until the context is left; `seen` has each request's path and headers."""

    def __init__(self, certificates: Certificates, name: str = "server") -> None:
        self.files: dict[str, File] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(_Handler):
            site = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._context = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.show(certificates, name)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        self.elsewhere = f"https://localhost:{self._server.server_address[1]}"
        """The same under another name."""

    def show(self, certificates: Certificates, name: str) -> None:
        """Show this certificate from now on."""
        self._context.load_cert_chain(certificates[name], certificates.key(name))

    def put(self, path: str, content: bytes, **ways: object) -> File:
        """Serve a file; *ways* are attributes of `File`."""
        file = self.files[path] = File(content, **ways)
        return file

    def requests(self, path: str) -> list[dict[str, str]]:
        """The headers of all requests for a path, and forget them."""
        found = [headers for seen, headers in self.seen if seen == path]
        self.seen = [one for one in self.seen if one[0] != path]
        return found

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: HttpsServer

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def do_GET(self) -> None:
        self.close_connection = True
        self.site.seen.append((self.path, dict(self.headers.items())))
        file = self.site.files.get(self.path)
        time.sleep(file.stall if file else 0)
        if file is not None and file.raw is not None:
            self._write(file, file.raw)
        elif file is None or file.status:
            self._head(file.status if file else 404, {"Content-Length": "0"})
        elif file.location:
            self._head(302, {"Location": file.location, "Content-Length": "0"})
        elif self._unchanged(file):
            self._head(304, {**_names(file)})
        else:
            self._send(file)

    def _unchanged(self, file: File) -> bool:
        match, since = self.headers["If-None-Match"], self.headers["If-Modified-Since"]
        if match is not None:
            return file.etag is not None and file.etag in match.split(", ")
        return since is not None and since == file.modified

    def _send(self, file: File) -> None:
        begin = 0
        wanted = self.headers["Range"]
        if wanted is not None and self.headers["If-Range"] in {file.etag, file.modified}:
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(file.content):
                self._head(416, {"Content-Range": f"bytes */{len(file.content)}", "Content-Length": "0"})
                return
        body = file.content[begin:]
        headers = _names(file)
        if file.length and not file.endless:
            headers["Content-Length"] = str(len(body))
        if begin:
            told = begin + 1 if file.wrong_range else begin
            headers["Content-Range"] = f"bytes {told}-{len(file.content) - 1}/{len(file.content)}"
        self._head(206 if begin else 200, headers)
        while file.endless:
            self.wfile.write(bytes(65536))
        if file.cut is not None:
            body = body[: max(file.cut - begin, 0)]
        self._write(file, body)

    def _write(self, file: File, body: bytes) -> None:
        if not file.pause:
            self.wfile.write(body)
            return
        for at in range(len(body)):
            time.sleep(file.pause)
            self.wfile.write(body[at : at + 1])

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()


def _names(file: File) -> dict[str, str]:
    names = {"ETag": file.etag, "Last-Modified": file.modified}
    return {name: value for name, value in names.items() if value is not None}


def folder_of(path: Path) -> list[str]:
    """Names of the files in a folder of copies, but for the locks."""
    return sorted(file.name for file in path.iterdir() if file.suffix != ".lock")
