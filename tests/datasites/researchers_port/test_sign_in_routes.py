"""Signing in for a key: one answer to all that fails, one count of tries, and nothing that is no pair costs a hash."""

from __future__ import annotations

import json
import warnings
from threading import Lock
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from support.console_pages import Noted

from datasites.access.throttle import FREE_TRIES

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from datasites.researchers_port import sign_in
    from datasites.researchers_port.routes import PREFIX
from datasites.web.http_errors import add_error_handlers
from policies.errors import CertificateRefused, SignInFailed

OWN = f"{PREFIX}/sign-in"
ADA, NOBODY, EVE = "ada@university.org", "nobody@university.org", "eve@university.org"
NO_PAIR = (
    b"",
    b"[]",
    b"null",
    b"\xff",
    b'{"email": "ada@university.org"}',
    b'{"email": "ada@university.org", "password": ""}',
    b'{"email": "ada@university.org", "password": 1}',
    b'{"email": "ada@university.org", "password": ["a"]}',
    b'{"email": "ada@university.org", "password": "a\\u0000b"}',
    b'{"email": "ada@university.org", "password": "a\\ud800b"}',
    json.dumps({"email": ADA, "password": "x" * 73}).encode(),
    json.dumps({"email": ADA, "password": "\u00e9" * 37}).encode(),
    json.dumps({"email": "x" * 321, "password": "x"}).encode(),
    b"[" * 50_000,
)


class Accounts:
    """PySyft's stash with one researcher and one account of the hospital's own."""

    def get_by_email(self, key: object, *, email: str) -> Any:
        from syft.service.user.user_roles import ServiceRole
        from syft.store.document_store_errors import NotFoundException

        if email == NOBODY:
            raise NotFoundException
        role = ServiceRole.DATA_SCIENTIST if email == ADA else ServiceRole.ADMIN
        user = SimpleNamespace(email=email, role=role, hashed_password="kept of ada", to=lambda kind: SIGNED_IN)
        return SimpleNamespace(unwrap=lambda: user)


SIGNED_IN = SimpleNamespace(signing_key=SimpleNamespace(signing_key=bytes(32)))


@pytest.fixture
def hashed() -> list[str]:
    """What passwords were compared with."""
    return []


@pytest.fixture
def client(hashed: list[str], monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """The route, as everybody but EVE's certificate lets."""

    def compared(password: str, kept: str) -> bool:
        hashed.append(kept)
        return (password, kept) == ("right", "kept of ada")

    def own(email: str) -> None:
        if email == EVE:
            raise CertificateRefused("another's")

    monkeypatch.setattr(sign_in, "check_pwd", compared)
    monkeypatch.setattr(sign_in, "salt_and_hash_password", lambda password, rounds: (b"", "kept of nobody"))
    noted: Any = Noted()
    users = SimpleNamespace(user=SimpleNamespace(stash=Accounts()))
    made = sign_in.SignIn(SimpleNamespace(lock=Lock(), services=users, verify_key=""), noted)
    app = FastAPI()
    add_error_handlers(app)
    app.include_router(sign_in.make_routes(made, peer_of=lambda request: "1.2.3.4", check_account=own))
    return TestClient(app, raise_server_exceptions=False)


def ask(client: TestClient, email: str, password: str) -> tuple[int, str]:
    answer = client.post(OWN, json={"email": email, "password": password})
    return answer.status_code, answer.text


@pytest.mark.parametrize("body", NO_PAIR, ids=range(len(NO_PAIR)))
def test_what_is_no_address_and_password_is_refused_without_a_hash(
    client: TestClient, hashed: list[str], body: bytes
) -> None:
    answer = client.post(OWN, content=body)
    assert (answer.status_code, answer.json()["code"], hashed) == (SignInFailed.status, SignInFailed.code, [])


def test_every_refusal_is_the_same_after_the_same_work(client: TestClient, hashed: list[str]) -> None:
    answers = {ask(client, email, "wrong") for email in (ADA, NOBODY, "admin@north.org")}
    assert len(answers) == 1
    assert hashed == ["kept of ada", "kept of nobody", "kept of nobody"]
    assert ask(client, ADA, "right") == (200, f'{{"seed":"{bytes(32).hex()}"}}')


def test_after_some_tries_the_next_waits_and_costs_no_hash(client: TestClient, hashed: list[str]) -> None:
    for _ in range(FREE_TRIES):
        ask(client, ADA, "wrong")
    assert len(hashed) == FREE_TRIES
    assert "Try again in" in ask(client, ADA, "right")[1]
    assert len(hashed) == FREE_TRIES


def test_the_certificate_of_another_account_is_refused_before_anything_is_hashed(
    client: TestClient, hashed: list[str]
) -> None:
    status, text = ask(client, EVE, "right")
    assert (status, CertificateRefused.code in text, hashed) == (CertificateRefused.status, True, [])
