"""The divergences of one sampled step: Opacus' own at every kind of order, and infinite where they cannot be had."""

from __future__ import annotations

import math

import pytest

from policies.budget import opacus_files, prv
from policies.budget.sampled_gaussian import divergences
from policies.budget.steps import GaussianSteps

ORDERS = (1.5, 1.9, 2.0, 2.1, 3.7, 5.9, 6.0, 33.0, 255.0, 1023.0)


@pytest.mark.parametrize(
    ("noise", "rate"),
    [(0.05, 0.01), (0.5, 0.001), (1.0, 0.05), (1.0, 0.5), (2.0, 0.9), (12.0, 0.2), (90.0, 0.01), (1e-6, 0.1)],
)
def test_each_order_has_the_divergence_that_opacus_adds_up_term_by_term(noise: float, rate: float) -> None:
    one_by_one = opacus_files.rdp().compute_rdp
    expected = [one_by_one(q=rate, noise_multiplier=noise, steps=1, orders=order) for order in ORDERS]
    assert divergences(noise, rate, ORDERS) == pytest.approx(expected, rel=1e-9, abs=1e-11)


def test_a_step_of_everybody_costs_the_order_over_twice_the_variance() -> None:
    assert divergences(3.0, 1.0, (2.0, 4.5)) == pytest.approx([2 / 18, 4.5 / 18])


def test_two_is_the_order_that_a_reader_checks_by_hand() -> None:
    # The mean of the squared ratio of densities is 1 + q^2 (e^(1 / sigma^2) - 1).
    assert divergences(2.0, 0.3, (2.0,)) == pytest.approx([math.log(1 + 0.09 * math.expm1(1 / 4))])


@pytest.mark.parametrize(("noise", "rate"), [(1e-160, 0.1), (1e-200, 0.1), (1e-200, 1.0), (1e200, 0.1)])
def test_where_terms_leave_double_precision_nothing_is_promised(noise: float, rate: float) -> None:
    assert divergences(noise, rate, (2.0, 3.5)).tolist() == [math.inf, math.inf]


@pytest.mark.parametrize("rate", [math.nextafter(1.0, 0.0), 1e-320])
def test_rates_at_the_ends_of_their_range_are_answered_and_never_below_nothing(rate: float) -> None:
    assert all(value > -1e-12 for value in divergences(1.0, rate, ORDERS))


def test_opacus_prv_accountant_asks_for_no_divergence_that_is_added_up_term_by_term(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def asked(*_: object) -> float:
        raise AssertionError("Opacus' own series was added up")

    monkeypatch.setattr(opacus_files.rdp(), "_compute_log_a", asked)
    found = prv.prv_epsilon([GaussianSteps(1.3, 0.07, 90)], 1e-5)
    assert found is not None and 0.5 < found < 8
