"""nginx with the log of docs/latency.md: what its kernel measured of real connections is read as it is written."""

from __future__ import annotations

import http.client
import subprocess
import time
from typing import TYPE_CHECKING

from geosteer_loader.latency.ingest import ingest
from geosteer_loader.latency.store import Measurements
from geosteer_loader.rtt.inputs.line import Scene
from support.data import ROOT
from support.documented import blocks
from support.servers import free_port, need, wait_until

if TYPE_CHECKING:
    from pathlib import Path

CONF = """
daemon off;
error_log stderr;
pid {folder}/nginx.pid;
events {{ }}
http {{
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {settings}
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "fine"; }} }}
}}
"""


def test_the_clients_of_an_nginx_are_measured_by_its_log(tmp_path: Path) -> None:
    nginx = need("nginx")
    (settings,) = (block.text for block in blocks(ROOT / "docs" / "latency.md") if block.language == "nginx")
    log, port = tmp_path / "rtt.log", free_port()
    settings = settings.replace("/var/log/nginx/rtt.log", str(log))
    (tmp_path / "nginx.conf").write_text(CONF.format(folder=tmp_path, settings=settings, port=port))
    process = subprocess.Popen([nginx, "-p", tmp_path, "-c", tmp_path / "nginx.conf"])
    try:

        def requests(number: int) -> bool:
            try:
                client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                for _ in range(number):
                    client.request("GET", "/")
                    client.getresponse().read()
                client.close()
            except OSError:
                return False
            return True

        wait_until(lambda: requests(1), what="nginx")
        assert all(requests(2) for _ in range(4))
        wait_until(lambda: log.exists() and log.read_text().count("\n") >= 9, what="its log")
    finally:
        process.terminate()
        process.wait()
    store = Measurements(tmp_path / "samples.sqlite", 86400.0)
    tally = ingest(log, "nginx-clients", Scene({}, time.time(), node="lon1"), store).tally
    # Loopback may be faster than anything that counts as a round trip.
    assert tally.dropped.pop("not the first of its connection") == 4
    assert tally.taken + tally.dropped.pop("time out of range", 0) == 5
    assert not tally.dropped
    store.close()
