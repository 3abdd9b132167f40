"""Whose key a request is signed with is known without reading the accounts anew, for keys of nobody's too."""

from __future__ import annotations

import contextlib
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from syft.service.user.user_roles import ServiceRole

    from datasites.access.accounts import Accounts
from policies.errors import SignInFailed


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
    enrolment: Any = SimpleNamespace(check_own=lambda email: None)
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
