"""Codes of a second factor, as apps on a person's own device make them (TOTP, RFC 6238). The secret stays in a file."""

from __future__ import annotations

import hmac
import time

import pyotp

STEP_SECONDS = 30
_AROUND = (-1, 0, 1)  # clocks of a device and of a datasite may be one step apart


def new_secret() -> str:
    """A secret of 160 random bits, in base 32."""
    return pyotp.random_base32()


def device_address(secret: str, *, name: str, datasite: str) -> str:
    """What the picture holds that a person's device reads: the secret, and what the device calls it."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=f"wanwu {datasite}")


def step_of(secret: str, code: str, *, after: int, now: float | None = None) -> int | None:
    """The time step whose code this is, or None.

    Guarantees:
        No step up to `after` fits: whoever keeps the last one that was taken takes none twice. Compares in constant
        time, with every step around now.

    Args:
        secret: In base 32.
        code: As a person typed it; blanks do not count.
        after: The last step that was taken; 0 for none.
        now: Seconds since 1970; the machine's clock if None.
    """
    typed = "".join(code.split()).encode("utf-8", "surrogatepass")
    current = int((time.time() if now is None else now) // STEP_SECONDS)
    made = {current + off: pyotp.TOTP(secret).generate_otp(current + off) for off in _AROUND}
    fits = [step for step, own in made.items() if hmac.compare_digest(typed, own.encode()) and step > after]
    return max(fits, default=None)
