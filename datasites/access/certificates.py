"""X.509 certificates of one hospital: its authority, its server's certificate, and researchers' certificates.

Only certificates, and the private key made for a researcher, are meant to leave; the authority's key never does.
The profile is RFC 5280's: ECDSA on P-256, the e-mail address as rfc822Name, each key for one purpose only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
SERVER_DAYS = 398
# A certificate is valid a little before it was made: the other side's clock may be late.
CLOCK_SKEW = timedelta(minutes=10)


@dataclass(frozen=True)
class Certified:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def from_pem(cls, certificate: bytes, key: bytes) -> Certified:
        """Reads both from PEM.

        Raises:
            ValueError: They are not PEM, or do not belong together.
            TypeError: The key is not on an elliptic curve.
        """
        read, private = x509.load_pem_x509_certificate(certificate), load_pem_private_key(key, password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise TypeError("The key is not on an elliptic curve.")
        if read.public_key() != private.public_key():
            raise ValueError("The key is not the certificate's.")
        return cls(read, private)

    @property
    def certificate_pem(self) -> str:
        """The certificate, PEM."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The private key, PEM without a passphrase."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def make_authority(datasite: str, *, now: datetime | None = None) -> Certified:
    """A hospital's own authority, which signs certificates and nothing else."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{datasite} authority")])
    return _authority(name, ec.generate_private_key(ec.SECP256R1()), now)


def renew_authority(known: Certified, *, now: datetime | None = None) -> Certified:
    """The same authority, of the same name and key, for another time: what it signed before and since holds by both."""
    return _authority(known.certificate.subject, known.key, now)


def _authority(name: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime | None) -> Certified:
    made = _builder(name, name, key, AUTHORITY_DAYS, now)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    made = made.add_extension(_usage(signs_certificates=True), critical=True)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Certified(made.sign(key, hashes.SHA256()), key)


def issue_server(authority: Certified, names: Iterable[str], *, now: datetime | None = None) -> Certified:
    """A certificate for the datasite's own port, for the names and addresses that researchers dial."""
    given = tuple(names)
    alternative = x509.SubjectAlternativeName([_general_name(name) for name in given])
    return _issue(authority, given[0], alternative, ExtendedKeyUsageOID.SERVER_AUTH, SERVER_DAYS, now)


def issue_researcher(authority: Certified, email: str, *, days: int, now: datetime | None = None) -> Certified:
    """A certificate that lets one researcher's account in, as a client only."""
    alternative = x509.SubjectAlternativeName([x509.RFC822Name(email)])
    return _issue(authority, "researcher", alternative, ExtendedKeyUsageOID.CLIENT_AUTH, days, now)


def names_of(certificate: x509.Certificate) -> set[str]:
    """The names and addresses that a certificate is for."""
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in found}


def nearly_over(certificate: x509.Certificate, *, now: datetime | None = None) -> bool:
    """Whether less than a third of the certificate's time is left, or it has not begun."""
    now = now or datetime.now(UTC)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return now < begin or end - now < (end - begin) / 3


def _issue(
    authority: Certified,
    common_name: str,
    alternative: x509.SubjectAlternativeName,
    purpose: x509.ObjectIdentifier,
    days: int,
    now: datetime | None,
) -> Certified:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    made = _builder(name, authority.certificate.subject, key, days, now)
    made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    made = made.add_extension(_usage(signs_certificates=False), critical=True)
    made = made.add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
    made = made.add_extension(alternative, critical=False)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    made = made.add_extension(issuer, critical=False)
    return Certified(made.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int, now: datetime | None
) -> x509.CertificateBuilder:
    begin = now or datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - CLOCK_SKEW)
        .not_valid_after(begin + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
