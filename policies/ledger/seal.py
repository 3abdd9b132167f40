"""The seal of a hospital's books: a keyed mark under which a shorter or other history cannot be written.

The key is derived from the datasite's own seed and never leaves the hospital. Whoever can write the books' files but
not read that seed can damage them; they cannot make others that hold.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from policies.plans.plan_json import canonical_json

_PURPOSE = b"wanwu-books-v1"


class Seal:
    """Marks what the books say of themselves, and recognises its own marks."""

    def __init__(self, seed: bytes) -> None:
        """Derives the seal's key, HKDF-SHA256 (RFC 5869).

        Args:
            seed: The datasite's ed25519 seed, 32 bytes.
        """
        self._key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(seed)

    def mark(self, what: str, values: Mapping[str, object]) -> str:
        """HMAC-SHA256 (RFC 2104) over `values`, for one purpose: 64 hexadecimal digits.

        Args:
            what: The purpose. A mark made for one does not fit another.
            values: Plain values, for canonical JSON.
        """
        return hmac.digest(self._key, canonical_json({"what": what, "values": dict(values)}).encode(), "sha256").hex()

    def fits(self, mark: object, what: str, values: Mapping[str, object]) -> bool:
        """Whether `mark` is the one that this seal gives these values for this purpose."""
        given = mark.encode(errors="replace") if isinstance(mark, str) else b""
        return hmac.compare_digest(given, self.mark(what, values).encode())
