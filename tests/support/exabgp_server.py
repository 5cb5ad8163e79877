"""A real ExaBGP that receives: what it hears goes through a relay into the socket of `geosteer follow`."""

from __future__ import annotations

import sys
from pathlib import Path

from support.servers import _Server, free_port, wait_until

RELAY = """
import os, socket, sys, threading, time
while True:
    link = socket.socket(socket.AF_UNIX)
    try:
        link.connect(sys.argv[1])
        break
    except OSError:
        time.sleep(0.1)
def back():
    while data := link.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536):
    link.sendall(data)
"""

SETTINGS = """
process geosteer {{
  run {python} {relay} {socket};
  encoder json;
}}
neighbor {peer} {{
  local-address 127.0.0.1; local-as 65005; router-id 10.99.0.5; peer-as {asn}; hold-time 90; passive true;
  family {{ ipv4 unicast; ipv6 unicast; }}
  capability {{ asn4 enable; graceful-restart 60; }}
  api {{ processes [ geosteer ]; neighbor-changes; receive {{ parsed; update; }} }}
}}
"""


class ExaBGP(_Server):
    """On a high port of 127.0.0.1, for a neighbour that connects from *peer*."""

    def __init__(self, socket: Path, peer: str = "127.0.0.2", asn: int = 65001) -> None:
        super().__init__()
        self.address = "127.0.0.1", free_port()
        relay = self.directory / "relay.py"
        relay.write_text(RELAY)
        (self.directory / "exabgp.conf").write_text(
            SETTINGS.format(python=sys.executable, relay=relay, socket=socket, peer=peer, asn=asn)
        )

    def start(self) -> None:
        """Start, and wait until it listens."""
        program = str(Path(sys.executable).with_name("exabgp"))
        self._launch(
            [program, "server", str(self.directory / "exabgp.conf")],
            {
                "exabgp_tcp_bind": self.address[0],
                "exabgp_tcp_port": str(self.address[1]),
                "exabgp_daemon_user": "root",
                "exabgp_api_ack": "false",
                "exabgp_api_cli": "false",
                "exabgp_log_level": "WARNING",
            },
        )
        wait_until(self._listens, what="an ExaBGP that listens")

    def _listens(self) -> bool:
        if not self.running:
            raise self._failed("ended while starting")
        wanted = f"0100007F:{self.address[1]:04X} 00000000:0000 0A"
        return wanted in Path("/proc/net/tcp").read_text()
