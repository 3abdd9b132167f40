"""Passwords of the hospital's people for the console. Only what scrypt makes of one is kept, with its parameters."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import unicodedata

from policies.errors import ConfigError

LEAST_CHARACTERS, MOST_CHARACTERS = 12, 256
LEAST_DIFFERENT = 5
# As OWASP's password storage sheet states them for scrypt; 32 MB and about a quarter of a second for each check.
COST, BLOCK, PARALLEL = 1 << 15, 8, 3
_MOST_MEMORY = 1 << 27
_SALT_BYTES, _KEY_BYTES = 16, 32
# So many are computed at once: sign-ins together take bounded memory and leave the processor to others.
_turns = threading.BoundedSemaphore(2)


def check_new(password: str, *, name: str) -> None:
    """Returns if the password may be set.

    Raises:
        ConfigError: It is too short, too long, hardly varied, or holds the account's name.
    """
    plain = _plain(password)
    if not LEAST_CHARACTERS <= len(plain) <= MOST_CHARACTERS:
        raise ConfigError(f"A password has {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters. Choose another one.")
    if len(set(plain.casefold())) < LEAST_DIFFERENT or name.casefold() in plain.casefold():
        raise ConfigError(
            f"A password has at least {LEAST_DIFFERENT} different characters and does not hold the account's name. "
            "Choose another one: several words that do not belong together are good."
        )


def kept(password: str) -> str:
    """What is kept of a password: scheme, parameters, salt and key."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"scrypt${COST}${BLOCK}${PARALLEL}${_text(salt)}${_text(_key(password, salt, COST, BLOCK, PARALLEL))}"


def fits(password: str, what_is_kept: str) -> bool:
    """Whether it is the password of which this is kept; with "" it is not, after the same work.

    Guarantees:
        Compares in constant time. The work does not tell whether anything is kept.
    """
    _, cost, block, parallel, salt, key = (what_is_kept or _NOBODYS).split("$")
    found = _key(password, base64.b64decode(salt), int(cost), int(block), int(parallel))
    return hmac.compare_digest(found, base64.b64decode(key)) and bool(what_is_kept)


def _key(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    given = _plain(password[: 4 * MOST_CHARACTERS]).encode("utf-8", "surrogatepass")
    with _turns:
        return hashlib.scrypt(given, salt=salt, n=cost, r=block, p=parallel, maxmem=_MOST_MEMORY, dklen=_KEY_BYTES)


def _plain(password: str) -> str:
    """The password in the one form that every keyboard's way of writing it has (NFKC, as NIST SP 800-63B asks)."""
    return unicodedata.normalize("NFKC", password)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


_NOBODYS = f"scrypt${COST}${BLOCK}${PARALLEL}${_text(bytes(_SALT_BYTES))}${_text(bytes(_KEY_BYTES))}"
