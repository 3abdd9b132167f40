"""Signed requests to a datasite's own routes: proof of which PySyft account is asking, without another secret.

Weights and progress do not go through PySyft. Each request for them is signed with the account's own ed25519 key
(RFC 8032), over the method, the path with its query, the time, a nonce and the digest of the body.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policies.errors import ClocksDiffer, SignInFailed

MAX_AGE_SECONDS = 120.0
KEY, TIME, NONCE, BODY, SIGNATURE = (
    "x-wanwu-key",
    "x-wanwu-time",
    "x-wanwu-nonce",
    "x-wanwu-body-sha256",
    "x-wanwu-signature",
)
EMPTY_BODY = hashlib.sha256(b"").hexdigest()
_REFUSED = "The datasite did not accept the request's signature. Sign in again with the newest credentials file."


def sign(
    seed: bytes, method: str, path: str, body_sha256: str = EMPTY_BODY, *, now: float | None = None
) -> dict[str, str]:
    """Headers that sign one request.

    Args:
        seed: The account's ed25519 seed, 32 bytes.
        method: HTTP method in capitals.
        path: Path with query, as sent.
        body_sha256: SHA-256 of the body in hexadecimal.
        now: Seconds since the epoch; the clock if None.
    """
    key = Ed25519PrivateKey.from_private_bytes(seed)
    stamp, nonce = f"{time.time() if now is None else now:.3f}", secrets.token_hex(16)
    message = _message(method, path, stamp, nonce, body_sha256)
    return {
        KEY: key.public_key().public_bytes_raw().hex(),
        TIME: stamp,
        NONCE: nonce,
        BODY: body_sha256,
        SIGNATURE: key.sign(message).hex(),
    }


class SignatureCheck:
    """Checks signed requests and remembers their nonces, so that none counts twice."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, float] = OrderedDict()  # nonce → when it came, oldest first
        self._lock = threading.Lock()

    def verify(self, headers: Mapping[str, str], method: str, path: str, *, now: float | None = None) -> str:
        """Returns the signer's public key in hexadecimal.

        Guarantees:
            The signature covers method, path, time, nonce and the body's announced digest; it is at most
            `MAX_AGE_SECONDS` old and was not seen before. The caller still has to compare the body with its digest.

        Raises:
            ClocksDiffer: The signature is right and was made at another time by the signer's clock.
            SignInFailed: A header is missing or malformed, the signature is wrong, or seen before.
        """
        now = time.time() if now is None else now
        fields = [headers.get(name, "") for name in (KEY, TIME, NONCE, BODY, SIGNATURE)]
        key, stamp, nonce, body, signature = fields
        well_formed = (
            re.fullmatch("[0-9a-f]{64}", key)
            and re.fullmatch(r"[0-9]{1,12}\.[0-9]{3}", stamp)
            and re.fullmatch("[0-9a-f]{32}", nonce)
            and re.fullmatch("[0-9a-f]{64}", body)
            and re.fullmatch("[0-9a-f]{128}", signature)
        )
        if not well_formed:
            raise SignInFailed(_REFUSED)
        try:
            public_key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
            public_key.verify(bytes.fromhex(signature), _message(method, path, stamp, nonce, body))
        except (InvalidSignature, ValueError) as error:
            raise SignInFailed(_REFUSED) from error
        if abs(now - float(stamp)) > MAX_AGE_SECONDS:
            behind = float(stamp) < now
            raise ClocksDiffer(
                f"This request was signed {abs(now - float(stamp)):.0f} seconds {'before' if behind else 'after'} now "
                f"by the datasite's clock, {MAX_AGE_SECONDS:g} are the most. Set the clock that is wrong, the "
                "researcher's or the hospital's; what was begun goes on then."
            )
        with self._lock:
            # One from ahead of now is of a clock that was put back since: kept, it would keep all others for as long.
            while self._seen and abs(now - next(iter(self._seen.values()))) > 2 * MAX_AGE_SECONDS:
                self._seen.popitem(last=False)
            if nonce in self._seen:
                raise SignInFailed(_REFUSED)
            self._seen[nonce] = now
        return key


def _message(method: str, path: str, stamp: str, nonce: str, body_sha256: str) -> bytes:
    return "\n".join(("wanwu-v1", method, path, stamp, nonce, body_sha256)).encode()
