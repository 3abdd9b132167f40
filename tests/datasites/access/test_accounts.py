"""Whose key a request is signed with is known without reading the accounts anew, for keys of nobody's too."""

from __future__ import annotations

import contextlib
import json
import stat
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from support.governed import Governed
    from syft.service.user.user_roles import ServiceRole

    from datasites.access.accounts import Accounts
from policies.errors import AccountUnknown, CertificateRefused, ConfigError, SignInFailed


class Server:
    """A fake of PySyft's accounts, which counts how often all are read."""

    lock = contextlib.nullcontext()

    def __init__(self) -> None:
        self.read = 0
        self.users = [SimpleNamespace(verify_key="ab", email="anna@university.org", role=ServiceRole.DATA_SCIENTIST)]
        stash = SimpleNamespace(get_all=lambda key: SimpleNamespace(unwrap=self._all))
        self.services = SimpleNamespace(user=SimpleNamespace(stash=stash, create=self._create))
        self.verify_key = self.id = ""

    def _all(self) -> list[Any]:
        self.read += 1
        return list(self.users)

    def _create(self, context: Any, **values: Any) -> None:
        self.users.append(SimpleNamespace(verify_key="cd", email=values["email"], role=values["role"]))


def test_keys_of_nobody_cost_no_reading_of_accounts_and_a_new_account_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasites.access.accounts.admin_context", lambda server: None)
    server = Server()
    enrolment: Any = SimpleNamespace(check_own=lambda email: None, since=lambda email: "")
    unused: Any = None
    accounts = Accounts(server, unused, url="", enrolment=enrolment, audit=unused)
    for _ in range(100):
        assert accounts.email("ab") == "anna@university.org"
        with pytest.raises(SignInFailed):
            accounts.email("cd")
    assert server.read == 1
    accounts._create("bert@university.org", "")
    assert accounts.email("cd") == "bert@university.org"
    assert server.read == 2


# --- on real accounts --------------------------------------------------------------------------------------------


def credentials_of(north: Governed, email: str) -> dict[str, str]:
    return dict(json.loads(north.accounts.credentials_file(email).read_text()))


def test_who_is_enrolled_gets_a_file_to_be_handed_over_and_an_account(governed_north: Governed) -> None:
    north, email = governed_north, "enrolled@university.org"
    file = north.accounts.enrol(email)
    given = credentials_of(north, email)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (given["datasite"], given["email"]) == ("north", email) and email in north.accounts.researchers()
    again = credentials_of(north, str(json.loads(north.accounts.enrol(email).read_text())["email"]))
    assert again["password"] == given["password"] and again["certificate"] != given["certificate"]
    assert [event["researcher"] for event in north.events("researcher enrolled")].count(email) == 2


def test_who_is_revoked_has_no_file_and_no_certificate_until_enrolled_again(governed_north: Governed) -> None:
    north, email = governed_north, "revoked@university.org"
    file = north.accounts.enrol(email)
    before = north.key(email)
    assert north.accounts.revoke(email) == 1
    assert not file.exists()
    assert {row.email: row.state for row in north.accounts.people()}[email] == "revoked"
    with north.door(email), pytest.raises(CertificateRefused, match="revoked"):
        north.accounts.own_email(str(before.verify_key))
    north.accounts.enrol_first((email,))  # the settings still name it
    assert not file.exists()
    north.accounts.enrol(email)
    with north.door(email):
        assert north.accounts.own_email(str(before.verify_key)) == email


def test_nobody_is_revoked_who_is_no_researcher(governed_north: Governed) -> None:
    with pytest.raises(AccountUnknown):
        governed_north.accounts.revoke("nobody@university.org")
    with pytest.raises(ConfigError):
        governed_north.accounts.enrol("no address")


@pytest.mark.parametrize("content", ["[]", "{"])
def test_a_credentials_file_that_cannot_be_read_is_written_anew(governed_north: Governed, content: str) -> None:
    file = governed_north.accounts.enrol("rewritten@university.org")
    file.write_text(content)
    governed_north.accounts.enrol("rewritten@university.org")
    assert len(credentials_of(governed_north, "rewritten@university.org")["password"]) > 20
