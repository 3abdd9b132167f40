"""The retry policy: what is no time to wait, and when a round ends without those that are still at work."""

from __future__ import annotations

import math
from typing import Any

import pytest

from policies.errors import ConfigError
from researcher.studies.retry_policy import RetryPolicy


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [
        ("round_deadline", -1.0, "0"),
        ("round_deadline", math.inf, "0"),
        ("round_deadline_factor", 0.99, "1"),
        ("round_deadline_factor", math.nan, "1"),
        ("grace_seconds", -0.1, "0"),
        ("unreachable_seconds", math.nan, "0"),
        ("stalled_seconds", -1.0, "0"),
        ("attempts", 0, "1"),
    ],
)
def test_what_is_no_time_to_wait_is_refused_with_the_least_that_is_one(name: str, value: Any, least: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"{name} is {value}; it must be a (finite|whole) number of at least {least}"
    ):
        RetryPolicy(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("round_deadline_factor", True),
        ("round_deadline_factor", "2"),
        ("round_deadline", 10**400),
        ("grace_seconds", None),
        ("stalled_seconds", [1.0]),
        ("attempts", 1.5),
        ("attempts", True),
        ("attempts", None),
    ],
)
def test_what_is_another_kind_of_value_is_refused_before_a_round_meets_it(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name} is .*; it must be a (finite|whole) number"):
        RetryPolicy(**{name: value})


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [
        (RetryPolicy(), math.inf),
        (RetryPolicy(round_deadline=100.0), 100.0),
        (RetryPolicy(round_deadline=0.0), 0.0),
        (RetryPolicy(round_deadline_factor=1.5), 60.0),
        (RetryPolicy(round_deadline=100.0, round_deadline_factor=1.5), 60.0),
        (RetryPolicy(round_deadline=50.0, round_deadline_factor=1.5), 50.0),
    ],
)
def test_a_round_that_had_enough_updates_after_forty_seconds_ends_at_the_earlier_of_both(
    policy: RetryPolicy, seconds: float
) -> None:
    assert policy.longest(40.0) == seconds
    assert policy.leaves_behind == math.isfinite(seconds)
