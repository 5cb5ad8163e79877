"""`rediss://`: both ends prove who they are, nothing is believed before, and nothing waits for a handshake."""

from __future__ import annotations

import random
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from geosteer.resp.tls import TLSError, Tunnel, client_context
from geosteer_loader.config.config import load
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.store import connect
from support.certificates import Certificates
from support.dns_setup import backend_toml
from support.publishing import current_of, write_config, write_csv
from support.servers import RedisServer, free_port, wait_until
from support.tiny import publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WWW = "www.cdn.example.net"
GB = "192.0.2.0/24"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.authority()
    made.authority("stranger")
    made.sign("server")
    made.sign("elsewhere", "DNS:redis.example.net")
    made.sign("client")
    made.sign("unknown", by="stranger")
    return made


@contextmanager
def tls_redis(
    certificates: Certificates, name: str = "server", clients: str = "yes"
) -> Iterator[RedisServer]:
    """A Redis with a TLS port; `port` is that one."""
    port = free_port()
    server = RedisServer(
        "--tls-port", str(port), "--tls-cert-file", str(certificates[name]), "--tls-key-file", str(certificates.key(name)),
        "--tls-ca-cert-file", str(certificates["ca"]), "--tls-auth-clients", clients,
    )  # fmt: skip
    with server:
        server.port = port
        with server.client() as client:
            publish_tiny(client, "geosteer")
        yield server


def settings(folder: Path, server: RedisServer, certificates: Certificates, **files: str) -> Path:
    """A worker's settings; *files*: `ca`, and `cert`, the name of a certificate with its key."""
    lines = [f'ca = "{certificates[files.get("ca", "ca")]}"']
    if "cert" in files:
        lines += [f'cert = "{certificates[files["cert"]]}"', f'key = "{certificates.key(files["cert"])}"']
    host = files.get("host", "localhost")
    return backend_toml(folder, f"rediss://{host}:{server.port}", "---\n" + "\n".join(lines))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_worker_with_a_certificate_is_let_in_and_told_of_changes(
    certificates: Certificates, tmp_path: Path, host: str
) -> None:
    with tls_redis(certificates) as server:
        path = settings(tmp_path, server, certificates, cert="client", host=host)
        with Worker(path) as worker, server.client() as client:
            wait_until(lambda: worker.ask(WWW, subnet=GB) != [["FAIL"]])
            assert worker.address(WWW, GB) == "192.0.2.1"
            client.hset("{geosteer}:node:lon1", mapping={"state": "down"})
            wait_until(lambda: worker.address(WWW, GB) == "192.0.2.2", 2)
            client.client_kill_filter(_type="normal")
            wait_until(lambda: worker.address(WWW, GB) == "192.0.2.2", 2)


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
        worker = Worker(settings(tmp_path, server, certificates, **files))
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
        path = settings(tmp_path, server, certificates, cert="client")
        late = tmp_path / "late.pem"
        path.write_text(path.read_text().replace(str(certificates["client"]), str(late)))
        with Worker(path) as worker:
            assert worker.ask(WWW, subnet=GB) == [["FAIL"]]
            late.write_bytes(certificates["client"].read_bytes())
            wait_until(lambda: worker.ask(WWW, subnet=GB) != [["FAIL"]], 3)


def test_a_peer_that_never_shakes_hands_holds_nothing_up(certificates: Certificates, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = type("Silent", (), {"port": listener.getsockname()[1]})()
        with Worker(settings(tmp_path, server, certificates)) as worker:
            waits = []
            for _ in range(30):
                began = time.monotonic()
                worker.ask(WWW, subnet=GB)
                waits.append(time.monotonic() - began)
            assert max(waits) < 0.3
            assert sorted(waits)[-3] < 0.02


def test_the_loader_publishes_through_tls(certificates: Certificates, tmp_path: Path) -> None:
    with tls_redis(certificates) as server:
        path = write_config(
            tmp_path,
            f"rediss://localhost:{server.port}",
            geo=[write_csv(tmp_path / "geo.csv")],
            prefix="other",
        )
        files = f'ca = "{certificates["ca"]}"\ncert = "{certificates["client"]}"\nkey = "{certificates.key("client")}"\n'
        path.write_text(path.read_text().replace('prefix = "other"\n', f'prefix = "other"\n{files}'))
        config = load(path, {})
        with connect(config.redis) as store:
            publish(config, store)
        with server.client() as client:
            assert current_of(client, "other")["generation"] == "1"


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
    thread.join(5)
    assert len(done) == 1
    assert "passphrase" in done[0]
