"""TLS between a conversation and its socket: bytes in, bytes out. No I/O but for reading the certificates.

Imported only for `rediss://`, since it costs a worker more than all the rest of its start.
"""

from __future__ import annotations

import ssl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

CHUNK = 1 << 18


class TLSError(OSError):
    """The peer's certificate is invalid, the peer refuses ours, or a file cannot be used; the text says which."""


class Tunnel:
    """One connection's TLS, on the client's side."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        """Args: host: name or address that the peer's certificate must be for."""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._agreed = False
        self.sealed = bytearray()
        """Bytes for the socket; who sends them takes them out."""

    def seal(self, plain: bytearray) -> bytearray:
        """Take out of *plain* what can be encrypted now (nothing before the handshake is done); returns `sealed`.

        Raises: TLSError: the handshake failed.
        """
        try:
            if self._shaken():
                while plain:
                    del plain[: self._tls.write(plain)]
        except ssl.SSLWantReadError:
            pass  # the peer has to speak first
        except ssl.SSLError as exc:
            raise TLSError(said(exc)) from exc
        finally:
            self.sealed += self._out.read()
        return self.sealed

    def open(self, sealed: bytes) -> bytes:
        """What came, decrypted, as far as it is whole.

        Raises: TLSError: the handshake failed, or this is no TLS.
        """
        self._in.write(sealed)
        plain = bytearray()
        try:
            if self._shaken():
                while data := self._tls.read(CHUNK):
                    plain += data
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass  # no more for now, or at all: then the socket ends too
        except ssl.SSLError as exc:
            raise TLSError(said(exc)) from exc
        finally:
            self.sealed += self._out.read()
        return bytes(plain)

    def _shaken(self) -> bool:
        if not self._agreed:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return False
            self._agreed = True
        return True


def trusting(ca: str | None, *, strict: bool = False) -> ssl.SSLContext:
    """TLS settings that trust the authorities in the file *ca*, the system's without one.

    One certificate gets one verdict on every Python: 3.13 began to be strict by default, and a node behind a private
    authority made without a key usage would have gone down by an upgrade of Python alone. So the flags are set here. What
    *ca* holds is trusted as it is, an authority below a root too (as in Python from 3.13 on, and in curl).

    Args: strict: refuse certificates that break RFC 5280, such as authorities without a key usage extension.

    Raises: OSError: the file cannot be read; ssl.SSLError, which is one too: it holds no certificates.
    """
    context = ssl.create_default_context(cafile=ca)
    rules = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags = rules | ssl.VERIFY_X509_STRICT if strict else rules
    return context


def client_context(files: Mapping[str, str]) -> ssl.SSLContext:
    """The TLS settings for the peer's certificate and our own.

    Args: files: paths by name: `ca` (else the system's), and `cert` with `key` for a client certificate; with `tls_strict`
        (any text) the peer's certificate is judged as `trusting` says.

    Raises: TLSError: a file cannot be read or used.
    """
    ca, cert, key = files.get("ca"), files.get("cert"), files.get("key")
    try:
        context = trusting(ca, strict="tls_strict" in files)
    except OSError as exc:  # an SSLError is one too
        raise TLSError(f"{ca or 'certificates of the system'}: {_unusable(exc)}") from exc
    if cert:
        try:
            context.load_cert_chain(cert, key, _no_passphrase)
        except (OSError, ValueError) as exc:
            raise TLSError(f"{cert} and {key or 'its key'}: {_unusable(exc)}") from exc
    return context


def _unusable(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLError):
        return said(exc)
    return getattr(exc, "strerror", None) or str(exc)


def _no_passphrase() -> str:
    """Instead of a prompt at a terminal, which would block every question."""
    raise ValueError("the key has a passphrase; use a key without one")


def said(exc: ssl.SSLError) -> str:
    """What OpenSSL complains of, without its file and line."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"TLS: its certificate: {exc.verify_message}"
    reason = (exc.reason or str(exc)).replace("_", " ").lower()
    if "certificate required" in reason:  # an alert of TLS 1.3: RFC 8446, 6.2
        return f"TLS: it wants a client certificate (cert and key): {reason}"
    return f"TLS: {reason}"
