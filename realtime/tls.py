"""The certificate that the server shows, where it speaks https itself."""

from __future__ import annotations

import ssl
from pathlib import Path

from realtime.errors import SettingsError


def server_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """What the listener needs for TLS; None without a certificate.

    Raises:
        SettingsError: the files are no certificate and its key.
    """
    if certificate is None:
        if key is not None:
            raise SettingsError("--tls-key (BANTER_TLS_KEY): there is no --tls-cert to go with it")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # With no password OpenSSL would ask the terminal for one.
        context.load_cert_chain(certificate, key, password="")  # nosec B106
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            f"--tls-cert (BANTER_TLS_CERT): {certificate} and {key or 'the key in it'} cannot be "
            f"used ({error.strerror or error}); give a PEM certificate chain and its own key, "
            "without a passphrase"
        ) from None
    return context
