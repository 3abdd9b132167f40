"""Dates as people write them stop a listing; numbers that only resemble one do not."""

from __future__ import annotations

import pytest

from datasites.sources.identity import looks_like


@pytest.mark.parametrize(
    "text",
    [
        "2021-03-04",
        "4.3.2021",
        "3/14/2021",
        "2021/3/4",
        "2021-3-4",
        "scan 4 Mar 2021",
        "04-MAR-2021",
        "4. März 2021",
        "March 4, 2021",
        "4MAR2021_2",
    ],
)
def test_a_date_is_one_in_any_common_form(text: str) -> None:
    assert "date" in looks_like(text)


@pytest.mark.parametrize(
    "text", ["2021", "grade 3.4", "1.2.2005.3", "1.5/2021", "slice 3 of 2021", "T2 mar 12", "MARGIN 12 2021"]
)
def test_other_numbers_are_no_dates(text: str) -> None:
    assert "date" not in looks_like(text)
