"""What a published size tells, and what it leaves open."""

from __future__ import annotations

import pytest

from policies.plans.public_size import rounded_up


@pytest.mark.parametrize(
    ("units", "published"),
    [
        (1, 1),
        (9, 9),
        (10, 10),
        (57, 60),
        (91, 100),
        (100, 100),
        (101, 110),
        (256, 260),
        (999, 1000),
        (1360, 1400),
        (19_999, 20_000),
        (100_000, 100_000),
        (100_001, 110_000),
    ],
)
def test_two_digits_are_published_and_below_100_one(units, published):
    assert rounded_up(units) == published


def test_a_published_size_has_room_for_everyone_and_from_100_up_for_less_than_a_tenth_more():
    sizes = {units: rounded_up(units) for units in range(1, 20_000)}
    assert all(units <= size <= max(units + 9, 1.1 * units) for units, size in sizes.items())
    assert all(rounded_up(size) == size for size in sizes.values())
