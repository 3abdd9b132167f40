"""A small OpenID Connect provider on loopback: real keys, real HTTP, one person who is signed in; and its faults."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from support.waiting import wait_for

from datasites.access.signing_in.openid import OpenId, Provider
from datasites.web.listening import listen

CLIENT, SECRET = "console", "a secret of two"


@dataclass
class OwnProvider:
    """The provider.

    Attributes:
        issuer: Its address.
        changed: Claims that its next tokens hold in place of the true ones; None leaves one out.
        foreign: Whether its next tokens are signed by a key that it does not publish.
        moved: Parts of its own description that are not true.
    """

    issuer: str
    changed: dict[str, Any] = field(default_factory=dict)
    foreign: bool = False
    moved: dict[str, str] = field(default_factory=dict)
    _asked: dict[str, dict[str, str]] = field(default_factory=dict)
    _key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    _other: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))

    def routes(self) -> list[Route]:
        return [
            Route("/.well-known/openid-configuration", self._describe),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
            Route("/keys", self._keys),
        ]

    async def _describe(self, request: Request) -> Response:
        ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        told = {name: f"{self.issuer}/{end}" for name, end in ends.items()}
        return JSONResponse({"issuer": self.issuer, **told, **self.moved})

    async def _keys(self, request: Request) -> Response:
        assert "authorization" not in request.headers
        return JSONResponse({"keys": [self._key.as_dict(private=False)]})

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert (asked["client_id"], asked["response_type"]) == (CLIENT, "code")
        assert asked["code_challenge_method"] == "S256" and "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self._asked[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        given = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        asked = self._asked.pop(form["code"], None)
        proof = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        right = asked and (asked["code_challenge"], asked["redirect_uri"]) == (proof, form["redirect_uri"])
        if not asked or not right or given != f"{CLIENT}:{SECRET}":
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "7", "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
        claims = {name: value for name, value in {**claims, **self.changed}.items() if value is not None}
        token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self._other if self.foreign else self._key)
        return JSONResponse({"access_token": "a", "token_type": "Bearer", "expires_in": 60, "id_token": token})


@contextmanager
def provider() -> Iterator[OwnProvider]:
    """A provider that answers."""
    socket = listen("127.0.0.1", 0)
    made = OwnProvider(f"http://localhost:{socket.getsockname()[1]}")
    config = uvicorn.Config(Starlette(routes=made.routes()), ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[socket])), daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started, alive=thread.is_alive)
        yield made
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
        socket.close()


def openid_of(own: OwnProvider, clock: Callable[[], float] = time.monotonic) -> OpenId:
    """A datasite's sign-in by this provider."""
    return OpenId(Provider(own.issuer, CLIENT, SECRET, "preferred_username"), clock)
