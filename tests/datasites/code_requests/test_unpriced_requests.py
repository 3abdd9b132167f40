"""Requests whose cost cannot be computed: they can be seen, denied and withdrawn, never approved, and hide no other."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.books import tenth_a_step
from support.governed import Governed
from support.hospitals import RESEARCHER

from datasites.code_requests.calculator import Calculator
from datasites.console.answers import read_row
from datasites.console.shown.tables import request_table
from datasites.review.reviewing import reviewed
from policies.answers.plain_values import to_plain
from policies.budget.steps import GaussianSteps
from policies.errors import PlanError, RunFailed, WanwuError
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

ODD = 2.5
PLAN = TrainingPlan(
    "cells", "pictures", ModelSpec("small_cnn", (16, 16, 1), 2), 2, 1, 0.1, 0.5, privacy=PrivacySpec(2.0, 1.0, 1e-5)
)
FAILURES = [
    ZeroDivisionError("float division by zero"),
    ValueError("operands could not be broadcast together"),
    IndexError("list index out of range"),
    MemoryError(),
    TimeoutError("no answer"),
    RunFailed("The process that computes sums has ended."),
]


class Sums:
    """Reckons by hand, and fails with every history that holds a part of the odd noise multiplier."""

    def __init__(self, failure: Exception | float) -> None:
        self.failure = failure

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        parts = [part for one in arguments if isinstance(one, tuple) for part in one]
        if not any(part.noise_multiplier == ODD for part in parts):
            return tenth_a_step(arguments[0], arguments[1]) if len(arguments) == 2 else function(*arguments)
        if isinstance(self.failure, Exception):
            raise self.failure
        return self.failure

    def end(self) -> None: ...


def plan_of(request: pytest.FixtureRequest, noise: float) -> TrainingPlan:
    study = "".join(one if one.isalnum() else "-" for one in request.node.name.lower())[:50].strip("-")
    return replace(PLAN, study=f"{study}-{noise:g}".replace(".", "-"), privacy=PrivacySpec(noise, 1.0, 1e-5))


def break_the_sums(north: Governed, monkeypatch: pytest.MonkeyPatch, failure: Exception | float) -> None:
    """From now on the odd noise multiplier cannot be priced."""
    made = Calculator(lambda: Sums(failure))
    for name in ("epsilon_spent", "filter_epsilon"):
        monkeypatch.setattr(north.books.calculator, name, getattr(made, name))


@pytest.mark.parametrize("failure", [*FAILURES, float("inf"), float("nan")], ids=repr)
def test_the_calculator_has_a_finite_price_or_an_error_of_the_platform(
    failure: Exception | float, caplog: pytest.LogCaptureFixture
) -> None:
    made, odd, even = (
        Calculator(lambda: Sums(failure)),
        (GaussianSteps(ODD, 0.1, 10),),
        (GaussianSteps(2.0, 0.1, 10),),
    )
    with caplog.at_level(logging.CRITICAL), pytest.raises(RunFailed if isinstance(failure, RunFailed) else PlanError):
        made.epsilon_spent(odd, 1e-5)
    assert made.epsilon_spent(even, 1e-5) == pytest.approx(1.0)


@pytest.mark.parametrize("failure", [*FAILURES, float("inf")], ids=repr)
def test_a_request_without_a_price_hides_no_other_and_can_only_be_refused(
    north: Governed, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, failure: Exception | float
) -> None:
    odd, even = north.submit(plan_of(request, ODD)), north.submit(plan_of(request, 2.0))
    break_the_sums(north, monkeypatch, failure)
    page = north.book.page(state="pending")
    rows = {row.id: row for row in page.rows}
    assert (rows[odd.request_id].unpriced, rows[odd.request_id].epsilon) == (True, None)
    assert not rows[even.request_id].unpriced and rows[even.request_id].epsilon == pytest.approx(0.2)
    assert read_row(type(page), json.loads(json.dumps(to_plain(page), allow_nan=False))) == page
    assert request_table(to_plain(page)) is not None

    card = north.book.card(odd.request_id)
    code = RunFailed.code if isinstance(failure, RunFailed) else PlanError.code
    assert card.finding.startswith(code) and card.epsilon is None and card.digest
    shown = reviewed(card, north.book.apart(odd.request_id), north.books, enrolled_since="")
    assert [one.topic for one in shown.findings] == ["refused"] and shown.cost is None
    json.dumps(to_plain(shown), allow_nan=False)

    with pytest.raises(WanwuError) as refused:
        north.book.approve(odd.request_id, by="wu")
    assert refused.value.code == code
    assert north.book.state_of(odd.request_id)[0] == "pending" and north.books.ledger.held(odd.request_id) is None
    assert north.book.approve(even.request_id, by="wu").state == "approved"
    assert north.book.deny(odd.request_id, reason="it has no price", by="wu").state == "denied"
    assert north.book.state_of(odd.request_id) == ("denied", "it has no price")


def test_it_can_be_withdrawn_by_who_asked(
    north: Governed, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = north.submit(plan_of(request, ODD))
    break_the_sums(north, monkeypatch, ValueError("operands"))
    north.book.withdraw(odd.request_id, by=RESEARCHER)
    assert north.book.state_of(odd.request_id)[0] == "withdrawn"


@pytest.mark.parametrize("failure", [ValueError("operands"), float("inf")], ids=repr)
def test_a_plan_without_a_price_is_refused_before_anything_is_kept(
    north: Governed, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, failure: Exception | float
) -> None:
    break_the_sums(north, monkeypatch, failure)
    known, told = north.book.index.ids(), len(north.events("request submitted"))
    with pytest.raises(PlanError, match="cannot be approved"):
        north.submit(plan_of(request, ODD))
    assert north.book.index.ids() == known and len(north.events("request submitted")) == told


def test_a_price_that_failed_is_asked_for_again(
    north: Governed, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = north.submit(plan_of(request, ODD))
    with monkeypatch.context() as patched:
        break_the_sums(north, patched, RunFailed("The process that computes sums has ended."))
        assert [row.unpriced for row in north.book.page(query=plan_of(request, ODD).study).rows] == [True]
    (row,) = north.book.page(query=plan_of(request, ODD).study).rows
    assert (row.id, row.unpriced) == (odd.request_id, False) and row.epsilon == pytest.approx(0.2)


def test_of_a_budget_whose_charges_cannot_be_computed_nothing_is_left(
    north: Governed, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, even = north.submit(plan_of(request, ODD)), north.submit(plan_of(request, 2.0))
    north.book.approve(odd.request_id, by="wu")
    break_the_sums(north, monkeypatch, ValueError("operands"))
    held = north.books.ledger.held(odd.request_id)
    assert held is not None
    assert north.books.epsilon_left(held.fingerprint) == 0.0
    assert north.books.epsilon_charged(held.charged) == north.books.limits.current.total.epsilon
    page = north.book.page(state="pending")
    assert dict(page.epsilon_left) == {"pictures": 0.0} and [row.id for row in page.rows] == [even.request_id]
    assert north.book.card(odd.request_id).state == "approved"
    north.book.end(odd.request_id, by="wu", reason="it has no price")
    assert north.book.state_of(odd.request_id)[0] == "ended"
