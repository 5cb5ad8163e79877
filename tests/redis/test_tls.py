"""`rediss://`: both ends prove who they are, nothing is believed before, and nothing waits for a handshake."""

from __future__ import annotations

import random
import socket
import ssl
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from geosteer.resp.tls import TLSError, Tunnel, client_context
from support.servers import wait_until
from support.tls_redis import tls_redis, worker_settings
from support.workers import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from support.certificates import Certificates

WWW = "www.cdn.example.net"
GB = "192.0.2.0/24"


@pytest.mark.parametrize(
    ("name", "files", "reason"),
    [
        ("elsewhere", {"cert": "client"}, "Hostname mismatch"),
        ("unknown", {"cert": "client"}, "unable to get local issuer certificate"),
        ("server", {}, "certificate required"),
        ("server", {"cert": "unknown"}, "unknown ca"),
    ],
    ids=["another's name", "unknown authority", "no certificate of ours", "our authority unknown there"],
)
def test_who_cannot_prove_who_he_is_is_not_believed_and_the_log_says_why(
    certificates: Certificates, tmp_path: Path, name: str, files: dict[str, str], reason: str
) -> None:
    with tls_redis(certificates, name) as server:
        worker = Worker(worker_settings(tmp_path, server, certificates, **files))
        worker.greet()
        assert worker.ask(WWW, subnet=GB) == [["FAIL"]]
        time.sleep(0.3)
        assert worker.ask(WWW, subnet=GB) == [["FAIL"]]
        log = worker.close().decode()
    assert "TLS: " in log
    assert reason.lower() in log.lower()


def test_certificates_that_are_put_right_are_used_without_a_restart(
    certificates: Certificates, tmp_path: Path
) -> None:
    with tls_redis(certificates) as server:
        path = worker_settings(tmp_path, server, certificates, cert="client")
        late = tmp_path / "late.pem"
        path.write_text(path.read_text().replace(str(certificates["client"]), str(late)))
        with Worker(path) as worker:
            assert worker.ask(WWW, subnet=GB) == [["FAIL"]]
            late.write_bytes(certificates["client"].read_bytes())
            wait_until(lambda: worker.ask(WWW, subnet=GB) != [["FAIL"]])


def test_a_peer_that_never_shakes_hands_holds_nothing_up(certificates: Certificates, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = type("Silent", (), {"port": listener.getsockname()[1]})()
        settings = worker_settings(tmp_path, server, certificates)
        # So long waits who waits at all; the very first questions would wait for `first_wait`.
        usual = settings.read_text()
        made = usual.replace("first_wait = 4", "first_wait = 0").replace("timeout = 2000", "timeout = 1500")
        assert made != usual
        settings.write_text(made)
        with Worker(settings) as worker:
            waits = []
            for _ in range(30):
                began = time.monotonic()
                worker.ask(WWW, subnet=GB)
                waits.append(time.monotonic() - began)
            assert sum(wait >= 1.5 for wait in waits) <= 2, waits


class Peer:
    """The server's side of a tunnel, in memory."""

    def __init__(self, certificates: Certificates) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates["server"], certificates.key("server"))
        self.come, self.gone = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.come, self.gone, server_side=True)
        self.plain = b""

    def take(self, data: bytes) -> bytes:
        """Take in what the client sent; what to send back."""
        self.come.write(data)
        try:
            while got := self.tls.read(65536):
                self.plain += got
        except ssl.SSLWantReadError:
            pass
        return self.gone.read()


@pytest.mark.parametrize("seed", range(4))
def test_a_tunnel_carries_bytes_however_they_are_cut(certificates: Certificates, seed: int) -> None:
    dice = random.Random(seed)
    peer = Peer(certificates)
    tunnel = Tunnel(client_context({"ca": str(certificates["ca"])}), "localhost")
    sent, back = dice.randbytes(100_000), dice.randbytes(100_000)
    plain, got, waiting, said = bytearray(), b"", b"", 0
    for _ in range(20_000):
        if said < len(sent):
            plain += sent[said : said + 3000]
            said += 3000
        out = tunnel.seal(plain)
        size = dice.choice((1, 7, 500, 70_000))
        waiting += peer.take(bytes(out[:size]))
        del out[:size]
        if len(peer.plain) == len(sent) and back:
            peer.tls.write(back)
            back_size, back = len(back), b""
            waiting += peer.gone.read()
        size = dice.choice((1, 9, 700, 70_000))
        got += tunnel.open(waiting[:size])
        waiting = waiting[size:]
        if not back and len(got) == back_size:
            break
    assert peer.plain == sent
    assert len(got) == 100_000


def test_a_tunnel_refuses_what_is_no_tls(certificates: Certificates) -> None:
    tunnel = Tunnel(client_context({"ca": str(certificates["ca"])}), "localhost")
    tunnel.seal(bytearray(b"x"))
    with pytest.raises(TLSError, match="TLS: "):
        tunnel.open(b"-ERR unknown command\r\n")


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"ca": "nowhere.pem"}, "nowhere.pem: No such file or directory"),
        ({"ca": "ca", "cert": "nowhere.pem", "key": "nowhere.pem"}, "No such file or directory"),
        ({"ca": "ca", "cert": "client", "key": "server-key"}, "key values mismatch"),
        ({"ca": "client-key"}, "client-key.pem: TLS: "),
    ],
)
def test_files_that_cannot_be_used_are_named(
    certificates: Certificates, files: dict[str, str], reason: str
) -> None:
    paths = {kind: name if name.endswith(".pem") else str(certificates[name]) for kind, name in files.items()}
    with pytest.raises(TLSError, match=reason):
        client_context(paths)


def test_a_key_with_a_passphrase_is_refused_without_asking(
    certificates: Certificates, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.pem"
    command = ["openssl", "pkcs8", "-topk8", "-in", str(certificates.key("client")), "-out", str(locked)]
    subprocess.run([*command, "-passout", "pass:x"], check=True, capture_output=True)
    files = {"ca": str(certificates["ca"]), "cert": str(certificates["client"]), "key": str(locked)}
    done: list[str] = []

    def run() -> None:
        try:
            client_context(files)
        except TLSError as exc:
            done.append(str(exc))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert len(done) == 1
    assert "passphrase" in done[0]
