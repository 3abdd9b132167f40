"""Epsilons as people read them."""

from __future__ import annotations

import math

import pytest

from policies.answers import rounded


@pytest.mark.parametrize(
    ("epsilon", "cost", "left"),
    [
        (5.444, "5.45", "5.44"),
        (5.4400001, "5.45", "5.44"),
        (5.44, "5.44", "5.44"),
        (0.1 + 0.2, "0.30", "0.30"),
        (1.2559, "1.26", "1.25"),
        (0.0, "0.00", "0.00"),
        (1e-6, "0.01", "0.00"),
        (math.inf, "inf", "inf"),
    ],
)
def test_a_cost_is_never_told_smaller_and_what_is_left_never_larger(epsilon: float, cost: str, left: str) -> None:
    assert (rounded.cost(epsilon), rounded.left(epsilon)) == (cost, left)
