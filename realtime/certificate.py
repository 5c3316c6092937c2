"""A certificate of the server's own, for https and wss without a domain.

Made once and kept, so that who trusted it keeps trusting it; made anew when it is about to expire
or cannot be read. Nobody but those who were told trusts it: browsers warn, and programs are given
the file (`NODE_EXTRA_CA_CERTS`, `SSL_CERT_FILE`, `curl --cacert`).
"""

from __future__ import annotations

import datetime
import ipaddress
import logging
import os
import socket
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from realtime.errors import SettingsError

log = logging.getLogger("banter.certificate")

DAYS = 825
"""Apple's programs take none that is valid for longer."""

RENEW_DAYS = 30
ADDRESSES = ("127.0.0.1", "::1")


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """The certificate and its key in `folder`, made if there are none that are good for a month.

    For `localhost`, this machine's name, 127.0.0.1 and ::1.

    Raises:
        SettingsError: the folder cannot be written.
    """
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if not _usable(certificate, key):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _make(certificate, key)
        except OSError as error:
            raise SettingsError(
                f"--tls-self-signed (BANTER_TLS_SELF_SIGNED): {folder} cannot be written "
                f"({error.strerror or error}); set --volume to a folder that can"
            ) from None
        log.info("made a certificate: %s", certificate)
    return certificate, key


def _usable(certificate: Path, key: Path) -> bool:
    try:
        shown = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return False
    left = shown.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    fits: bool = private.public_key() == shown.public_key()
    return fits and left > datetime.timedelta(days=RENEW_DAYS)


def _make(certificate: Path, key: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    names = list(dict.fromkeys(("localhost", *_own_name())))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Banter on this machine")])
    now = datetime.datetime.now(datetime.UTC)
    public = private.public_key()
    known = x509.SubjectKeyIdentifier.from_public_key(public)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    *(x509.DNSName(name) for name in names),
                    *(x509.IPAddress(ipaddress.ip_address(a)) for a in ADDRESSES),
                ]
            ),
            critical=False,
        )
        # Not an authority: whoever gets at the key can pretend to be this server and no other.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(known, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known), critical=False
        )
        .sign(private, hashes.SHA256())
    )
    secret = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write(key, secret, mode=0o600)
    _write(certificate, signed.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _own_name() -> list[str]:
    """The machine's name, if it can stand in a certificate."""
    name = socket.gethostname()
    return [name] if name and name.isascii() and len(name) <= 253 else []


def _write(path: Path, data: bytes, *, mode: int) -> None:
    """Whole or not at all, and never readable by others in between."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    part.replace(path)
