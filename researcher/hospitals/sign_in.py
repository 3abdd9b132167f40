"""Signing in at a datasite: the account's key for its password, over the channel that recognised the hospital.

The key signs requests to the datasite's own routes and, where PySyft is needed, PySyft's calls.
"""

from __future__ import annotations

from policies.answers.sign_in import SignInAnswer
from policies.errors import SignInFailed, VersionMismatch, WanwuError
from policies.versions import protocol
from researcher.hospitals.connections.answered_errors import answered_error
from researcher.hospitals.connections.answers import answer_of, read_answer
from researcher.hospitals.credentials import Credentials
from researcher.hospitals.datasite_client import PREFIX
from researcher.hospitals.secure_channel import SecureChannel

_OK, _NO_SUCH_ROUTE = 200, 404


def sign_in(channel: SecureChannel, credentials: Credentials) -> bytes:
    """The account's ed25519 seed, 32 bytes.

    Raises:
        SignInFailed: The datasite does not accept the account's password.
        VersionMismatch: The two sides' releases do not work together.
        WanwuError: What else the channel or the datasite refuses it with.
    """
    sent = {"email": credentials.email, "password": credentials.password}
    answer = channel.request("POST", f"{PREFIX}/sign-in", json=sent)
    if answer.status_code in (_OK, _NO_SUCH_ROUTE) and channel.release is None:
        # It tells none, so it is from before the first release.
        protocol.check_datasite(protocol.Told(None, ()), credentials.datasite)
    if answer.status_code >= 400:
        raise _refusal(credentials.datasite, answered_error(answer))
    return bytes.fromhex(read_answer(SignInAnswer, answer_of(answer), channel.url).seed)


def _refusal(datasite: str, error: WanwuError) -> WanwuError:
    """The datasite's own words, and whose they are where several hospitals are signed in at."""
    if isinstance(error, VersionMismatch):
        return VersionMismatch(f"Datasite '{datasite}': {error.public}")
    if not isinstance(error, SignInFailed):
        return error
    return SignInFailed(f"Datasite '{datasite}' did not accept the credentials: {error.public}")
