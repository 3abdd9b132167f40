"""What `capture` says of a network's size: no network computes nothing."""

from __future__ import annotations

import pytest

from researcher.cli.models.captures import multiplications


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0"), (303_104, "303,104"), (9_999_999, "9,999,999"), (1_814_000_000, "1,814 million")]
)
def test_a_small_number_of_multiplications_is_told_whole(number: int, told: str) -> None:
    assert multiplications(number) == told
