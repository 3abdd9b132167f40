"""Rules are made by as many people as decide on a request, for a reason and a time, and switched off by one at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.books import ACCOUNT, PLAN, ledger_of

from datasites.approvals.approvals import Approvals
from datasites.files.state_folder import StateFolder
from datasites.rules import kept_rule
from datasites.rules.kept_rule import KeptRule
from datasites.rules.rule import MOST_DAYS, WantedRule
from datasites.rules.rule_book import RuleBook
from datasites.state.kept_books import open_audit
from policies.errors import ConfigError, NotAllowed, RequestUnknown
from policies.plans.plan_json import canonical_json

ENDS = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()
WANTED = WantedRule("night", "one", 1.0, 2.0, ENDS, ("rounds=1..20",), "the weekly retraining")


class Made:
    """A rule book on real decisions, ledger and audit log; `needed` people decide on a request."""

    def __init__(self, state: StateFolder) -> None:
        self.state, self.needed, self.audit = state, 1, open_audit(state)
        self.approvals = Approvals(state.approvals)
        self.book = RuleBook(
            state.rules,
            approvals=self.approvals,
            ledger=ledger_of(state),
            audit=self.audit,
            whole=lambda beginning: beginning,
            people_needed=lambda: self.needed,
        )

    def make(self, by: str = "wu", *, named: bool = True, **changes: Any) -> KeptRule:
        return self.book.make(replace(WANTED, **changes), by=by, named=named)

    def on(self) -> list[str]:
        with self.book.in_force() as found:
            return [one.rule.name for one in found]

    def events(self) -> list[str]:
        return [str(one["event"]) for one in self.audit.tail(100) if str(one["event"]).startswith("rule")]


@pytest.fixture
def made(state: StateFolder) -> Iterator[Made]:
    opened = Made(state)
    yield opened
    opened.approvals.close()


@pytest.fixture
def two(made: Made) -> Made:
    made.needed = 2
    return made


def test_without_a_file_there_is_no_rule(made: Made) -> None:
    assert (made.on(), made.book.all()) == ([], ())


def test_a_rule_holds_the_plan_that_people_approved_and_says_who_stands_behind_it(made: Made) -> None:
    kept = made.make("admin@north.org", named=False)
    assert (kept.state, kept.people, made.on()) == ("on", ("admin@north.org",), ["night"])
    assert (kept.rule.plan, kept.rule.account) == (PLAN.to_json(), ACCOUNT)
    assert made.state.rules.stat().st_mode & 0o777 == 0o600
    event = made.audit.tail(1)[0]
    assert (event["event"], event["rule"], event["version"]) == ("rule in force", "night", kept.version)
    assert (event["by"], event["reason"]) == ("admin@north.org", WANTED.reason)


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 401])
def test_nobody_makes_a_rule_without_a_reason(made: Made, reason: str) -> None:
    with pytest.raises(ConfigError, match="needs a reason"):
        made.make(reason=reason)
    assert made.on() == [] and made.events() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"like": "nobodys"}, "people approved"),
        ({"name": "Night Shift"}, "name must be"),
        ({"max_study_epsilon": 0.0}, "above 0"),
        ({"max_month_epsilon": float("inf")}, "max_month_epsilon"),
        ({"ends": "soon"}, "2027-03-31"),
        ({"ends": "2020-01-01"}, "within"),
        ({"ends": (datetime.now(UTC).date() + timedelta(days=MOST_DAYS + 2)).isoformat()}, "within"),
        ({"ranges": ("rounds=5..20",)}, "not in 5 to 20"),
        ({"ranges": ("rounds=1..20", "rounds=1..30")}, "two ranges"),
        ({"ranges": ("rounds=1..nan",)}, "LOW..HIGH"),
        ({"ranges": ("rounds=1..1e999",)}, "not in"),
        ({"ranges": ("privacy.delta=1e-9..1",)}, "nothing that a rule can leave open"),
        ({"ranges": ("model.name=1..2",)}, "nothing that a rule can leave open"),
        ({"ranges": ("rounds",)}, "LOW..HIGH"),
    ],
)
def test_what_no_rule_can_be_is_refused_with_what_it_can_be(made: Made, changes: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        made.make(**changes)
    assert made.on() == []


def test_nobody_is_behind_a_rule_who_asks_in_it(two: Made) -> None:
    with pytest.raises(NotAllowed, match="asks"):
        two.make("ada")
    with pytest.raises(NotAllowed, match="asks"):
        two.book.confirm(two.make("wu").version, by="ada@example.org", named=True)


def test_where_two_decide_a_rule_takes_two_different_people_with_own_tokens(two: Made) -> None:
    with pytest.raises(NotAllowed, match="own token"):
        two.make("admin@north.org", named=False)
    proposed = two.make("wu")
    assert (proposed.state, two.on()) == ("proposed", [])
    for by, named in (("wu", True), ("admin@north.org", False)):
        with pytest.raises(NotAllowed):
            two.book.confirm(proposed.version, by=by, named=named)
    assert two.on() == []
    kept = two.book.confirm(proposed.version[:8], by="chan", named=True)
    assert (kept.state, kept.people, two.on()) == ("on", ("wu", "chan"), ["night"])
    assert two.events() == ["rule proposed", "rule confirmed", "rule in force"]


def test_a_change_is_a_new_version_that_takes_as_many_people_and_until_then_the_old_one_holds(two: Made) -> None:
    first = two.book.confirm(two.make("wu").version, by="chan", named=True)
    second = two.make("wu", max_month_epsilon=3.0)
    with two.book.in_force() as found:
        assert [one.version for one in found] == [first.version]
    two.book.confirm(second.version, by="chan", named=True)
    with two.book.in_force() as found:
        assert [one.version for one in found] == [second.version]
    off = two.book.named(first.version)
    assert (off.state, off.off_by) == ("off", f"version {second.version}")


def test_a_proposal_is_withdrawn_expires_and_ends_with_an_account(two: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    two.book.withdraw(two.make("wu").version, by="chan")
    proposed = two.make("wu")
    two.book.drop("chan")
    assert [one.state for one in two.book.all()] == ["proposed"]
    two.book.drop("wu")
    assert two.book.all() == ()
    two.make("wu")
    monkeypatch.setattr(kept_rule, "EXPIRES_AFTER", timedelta(0))
    assert two.book.all() == ()
    with pytest.raises(RequestUnknown):
        two.book.confirm(proposed.version, by="chan", named=True)


def test_a_rule_is_off_for_good_once_one_of_its_people_has_no_account_any_more(two: Made) -> None:
    kept = two.book.confirm(two.make("wu").version, by="chan", named=True)
    two.book.drop("lee")
    assert two.on() == ["night"]
    two.book.drop("chan")
    (off,) = two.book.all()
    assert (off.version, off.state, off.off_by, two.on()) == (kept.version, "off", "the account of chan", [])
    assert two.events()[-1] == "rule switched off"
    with pytest.raises(RequestUnknown):
        two.book.confirm(kept.version, by="chan", named=True)


def test_one_person_switches_a_rule_off_at_once_and_for_good(two: Made) -> None:
    kept = two.book.confirm(two.make("wu").version, by="chan", named=True)
    off = two.book.switch_off(kept.version[:8], by="admin@north.org")
    assert (two.on(), off.state, off.off_by, two.events()[-1]) == ([], "off", "admin@north.org", "rule switched off")
    with pytest.raises(RequestUnknown):
        two.book.switch_off(kept.version, by="wu")
    with pytest.raises(RequestUnknown):
        two.book.confirm(kept.version, by="lee", named=True)


def test_a_rule_decides_nothing_after_its_last_day(made: Made) -> None:
    kept = made.make()
    last = date.fromisoformat(kept.rule.ends)
    assert not kept.rule.has_ended(last) and kept.rule.has_ended(last + timedelta(days=1))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "{",
        lambda text: "{}",
        lambda text: text.replace('"on"', '"On"'),
        lambda text: text.replace('"ends"', '"end"'),
        lambda text: json.dumps([{**json.loads(text)[0], "more": 1}]),
    ],
    ids=["no-json", "no-list", "state", "field", "more"],
)
def test_rules_that_cannot_be_read_are_none_that_decide(made: Made, damage: Callable[[str], str]) -> None:
    made.make()
    made.state.rules.write_text(damage(made.state.rules.read_text()))
    for ask in (made.on, made.book.all, made.make):
        with pytest.raises(ConfigError, match="no rule decides"):
            ask()
    made.book.drop("wu")


def test_a_version_is_another_whatever_of_the_rule_is(made: Made) -> None:
    rule = made.make().rule
    others = [
        replace(rule, max_month_epsilon=2.5),
        replace(rule, plan=canonical_json({})),
        replace(rule, ranges=()),
        replace(rule, dataset_version=2),
        replace(rule, ends="2027-01-01"),
    ]
    assert len({one.version for one in (rule, *others)}) == 6


def test_a_rule_is_in_no_backup(made: Made, tmp_path: Path) -> None:
    from datasites.state.backup import back_up

    made.make()
    copy = back_up(made.state, tmp_path / "backups")
    assert not list(copy.folder.rglob("rules.json"))
