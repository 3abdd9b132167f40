"""TLS of the console, with the hospital's own certificate: what is not encrypted does not leave the machine."""

from __future__ import annotations

import ipaddress
import ssl
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from policies.errors import ConfigError


@dataclass(frozen=True)
class ConsoleTls:
    """The hospital's certificate for the console, read.

    Attributes:
        context: For a server.
        names: For which names and addresses the certificate is, in small letters, in its own order.
        certificate: Its text, PEM; public.
    """

    context: ssl.SSLContext
    names: tuple[str, ...]
    certificate: str


def read_tls(certificate: Path, key: Path) -> ConsoleTls:
    """Reads certificate and key.

    Raises:
        ConfigError: One cannot be read or is another's, everybody on the machine may read the key, or the certificate
            is for no name that a browser could ask for.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if stat.S_IMODE(key.stat().st_mode) & stat.S_IROTH:
            raise ConfigError(f"Everybody on this machine may read {key}. Run 'chmod o= {key}'.")
        context.load_cert_chain(certificate, key, password=_no_password)
        text = certificate.read_text("ascii")
        own = x509.load_pem_x509_certificates(text.encode())[0]
        told = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, ssl.SSLError, x509.ExtensionNotFound) as error:
        raise ConfigError(
            f"{certificate} and {key} are no certificate and key for the console: {_reason(error)}. "
            "It takes PEM, a key without a password, and a certificate that names its hosts (subjectAltName)."
        ) from error
    dns = [name.lower() for name in told.get_values_for_type(x509.DNSName) if "*" not in name]
    names = (*dns, *map(str, told.get_values_for_type(x509.IPAddress)))
    if not names:
        raise ConfigError(f"{certificate} names no host, or only patterns. The console's names must stand in it.")
    return ConsoleTls(context, names, text)


def ends_of(certificate: Path) -> datetime:
    """When a certificate ends, UTC; of a file with its issuers, the first, which is its own.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return x509.load_pem_x509_certificates(certificate.read_bytes())[0].not_valid_after_utc
    except (OSError, ValueError) as error:
        raise ConfigError(f"{certificate} cannot be read as a certificate: {_reason(error)}.") from error


def in_address(name: str, port: int) -> str:
    """A name or an address and a port, as a URL holds them."""
    try:
        six = ipaddress.ip_address(name).version == 6
    except ValueError:
        six = False
    return f"[{name}]:{port}" if six else f"{name}:{port}"


def _no_password() -> str:
    raise ValueError("the key has a password")


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", "") or getattr(error, "strerror", "") or error)
