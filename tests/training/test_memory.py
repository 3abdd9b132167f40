"""Parts of a step that fit into memory: the sum stays the same, whatever did not fit."""

from __future__ import annotations

import platform
import subprocess
import sys

import numpy as np
import pytest
import torch
from clipping_oracle import distance, norm_of

from datasites.training import memory
from datasites.training.book_keeping import BookKeeping
from datasites.training.data import LabelledPictures
from datasites.training.local_round import train_round
from datasites.training.memory import InMemory, bytes_of_forward, pictures_that_fit
from datasites.training.models import build_model, initial_weights
from datasites.training.randomness import SecureRandom
from policies.errors import RunError
from policies.plan import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

SPEC = ModelSpec("small_cnn", (16, 16, 1), 3, {"width": 4})
LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0])


class SmallMemory:
    """An engine whose memory holds so many pictures."""

    def __init__(self, engine, room, error):
        self.engine, self.room, self.error, self.asked = engine, room, error, []

    def clipped_sum(self, images, labels):
        self.asked.append(len(labels))
        if len(labels) > self.room:
            raise self.error
        return self.engine.clipped_sum(images, labels)


def engine():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return BookKeeping(build_model(SPEC), 0.5)


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory."),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to ..."),
]


@pytest.mark.parametrize("error", ERRORS, ids=["gpu", "numpy", "cpu"])
@pytest.mark.parametrize("views", [1, 2])
def test_a_step_that_does_not_fit_is_taken_in_halves_and_sums_up_the_same(error, views):
    torch.manual_seed(2)
    images = torch.randn(views * 7, 1, 16, 16)
    whole = engine()
    expected = whole.clipped_sum(images, LABELS)
    small = SmallMemory(whole, 2, error)
    fitting = InMemory(small, most=7)
    assert distance(fitting.clipped_sum(images, LABELS), expected) < 1e-5 * norm_of(expected)
    assert small.asked == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    small.asked.clear()
    fitting.clipped_sum(images, LABELS)
    assert small.asked == [1] * 7, "what did not fit once is not tried again"


def test_a_picture_that_does_not_fit_fails_the_run_and_says_so():
    with pytest.raises(RunError, match="does not hold the model and one picture"):
        InMemory(SmallMemory(engine(), 0, MemoryError()), most=7).clipped_sum(torch.randn(7, 1, 16, 16), LABELS)


def test_other_errors_are_not_taken_for_a_want_of_memory():
    error = RuntimeError("shapes do not match")
    small = SmallMemory(engine(), 0, error)
    with pytest.raises(RuntimeError, match="shapes"):
        InMemory(small, most=7).clipped_sum(torch.randn(7, 1, 16, 16), LABELS)
    assert small.asked == [7]


def test_a_round_in_little_memory_draws_and_spends_as_in_much():
    privacy = PrivacySpec(1.0, 0.5, 1e-5)
    plan = TrainingPlan("s", "d", SPEC, 1, 3, 0.6, 0.1, augmentation="flips", privacy=privacy, run=RunSpec("cpu"))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 16, 16, 1), dtype=np.uint8)
    pictures = LabelledPictures(images, rng.integers(0, 3, 40), np.arange(40), 40)
    weights = initial_weights(SPEC, 0)
    updates, asked = [], []
    for room in (1000, 5):

        def small(model, bound, room=room):
            asked.append(SmallMemory(BookKeeping(model, bound), room, MemoryError()))
            return asked[-1]

        updates.append(train_round(plan, 0, weights, pictures, random=SecureRandom.for_tests(3), engine=small))
    assert max(asked[1].asked[1:]) > max(asked[1].asked[-5:]) <= 5
    # The noise is the same to the last bit, so what differs is the rounding of sums alone.
    assert all(np.allclose(updates[0][name], updates[1][name], atol=1e-6) for name in weights)


def test_fewer_pictures_are_taken_where_less_memory_is_free(monkeypatch):
    model, images = build_model(SPEC), torch.empty(1, 1, 16, 16)
    each = bytes_of_forward(model, images)
    assert each > 4 * 16 * 16 * (1 + 4 + 4 + 4)  # pixels, and what the first three layers make of them
    for free, expected in ((None, 64), (10**12, 64), (0, 1), (100 * each, 20)):
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=free: free)
        assert pictures_that_fit(model, images, most=64) == expected


def test_free_memory_is_what_the_machine_and_the_limit_leave():
    free = memory.free_bytes(torch.device("cpu"))
    assert free is not None and 0 < free < 1 << 50


def test_freed_memory_is_kept_for_the_next_step():
    """In a process of its own, since it holds for all of it: page faults of a step that has been taken before."""
    program = """
import resource, torch
from datasites.training.memory import keep_freed_memory
{keep}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(1 << 24).sum()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(min(faults() for _ in range(8)))  # until small blocks have found places between the large ones
"""
    found = []
    for keep in ("", "keep_freed_memory()"):
        done = subprocess.run(
            [sys.executable, "-c", program.format(keep=keep)], capture_output=True, text=True, check=True
        )
        found.append(int(done.stdout))
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the C library is not glibc")
    assert found[1] * 10 < found[0]
