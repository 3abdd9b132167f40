"""Pseudonyms under a datasite's own secret: who lacks it cannot tell a file or a patient by them. They stay inside."""

from __future__ import annotations

import hashlib
import hmac

from datasites.sources.alike import other_spellings
from datasites.sources.listing import one_patient


def of_source(secret: bytes, digest: bytes) -> bytes:
    """The pseudonym of what a picture was read from: 32 bytes, the same for the same content.

    Args:
        secret: The datasite's own, which never leaves its identity.
        digest: As `Picture.digest` gives it.
    """
    return _keyed(secret, b"source", digest)


def of_patient(secret: bytes, patient: str) -> bytes:
    """The pseudonym of a patient: 32 bytes, the same for the same identifier, however its letters are written."""
    return _keyed(
        secret, b"patient", one_patient(patient).encode("utf-8", "surrogatepass")
    )  # a folder's name may be bytes


def of_spellings(secret: bytes, patient: str) -> set[bytes]:
    """The pseudonyms of a patient by every way in which programs write the identifier: see `other_spellings`."""
    return {of_patient(secret, one) for one in other_spellings(patient)}


def name_of(secret: bytes) -> str:
    """Which secret it is, for a manifest: tells two secrets apart, and nothing of either."""
    return _keyed(secret, b"name", b"").hex()


def _keyed(secret: bytes, kind: bytes, content: bytes) -> bytes:
    return hmac.new(secret, kind + b"\0" + content, hashlib.sha256).digest()
