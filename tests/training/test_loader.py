"""How pictures are read for a step."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from datasites.training.data import LabelledPictures
from datasites.training.loader import Loader, one_ahead
from datasites.training.randomness import SecureRandom
from policies.plan import ModelSpec, RunSpec, TrainingPlan


def loader(**settings):
    plan = TrainingPlan("s", "d", ModelSpec("linear", (4, 4, 1), 3), 1, 1, 0.5, 0.1, run=RunSpec("cpu", 3), **settings)
    images = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), dtype=np.uint8)
    pictures = LabelledPictures(images, np.arange(10) % 3, np.arange(10), 10)
    return Loader(plan, pictures, SecureRandom.for_tests(1), "cpu")


def test_each_chosen_picture_is_read_once_with_its_label_in_parts_that_the_plan_allows():
    parts = list(loader()(np.array([9, 0, 4, 4, 7])))
    assert [len(labels) for _, labels in parts] == [3, 2]
    bytes_read = [round(float(image.flatten()[0]) * 64 + 128) for images, _ in parts for image in images]
    assert sorted(bytes_read) == [0, 4, 4, 7, 9]
    assert [int(label) for _, labels in parts for label in labels] == [byte % 3 for byte in bytes_read]


def test_views_of_a_part_follow_each_other():
    images, labels = next(loader(augmentation="flips", augmentation_multiplicity=2)(np.array([1, 5, 8])))
    assert images.shape == (6, 1, 4, 4) and labels.tolist() == [1, 2, 2]
    assert torch.equal(images[:3, 0, 0, 0], images[3:, 0, 0, 0])


def test_an_item_is_made_while_the_one_before_is_in_use():
    made, where = [], set()

    def items():
        for number in range(4):
            made.append(number)
            where.add(threading.get_ident())
            yield number

    ahead = one_ahead(items())
    assert next(ahead) == 0
    assert [*ahead] == [1, 2, 3] and made == [0, 1, 2, 3]
    assert threading.get_ident() not in where


def test_no_more_than_one_item_is_made_ahead():
    made = []
    ahead = one_ahead(made.append(number) or number for number in range(9))
    assert next(ahead) == 0
    ahead.close()
    assert made in ([0], [0, 1])


def test_an_error_of_the_thread_that_loads_reaches_the_one_that_computes():
    def items():
        yield 1
        raise ValueError("broken")

    ahead = one_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)
