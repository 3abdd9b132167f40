"""Pictures are brought to a size as the form says; what they become is compared with the definition, in floats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from datasites.picture_files.decode import decode
from datasites.picture_files.file_pixels import FilePixels
from datasites.picture_files.resize import to_form
from policies.plans.picture_form import RESIZES, PictureForm

SIDES = st.integers(1, 40)


def weights(length: int, begin: float, end: float, target: int) -> NDArray[np.float64]:
    """(target, length): what each pixel of a line gives to each of the new ones, which see it from begin to end.

    A triangle over two of the larger pixels: linear interpolation where a picture grows, a weighted mean where it
    shrinks.
    """
    step = (end - begin) / target
    middles = begin + (np.arange(target) + 0.5) * step
    away = np.abs(np.arange(length) + 0.5 - middles[:, None]) / max(step, 1.0)
    shares = np.maximum(0.0, 1.0 - away)
    return shares / shares.sum(axis=1, keepdims=True)


def by_definition(values: NDArray, form: PictureForm, aspect: float = 1.0) -> NDArray[np.float64]:
    """(height, width, C) of the form, not rounded."""
    height, width = values.shape[:2]
    tall = height * (aspect if form.square_pixels else 1.0)
    inner, rows, columns = form.size, (0.0, float(height)), (0.0, float(width))
    if form.resize == "fit":
        scale = min(form.size[0] / tall, form.size[1] / width)
        inner = tuple(
            min(full, max(1, int(side * scale + 0.5))) for side, full in zip((tall, width), form.size, strict=True)
        )
    elif form.resize == "fill":
        scale = max(form.size[0] / tall, form.size[1] / width)
        seen = form.size[0] / scale * height / tall, form.size[1] / scale
        rows = ((height - seen[0]) / 2, (height + seen[0]) / 2)
        columns = ((width - seen[1]) / 2, (width + seen[1]) / 2)
    down, across = weights(height, *rows, inner[0]), weights(width, *columns, inner[1])
    resized = np.einsum("ih,jw,hwc->ijc", down, across, values.astype(np.float64))
    whole = np.zeros((*form.size, values.shape[2]))
    top, left = (form.size[0] - inner[0]) // 2, (form.size[1] - inner[1]) // 2
    whole[top : top + inner[0], left : left + inner[1]] = resized
    return whole


@st.composite
def cases(draw, channels: tuple[int, ...] = (1, 3)):
    height, width, to_height, to_width = (draw(SIDES) for _ in range(4))
    form = PictureForm(
        (to_height, to_width),
        draw(st.sampled_from(channels)),
        resize=draw(st.sampled_from(RESIZES)),
        square_pixels=draw(st.booleans()),
    )
    return (height, width, form.channels), form, draw(st.sampled_from([0.5, 1.0, 1.25, 3.0])), draw(st.integers(0, 99))


@settings(max_examples=150, deadline=None)
@given(cases())
def test_eight_bits_are_resized_by_the_definition_to_within_their_rounding(case) -> None:
    shape, form, aspect, seed = case
    values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    found = to_form(FilePixels(values, aspect=aspect), form)
    assert found.dtype == np.uint8 and found.shape == (*form.size, shape[2])
    assert np.abs(found - by_definition(values, form, aspect)).max() <= 1.01  # rounded along each side


@settings(max_examples=150, deadline=None)
@given(cases(channels=(1,)))
def test_deep_values_are_resized_before_they_are_rounded_once(case) -> None:
    shape, form, aspect, seed = case
    values = np.random.default_rng(seed).integers(0, 4096, shape).astype(np.uint16)
    whole = by_definition(values, form, aspect)
    for bits in (8, 16):
        wanted = whole * (2**bits - 1) / 4095
        deep = PictureForm(form.size, 1, form.resize, square_pixels=form.square_pixels, store_bits=bits)
        found = to_form(FilePixels(values, 4095.0, aspect), deep)
        assert found.dtype == (np.uint8 if bits == 8 else np.uint16)
        # Rounded once; and Pillow has the box's edges in single precision, off by 2^-19 of a pixel along each side.
        assert np.abs(found - wanted).max() <= 0.51 + (2**bits - 1) * 2**-18


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.booleans())
def test_folders_of_eight_bits_that_are_stretched_keep_the_bytes_they_always_had(
    height: int, width: int, to_height: int, to_width: int, to_grey: bool
) -> None:
    values = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    before = Image.fromarray(values)
    before = (
        before.resize((to_width, to_height), Image.Resampling.BILINEAR)
        if values.shape[:2]
        != (
            to_height,
            to_width,
        )
        else before
    )
    form = PictureForm((to_height, to_width), 1 if to_grey else 3)
    found = to_form(FilePixels(values), form)
    wanted = np.asarray(before.convert("L"))[:, :, None] if to_grey else np.asarray(before)
    assert found.tobytes() == wanted.tobytes()


def square(side: int, value: int = 200) -> FilePixels:
    return FilePixels(np.full((side, side, 1), value, dtype=np.uint8))


def test_fit_keeps_the_shape_in_the_middle_of_black() -> None:
    fitted = to_form(square(4), PictureForm((2, 5), 1, "fit"))
    assert fitted[:, :, 0].tolist() == [[0, 200, 200, 0, 0]] * 2  # 2 wide, and of 3 columns one stands before it
    thin = FilePixels(np.full((1, 100, 1), 200, dtype=np.uint8))
    assert to_form(thin, PictureForm((4, 4), 1, "fit"))[:, 0, 0].tolist() == [0, 200, 0, 0]  # never less than a row


def test_fill_shows_the_middle_of_the_longer_side() -> None:
    values = np.array([[[0], [10], [20], [30]], [[0], [10], [20], [30]]], dtype=np.uint8)
    assert to_form(FilePixels(values), PictureForm((2, 2), 1, "fill"))[:, :, 0].tolist() == [[10, 20]] * 2
    upright = FilePixels(values.transpose(1, 0, 2))
    assert to_form(upright, PictureForm((2, 2), 1, "fill"))[:, :, 0].tolist() == [[10, 10], [20, 20]]


def test_making_smaller_takes_every_pixel_into_account() -> None:
    values = np.zeros((1, 64, 1), dtype=np.uint8)
    values[0, ::2] = 255
    shrunk = to_form(FilePixels(values), PictureForm((1, 4), 1))[0, :, 0]
    assert shrunk[1:3].tolist() == [128, 128]
    assert np.abs(shrunk - 127.5).max() <= 3  # at the ends one half of the triangle is missing


def test_pixels_that_are_twice_as_high_as_wide_are_made_square_where_asked() -> None:
    picture = FilePixels(np.full((2, 4, 1), 200, dtype=np.uint8), aspect=2.0)  # a square in the patient
    for square_pixels, rows in ((True, [200] * 4), (False, [0, 200, 200, 0])):
        fitted = to_form(picture, PictureForm((4, 4), 1, "fit", square_pixels=square_pixels))
        assert fitted[:, 0, 0].tolist() == rows
    values = np.array([[[0], [10], [20], [30]]] * 2, dtype=np.uint8)
    for square_pixels, row in ((True, [0, 10, 20, 30]), (False, [8, 13, 18, 23])):
        form = PictureForm((4, 4), 1, "fill", square_pixels=square_pixels)
        assert to_form(FilePixels(values, aspect=2.0), form)[1, :, 0].tolist() == row


def test_colours_of_any_depth_become_grey_by_the_same_weights() -> None:
    colours = np.array([[[65535, 0, 0], [0, 65535, 0], [0, 0, 65535]]], dtype=np.uint16)
    deep = to_form(FilePixels(colours, 65535.0), PictureForm((1, 3), 1))
    plain = to_form(FilePixels((colours >> 8).astype(np.uint8)), PictureForm((1, 3), 1))
    assert deep[0, :, 0].tolist() == plain[0, :, 0].tolist() == [76, 150, 29]


def test_one_size_needs_no_other_pixels(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (5, 7)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    for resize in RESIZES:
        kept = decode(tmp_path / "a.png", PictureForm((5, 7), 1, resize, store_bits=16))
        assert kept[:, :, 0].tolist() == values.tolist()
