"""Moments and days as people read them, in one form on pages and in terminals: 2026-11-27 12:00:05, 2026-11-27."""

from __future__ import annotations

from datetime import UTC, datetime

_DATE_ALONE = len("2026-11-27")


def as_time(when: str | float | datetime) -> datetime:
    """A time on this machine's clock.

    Args:
        when: ISO 8601, or seconds since 1970, or a time; one without a zone is UTC.

    Raises:
        ValueError, OverflowError, OSError: It is no such moment.
    """
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    elif not isinstance(when, datetime):
        when = datetime.fromtimestamp(when, UTC)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone()


def moment(when: str | float | datetime) -> str:
    """A day and the time of it, on this machine's clock; a text that is no moment stays as it is.

    Args:
        when: As of `as_time`.
    """
    return _written(when, "%Y-%m-%d %H:%M:%S")


def day(when: str | float | datetime) -> str:
    """A day, on this machine's clock; a text that is no moment stays as it is.

    Args:
        when: As of `as_time`; a date alone is that day, whatever the clock.
    """
    return when if isinstance(when, str) and len(when) == _DATE_ALONE else _written(when, "%Y-%m-%d")


def days_since(when: str | float | datetime) -> int:
    """Whole days since a moment; 0 for one that is still to come.

    Args:
        when: As of `as_time`.
    """
    return max((datetime.now(UTC) - as_time(when)).days, 0)


def _written(when: str | float | datetime, form: str) -> str:
    try:
        return as_time(when).strftime(form)
    except (ValueError, OverflowError, OSError):
        return str(when)
