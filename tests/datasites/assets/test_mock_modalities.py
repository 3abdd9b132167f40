"""A mock looks like its dataset's modality, and follows from the schema alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from datasites.assets.drawn.modalities import DRAWINGS
from datasites.assets.mock import MockPictures, make_mock
from datasites.training.local_round import train_round
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from policies.answers.hospital import DatasetSchema
from policies.plans.picture_form import MODALITIES, PictureForm
from policies.plans.training import ModelSpec, RunSpec, TrainingPlan

SCHEMA = DatasetSchema("cells", ("a", "b"), (48, 40, 1), "picture", 100, 1)
ALL = pytest.mark.parametrize("modality", MODALITIES)


def mock(modality: str, **changes: object) -> MockPictures:
    return make_mock(replace(SCHEMA, modality=modality, **changes), count=6)


def brightness(images: np.ndarray, rows: slice, columns: slice) -> float:
    """Of a part of all pictures, 0 to 255."""
    return float(images[:, rows, columns].mean())


def test_every_modality_that_a_hospital_can_declare_has_a_drawing() -> None:
    assert sorted(DRAWINGS) == sorted(MODALITIES)


@ALL
def test_pictures_of_any_shape_are_drawn_and_differ_from_each_other(modality: str) -> None:
    for shape in ((1, 1, 1), (1, 7, 3), (64, 17, 1), (33, 64, 3)):
        images = mock(modality, image_shape=shape).images
        assert (images.dtype, images.shape) == (np.uint8, (6, *shape))
    assert len({image.tobytes() for image in images}) == 6
    assert images.std() > 10


@ALL
def test_grey_pictures_of_three_channels_have_three_equal_ones_and_coloured_ones_have_not(modality: str) -> None:
    images = mock(modality, image_shape=(32, 32, 3)).images
    coloured = modality in ("other", "photograph", "microscopy", "fundus", "endoscopy")
    assert (images[..., 0] != images[..., 2]).any() == coloured


def test_modalities_look_like_what_they_are() -> None:
    middle, left, right, all_ = slice(18, 30), slice(8, 15), slice(25, 32), slice(None)
    xray = mock("xray").images
    assert brightness(xray, middle, slice(18, 22)) > brightness(xray, middle, left) + 40  # a spine between two lungs
    assert abs(brightness(xray, middle, left) - brightness(xray, middle, right)) < 40
    assert brightness(mock("microscopy").images, all_, all_) > 180  # stained cells on a bright ground
    for dark_around in ("fundus", "ct", "mr"):  # round things on black
        images = mock(dark_around).images
        assert brightness(images, slice(0, 4), slice(0, 4)) < 15 < 40 < brightness(images, middle, middle)
    ultrasound = mock("ultrasound").images  # a fan from above, narrow at its beginning, of speckle
    assert brightness(ultrasound, slice(0, 12), slice(0, 4)) < 5 < brightness(ultrasound, slice(40, 46), middle)


@ALL
def test_a_mock_depends_on_the_schema_the_count_and_the_seed_and_nothing_else(modality: str) -> None:
    def digest(schema: DatasetSchema, **asked: int) -> str:
        made = make_mock(schema, **asked)
        return hashlib.sha256(made.images.tobytes() + made.labels.tobytes()).hexdigest()

    schema = replace(SCHEMA, modality=modality)
    same = replace(schema, name="other", public_size=999, unit="patient", class_names=("yes", "no"))
    assert digest(schema) == digest(schema) == digest(same)
    assert digest(schema) != digest(schema, seed=1)
    assert digest(schema) != digest(schema, count=33)


def test_a_mock_keeps_as_many_bits_as_its_dataset() -> None:
    form = PictureForm((48, 40), 1, store_bits=16)
    images = mock("ct", form=form).images
    assert images.dtype == np.uint16 and images.max() > 255
    eight = mock("ct", form=replace(form, store_bits=8)).images
    assert np.abs(images / 257 - eight).max() <= 1  # the same pictures


@ALL
def test_a_model_trains_on_a_mock(modality: str) -> None:
    made = mock(modality, image_shape=(16, 16, 1))
    model = ModelSpec("linear", (16, 16, 1), 2)
    plan = TrainingPlan("study", "cells", model, 1, 1, 1.0, 0.1, run=RunSpec(device="cpu"))
    pictures = LabelledPictures(made.images, made.labels, np.arange(6), 6)
    update = train_round(plan, 0, initial_weights(model, 0), pictures)
    assert all(np.isfinite(values).all() for values in update.values())
    assert any(values.any() for values in update.values())
