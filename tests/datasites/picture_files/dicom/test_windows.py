"""Windows are the formulas of PS3.3 C.11.2.1, at values that a reader computes by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasites.picture_files.dicom.levels import windows
from datasites.picture_files.dicom.reasons import BAD_WINDOW, NO_RANGE
from datasites.picture_files.picture_refused import PictureRefused


def _levels(window: windows.Window, *values: float) -> list[float]:
    return [round(float(level) * 255, 6) for level in window(np.array(values, float))]


def test_a_linear_window_is_the_standards_example() -> None:
    # C.11.2.1.2.1: centre 0, width 100 is black up to -50, white above 49, and ((x + 0.5)/99 + 0.5) * 255 between.
    assert _levels(windows.linear(0, 100), -51, -50, -0.5, 0, 49, 50) == [0, 0, 127.5, 128.787879, 255, 255]


def test_a_linear_window_of_width_one_is_a_threshold() -> None:
    assert _levels(windows.linear(10, 1), 9, 9.5, 9.51, 10) == [0, 0, 255, 255]


def test_an_exact_linear_window_reaches_half_a_width_to_both_sides() -> None:
    assert _levels(windows.linear_exact(0, 100), -51, -50, -25, 0, 25, 50, 51) == [0, 0, 63.75, 127.5, 191.25, 255, 255]


def test_a_sigmoid_is_half_at_its_centre_and_keeps_its_tails() -> None:
    low, middle, high = _levels(windows.sigmoid(50, 100), 0, 50, 100)
    assert middle == 127.5
    assert low == pytest.approx(255 / (1 + np.exp(2)))
    assert high == pytest.approx(255 / (1 + np.exp(-2)))
    assert _levels(windows.sigmoid(0, 1e-9), -1e9, 1e9) == [0, 255]


@pytest.mark.parametrize(
    ("function", "width"),
    [(windows.linear, 0.9), (windows.linear_exact, 0), (windows.sigmoid, 0), (windows.linear, -5)],
)
def test_a_width_that_is_none_is_refused(function: windows.Window, width: float) -> None:
    with pytest.raises(PictureRefused) as refused:
        function(0, width)  # type: ignore[call-arg,arg-type]
    assert refused.value.reason == BAD_WINDOW


def test_percentiles_are_values_that_five_in_a_thousand_do_not_exceed() -> None:
    # Of 1000 pixels five are -100, five 900: the 0.5th percentile is -100, the 99.5th 500.
    values = np.array([900.0, -100.0, 100.0, 500.0])
    window = windows.percentile(values, np.array([5, 5, 490, 500]))
    assert _levels(window, -100, 200, 500, 900) == [0, 127.5, 255, 255]
    assert _levels(windows.percentile(values, np.array([0, 0, 10, 0])), 99, 100, 101) == [0, 0, 255]
    with pytest.raises(PictureRefused) as refused:
        windows.percentile(values, np.zeros(4, int))
    assert refused.value.reason == NO_RANGE


@given(
    st.sampled_from([windows.linear, windows.linear_exact, windows.sigmoid]),
    st.floats(-1e6, 1e6),
    st.floats(1, 1e6),
    st.lists(st.floats(-1e7, 1e7), min_size=2, max_size=20),
)
def test_every_window_rises_from_black_to_white(
    function: type[windows.Window], centre: float, width: float, values: list[float]
) -> None:
    levels = function(centre, width)(np.sort(np.array(values)))  # type: ignore[call-arg]
    assert (np.diff(levels) >= 0).all()
    assert levels.min() >= 0
    assert levels.max() <= 1
