"""A step that is recorded and launched again: its numbers, what cannot be recorded, and that no noise comes twice."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import nn

from datasites.training.book_keeping import BookKeeping
from datasites.training.dp_sgd.loader import Batch
from datasites.training.dp_sgd.noise import NoisyOptimizer
from datasites.training.dp_sgd.private_step import PrivateStep, recorder_on
from datasites.training.dp_sgd.step_engine import StepEngine
from datasites.training.dp_sgd.step_sums import CalledSums, RecordedSums
from datasites.training.gpu.step import Recorder
from datasites.training.models import build_model
from datasites.training.randomness.randomness import SecureRandom
from policies.plans.training import ModelSpec

SPEC = ModelSpec("small_cnn", (16, 16, 1), 3, {"width": 4})


class Repeating(Recorder):
    """Records by keeping the work, and launches it again by doing it: as a graph does, with no call in between."""

    def __init__(self):
        super().__init__(graph=Graph)
        self.recorded = {}

    def record(self, name, work):
        self.recorded[name] = work
        return work


class Graph:
    """A graph of which one part may fail; it launches nothing."""

    def __init__(self, failing=""):
        self.failing = failing

    def capture_begin(self):
        self.fail("begin")

    def capture_end(self):
        self.fail("end")

    def replay(self):
        pass

    def fail(self, part):
        if part == self.failing:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")


def batch_of(places, seed, empty=()):
    made = torch.Generator().manual_seed(seed)
    counted = torch.ones(places, dtype=torch.bool)
    counted[list(empty)] = False
    images = torch.randn(places, 1, 16, 16, generator=made)
    return Batch(images, torch.randint(0, 3, (places,), generator=made), counted)


@pytest.fixture
def engine():
    torch.manual_seed(0)
    return StepEngine(BookKeeping(build_model(SPEC).train(), 0.5), "cpu", "float32")


def same(sums, others):
    return all(torch.equal(one.double(), other.double()) for one, other in zip(sums, others, strict=True))


def test_sums_of_several_batches_are_added_in_float64_and_so_are_those_of_several_processes(engine):
    """A batch's sum may be float32: what is added to it, from another batch or process, must not round in that."""
    batches = [batch_of(6, number) for number in range(3)]
    parts = [engine.clipped_sum(batch) for batch in batches]
    assert torch.float32 in {part.dtype for part in parts[0]}
    exact = [sum(part.double() for part in one) for one in zip(*parts, strict=True)]
    sums = CalledSums(engine)(batches)
    assert {part.dtype for part in sums} == {torch.float64} and same(sums, exact)
    given: list[torch.Tensor] = []
    others: Any = Mock(size=2, is_first=False, reduce=given.extend)
    step = PrivateStep(Mock(), CalledSums(engine), Mock(), Mock(), Mock(), others)
    step.take(batches[:1])
    assert {part.dtype for part in given} == {torch.float64} and same(given, parts[0])


def test_recorded_sums_are_those_of_the_engine_in_each_step(engine):
    recorded, called = RecordedSums(engine, Repeating(), batch_of(6, 1)), CalledSums(engine)
    for step in range(2):
        batches = [batch_of(6, 10 * step + number, empty=[number]) for number in range(3)]
        assert same(recorded(batches), called(batches))


def test_sums_lie_in_the_same_memory_in_every_step_and_begin_with_zeros(engine):
    recorded = RecordedSums(engine, Repeating(), batch_of(6, 1))
    first = recorded([batch_of(6, 2)])
    assert recorded([]) is first and not any(part.any() for part in first)


@pytest.mark.parametrize("places", [1, 3, 7])
def test_a_batch_of_another_shape_is_refused_and_not_spread_over_all_places(engine, places):
    recorded = RecordedSums(engine, Repeating(), batch_of(6, 1))
    with pytest.raises(ValueError, match="shape"):
        recorded([batch_of(places, 2)])


@pytest.mark.parametrize("failing", ["begin", "end"])
def test_what_cannot_be_recorded_is_called_and_told(engine, failing):
    told: list[str] = []
    recorder = Recorder(told.append, lambda: Graph(failing))
    recorded = RecordedSums(engine, recorder, batch_of(6, 1))
    assert same(recorded([batch_of(6, 2)]), CalledSums(engine)([batch_of(6, 2)]))
    assert recorder.slower == {RecordedSums.NAME: "operation not permitted when stream is capturing"}
    assert told == [RecordedSums.NAME], "the device's own words stay where they are"


