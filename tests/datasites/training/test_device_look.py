"""When the look at a device that an earlier run passed counts for this one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from datasites.training.book_keeping import BookKeeping
from datasites.training.dp_sgd import device_look
from datasites.training.dp_sgd.device_look import DeviceLook, KeptLook, device_text
from datasites.training.local_round import prepare_training
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from datasites.training.process_group.process_group import SINGLE_PROCESS, SingleProcess
from datasites.training.randomness.randomness import SecureRandom
from policies.errors import InputRefused, NotRepeatable
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

SPEC = ModelSpec("small_cnn", (16, 16, 1), 3, {"width": 4})
PLAN = TrainingPlan("s", "d", SPEC, 1, 1, 0.5, 0.1, privacy=PrivacySpec(1.0, 0.5, 1e-5), run=RunSpec("cpu", 8))
WEIGHTS = initial_weights(SPEC, 0)


@pytest.fixture(autouse=True)
def one_thread():
    """With more, some processors keep pictures apart in small batches alone, and looks would find other places."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Counted(BookKeeping):
    """Notes its passes."""

    passes = 0

    def norms_and_sum(self, images, labels, counted=None):
        Counted.passes += 1
        return super().norms_and_sum(images, labels, counted)


def prepare(found="", *, plan=PLAN, weights=WEIGHTS, engine=Counted, group=SINGLE_PROCESS):
    """The prepared round, what its own look found, and how many passes over made-up pictures it took."""
    told, Counted.passes = list[str](), 0
    kept = KeptLook(found, told.append)
    prepared = prepare_training(plan, 0, weights, public_size=28, engine=engine, process_group=group, kept=kept)
    return prepared, told, Counted.passes


@pytest.fixture
def found():
    _, told, passes = prepare()
    assert len(told) == 1 and passes > 0
    return told[0]


def changed(found, **values):
    return json.dumps({**json.loads(found), **values})


def test_a_look_that_was_passed_is_not_taken_again_and_gives_the_same_shape(found):
    (first, _, _), (again, told, passes) = prepare(), prepare(found)
    assert again.private.shape == first.private.shape
    assert (told, passes) == ([], 0)


def test_a_round_without_a_look_of_its_own_gives_the_same_update_to_the_last_bit(found):
    random = np.random.default_rng(4)
    pictures = LabelledPictures(
        random.integers(0, 256, (24, 16, 16, 1), np.uint8), np.arange(24) % 3, np.arange(24), public_size=28
    )
    plan = replace(PLAN, steps_per_round=4, sample_rate=0.5)
    _, (look,), _ = prepare(plan=plan)
    updates = []
    for given in ("", look):
        prepared, _, passes = prepare(given, plan=plan)
        assert (passes == 0) == bool(given)
        updates.append(prepared.train(pictures, random=SecureRandom.for_tests(5)))
    assert all(np.array_equal(updates[0][name], updates[1][name]) for name in WEIGHTS)


def test_other_threads_libraries_devices_or_batches_ask_for_a_new_look(found, monkeypatch):
    assert prepare(changed(found, device="cuda:0"))[2] > 0
    assert prepare(found, plan=replace(PLAN, run=RunSpec("cpu", 3)))[2] > 0
    assert prepare(found, plan=replace(PLAN, sample_rate=0.2))[2] > 0
    monkeypatch.setattr(torch, "__version__", "0.0")
    assert prepare(found)[2] > 0
    monkeypatch.undo()
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert prepare(found)[2] > 0
    finally:
        torch.set_num_threads(threads)
    assert prepare(found)[2] == 0


def test_where_memory_does_not_hold_what_the_look_took_the_run_looks_itself(found, monkeypatch):
    assert prepare(changed(found, memory_bytes=1 << 62))[2] > 0
    taken = []
    monkeypatch.setattr(device_look, "_can_take", lambda size: taken.append(size) or True)
    assert prepare(changed(found, memory_bytes=4711))[2] == 0
    assert taken == [4711]


def test_several_processes_always_look_and_keep_nothing(found):
    _, told, passes = prepare(found, group=SingleProcess(size=2))
    assert told == [] and passes > 0


def test_a_device_that_is_refused_tells_no_look():
    class Neighbours(BookKeeping):
        def norms(self, images, labels, views=1):
            return super().norms(images, labels, views) + 1e-12 * images.double().sum()

    told = list[str]()
    with pytest.raises(NotRepeatable):
        prepare_training(PLAN, 0, WEIGHTS, public_size=28, engine=Neighbours, kept=KeptLook("", told.append))
    assert told == []


def test_the_look_is_told_before_any_weights_are_read():
    class Unreadable(dict):
        def __iter__(self):
            events.append("read")
            return super().__iter__()

    events = []
    with pytest.raises(InputRefused):
        prepare_training(
            PLAN, 0, Unreadable(), public_size=28, kept=KeptLook("", lambda found: events.append("looked"))
        )
    assert events == ["looked", "read"]


def test_what_a_look_says_is_of_the_device_alone():
    look = DeviceLook(7, 1024, device_text("cpu"))
    assert DeviceLook.from_text(look.to_text()) == look
    assert set(json.loads(look.to_text())) == {"places", "memory_bytes", "device"}
    assert all(np.isfinite(array).all() for array in WEIGHTS.values())
