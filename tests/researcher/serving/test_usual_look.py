"""Pictures that are unlike the public ones: what is flagged, how often wrongly, and what is not seen."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from datasites.assets.drawn import cells
from policies.errors import ConfigError
from researcher.serving.usual_look import FALSE_ALARM_RATE, LEAST_PICTURES, UsualLook, statistics

Pictures = NDArray[np.uint8]


@pytest.fixture(scope="module")
def drawn() -> Pictures:
    """Drawn blood cells of three hospitals."""
    return cells.draw_hold_out(1200, 1)[0]


@pytest.fixture(scope="module")
def look(drawn: Pictures) -> UsualLook:
    """What the first half of them looks like."""
    return UsualLook.of(drawn[:600])


def _page_of_text(side: int) -> Pictures:
    page = Image.new("RGB", (side * 8, side * 8), "white")
    for line in range(12):
        ImageDraw.Draw(page).text((4, 2 + 20 * line), "A page of text and none of cells", fill="black")
    return np.asarray(page.resize((side, side), Image.Resampling.BILINEAR))


def test_of_further_pictures_of_the_same_kind_about_as_many_are_flagged_as_is_said(
    drawn: Pictures, look: UsualLook
) -> None:
    flagged = sum(look.distance(one) > look.threshold for one in drawn[600:])
    assert flagged / 600 <= 2 * FALSE_ALARM_RATE
    assert look.pictures == 600


def test_the_threshold_is_the_place_that_split_conformal_prediction_names() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2 * LEAST_PICTURES, 8, 8, 1), dtype=np.uint8)
    look = UsualLook.of(pictures)
    order = np.random.default_rng(0).permutation(len(pictures))
    distances = [look.distance(pictures[place]) for place in order[1::2]]
    # Of 100 held pictures, one at most is further: ceil(101 * 0.98) is the 99th.
    assert sum(one > look.threshold for one in distances) == 1


@pytest.mark.parametrize("what", ["noise", "inverted colours", "a page of text", "black", "grey"])
def test_pictures_of_another_look_are_flagged(drawn: Pictures, look: UsualLook, what: str) -> None:
    one = drawn[700]
    other = {
        "noise": np.random.default_rng(1).integers(0, 256, one.shape, dtype=np.uint8),
        "inverted colours": 255 - one,
        "a page of text": _page_of_text(len(one)),
        "black": np.zeros_like(one),
        "grey": np.repeat(one.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2),
    }[what]
    assert look.distance(other) > look.threshold


def test_a_picture_of_something_else_with_the_same_look_is_not_seen(drawn: Pictures, look: UsualLook) -> None:
    # The limit that the answer states: the same pixels upside down and mirrored show no cell that grew so.
    flagged = [look.distance(one[::-1, ::-1]) > look.threshold for one in drawn[600:800]]
    assert np.mean(flagged) <= 3 * FALSE_ALARM_RATE


def test_statistics_are_the_same_of_8_and_of_16_bits(drawn: Pictures) -> None:
    grey = drawn[0][:, :, :1]
    assert statistics(grey.astype(np.uint16) * 257) == pytest.approx(statistics(grey), abs=1e-5)


def test_too_few_pictures_are_refused(drawn: Pictures) -> None:
    with pytest.raises(ConfigError, match="at least 100 public pictures"):
        UsualLook.of(drawn[: LEAST_PICTURES - 1])


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 2, 3), (300, 5, 1)])
def test_pictures_of_any_size_have_statistics(shape: tuple[int, int, int]) -> None:
    assert np.isfinite(statistics(np.zeros(shape, dtype=np.uint8))).all()
