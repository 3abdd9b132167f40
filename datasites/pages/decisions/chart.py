"""A budget over time as lines to draw: two steps, spent and charged, below the most that may ever be spent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from datasites.pages.decisions.budget_days import BudgetDay

WIDTH, HEIGHT = 720, 200
LEFT, BOTTOM, TOP = 44, 24, 10


@dataclass(frozen=True)
class Chart:
    """Lines of a picture of `WIDTH` by `HEIGHT`.

    Attributes:
        charged: An area from the ground to what was charged, as an SVG path.
        spent: Likewise of what was spent.
        limit: Where the most that may be spent lies.
        ticks: Where a line of the scale lies, and its epsilon.
        first: The first day, ISO 8601.
        last: The last day.
    """

    charged: str
    spent: str
    limit: float
    ticks: tuple[tuple[float, float], ...]
    first: str
    last: str


def chart_of(days: Sequence[BudgetDay], total: float, today: str) -> Chart | None:
    """A chart of these days until today, each as wide as any other: what a day tells stands from where it begins.

    None where there are no days.
    """
    if not days:
        return None
    begin = date.fromisoformat(days[0].day).toordinal()
    span = date.fromisoformat(max(today, days[-1].day)).toordinal() - begin + 1
    highest = max(total, *(one.charged for one in days))
    most = 1.08 * highest

    def across(day: str) -> float:
        return LEFT + (WIDTH - LEFT) * (date.fromisoformat(day).toordinal() - begin) / span

    def up(epsilon: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * epsilon / most

    def area(values: Sequence[float]) -> str:
        path = f"M{LEFT} {up(0):.1f}"
        for one, value in zip(days, values, strict=True):
            path += f"H{across(one.day):.1f}V{up(value):.1f}"
        return f"{path}H{WIDTH}V{up(0):.1f}Z"

    return Chart(
        charged=area([one.charged for one in days]),
        spent=area([one.spent for one in days]),
        limit=up(total),
        ticks=tuple((up(mark), mark) for mark in _marks(highest)),
        first=days[0].day,
        last=max(today, days[-1].day),
    )


def _marks(highest: float) -> list[float]:
    """Round numbers from 0 to at most `highest`, at most five."""
    tens = 10.0 ** math.floor(math.log10(highest / 5))
    step = next(one * tens for one in (1, 2, 2.5, 5, 10) if highest / (one * tens) < 5)
    return [step * part for part in range(5) if step * part < 1.0001 * highest]
