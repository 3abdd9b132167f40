"""Answers of a real provider on loopback: which of them name a person, once and in one browser, and which nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from support.console_pages import REVIEWER_NAME, Clock
from support.openid_provider import CLIENT, SECRET, OwnProvider, openid_of
from support.waiting import CEILING_SECONDS

from datasites.access.signing_in.openid import BEGUN_SECONDS, OpenId, read_provider
from datasites.config import DatasiteConfig
from policies.errors import ConfigError, SignInFailed


def through(openid: OpenId, *, browser: str = "b") -> tuple[str, str]:
    """State and code as the provider sends them back."""
    sent = httpx.get(openid.begin(browser, "http://127.0.0.1:1/openid/back"), timeout=CEILING_SECONDS).headers[
        "location"
    ]
    query = httpx.URL(sent).params
    return query["state"], query["code"]


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "http://elsewhere.example"},
        {"aud": "another program"},
        {"aud": [CLIENT, "another"]},
        {"azp": "another"},
        {"nonce": "of another sign-in"},
        {"exp": 1},
        {"iat": 1 << 40},
        *({name: None} for name in ("iss", "aud", "nonce", "exp", "iat", "preferred_username")),
        {"preferred_username": ["dr.wu"]},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_sign_in_names_nobody(own_provider: OwnProvider, changed: dict[str, Any]) -> None:
    own_provider.changed |= changed
    openid = openid_of(own_provider)
    state, code = through(openid)
    with pytest.raises(SignInFailed, match="named nobody"):
        openid.finish(state, code, "b")


def test_a_token_that_is_names_its_person_once_and_in_its_browser_alone(own_provider: OwnProvider) -> None:
    clock = Clock()
    openid = openid_of(own_provider, clock)
    state, code = through(openid)
    assert openid.finish(state, code, "b") == REVIEWER_NAME
    for given in ((state, code, "b"), ("", "", ""), ("\ud800", "", "")):
        with pytest.raises(SignInFailed, match="not begun"):
            openid.finish(*given)
    state, code = through(openid)
    with pytest.raises(SignInFailed, match="not begun"):
        openid.finish(state, code, "another")
    state, code = through(openid)
    clock.now += BEGUN_SECONDS + 1
    with pytest.raises(SignInFailed, match="not begun"):
        openid.finish(state, code, "b")


def test_keys_codes_and_addresses_that_are_not_the_providers_name_nobody(own_provider: OwnProvider) -> None:
    openid = openid_of(own_provider)
    state, _ = through(openid)
    with pytest.raises(SignInFailed, match="named nobody"):
        openid.finish(state, "a guess", "b")
    own_provider.foreign = True
    state, code = through(openid)
    with pytest.raises(SignInFailed, match="named nobody"):
        openid.finish(state, code, "b")
    own_provider.foreign = False
    for moved in ({"issuer": "http://localhost:1"}, {"token_endpoint": "http://elsewhere.example/token"}):
        own_provider.moved = moved
        with pytest.raises(SignInFailed, match=r"named nobody|does not answer"):
            openid.begin("b", "http://127.0.0.1:1/openid/back")


def test_settings_of_a_provider_belong_together_and_lead_by_tls(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="belong together"):
        DatasiteConfig("north", console_openid_issuer="https://id.hospital.org")
    secret = tmp_path / "secret"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_provider("https://id.hospital.org", CLIENT, str(secret), "name")
    for encoding in ("utf-8", "utf-8-sig"):  # some editors put a mark before the text
        secret.write_text(f"{SECRET}\r\n", encoding=encoding)
        assert read_provider("https://id.hospital.org", CLIENT, str(secret), "name").secret == SECRET
    secret.write_text(f"{SECRET}\n", encoding="utf-16")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_provider("https://id.hospital.org", CLIENT, str(secret), "name")
    secret.write_text(f"{SECRET}\n")
    for issuer in ("http://id.hospital.org", "ftp://localhost", "id.hospital.org", ""):
        with pytest.raises(ConfigError, match="https"):
            read_provider(issuer, CLIENT, str(secret), "name")
