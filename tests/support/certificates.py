"""Certificates for tests, made by openssl: an authority, a server that it vouches for, a client too, and a stranger."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from support.servers import need

if TYPE_CHECKING:
    from pathlib import Path


class Certificates:
    """Files in a folder; a certificate is `NAME.pem`, its key `NAME-key.pem`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._openssl = need("openssl")

    def authority(self, name: str = "ca", *, usage: bool = True) -> Path:
        """A certificate that vouches for others; without *usage* as `openssl req -x509` makes it, against RFC 5280."""
        more = ("-addext", "keyUsage=critical,keyCertSign,cRLSign") if usage else ()
        self._make(name, "-subj", f"/CN=test {name}", *more)
        return self[name]

    def sign(
        self, name: str, alternatives: str = "DNS:localhost,IP:127.0.0.1", by: str = "ca", days: int = 2
    ) -> Path:
        """A certificate for a server or a client, vouched for by an authority."""
        self._make(
            name, "-subj", f"/CN={name}", "-addext", f"subjectAltName={alternatives}", "-CA", str(self[by]), "-CAkey",
            str(self.key(by)), "-addext", "basicConstraints=critical,CA:FALSE", days=days,
        )  # fmt: skip
        return self[name]

    def __getitem__(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        """The key of a certificate."""
        return self.folder / f"{name}-key.pem"

    def _make(self, name: str, *more: str, days: int = 2) -> None:
        command = [
            self._openssl,
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ]
        command += ["-days", str(days), "-keyout", str(self.key(name)), "-out", str(self[name]), *more]
        subprocess.run(command, check=True, capture_output=True)
