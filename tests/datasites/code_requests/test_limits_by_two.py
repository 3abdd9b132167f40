"""Whoever allows more on a dataset says why, and is not alone where requests need several people."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from datasites.audit_log.log import AuditLog
from datasites.code_requests.limits import limit_proposals
from datasites.code_requests.limits.hospital_limits import HospitalLimits
from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.sources.dataset_settings import DatasetSettings
from policies.budget.limits import DatasetLimits
from policies.errors import ConfigError, NotAllowed, RequestUnknown


class Hospital:
    """Limits on a real config file and a real audit log."""

    def __init__(self, folder: Path, needed: int) -> None:
        state, limits = StateFolder(folder), DatasetLimits(approvals_needed=needed)
        config = DatasiteConfig("north", dataset=DatasetSettings(data_path=str(folder)), limits=limits)
        state.config.write_text(config.to_toml())
        self.state, self.audit = state, AuditLog(state.audit)
        self.limits = HospitalLimits(state, config, self.audit)

    @property
    def epsilon(self) -> float:
        """In force, and the same in the config file."""
        kept = DatasiteConfig.from_toml(self.state.config).limits
        assert kept == self.limits.current
        return kept.total.epsilon

    def propose(self, by: str = "wu", **new: Any) -> str:
        outcome = self.limits.change(new or {"epsilon": 40}, by=by, named=True, reason="a second study")
        assert outcome.proposal is not None
        return outcome.proposal.id

    def events(self) -> list[str]:
        return [str(one["event"]) for one in self.audit.tail(100)]


@pytest.fixture
def hospital(tmp_path: Path) -> Callable[[int], Hospital]:
    return lambda needed: Hospital(tmp_path, needed)


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 401])
def test_nobody_allows_more_without_a_reason(hospital: Callable[[int], Hospital], reason: str) -> None:
    one = hospital(1)
    with pytest.raises(ConfigError, match=r"What allows more \(epsilon\) needs a reason"):
        one.limits.change({"epsilon": 40, "max_rounds": 3}, by="wu", reason=reason)
    assert one.epsilon == 8.0 and one.events() == []


def test_one_person_suffices_where_one_decides_and_the_log_says_before_after_and_why(
    hospital: Callable[[int], Hospital],
) -> None:
    one = hospital(1)
    outcome = one.limits.change({"epsilon": 40}, by="admin", reason="a second study")
    assert outcome.proposal is None and [change.name for change in outcome.changes] == ["epsilon"]
    assert one.epsilon == 40.0
    event = one.audit.tail(1)[0]
    assert (event["by"], event["reason"], event["changes"]) == ("admin", "a second study", "epsilon: 8.0 -> 40")


def test_to_allow_less_takes_one_person_and_no_reason(hospital: Callable[[int], Hospital]) -> None:
    two = hospital(2)
    assert two.limits.change({"epsilon": 2, "approvals_needed": 3}, by="admin").proposal is None
    assert (two.epsilon, two.limits.current.approvals_needed) == (2.0, 3)


def test_what_allows_more_waits_for_a_second_person(hospital: Callable[[int], Hospital]) -> None:
    two = hospital(2)
    proposal = two.propose()
    assert two.epsilon == 8.0 and [one.id for one in two.limits.proposals()] == [proposal]
    with pytest.raises(NotAllowed, match="Somebody else"):
        two.limits.confirm(proposal, by="wu", named=True)
    with pytest.raises(NotAllowed, match="own token"):
        two.limits.confirm(proposal, by="admin", named=False)
    assert two.epsilon == 8.0
    assert two.limits.confirm(proposal, by="chan", named=True).proposal is None
    assert two.epsilon == 40.0 and two.limits.proposals() == ()
    assert two.audit.tail(1)[0]["by"] == "wu, chan"
    with pytest.raises(RequestUnknown):
        two.limits.confirm(proposal, by="lee", named=True)


def test_who_only_owns_the_state_folder_proposes_nothing(hospital: Callable[[int], Hospital]) -> None:
    two = hospital(2)
    with pytest.raises(NotAllowed, match="own token"):
        two.limits.change({"approvals_needed": 1}, by="admin", reason="alone")
    assert two.limits.proposals() == ()


def test_fewer_people_are_agreed_on_by_as_many_as_are_needed(hospital: Callable[[int], Hospital]) -> None:
    three = hospital(3)
    proposal = three.propose(approvals_needed=1)
    assert three.limits.confirm(proposal, by="chan", named=True).proposal is not None
    with pytest.raises(NotAllowed):
        three.limits.confirm(proposal, by="chan", named=True)
    assert three.limits.current.approvals_needed == 3
    three.limits.confirm(proposal, by="lee", named=True)
    assert three.limits.current.approvals_needed == 1


def test_a_change_that_allows_more_and_less_waits_whole(hospital: Callable[[int], Hospital]) -> None:
    two = hospital(2)
    two.propose(epsilon=40, max_rounds=3)
    assert (two.epsilon, two.limits.current.max_rounds) == (8.0, 500)


def test_a_proposal_from_other_limits_is_not_confirmed(hospital: Callable[[int], Hospital]) -> None:
    two = hospital(2)
    proposal = two.propose()
    two.limits.change({"epsilon": 1}, by="admin")
    with pytest.raises(ConfigError, match="propose it anew"):
        two.limits.confirm(proposal, by="chan", named=True)
    assert two.epsilon == 1.0
    two.limits.withdraw(proposal, by="chan")
    assert two.limits.proposals() == () and two.events()[-1] == "limits proposal withdrawn"


def test_a_proposal_ends_after_fourteen_days_and_with_its_peoples_accounts(
    hospital: Callable[[int], Hospital], monkeypatch: pytest.MonkeyPatch
) -> None:
    three = hospital(3)
    first, second, third = (three.propose(by) for by in ("wu", "chan", "lee"))
    three.limits.confirm(third, by="wu", named=True)
    three.limits.drop("wu")
    assert [one.id for one in three.limits.proposals()] == [second]
    kept = three.limits.proposals()[0]
    assert datetime.fromisoformat(kept.expires) - datetime.fromisoformat(kept.at) == timedelta(days=14)
    monkeypatch.setattr(limit_proposals, "EXPIRES_AFTER", timedelta(0))
    fourth = three.propose()
    assert datetime.now(UTC) >= datetime.fromisoformat(
        json.loads(three.state.limit_proposals.read_text())[-1]["expires"]
    )
    with pytest.raises(RequestUnknown):
        three.limits.confirm(fourth, by="lee", named=True)
    assert [one.id for one in three.limits.proposals()] == [second] and first != fourth
    assert three.events()[-1] == "limits proposal expired"


@pytest.mark.parametrize("content", ["", "{}", '[{"id": 1}]', "[[]]"])
def test_a_file_of_proposals_that_cannot_be_read_is_refused(hospital: Callable[[int], Hospital], content: str) -> None:
    two = hospital(2)
    two.state.limit_proposals.write_text(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        two.limits.proposals()
