"""Sign-in by the hospital's own OpenID Connect provider: it says who somebody is, the datasite whether that is staff.

The datasite asks the provider that its settings name and nobody else. What leaves is a sign-in's own random values.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from httpx import HTTPError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from datasites.files.secret_text import secret_text
from policies.errors import ConfigError, SignInFailed

WAIT_SECONDS = 10.0
BEGUN_SECONDS, MOST_BEGUN = 600.0, 1000
LEEWAY_SECONDS = 60
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
_REFUSED = "The hospital's sign-in named nobody who has an account here. Ask an admin, or sign in with a password."


class _Begun(NamedTuple):
    browser: str
    back: str
    nonce: str
    verifier: str
    until: float


@dataclass(frozen=True)
class Provider:
    """The hospital's provider, as the settings name it.

    Attributes:
        issuer: Its address; https, or http://localhost.
        client: What it calls this datasite.
        secret: What it shares with this datasite.
        claim: Which of its claims holds the name of a person's account here.
    """

    issuer: str
    client: str
    secret: str
    claim: str


def read_provider(issuer: str, client: str, secret_file: str, claim: str) -> Provider:
    """The provider with its secret read.

    Raises:
        ConfigError: The secret cannot be read, or the address is not by TLS.
    """
    _check_address(issuer)
    try:
        secret = secret_text(Path(secret_file).expanduser()).strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"The provider's secret is to stand in {secret_file!r}, which cannot be read.") from error
    return Provider(issuer, client, secret, claim)


class OpenId:
    """Sign-ins at the hospital's provider.

    Guarantees:
        A name comes only from a token that the provider's own keys sign, for this datasite, for the sign-in that this
        browser began within `BEGUN_SECONDS`, once. The code is bound to that sign-in (PKCE, RFC 7636).
    """

    def __init__(self, provider: Provider, clock: Callable[[], float] = time.monotonic) -> None:
        self._provider, self._clock, self._lock = provider, clock, threading.Lock()
        self._begun: OrderedDict[str, _Begun] = OrderedDict()

    def begin(self, browser: str, back: str) -> str:
        """Where the browser goes to sign in.

        Args:
            browser: What tells it from others.
            back: The console's address that the provider sends it back to.

        Raises:
            SignInFailed: The provider does not answer.
        """
        nonce, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        with self._client(back) as client:
            address, state = client.create_authorization_url(
                self._endpoints(client)["authorization_endpoint"], code_verifier=verifier, nonce=nonce
            )
        with self._lock:
            self._begun[state] = _Begun(browser, back, nonce, verifier, self._clock() + BEGUN_SECONDS)
            while len(self._begun) > MOST_BEGUN:
                self._begun.popitem(last=False)
        return str(address)

    def finish(self, state: str, code: str, browser: str) -> str:
        """The account's name that the provider's answer holds; whether there is such an account is not asked here.

        Raises:
            SignInFailed: Whatever does not fit.
        """
        with self._lock:
            begun = self._begun.pop(state, None)
        if begun is None or self._clock() > begun.until or not _same(begun.browser, browser):
            raise SignInFailed("This sign-in was not begun in this browser, or long ago. Begin it again.")
        try:
            with self._client(begun.back) as client:
                endpoints = self._endpoints(client)
                token = client.fetch_token(endpoints["token_endpoint"], code=code, code_verifier=begun.verifier)
                keys = KeySet.import_key_set(client.request("GET", endpoints["jwks_uri"], withhold_token=True).json())
            claims = jwt.decode(str(token["id_token"]), keys, algorithms=ALGORITHMS).claims
            self._registry(begun.nonce).validate(claims)
            several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
            if claims.get("azp", None if several else self._provider.client) != self._provider.client:
                raise SignInFailed(_REFUSED, private="the provider's token is for another program")
        except (HTTPError, OAuthError, JoseError, ValueError, TypeError, LookupError) as error:
            raise SignInFailed(_REFUSED, private=f"the provider's answer: {type(error).__name__}: {error}") from error
        name = claims.get(self._provider.claim)
        if not isinstance(name, str) or not name:
            raise SignInFailed(_REFUSED, private=f"the provider's token has no claim {self._provider.claim!r}")
        return name

    def _registry(self, nonce: str) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._provider.issuer},
            aud={"essential": True, "value": self._provider.client},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )

    def _client(self, back: str) -> OAuth2Client:
        return OAuth2Client(
            client_id=self._provider.client,
            client_secret=self._provider.secret,
            scope="openid profile",
            redirect_uri=back,
            code_challenge_method="S256",
            timeout=WAIT_SECONDS,
            trust_env=False,
        )

    def _endpoints(self, client: OAuth2Client) -> dict[str, str]:
        """What the provider says of itself, of which each address is checked."""
        issuer = self._provider.issuer
        try:
            page = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
            told = client.request("GET", page, withhold_token=True)
            found = {name: str(told.json()[name]) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
            if told.json()["issuer"] != issuer:
                raise SignInFailed(_REFUSED, private=f"{issuer} calls itself {told.json()['issuer']!r}")
            for address in found.values():
                _check_address(address)
        except (HTTPError, ValueError, TypeError, LookupError, ConfigError) as error:
            text = "The hospital's sign-in does not answer. Try again, or sign in with a password."
            raise SignInFailed(text, private=f"{issuer}: {type(error).__name__}: {error}") from error
        return found


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    if not parts.hostname or ((parts.scheme, parts.hostname) != ("http", "localhost") and parts.scheme != "https"):
        raise ConfigError(f"A provider of sign-ins is reached by https://, got {address!r}.")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))
