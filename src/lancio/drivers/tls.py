"""How the line is encrypted, and which of the things that go wrong there it was."""

from __future__ import annotations

import os
import re
import ssl
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lancio.drivers.findings import Failed

if TYPE_CHECKING:
    from lancio.drivers.model import Code
    from lancio.registry.connection_strings import Tls
    from lancio.registry.secrets import Secret

_LARGEST_FILE: Final = 4 << 20
"""Bytes of the largest certificate file that is read: all public authorities together are some 300 kB."""

# X509_V_ERR_* of OpenSSL's x509_vfy.h, as SSLCertVerificationError.verify_code has them.
_EXPIRED: Final = frozenset({9, 10, 13, 14, 23})  # 23: revoked
_REVOCATIONS: Final = frozenset({3, 8, 11, 12, 15, 16})
"""The list of revoked certificates is none of this authority's, or too old."""
_NAME: Final = frozenset({62, 63, 64})

_REASONS: Final[dict[str, Code]] = {
    # What the server's alerts say of the client's certificate (RFC 8446, section 6.2).
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "client-certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "client-certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "client-certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "client-certificate",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "client-certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "client-certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "client-certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "client-certificate",
}
"""By the names of OpenSSL's reasons, which are not translated."""
_SYSTEM_FILES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


@dataclass(frozen=True, slots=True)
class TlsParts:
    """What a context is made of. Files that are named here are read: whoever makes it has allowed that."""

    check: Tls = "full"
    """`unverified`, `ca` or `full`; `optional` is as `unverified`."""
    ca_file: str | None = None
    """Certificates of authorities in PEM; without one, and without path or data, those of the system."""
    ca_path: str | None = None
    """A folder of them, by hash."""
    ca_data: str | None = None
    """In PEM, themselves."""
    certificate: str | None = None
    """The client's own, with its chain; its key may be in the same file."""
    key: str | None = None
    key_password: Secret | None = None
    revoked: str | None = None
    """A file of revocation lists: the server's certificate must not be in it."""
    ciphers: str | None = None
    lowest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    """Nothing below TLS 1.2 is spoken, whatever stands here."""
    highest: ssl.TLSVersion | None = None


def context(parts: TlsParts) -> ssl.SSLContext:
    """The context for a client.

    Raises:
        Failed: tls-files; nothing of the files or their paths is told.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = max(parts.lowest, ssl.TLSVersion.TLSv1_2)
    if parts.highest is not None:
        made.maximum_version = parts.highest
    verified = parts.check in ("ca", "full")
    made.check_hostname = parts.check == "full"
    made.verify_mode = ssl.CERT_REQUIRED if verified else ssl.CERT_NONE
    try:
        if parts.ciphers is not None:
            made.set_ciphers(parts.ciphers)
        if verified:
            _trust(made, parts)
        if parts.certificate is not None:
            _present(made, parts.certificate, parts)
    except (OSError, ValueError, UnicodeError):  # ssl.SSLError is an OSError
        raise Failed("tls", "tls-files") from None
    return made


def code_of(error: BaseException) -> Code | None:
    """The code for what a handshake, or the first reading behind it, raised; None if it has nothing to do with TLS.

    In TLS 1.3 a server refuses a client's certificate only after the client thinks that the handshake is done.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _EXPIRED:
            return "certificate-expired"
        if error.verify_code in _REVOCATIONS:
            return "tls-files"
        return "certificate-name" if error.verify_code in _NAME else "certificate-untrusted"
    if isinstance(error, ssl.CertificateError):
        return "certificate-name"
    if isinstance(error, ssl.SSLError):
        return _REASONS.get(error.reason or "", "tls-failed")
    return None


def reason_of(error: BaseException) -> str:
    """OpenSSL's name for what went wrong, as WRONG_VERSION_NUMBER; empty if there is none."""
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    return reason if reason and re.fullmatch(r"[A-Z0-9_]{1,64}", reason) else ""


def system_authorities() -> str | None:
    """The file of the authorities that this system trusts; None if there is no single file."""
    listed = (ssl.get_default_verify_paths().cafile, *_SYSTEM_FILES)
    return next((path for path in listed if path and os.path.isfile(path)), None)  # noqa: PTH113


def _trust(made: ssl.SSLContext, parts: TlsParts) -> None:
    if parts.ca_file is None and parts.ca_path is None and parts.ca_data is None:
        made.load_default_certs(ssl.Purpose.SERVER_AUTH)
        if not made.cert_store_stats()["x509_ca"] and (system := system_authorities()):
            made.load_verify_locations(cafile=system)
    else:
        if parts.ca_file is not None:
            _plain(parts.ca_file)
        made.load_verify_locations(parts.ca_file, parts.ca_path, parts.ca_data)
    if parts.revoked is not None:
        _plain(parts.revoked)
        made.load_verify_locations(parts.revoked)
        made.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _present(made: ssl.SSLContext, certificate: str, parts: TlsParts) -> None:
    for path in (certificate, parts.key):
        if path is not None:
            _plain(path)
    password = parts.key_password.reveal() if parts.key_password else ""
    # Always given: without one OpenSSL would ask at the terminal.
    made.load_cert_chain(certificate, parts.key, lambda: password)


def _plain(path: str) -> None:
    """Refuse what is no plain file of a certificate's size: a pipe would never end."""
    found = os.stat(path)  # noqa: PTH116
    if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST_FILE:
        raise ValueError(path)
