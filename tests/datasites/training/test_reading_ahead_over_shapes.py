"""Steps of drawn shapes, read ahead: the batches that are read in turn, bit by bit, and no thread is left."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.read_ahead import read_ahead_everywhere

from datasites.training.dp_sgd import loader as loaders
from datasites.training.dp_sgd.batch_shape import EMPTY
from datasites.training.dp_sgd.loader import Loader
from datasites.training.dp_sgd.step_sums import _tensors
from datasites.training.pictures.data import LabelledPictures
from datasites.training.randomness.randomness import SecureRandom
from policies.plans.training import ModelSpec, RunSpec, TrainingPlan

COUNT = 11
DRAWN = settings(
    max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def steps(draw: st.DrawFn) -> list[list[np.ndarray]]:
    """Steps of no batch up to four, of some places and pictures each; places are empty, or all of them, or none."""
    places, each = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    found = []
    for _ in range(draw(st.integers(0, 4))):
        batches = rng.integers(0, COUNT, (draw(st.integers(0, 4)), places, each))
        batches[rng.random(batches.shape[:2]) < draw(st.sampled_from([0.0, 0.5, 1.0]))] = EMPTY
        found.append([*batches])
    return found


def pictures(dtype: type, height: int, width: int, channels: int) -> LabelledPictures:
    rng = np.random.default_rng(2)
    images = rng.integers(0, np.iinfo(dtype).max, (COUNT, height, width, channels), dtype=dtype, endpoint=True)
    return LabelledPictures(images, rng.integers(0, 3, COUNT), np.arange(COUNT), COUNT)


def read(load: Loader, wanted: list[list[np.ndarray]]) -> list[list[list[torch.Tensor]]]:
    """Each step's batches as tensors; a step is told by its number."""
    found: list[list[list[torch.Tensor]]] = []
    numbers = iter([np.array([number]) for number in range(len(wanted))])
    for number, step in load.steps(numbers, lambda number: wanted[int(number[0])]):
        assert int(number[0]) == len(found)
        found.append([[part.clone() for part in _tensors(batch)] for batch in step])
    return found


@DRAWN
@given(
    wanted=steps(),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    side=st.tuples(st.integers(4, 6), st.integers(4, 6), st.integers(1, 3)),
    views=st.integers(1, 3),
    augmentation=st.sampled_from(["none", "flips", "flips_and_turns"]),
    most=st.integers(1, 5),
)
def test_any_steps_read_ahead_are_those_read_in_turn(
    monkeypatch: pytest.MonkeyPatch,
    wanted: list[list[np.ndarray]],
    dtype: type,
    side: tuple[int, int, int],
    views: int,
    augmentation: str,
    most: int,
) -> None:
    height, width, channels = side
    if augmentation == "flips_and_turns":
        height = width
    if augmentation == "none":
        views = 1
    spec = ModelSpec("linear", (height, width, channels), 3)
    changes = {"augmentation": augmentation, "augmentation_multiplicity": views}
    plan = TrainingPlan("s", "d", spec, 1, 1, 0.5, 0.1, run=RunSpec("cpu", 8), **changes)
    held, before = pictures(dtype, height, width, channels), threading.active_count()

    in_turn = read(Loader(plan, held, SecureRandom.for_tests(1), "cpu"), wanted)
    with monkeypatch.context() as patch:
        read_ahead_everywhere(patch)
        patch.setattr(loaders, "batches_ahead", lambda plan, places: most)
        found = read(Loader(plan, held, SecureRandom.for_tests(1), "cpu"), wanted)

    assert threading.active_count() == before
    assert [len(step) for step in found] == [len(step) for step in wanted]
    for step, other in zip(found, in_turn, strict=True):
        for batch, same in zip(step, other, strict=True):
            assert all(part.numpy().tobytes() == one.numpy().tobytes() for part, one in zip(batch, same, strict=True))
            assert batch[0].is_contiguous()
