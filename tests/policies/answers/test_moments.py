"""Moments are told in one form, on this machine's clock; what is none stays as it came."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from policies.answers.moments import day, days_since, moment


@pytest.fixture(autouse=True)
def _in_a_zone_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC-8")  # eight hours ahead
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "when",
    [
        "2026-11-27T23:30:05+00:00",
        "2026-11-27T23:30:05",
        "2026-11-27 23:30:05.123456",
        "2026-11-28T00:30:05+01:00",
        datetime(2026, 11, 27, 23, 30, 5, tzinfo=UTC),
        datetime(2026, 11, 27, 23, 30, 5, tzinfo=UTC).timestamp(),
    ],
    ids=str,
)
def test_a_moment_is_told_on_this_machines_clock_and_one_without_a_zone_is_utc(when: str | float | datetime) -> None:
    assert (moment(when), day(when)) == ("2026-11-28 07:30:05", "2026-11-28")


@pytest.mark.parametrize("zone", ["UTC-8", "UTC+8"])
def test_a_date_alone_is_that_day_whatever_the_clock(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    assert day("2026-11-27") == "2026-11-27"


@pytest.mark.parametrize("text", ["", "yesterday", "9999-12-31T23:59:59"])
def test_what_is_no_moment_stays_as_it_came(text: str) -> None:
    assert moment(text) == day(text) == text


@pytest.mark.parametrize(("hours", "days"), [(-30, 0), (1, 0), (23, 0), (25, 1), (71, 2)])
def test_days_since_a_moment_are_whole_ones_and_none_before_it(hours: int, days: int) -> None:
    then = datetime.now(UTC) - timedelta(hours=hours)
    assert days_since(then.isoformat()) == days_since(then.replace(tzinfo=None).isoformat()) == days
