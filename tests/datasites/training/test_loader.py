"""How pictures are read for a step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from datasites.training.dp_sgd.batch_shape import EMPTY
from datasites.training.dp_sgd.loader import Loader
from datasites.training.pictures.data import LabelledPictures
from datasites.training.randomness.randomness import SecureRandom
from policies.plans.training import ModelSpec, RunSpec, TrainingPlan


def loader(**settings):
    plan = TrainingPlan("s", "d", ModelSpec("linear", (4, 4, 1), 3), 1, 1, 0.5, 0.1, run=RunSpec("cpu", 3), **settings)
    images = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), dtype=np.uint8)
    pictures = LabelledPictures(images, np.arange(10) % 3, np.arange(10), 10)
    return Loader(plan, pictures, SecureRandom.for_tests(1), "cpu")


def bytes_of(images):
    return [round(float(image.flatten()[0]) * 64 + 128) for image in images]


def test_each_picture_lies_at_its_place_with_its_label_and_empty_places_hold_nobodys():
    first, second = loader()([np.array([[9], [EMPTY], [4]]), np.array([[EMPTY], [4], [0]])])
    assert [bytes_of(batch.inputs) for batch in (first, second)] == [[9, 128, 4], [128, 4, 0]]
    assert [batch.labels.tolist() for batch in (first, second)] == [[0, 0, 1], [0, 1, 0]]
    assert [batch.counted.tolist() for batch in (first, second)] == [[True, False, True], [False, True, True]]


def test_an_empty_place_is_the_same_grey_where_pictures_have_sixteen_bits():
    eight = loader()
    deep = replace(eight, pictures=replace(eight.pictures, images=eight.pictures.images.astype(np.uint16) * 257))
    (batch,) = deep([np.array([[9], [EMPTY], [4]])])
    assert bytes_of(batch.inputs) == [9, 128, 4]
    assert float(batch.inputs[1].abs().max()) == 0


def test_views_of_all_places_follow_each_other():
    (batch,) = loader(augmentation="flips", augmentation_multiplicity=2)([np.array([[5], [1], [8]])])
    assert bytes_of(batch.inputs) == [5, 1, 8] * 2
    assert batch.labels.tolist() == [2, 1, 2] * 2
    assert batch.counted.tolist() == [True] * 3
    assert batch.inputs.is_contiguous()


def test_parts_hold_all_pictures_once_and_no_more_than_the_plan_allows():
    parts = loader().in_parts(np.array([9, 0, 4, 4, 7])[:, None])
    assert [part.tolist() for part in parts] == [[[9], [0], [4]], [[4], [7]]]
    assert [*loader().in_parts(np.empty((0, 1), dtype=np.int64))] == []
