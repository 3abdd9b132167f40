"""The ledger's rules: who may reserve what, what is charged, and what becomes free again."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from support.ledgers import (
    FINGERPRINT,
    OTHER_FINGERPRINT,
    OTHER_UPDATE,
    OTHER_WEIGHTS,
    UPDATE,
    WEIGHTS,
    commit,
    ledger_at,
    reserve,
    start,
    steps,
)

from policies.budget.accountant import GaussianSteps, epsilon_spent
from policies.budget.limits import DatasetLimits, PrivacyBudget
from policies.errors import BudgetExceeded, LimitExceeded, NotReserved, PlanError, RequestAltered, RoundRefused
from policies.ledger.ledger import Ledger
from policies.ledger.reservations import NOTHING_LEFT, steps_to_json

# --- reserving -----------------------------------------------------------------------------------------------


def test_a_live_reservation_charges_its_whole_envelope(ledger: Ledger) -> None:
    held = reserve(ledger, "one", 40)
    assert held.spend == (steps(40),)
    assert ledger.history(FINGERPRINT) == (steps(40),)
    assert ledger.spent("one") == ()


def test_the_refusal_says_what_is_needed_what_is_left_and_what_to_do(ledger: Ledger) -> None:
    reserve(ledger, "one", 715)
    with pytest.raises(BudgetExceeded) as refused:
        reserve(ledger, "two", 120, study="other")
    assert refused.value.public == (
        "Budget exceeded: this request needs epsilon 1.20, 0.85 is left for dataset 'chest-xray' (delta 1e-5). "
        "The researcher can submit a plan of fewer rounds or a smaller epsilon; the hospital can end a study that "
        "needs no more rounds, which frees what it did not use, or allow more."
    )


def test_a_refused_reservation_leaves_the_ledger_unchanged(ledger: Ledger) -> None:
    reserve(ledger, "one", 700)
    before = ledger.entries()
    with pytest.raises(BudgetExceeded):
        reserve(ledger, "two", 101)
    assert ledger.entries() == before


def test_a_budget_can_be_spent_to_its_last_step(ledger: Ledger) -> None:
    reserve(ledger, "one", 700)
    reserve(ledger, "two", 100)
    with pytest.raises(BudgetExceeded, match=r"needs epsilon 0\.01, 0\.00 is left"):
        reserve(ledger, "three", 1)


def test_requests_of_one_study_count_together(ledger: Ledger) -> None:
    limits = DatasetLimits(PrivacyBudget(8.0, 1e-5), max_study_epsilon=2.0)
    reserve(ledger, "one", 150, limits=limits)
    with pytest.raises(BudgetExceeded, match=r"0\.50 is left for study 'pneumonia' on dataset 'chest-xray'"):
        reserve(ledger, "two", 100, limits=limits)
    reserve(ledger, "three", 100, limits=limits, study="fractures")
    reserve(ledger, "four", 100, limits=limits, researcher="another@example.org")


def test_studies_of_one_researcher_count_together(ledger: Ledger) -> None:
    limits = DatasetLimits(PrivacyBudget(8.0, 1e-5), max_researcher_epsilon=2.0)
    reserve(ledger, "one", 150, limits=limits)
    with pytest.raises(BudgetExceeded, match=r"0\.50 is left for this researcher on dataset 'chest-xray'"):
        reserve(ledger, "two", 100, limits=limits, study="fractures")
    reserve(ledger, "three", 100, limits=limits, researcher="another@example.org")


def test_all_researchers_share_the_dataset(ledger: Ledger) -> None:
    reserve(ledger, "one", 500)
    with pytest.raises(BudgetExceeded):
        reserve(ledger, "two", 400, researcher="another@example.org", study="fractures")


def test_a_renamed_copy_shares_the_budget_and_another_dataset_does_not(ledger: Ledger) -> None:
    reserve(ledger, "one", 500)
    with pytest.raises(BudgetExceeded):
        reserve(ledger, "two", 400, dataset="renamed")
    reserve(ledger, "three", 400, fingerprint=OTHER_FINGERPRINT)
    assert ledger.history(OTHER_FINGERPRINT) == (steps(400),)


def test_history_can_be_asked_by_study_researcher_and_request(ledger: Ledger) -> None:
    reserve(ledger, "one", 1)
    reserve(ledger, "two", 2, study="fractures")
    reserve(ledger, "three", 4, researcher="another@example.org")
    assert ledger.history(FINGERPRINT) == (steps(7),)
    assert ledger.history(FINGERPRINT, researcher="ada@example.org") == (steps(3),)
    assert ledger.history(FINGERPRINT, study="pneumonia") == (steps(5),)
    assert ledger.history(FINGERPRINT, study="pneumonia", researcher="ada@example.org") == (steps(1),)
    assert ledger.history(FINGERPRINT, request_id="two") == (steps(2),)
    assert ledger.history(FINGERPRINT, request_id="none") == ()


def test_reserving_the_same_again_changes_nothing(ledger: Ledger) -> None:
    first = reserve(ledger, "one", 700)
    commit(ledger, "one", 0, 10)
    again = reserve(ledger, "one", 700)
    assert again.covers_same(first)
    assert again.committed[0].update_digest == UPDATE
    assert len(ledger.entries()) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"spend": (steps(41),)},
        {"rounds": 5},
        {"plan_digest": "d" * 64},
        {"researcher": "another@example.org"},
        {"fingerprint": OTHER_FINGERPRINT},
        {"dataset_version": 2},
    ],
)
def test_a_reserved_request_cannot_be_reserved_with_other_content(ledger: Ledger, change: dict[str, object]) -> None:
    reserve(ledger, "one", 40)
    with pytest.raises(RequestAltered):
        reserve(ledger, "one", 40, **change)
    assert ledger.history(FINGERPRINT) == (steps(40),)


@pytest.mark.parametrize("epsilon", [math.nan, math.inf])
def test_an_epsilon_that_is_not_a_number_fits_nowhere(tmp_path: Path, epsilon: float) -> None:
    ledger = ledger_at(tmp_path / "ledger.sqlite", lambda history, delta: epsilon if history else 0.0)
    with pytest.raises(BudgetExceeded, match=r"needs epsilon without bound, 8.00 is left"):
        reserve(ledger, "one", 1)


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "short"},
        {"request_id": ""},
        {"request_id": 7},
        {"researcher": "x" * 201},
        {"researcher": "a\nb"},
        {"study": "No Such Name"},
        {"plan_digest": "Z" * 64},
        {"rounds": 0},
        {"rounds": True},
    ],
)
def test_a_malformed_reservation_is_refused(ledger: Ledger, change: dict[str, object]) -> None:
    with pytest.raises(PlanError):
        reserve(ledger, **{"request_id": "one", "count": 1, **change})
    assert ledger.entries() == ()


def test_studies_are_composed_and_not_added(tmp_path: Path) -> None:
    """Full batches, signal 1 each: 4.4 for one, 6.6 for two where adding says 8.8, 8.5 for three."""
    ledger = ledger_at(tmp_path / "ledger.sqlite", epsilon_spent)
    signal_one = (GaussianSteps(10.0, 1.0, 100),)
    reserve(ledger, "one", 1, spend=signal_one)
    reserve(ledger, "two", 1, spend=signal_one)
    with pytest.raises(BudgetExceeded, match=r"needs epsilon 1\.\d\d, 1\.[34]\d is left"):
        reserve(ledger, "three", 1, spend=signal_one)


def test_threads_reserving_at_once_cannot_overdraw(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger_at(path)

    def try_one(number: int) -> bool:
        try:
            reserve(ledger_at(path), f"request-{number}", 200, study=f"study-{number}")
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(try_one, range(16))) == 4


# --- running -------------------------------------------------------------------------------------------------


def test_a_committed_round_is_remembered_by_its_update(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    commit(ledger, "one", 2, 10)
    assert ledger.committed("one", 2) == UPDATE
    assert ledger.committed("one", 1) is None
    assert ledger.committed("none", 0) is None
    assert ledger.spent("one") == (steps(10),)
    assert ledger.history(FINGERPRINT) == (steps(40),)


def test_a_round_is_charged_when_it_starts_and_only_then(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    start(ledger, "one", 0, 10)
    assert ledger.spent("one") == (steps(10),)
    assert ledger.committed("one", 0) is None
    ledger.commit(request_id="one", round_index=0, update_digest=UPDATE)
    assert ledger.spent("one") == (steps(10),)


def test_a_started_round_is_pinned_to_its_weights(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    start(ledger, "one", 0, 10)
    start(ledger, "one", 0, 10)
    with pytest.raises(RoundRefused, match="other weights"):
        start(ledger, "one", 0, 10, OTHER_WEIGHTS)
    with pytest.raises(RoundRefused):
        start(ledger, "one", 0, 9)
    assert ledger.started("one", 0) == WEIGHTS
    assert ledger.started("one", 1) is None
    assert ledger.spent("one") == (steps(10),)
    assert [entry.kind for entry in ledger.entries()] == ["reserve", "start"]


def test_a_round_that_gave_nothing_is_charged_and_never_starts_again(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    start(ledger, "one", 0, 10)
    ledger.commit(request_id="one", round_index=0, update_digest=NOTHING_LEFT)
    for weights in (WEIGHTS, OTHER_WEIGHTS):
        with pytest.raises(RoundRefused, match="ended and was charged"):
            start(ledger, "one", 0, 10, weights)
    with pytest.raises(RoundRefused):
        ledger.commit(request_id="one", round_index=0, update_digest=UPDATE)
    ledger.release("one", "the study ended")
    assert ledger.history(FINGERPRINT) == (steps(10),)


def test_the_same_round_ends_once(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    commit(ledger, "one", 0, 10)
    commit(ledger, "one", 0, 10)
    assert ledger.spent("one") == (steps(10),)
    assert len(ledger.entries()) == 3


def test_a_round_has_one_update(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    commit(ledger, "one", 0, 10)
    with pytest.raises(RoundRefused):
        commit(ledger, "one", 0, 10, OTHER_UPDATE)
    assert ledger.committed("one", 0) == UPDATE


def test_a_round_that_never_started_gives_no_update(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    with pytest.raises(NotReserved, match="not started"):
        ledger.commit(request_id="one", round_index=0, update_digest=UPDATE)
    assert len(ledger.entries()) == 1


def test_what_no_approval_covers_does_not_start(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    with pytest.raises(NotReserved, match="must be approved"):
        start(ledger, "unknown", 0, 10)
    with pytest.raises(NotReserved, match="rounds 1 to 4, got round 5"):
        start(ledger, "one", 4, 10)
    with pytest.raises(NotReserved):
        start(ledger, "one", -1, 10)
    with pytest.raises(NotReserved):
        start(ledger, "one", True, 10)
    with pytest.raises(PlanError):
        start(ledger, "one", 0, 10, "short")
    assert len(ledger.entries()) == 1


def test_rounds_together_never_exceed_the_envelope(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    start(ledger, "one", 0, 30)
    with pytest.raises(NotReserved, match="more than is left"):
        start(ledger, "one", 1, 11)
    start(ledger, "one", 1, 10)
    assert ledger.spent("one") == (steps(40),)


def test_what_was_reserved_as_allocated_starts_as_that_alone(ledger: Ledger) -> None:
    allocated = GaussianSteps(1.0, 0.1, 40, 10)
    held = reserve(ledger, "one", 40, spend=(allocated,))
    assert held.spend == (allocated,)
    with pytest.raises(NotReserved, match="more than is left"):
        start(ledger, "one", 0, 10)
    ledger.start(request_id="one", round_index=0, spend=replace(allocated, steps=10), weights_digest=WEIGHTS)
    assert ledger.spent("one") == (replace(allocated, steps=10),)
    reserve(ledger, "two", 40, study="other")
    assert set(ledger.history(FINGERPRINT)) == {allocated, steps(40)}


def test_steps_that_are_not_allocated_are_written_as_they_always_were() -> None:
    written = {"noise_multiplier": 1.0, "sample_rate": 0.1, "steps": 40}
    assert steps_to_json(steps(40)) == written
    assert steps_to_json(GaussianSteps(1.0, 0.1, 40, 10)) == {**written, "allocated_over": 10}


def test_less_noise_than_reserved_does_not_start(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    with pytest.raises(NotReserved, match=r"noise multiplier 0.5"):
        ledger.start(request_id="one", round_index=0, spend=steps(1, noise=0.5), weights_digest=WEIGHTS)


def test_a_round_without_privacy_does_not_start_on_a_private_reservation(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    with pytest.raises(NotReserved):
        ledger.start(request_id="one", round_index=0, spend=None, weights_digest=WEIGHTS)


# --- ending --------------------------------------------------------------------------------------------------


def test_release_frees_what_was_not_used_and_keeps_what_was(ledger: Ledger) -> None:
    reserve(ledger, "one", 700)
    commit(ledger, "one", 0, 100)
    ledger.release("one", "the study ended")
    assert ledger.history(FINGERPRINT) == (steps(100),)
    reserve(ledger, "two", 700)
    with pytest.raises(BudgetExceeded):
        reserve(ledger, "three", 1)


def test_nothing_starts_or_gives_an_update_after_release(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    commit(ledger, "one", 0, 10)
    start(ledger, "one", 2, 10)
    ledger.release("one", "the study ended")
    with pytest.raises(NotReserved, match="ended"):
        start(ledger, "one", 1, 10)
    with pytest.raises(NotReserved, match="ended"):
        ledger.commit(request_id="one", round_index=2, update_digest=UPDATE)
    with pytest.raises(NotReserved, match="ended"):
        reserve(ledger, "one", 40)
    commit(ledger, "one", 0, 10)  # what had ended before stays an answer to a retry
    assert ledger.history(FINGERPRINT) == (steps(20),)


def test_releasing_again_changes_nothing_and_an_unknown_request_cannot_be_released(ledger: Ledger) -> None:
    reserve(ledger, "one", 40)
    ledger.release("one", "the study ended")
    ledger.release("one", "another reason")
    assert [entry.kind for entry in ledger.entries()] == ["reserve", "release"]
    assert ledger.reservations()["one"].released == "the study ended"
    with pytest.raises(NotReserved):
        ledger.release("two", "the study ended")
    with pytest.raises(PlanError):
        ledger.release("one", " ")


# --- without differential privacy ----------------------------------------------------------------------------


def test_a_request_without_privacy_needs_the_hospitals_leave(ledger: Ledger) -> None:
    with pytest.raises(LimitExceeded, match="differential privacy only"):
        reserve(ledger, "one", 0)
    assert ledger.entries() == ()


def test_a_request_without_privacy_is_recorded_as_such(ledger: Ledger) -> None:
    held = reserve(ledger, "one", 0, limits=DatasetLimits(allow_non_private=True))
    assert held.non_private
    ledger.start(request_id="one", round_index=0, spend=None, weights_digest=WEIGHTS)
    ledger.commit(request_id="one", round_index=0, update_digest=UPDATE)
    with pytest.raises(NotReserved):
        start(ledger, "one", 1, 1)
    assert [entry.body.get("non_private") for entry in ledger.entries()] == [True, None, None]
    assert ledger.committed("one", 0) == UPDATE
    assert ledger.history(FINGERPRINT) == ()
