"""Signing in: the account's key for its password, to researchers only, in a declared answer.

Unknown accounts, wrong passwords and accounts that are no researcher's get the same answer after the same work.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from syft.service.user.user import UserPrivateKey, check_pwd, salt_and_hash_password
from syft.service.user.user_roles import ServiceRole
from syft.store.document_store_errors import NotFoundException

from datasites.access.throttle import SignInThrottle
from datasites.audit_log.counted_events import CountedEvents
from datasites.researchers_port.routes import PREFIX
from policies.answers.sign_in import SignInAnswer
from policies.contracts.outputs import release_answer
from policies.errors import SignInFailed

# Passwords that are hashed at once, in threads that nothing else takes.
AT_ONCE = 2
# PySyft hashes its accounts' passwords with this many rounds; a try at an unknown account costs as many.
_HASH_ROUNDS = 12
_MAX_EMAIL, _MAX_PASSWORD_BYTES = 320, 72  # bcrypt reads no more
_REFUSED = "The e-mail address or the password is not right."


class SignIn:
    """Checks passwords and hands out keys."""

    def __init__(self, server: Any, counted: CountedEvents, throttle: SignInThrottle | None = None) -> None:
        self._server, self._counted = server, counted
        self._throttle = throttle or SignInThrottle()
        self._nobodys = salt_and_hash_password("nobody's password", _HASH_ROUNDS)[1]

    def __call__(self, email: str, password: str, peer: str) -> UserPrivateKey:
        """The account's private key.

        Guarantees:
            Every answered try costs one password hash, whether or not the account exists.

        Raises:
            SignInFailed: With the one text of all refusals, or so many tries failed that the next has to wait.
        """
        if wait := self._throttle.attempt(email, peer):
            raise SignInFailed(f"Too many failed tries. Try again in {wait} seconds.")
        user = self._researcher(email)
        right = check_pwd(password, self._nobodys if user is None else user.hashed_password)
        if user is None or not right:
            self._counted.add("sign-in refused", account="" if user is None else user.email)
            raise SignInFailed(_REFUSED)
        self._throttle.succeeded(email, peer)
        self._counted.add("signed in", account=user.email)
        return user.to(UserPrivateKey)

    def _researcher(self, email: str) -> Any | None:
        with self._server.lock:
            try:
                user = self._server.services.user.stash.get_by_email(self._server.verify_key, email=email).unwrap()
            except NotFoundException:
                return None
        return user if user.role is ServiceRole.DATA_SCIENTIST else None


def make_routes(
    sign_in: SignIn, *, peer_of: Callable[[Request], str], check_account: Callable[[str], object]
) -> APIRouter:
    """The one route that a key is handed out by; PySyft's own does not exist here.

    Args:
        sign_in: Checks the password.
        peer_of: Whom failed tries are counted for.
        check_account: Raises if the connection's certificate is not that address' own.
    """
    router = APIRouter()
    own_threads = anyio.CapacityLimiter(AT_ONCE)

    @router.post(f"{PREFIX}/sign-in")
    async def key(request: Request) -> JSONResponse:
        email, password = _read(await request.body())
        check_account(email)
        found = await anyio.to_thread.run_sync(sign_in, email, password, peer_of(request), limiter=own_threads)
        return JSONResponse(release_answer(SignInAnswer(bytes(found.signing_key.signing_key).hex())))

    return router


def network_peer(request: Request) -> str:
    """Whom failures are counted for: the other end's address."""
    return request.client.host if request.client else "unknown"


def _read(body: bytes) -> tuple[str, str]:
    try:
        sent = json.loads(body)
        email, password = sent["email"], sent["password"]
        texts = all(text and "\0" not in text for text in (email, password))
        bytes_of_both = len(email.encode()), len(password.encode())  # half of a character has none
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SignInFailed("Signing in takes an e-mail address and a password.") from error
    if not texts or bytes_of_both[0] > _MAX_EMAIL or bytes_of_both[1] > _MAX_PASSWORD_BYTES:
        raise SignInFailed("Signing in takes an e-mail address and a password.")
    return email, password
