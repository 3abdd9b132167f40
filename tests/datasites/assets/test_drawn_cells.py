"""Drawn cells look different by class and by hospital, and are the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest

from datasites.assets.drawn.cells import CLASS_NAMES, DEMO_HOSPITALS, HospitalStyle, draw, draw_hold_out
from datasites.assets.drawn.demo import write_demo
from policies.errors import DataError

A, B, C = DEMO_HOSPITALS


def only(style: HospitalStyle, class_name: str) -> HospitalStyle:
    mix = tuple(float(name == class_name) for name in CLASS_NAMES)
    return HospitalStyle(style.name, style.stain, mix, style.magnification, style.blur, style.noise)


def middle(images: np.ndarray) -> np.ndarray:
    """Mean colour of the middle 8 x 8 pixels of all pictures."""
    return images[:, 12:20, 12:20].mean(axis=(0, 1, 2))


def test_pictures_are_32_pixels_square_in_colour() -> None:
    images, labels = draw(A, 20, 0)
    assert (images.dtype, images.shape) == (np.uint8, (20, 32, 32, 3))
    assert (labels.dtype, labels.shape) == (np.int64, (20,))


def test_the_same_seed_draws_the_same_pictures_and_another_seed_others() -> None:
    first, again, other = draw(A, 300, 4), draw(A, 300, 4), draw(A, 300, 5)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_no_picture_comes_twice_within_or_between_hospitals_and_hold_out() -> None:
    drawn = [draw(style, 150, 0)[0] for style in DEMO_HOSPITALS] + [draw_hold_out(150, 0)[0]]
    assert len({image.tobytes() for images in drawn for image in images}) == 4 * 150


def test_no_picture_of_the_demos_hold_out_is_nearer_to_a_training_picture_than_those_are_to_each_other(
    tmp_path: Path,
) -> None:
    pictures = np.load(write_demo(tmp_path))["images"]
    hold_out = np.load(tmp_path / "hold_out.npz")["images"]
    among_themselves, to_them = (_nearest(of, pictures) for of in (pictures, hold_out))
    assert to_them.min() >= among_themselves.min() > 4.0  # of 255, root mean square over a picture
    assert np.median(to_them) >= np.median(among_themselves)


def _nearest(of: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How far each picture lies from the nearest other one: root mean square difference of its values."""
    rows, columns = (one.reshape(len(one), -1).astype(np.float64) for one in (of, others))
    squares = (rows**2).sum(1)[:, None] + (columns**2).sum(1) - 2 * rows @ columns.T
    if of is others:
        np.fill_diagonal(squares, np.inf)
    return np.sqrt(np.maximum(squares.min(axis=1), 0) / rows.shape[1])


@pytest.mark.parametrize("style", DEMO_HOSPITALS, ids=lambda style: style.name)
def test_classes_come_as_often_as_the_hospitals_mix_says(style: HospitalStyle) -> None:
    count = 1000
    found = np.bincount(draw(style, count, 0)[1], minlength=len(CLASS_NAMES)) / count
    # four standard deviations of a share of 1000 draws are at most 4 * sqrt(.25 / 1000) = .063
    assert np.abs(found - style.class_mix).max() < 0.063


def test_every_hospital_sees_another_class_most() -> None:
    assert len({int(np.argmax(style.class_mix)) for style in DEMO_HOSPITALS}) == len(DEMO_HOSPITALS) == 3


def test_the_hold_out_has_every_class_of_every_hospital_equally_often() -> None:
    images, labels = draw_hold_out(90, 0)
    assert np.bincount(labels).tolist() == [30, 30, 30]
    # the lamps differ in blue minus red: cold at B, warm at A and C; a third of the pictures is B's
    border = images[:, [0, -1]].astype(float).mean(axis=(1, 2))
    assert (border[:, 2] > border[:, 0]).sum() == 30


def test_a_red_cell_lets_more_red_light_through_than_blue_and_a_nucleus_does_not() -> None:
    for style in DEMO_HOSPITALS:
        red = middle(draw(only(style, "red_cell"), 60, 1)[0]) / np.array(style.stain.light)
        white = middle(draw(only(style, "white_cell"), 60, 1)[0]) / np.array(style.stain.light)
        assert red[0] > red[2]
        assert white[2] > white[0]


def test_a_platelet_takes_less_of_the_violet_dye_than_a_white_cell() -> None:
    for style in DEMO_HOSPITALS:
        small, large = (draw(only(style, name), 200, 1)[0][..., 0] for name in ("platelet", "white_cell"))
        assert small.mean() > large.mean() + 8  # azure takes red light, eosin hardly does


def test_the_same_cells_look_different_at_each_hospital() -> None:
    colours = [middle(draw(only(style, "red_cell"), 60, 1)[0]) for style in DEMO_HOSPITALS]
    for i in range(3):
        for j in range(i):
            assert np.abs(colours[i] - colours[j]).max() > 10  # grey levels


def test_no_pictures_are_no_error() -> None:
    assert draw(A, 0, 0)[0].shape == draw_hold_out(0, 0)[0].shape == (0, 32, 32, 3)


@pytest.mark.parametrize(("count", "seed"), [(-1, 0), (1.5, 0), (True, 0), (1, -1), (1, "x")])
def test_a_count_or_seed_out_of_range_is_refused(count: object, seed: object) -> None:
    with pytest.raises(DataError, match="must be a whole number of at least 0"):
        draw(A, count, seed)  # type: ignore[arg-type]


def test_a_class_mix_that_does_not_sum_to_one_is_refused() -> None:
    with pytest.raises(DataError, match="shares that sum to 1"):
        draw(HospitalStyle("x", A.stain, (0.5, 0.4, 0.4)), 1, 0)
