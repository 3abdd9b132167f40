"""Each account's role is looked up once a call, and anew in the next."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from syft.service.user.user_roles import ServiceRole

    from datasites.pysyft import roles


class Stash:
    """PySyft's table of accounts as any of its stashes asks it."""

    def __init__(self, accounts: dict[str, ServiceRole], asked: list[str]) -> None:
        self._accounts, self._asked = accounts, asked

    def get_role(self, credentials: Any, session: Any = None) -> ServiceRole:
        self._asked.append(str(credentials))
        return self._accounts[str(credentials)]


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def accounts() -> dict[str, ServiceRole]:
    return {"anna": ServiceRole.DATA_SCIENTIST, "root": ServiceRole.ADMIN}


@pytest.fixture
def stashes(accounts: dict[str, ServiceRole], asked: list[str]) -> list[Any]:
    made: list[Any] = [Stash(accounts, asked), Stash(accounts, asked)]
    roles.install(SimpleNamespace(services=[SimpleNamespace(stash=made[0]), object(), SimpleNamespace(stash=made[1])]))
    return made


def test_all_stashes_share_what_one_has_looked_up_in_a_call(stashes: list[Any], asked: list[str]) -> None:
    first, second = stashes
    with roles.looked_up_once():
        with roles.looked_up_once():  # a call that PySyft makes of itself
            assert first.get_role("anna") is ServiceRole.DATA_SCIENTIST
        assert second.get_role("anna", session=None) is ServiceRole.DATA_SCIENTIST
        assert second.get_role("root") is ServiceRole.ADMIN
    assert asked == ["anna", "root"]


def test_a_role_that_was_taken_away_is_gone_in_the_next_call(
    stashes: list[Any], accounts: dict[str, ServiceRole]
) -> None:
    with roles.looked_up_once():
        assert stashes[0].get_role("anna") is ServiceRole.DATA_SCIENTIST
    accounts["anna"] = ServiceRole.NONE
    with roles.looked_up_once():
        assert stashes[0].get_role("anna") is ServiceRole.NONE


def test_outside_of_calls_nothing_is_remembered(stashes: list[Any], asked: list[str]) -> None:
    stashes[0].get_role("anna")
    stashes[0].get_role("anna")
    assert asked == ["anna", "anna"]
