"""What a published size tells, and what it leaves open."""

from __future__ import annotations

import pytest

from policies.plans.public_size import most_units, rounded_down


@pytest.mark.parametrize(
    ("units", "published", "most"),
    [
        (1, 1, 1),
        (9, 9, 9),
        (57, 50, 59),
        (99, 90, 99),
        (100, 100, 109),
        (256, 250, 259),
        (999, 990, 999),
        (1360, 1300, 1399),
        (19_999, 19_000, 19_999),
        (100_000, 100_000, 109_999),
    ],
)
def test_two_digits_are_published_and_below_100_one(units, published, most):
    assert rounded_down(units) == published
    assert most_units(published) == most


def test_a_published_size_stands_for_exactly_the_numbers_that_round_down_to_it():
    sizes = [rounded_down(units) for units in range(1, 20_000)]
    last = dict(zip(sizes, range(1, 20_000), strict=True))
    assert all(most_units(size) == most for size, most in last.items())
    assert all(rounded_down(size) == size for size in last)


@pytest.mark.parametrize(("declared", "most"), [(55, 59), (123, 129), (4567, 4599), (1999, 1999)])
def test_a_declared_size_has_room_up_to_the_next_that_rounding_gives(declared, most):
    assert most_units(declared) == most
