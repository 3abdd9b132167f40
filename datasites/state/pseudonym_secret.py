"""The secret that sources and patients have their pseudonyms under: a datasite's own, made once. It never leaves."""

from __future__ import annotations

import secrets

from datasites.files.private_file import write_private
from datasites.files.state_folder import StateFolder
from policies.errors import ConfigError

_BYTES = 32


def pseudonym_secret(state: StateFolder) -> bytes:
    """Returns the datasite's secret, 32 bytes, made at the first time.

    Guarantees:
        256 bits from the operating system, in a file that the hospital's own account alone can read. It is used for
        nothing else, and is not derived from the key that signs receipts: who has one of the two has not the other.
        A second one is never made where pseudonyms under a first one are kept: nobody would be recognised by it, to
        count to a budget or to be left out.

    Raises:
        ConfigError: The file cannot be read, or is gone.
    """
    file = state.identity / "pseudonyms.key"
    if not file.exists():
        if state.withdrawn.exists() or any(state.store.glob("*/sources.npy")):
            raise ConfigError(_broken(state))
        state.create()
        write_private(file, secrets.token_hex(_BYTES))
    try:
        secret = bytes.fromhex(file.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise ConfigError(_broken(state), private=str(error)) from error
    if len(secret) != _BYTES:
        raise ConfigError(_broken(state))
    return secret


def _broken(state: StateFolder) -> str:
    return (
        f"The secret for pseudonyms of datasite '{state.name}' cannot be read. Restore identity/pseudonyms.key from a "
        "backup: without it, nobody can tell which pictures are new and which are of a patient who withdraws."
    )
