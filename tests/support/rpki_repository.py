"""A repository of RPKI objects of our own: a trust anchor, a manifest, a revocation list and ROAs, as validators fetch them.

Made by openssl from the profiles of RFC 6487 (certificates), 9286 (manifests) and 9582 (ROAs).
"""

from __future__ import annotations

import hashlib
import ipaddress
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support.servers import need

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HOST = "rsync://127.0.0.1"
"""Where the objects say that they are; nobody listens there: `fetcher` takes the place of rsync."""
ROA, MANIFEST = "1.2.840.113549.1.9.16.1.24", "1.2.840.113549.1.9.16.1.26"
SHA256 = bytes.fromhex("0609608648016503040201")
EXTENSIONS = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[ta]
basicConstraints = critical,CA:TRUE
subjectKeyIdentifier = hash
keyUsage = critical,keyCertSign,cRLSign
certificatePolicies = critical,1.3.6.1.5.5.7.14.2
sbgp-ipAddrBlock = critical,IPv4:0.0.0.0/0,IPv6:::/0
sbgp-autonomousSysNum = critical,AS:0-4294967295
subjectInfoAccess = 1.3.6.1.5.5.7.48.5;URI:{host}/repo/,1.3.6.1.5.5.7.48.10;URI:{host}/repo/ta.mft
[object]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
keyUsage = critical,digitalSignature
certificatePolicies = critical,1.3.6.1.5.5.7.14.2
crlDistributionPoints = URI:{host}/repo/ta.crl
authorityInfoAccess = caIssuers;URI:{host}/ta/ta.cer
subjectInfoAccess = 1.3.6.1.5.5.7.48.11;URI:{host}/repo/{file}
{resources}
[ca]
default_ca = ours
[ours]
database = index.txt
crlnumber = crlnumber
default_md = sha256
default_crl_days = 30
crl_extensions = revocations
[revocations]
authorityKeyIdentifier = keyid
"""
INHERITED = (
    "sbgp-ipAddrBlock = critical,IPv4:inherit,IPv6:inherit\nsbgp-autonomousSysNum = critical,AS:inherit"
)
FETCHER = """#!/bin/sh
# Stands for rsync: the last two arguments are what to copy, and where to.
for last; do from=$to; to=$last; done
from={folder}/${{from#rsync://127.0.0.1/}}
if [ -d "$from" ]; then mkdir -p "$to" && cp -r "$from/." "$to"; else mkdir -p "$(dirname "$to")" && cp "$from" "$to"; fi
"""


@dataclass(frozen=True)
class Authorisation:
    """What one ROA says."""

    asn: int
    prefixes: Sequence[tuple[str, int]]
    """Each with its longest length; none lies within another."""


class Repository:
    """Below a folder: `local.tal`, the objects, and `fetcher`, a program that validators run in place of rsync."""

    def __init__(self, folder: Path, roas: Sequence[Authorisation]) -> None:
        self.folder = folder
        self.tal = folder / "local.tal"
        self.fetcher = folder / "fetcher"
        (folder / "repo").mkdir()
        (folder / "ta").mkdir()
        self._anchor()
        for number, roa in enumerate(roas):
            self._sign(f"{number}.roa", ROA, _roa(roa), _resources(roa))
        self._sign("ta.mft", MANIFEST, self._manifest(), INHERITED)
        self.fetcher.write_text(FETCHER.format(folder=folder))
        self.fetcher.chmod(0o755)

    def _anchor(self) -> None:
        config = self._config("anchor", "", "")
        self._openssl("genrsa", "-out", "ta.key", "2048")
        self._openssl(
            "req",
            "-new",
            "-x509",
            "-key",
            "ta.key",
            "-config",
            config,
            "-extensions",
            "ta",
            "-days",
            "99",
            "-out",
            "ta.pem",
        )
        self._openssl("x509", "-in", "ta.pem", "-outform", "DER", "-out", "ta/ta.cer")
        (self.folder / "index.txt").touch()
        (self.folder / "crlnumber").write_text("01\n")
        self._openssl(
            "ca", "-config", config, "-gencrl", "-keyfile", "ta.key", "-cert", "ta.pem", "-out", "crl.pem"
        )
        self._openssl("crl", "-in", "crl.pem", "-outform", "DER", "-out", "repo/ta.crl")
        key = self._openssl("x509", "-in", "ta.pem", "-pubkey", "-noout").replace(
            "-----BEGIN PUBLIC KEY-----\n", ""
        )
        self.tal.write_text(f"{HOST}/ta/ta.cer\n\n{key.replace('-----END PUBLIC KEY-----', '').strip()}\n")

    def _sign(self, file: str, kind: str, content: bytes, resources: str) -> None:
        """A signed object with a certificate of its own (RFC 6488)."""
        config = self._config(file.replace(".", "-"), file, resources)
        (self.folder / "content").write_bytes(content)
        self._openssl("genrsa", "-out", "object.key", "2048")
        self._openssl("req", "-new", "-key", "object.key", "-config", config, "-out", "object.csr")
        self._openssl(
            "x509", "-req", "-in", "object.csr", "-CA", "ta.pem", "-CAkey", "ta.key", "-CAcreateserial", "-days", "30",
            "-extfile", config, "-extensions", "object", "-out", "object.pem",
        )  # fmt: skip
        self._openssl(
            "cms", "-sign", "-binary", "-nodetach", "-in", "content", "-signer", "object.pem", "-inkey", "object.key",
            "-md", "sha256", "-keyid", "-econtent_type", kind, "-nosmimecap", "-outform", "DER", "-out", f"repo/{file}",
        )  # fmt: skip

    def _manifest(self) -> bytes:
        files = sorted((self.folder / "repo").iterdir())
        listed = [
            _sequence(
                _tlv(0x16, file.name.encode()), _tlv(3, b"\0" + hashlib.sha256(file.read_bytes()).digest())
            )
            for file in files
        ]
        times = [
            _tlv(0x18, time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + left)).encode())
            for left in (-60, 86400)
        ]
        return _sequence(_integer(1), *times, SHA256, _sequence(*listed))

    def _config(self, name: str, file: str, resources: str) -> str:
        path = self.folder / "openssl.cnf"
        path.write_text(EXTENSIONS.format(name=name, host=HOST, file=file, resources=resources))
        return str(path)

    def _openssl(self, *words: str) -> str:
        command = [need("openssl"), *words]
        return subprocess.run(
            command, cwd=self.folder, check=True, capture_output=True, text=True, timeout=60
        ).stdout


def _resources(roa: Authorisation) -> str:
    blocks = [f"IPv{ipaddress.ip_network(prefix).version}:{prefix}" for prefix, _ in roa.prefixes]
    return f"sbgp-ipAddrBlock = critical,{','.join(blocks)}"


def _roa(roa: Authorisation) -> bytes:
    families = []
    for version, identifier in ((4, b"\0\1"), (6, b"\0\2")):
        networks = [(ipaddress.ip_network(prefix), longest) for prefix, longest in roa.prefixes]
        addresses = [
            _address(network, longest) for network, longest in networks if network.version == version
        ]
        if addresses:
            families.append(_sequence(_tlv(4, identifier), _sequence(*addresses)))
    return _sequence(_integer(roa.asn), _sequence(*families))


def _address(network: ipaddress.IPv4Network | ipaddress.IPv6Network, longest: int) -> bytes:
    size = (network.prefixlen + 7) // 8
    bits = bytes([8 * size - network.prefixlen]) + network.network_address.packed[:size]
    return _sequence(_tlv(3, bits), _integer(longest))


def _sequence(*parts: bytes) -> bytes:
    return _tlv(0x30, b"".join(parts))


def _integer(value: int) -> bytes:
    return _tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    length = bytes([size]) if size < 128 else bytes([0x80 | len(octets)]) + octets
    return bytes([tag]) + length + content
