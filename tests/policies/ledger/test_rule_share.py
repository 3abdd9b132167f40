"""What a rule reserves in a month stays within it, whoever asks at once; sums are done by hand."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ledgers import hundredth_a_step, ledger_at, reserve, steps

from policies.budget.limits import DatasetLimits, PrivacyBudget
from policies.errors import BudgetExceeded, LimitExceeded
from policies.ledger.chain import Entry
from policies.ledger.rule_share import MONTH, RuleShare, reserved_lately

ROOM = DatasetLimits(PrivacyBudget(1000.0, 1e-5), max_study_epsilon=1000.0, max_researcher_epsilon=1000.0)
NOW = datetime(2026, 11, 20, tzinfo=UTC)
SHARE = RuleShare("night", 1.0)


def entry(rule: str, count: int, at: datetime) -> Entry:
    body = {"spend": [vars(steps(count))], **({"rule": rule} if rule else {})}
    return Entry(1, at.isoformat(timespec="microseconds"), "reserve", "f", "r", None, body, "", "")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["night", "day", ""]),
            st.integers(1, 50),
            st.integers(-5 * 86_400, 90 * 86_400),  # seconds before now; below 0 where the clock was put back
        ),
        max_size=30,
    )
)
@settings(max_examples=60, deadline=None)
def test_a_month_counts_all_that_the_rule_reserved_within_thirty_days_and_nothing_else(
    reserved: list[tuple[str, int, int]],
) -> None:
    entries = [entry(rule, count, NOW - timedelta(seconds=ago)) for rule, count, ago in reserved]
    by_hand = sum(count for rule, count, ago in reserved if rule == "night" and ago < MONTH.total_seconds())
    assert sum(part.steps for part in reserved_lately(entries, "night", until=NOW)) == by_hand


@given(st.lists(st.integers(1, 70), min_size=1, max_size=8))
@settings(max_examples=20, deadline=None)
def test_whatever_is_asked_for_in_turn_a_rule_never_reserves_more_than_its_month(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int]
) -> None:
    ledger, taken = ledger_at(tmp_path_factory.mktemp("turn") / "ledger.sqlite"), 0
    for number, count in enumerate(counts):
        try:
            reserve(ledger, f"r{number}", count, limits=ROOM, share=SHARE)
        except BudgetExceeded:
            assert taken + count > 100
        else:
            taken += count
            assert taken <= 100


def test_of_many_that_ask_together_for_the_last_of_a_month_one_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    reserve(ledger_at(path), "first", 60, limits=ROOM, share=SHARE)
    gate, told = threading.Barrier(6), []

    def ask(number: int) -> None:
        ledger = ledger_at(path)
        gate.wait()
        try:
            reserve(ledger, f"r{number}", 40, limits=ROOM, share=SHARE)
            told.append("reserved")
        except BudgetExceeded as error:
            assert "rule 'night' within 30 days" in error.public
            told.append("refused")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(told) == ["refused"] * 5 + ["reserved"]
    assert sum(part.steps for part in reserved_lately(ledger_at(path).entries(), "night", until=NOW)) == 100


def test_what_a_rule_reserved_stays_counted_when_the_study_ends_unused(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "ledger.sqlite")
    reserve(ledger, "one", 80, limits=ROOM, share=SHARE)
    ledger.release("one", "over")
    with pytest.raises(BudgetExceeded):
        reserve(ledger, "two", 30, limits=ROOM, share=SHARE)
    reserve(ledger, "three", 30, limits=ROOM, share=RuleShare("day", 1.0))
    reserve(ledger, "four", 30, limits=ROOM)
    assert {name: held.rule for name, held in ledger.reservations().items()} == {
        "one": "night",
        "three": "day",
        "four": "",
    }


def test_no_rule_reserves_what_has_no_differential_privacy_whatever_the_limits(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "ledger.sqlite")
    with pytest.raises(LimitExceeded, match="people"):
        reserve(ledger, "one", 0, limits=replace(ROOM, allow_non_private=True), share=SHARE)
    assert ledger.entries() == ()


def test_a_reservation_is_the_same_whoever_approved_it(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "ledger.sqlite", hundredth_a_step)
    reserve(ledger, "one", 10, limits=ROOM, share=SHARE)
    reserve(ledger, "one", 10, limits=ROOM)
    assert len(ledger.entries()) == 1
