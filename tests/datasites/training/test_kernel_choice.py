"""Kernels or torch's operations: decided for a whole run, by all of its processes, before any picture is read."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from datasites.training.book_keeping import BookKeeping
from datasites.training.dp_sgd import kernel_choice
from datasites.training.dp_sgd.kernel_choice import GRADIENTS, KernelChoice
from datasites.training.dp_sgd.private_step import find_shape
from datasites.training.dp_sgd.step_engine import StepEngine
from datasites.training.gpu import readiness
from datasites.training.gpu.requirements import KernelMissing, lack
from datasites.training.gpu.step import Recorder
from datasites.training.models import build_model
from datasites.training.process_group.process_group import SINGLE_PROCESS, SingleProcess
from policies.errors import NotRepeatable
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

SPEC = ModelSpec("small_cnn", (16, 16, 1), 3, {"width": 4})
PLAN = TrainingPlan("study", "d", SPEC, 2, 1, 0.5, 0.1, privacy=PrivacySpec(1.0, 0.5, 1e-5), run=RunSpec("cpu", 4))
HERE = torch.device("cpu")


class Recording(Recorder):
    """Records by keeping the work, as a graph's recording is launched."""

    def __init__(self):
        self.told: list[str] = []
        super().__init__(self.told.append)

    def record(self, name, work):
        return work


@dataclass(frozen=True)
class Two(SingleProcess):
    """The first of two processes; the other one's number is always `other`."""

    size: int = 2
    other: float = 1.0

    def all_reduce_min(self, number):
        return min(number, self.other)


@pytest.fixture(autouse=True)
def kernels_run(monkeypatch):
    """As on a GPU where all kernels of the self-test are there."""
    monkeypatch.setattr(readiness, "_found", lambda index: None)
    monkeypatch.setattr(readiness, "_given_up", {})
    monkeypatch.setattr(readiness, "kernels_run_on", lambda device: False)  # the engine computes on a processor


def engine_that_fails(error, *, while_with_kernels=True):
    class Failing(BookKeeping):
        tried = 0

        def norms_and_sum(self, *given):
            Failing.tried += 1
            if not while_with_kernels or readiness.why_not(0) is None:
                raise error
            return super().norms_and_sum(*given)

    torch.manual_seed(0)
    model = build_model(SPEC).train()
    made = Failing(model, 0.5)
    return model, StepEngine(made, "cpu", "float32"), Failing


def shape_of(model, engine, recorder, group=SINGLE_PROCESS):
    return find_shape(PLAN, model, engine, public_size=40, process_group=group, recorder=recorder)


@pytest.mark.parametrize("error", [KernelMissing("products.json"), RuntimeError("Triton Error [CUDA]: no image")])
def test_a_kernel_that_is_missing_leaves_the_whole_run_to_torchs_operations(error):
    recorder = Recording()
    model, engine, _ = engine_that_fails(error)
    found = shape_of(model, engine, recorder)
    assert recorder.told == [GRADIENTS]
    assert "The kernels" in readiness.why_not(0) or str(error) in readiness.why_not(0)
    plain = engine_that_fails(error)
    assert found.shape == shape_of(*plain[:2], Recording()).shape


def test_what_fails_without_kernels_too_is_raised_and_not_tried_for_ever():
    model, engine, counted = engine_that_fails(RuntimeError("a fault of ours"), while_with_kernels=False)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        shape_of(model, engine, Recording())
    assert counted.tried == 2


def test_on_a_processor_nothing_is_tried_twice():
    model, engine, counted = engine_that_fails(KernelMissing("products.json"))
    with pytest.raises(KernelMissing):
        shape_of(model, engine, None)
    assert counted.tried == 1


def test_an_unfit_device_is_no_question_of_kernels():
    model, engine, _ = engine_that_fails(NotRepeatable("No."), while_with_kernels=False)
    with pytest.raises(NotRepeatable):
        shape_of(model, engine, recorder := Recording())
    assert recorder.told == []


def test_where_one_process_does_without_all_do():
    for own, other, want in ((None, 1.0, True), ("not here", 1.0, False), (None, 0.0, False)):
        readiness._given_up.clear()
        recorder = Recording()
        choice = KernelChoice(Two(), HERE, recorder)
        assert choice.with_kernels and recorder.told == []
        object.__setattr__(choice.process_group, "other", other)
        choice.go_on(own)
        assert choice.with_kernels is want
        assert recorder.told == ([] if want else [GRADIENTS])
        assert (readiness.why_not(0) is None) is want


def test_a_card_that_lacks_kernels_is_told_of_when_the_run_is_prepared(monkeypatch):
    monkeypatch.setattr(readiness, "_found", lambda index: "No C compiler.")
    recorder = Recording()
    choice = KernelChoice(SINGLE_PROCESS, HERE, recorder)
    assert not choice.with_kernels and recorder.slower == {GRADIENTS: "No C compiler."}
    assert not KernelChoice(SINGLE_PROCESS, HERE, None).with_kernels


def test_the_noises_kernel_is_tried_before_a_picture_is_read(monkeypatch):
    asked: list[torch.device] = []
    monkeypatch.setattr(kernel_choice, "noise_kernel", asked.append)
    KernelChoice(SINGLE_PROCESS, HERE, Recording())
    assert asked == [HERE]


def test_compiled_kernels_need_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = lack((9, 0))
    assert missing is not None and "C compiler" in missing.what
    assert lack((9, 0), compiles=False) is None
    old = lack((7, 5), compiles=False)
    assert old is not None and "below 8.0" in old.what