def test_a_recording_that_gives_other_numbers_is_not_used(engine):
    recorder = Recorder(graph=Graph)
    recorded = RecordedSums(engine, recorder, batch_of(6, 1))
    assert same(recorded([batch_of(6, 2)]), CalledSums(engine)([batch_of(6, 2)]))
    assert list(recorder.slower) == [RecordedSums.NAME]


class Shifted(Repeating):
    """Records work after which the sums are larger by a factor."""

    def __init__(self, factor):
        super().__init__()
        self.factor, self.sums = factor, []

    def record(self, name, work):
        def shifted():
            work()
            torch._foreach_mul_(work.__self__._sums, self.factor)

        return super().record(name, shifted)


@pytest.mark.parametrize(("factor", "slower"), [(1 + 2.0**-45, False), (1 + 2.0**-30, True)])
def test_sums_may_differ_by_the_order_of_float64_additions_and_no_more(engine, factor, slower):
    recorder = Shifted(factor)
    RecordedSums(engine, recorder, batch_of(6, 1))
    assert bool(recorder.slower) == slower


def test_other_threads_may_copy_while_a_round_is_recorded(monkeypatch):
    begun = []

    class Cuda:
        capture_end = replay = lambda self: None

        def capture_begin(self, **how):
            begun.append(how)

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Cuda)
    recorder = recorder_on("cuda", lambda name: None)
    assert recorder is not None
    recorder.record("work", lambda: None)()
    assert begun == [{"capture_error_mode": "thread_local"}]
    assert recorder_on("cpu", lambda name: None) is None


def test_an_error_of_the_work_itself_is_not_taken_for_a_recording_that_failed():
    def work():
        raise KeyError("a fault")

    with pytest.raises(KeyError):
        Recorder(graph=Graph).record("work", work)


def noisy(recorder, *, random=None, size=3000, **sgd):
    parameter = nn.Parameter(torch.zeros(size))
    optimizer = NoisyOptimizer(
        torch.optim.SGD([parameter], **{"lr": 1.0, **sgd}),
        noise_multiplier=2.0,
        max_grad_norm=0.5,
        expected_batch=10.0,
        random=random or SecureRandom(),
        after_noise=lambda: None,
        recorder=recorder,
    )
    return parameter, optimizer


def test_a_recorded_step_moves_the_weights_as_a_called_one():
    moved, sums = [], [torch.linspace(-9, 9, 3000, dtype=torch.float64)]
    for recorder in (Repeating(), None):
        parameter, optimizer = noisy(recorder, random=SecureRandom.for_tests(1), momentum=0.9, weight_decay=0.1)
        for _ in range(4):
            optimizer.step_with(sums)
        moved.append(parameter.detach().numpy())
    assert np.allclose(moved[0], moved[1], rtol=1e-6, atol=1e-7)


def test_noise_is_fresh_each_time_a_recorded_step_is_launched():
    parameter, optimizer = noisy(Repeating())
    sums, seen = [torch.zeros(3000, dtype=torch.float64)], [torch.zeros(3000)]
    for _ in range(4):
        optimizer.step_with(sums)
        seen.append(parameter.detach().clone())
    noises = np.diff(np.stack(seen).astype(np.float64), axis=0)
    assert np.abs(np.corrcoef(noises) - np.eye(4)).max() < 5 / np.sqrt(3000)
    assert np.allclose(noises.std(axis=1), 0.1, rtol=0.1)


def test_a_recorded_step_that_is_launched_without_a_fresh_key_leaves_no_number_in_the_weights():
    recorder = Repeating()
    parameter, optimizer = noisy(recorder)
    sums = [torch.zeros(3000, dtype=torch.float64)]
    for _ in range(3):
        optimizer.step_with(sums)
    assert parameter.isfinite().all()
    recorder.recorded[NoisyOptimizer.NAME]()
    assert parameter.isnan().all()


def test_sums_in_other_memory_are_not_taken_for_those_that_were_recorded():
    recorder = Repeating()
    parameter, optimizer = noisy(recorder)
    own = [torch.zeros(3000, dtype=torch.float64)]
    for _ in range(2):
        optimizer.step_with(own)
    before = parameter.detach().clone()
    optimizer.step_with([torch.full((3000,), 1e6, dtype=torch.float64)])
    assert (before - parameter > 9e4).all()
