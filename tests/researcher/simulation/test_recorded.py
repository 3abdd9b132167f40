"""Steps that are recorded are those that are not, to the last bit, of every kind of model; what remembers is told."""

from __future__ import annotations

import pytest
import torch

from datasites.training.book_keeping import BookKeeping
from datasites.training.dp_sgd.loader import Batch
from datasites.training.dp_sgd.step_engine import StepEngine
from datasites.training.dp_sgd.step_sums import CalledSums
from datasites.training.losses import summed_loss
from datasites.training.models import build_model
from policies.plans.training import ModelSpec
from researcher.simulation.at_work.recorded import DrawnAlone, Recorded, recorded_gradients


class _Counted:
    """Counts how often it computes, and adds a number that may be changed behind a recording's back."""

    def __init__(self) -> None:
        self.times, self.more = 0, 0.0

    def __call__(self, numbers: torch.Tensor, *settings: float) -> list[torch.Tensor]:
        self.times += 1
        return [numbers * 2.0 + self.more + sum(settings)]


def test_from_the_third_time_on_a_shape_is_done_again_and_not_computed() -> None:
    compute = _Counted()
    recorded = Recorded(compute)
    for turn in range(1, 6):
        assert recorded(torch.full((3,), float(turn)))[0].tolist() == [2.0 * turn] * 3
    assert compute.times == 2
    for given, settings in ((torch.ones(4), ()), (torch.ones(3), (5,)), (torch.ones(3).double(), ())):
        assert recorded(given, settings=settings)[0].tolist() == [2.0 + sum(settings)] * len(given)
    assert compute.times == 5


def test_what_remembers_something_is_computed_each_time() -> None:
    compute = _Counted()
    recorded = Recorded(compute)
    for turn in range(1, 6):
        compute.more = float(turn)
        assert recorded(torch.ones(3))[0].tolist() == [2.0 + turn] * 3
    assert compute.times == 5


def test_a_step_of_several_batches_of_one_shape_adds_them_all_up() -> None:
    def clipped_sum(batch: Batch) -> list[torch.Tensor]:
        assert isinstance(batch.inputs, torch.Tensor)
        return [batch.inputs.sum(0).double(), batch.labels.sum().double()]

    sums = DrawnAlone(clipped_sum)
    for turn in range(4):
        rows = [torch.full((2, 3), float(turn + more)) for more in (0, 1, 2)]
        batches = [Batch(one, one[:, 0], torch.tensor([True, True])) for one in rows]
        found = sums(iter(batches))
        assert [one.tolist() for one in found] == [[6.0 * turn + 6.0] * 3, 6.0 * turn + 6.0]


def test_several_batches_whose_sums_are_float32_are_added_in_float64_as_at_a_hospital() -> None:
    engine = StepEngine(BookKeeping(build_model(SPECS["small_cnn"]).train(), 1.0), "cpu", "float32")
    sums, wanted = DrawnAlone(engine.clipped_sum), CalledSums(engine)
    for turn in range(4):
        rows = [torch.randn(2, 3, 20, 20, generator=torch.Generator().manual_seed(3 * turn + one)) for one in range(3)]
        batches = [Batch(one, torch.tensor([0, 1]), torch.tensor([True, True])) for one in rows]
        assert torch.float32 in {part.dtype for part in engine.clipped_sum(batches[0])}  # or nothing was tried
        assert all(map(torch.equal, sums(batches), wanted(batches)))


SPECS = {
    "small_cnn": ModelSpec("small_cnn", (20, 20, 3), 3),
    "linear": ModelSpec("linear", (8, 8, 1), 2),
    "resnet": ModelSpec("resnet18", (32, 32, 3), 3),
    "mobilenet": ModelSpec("mobilenet_v3_small", (32, 32, 3), 3),
    "transformer": ModelSpec("vit_small", (32, 32, 3), 3),
}


RECORDED = {"small_cnn", "linear"}  # surely; others may take too much memory, and torch may draw in them


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", list(SPECS))
def test_private_sums_are_the_engines_while_pictures_and_weights_change(name: str, precision: str) -> None:
    spec = SPECS[name]
    model = build_model(spec).train()
    engine = StepEngine(BookKeeping(model, 1.0), "cpu", precision)
    height, channels, times = *spec.image_shape[1:], 0

    def computed(batch: Batch) -> list[torch.Tensor]:
        nonlocal times
        times += 1
        return engine.clipped_sum(batch)

    sums = DrawnAlone(computed)
    for turn in range(4):
        images = torch.randn(3, channels, height, height) * 10.0**turn
        images[0] = torch.nan if turn == 3 else images[0]
        batch = Batch(images, torch.tensor([0, 1, turn % 2]), torch.tensor([True, True, True]))
        found, wanted = sums([batch]), engine.clipped_sum(batch)
        assert all(map(torch.equal, found, wanted))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    if name in RECORDED:
        assert times == 2


@pytest.mark.parametrize("name", list(SPECS))
def test_gradients_without_privacy_are_torchs_while_pictures_and_weights_change(name: str) -> None:
    spec = SPECS[name]
    model = build_model(spec).train()
    add, height, channels = recorded_gradients(model, summed_loss), *spec.image_shape[1:]
    for turn in range(4):
        images, labels = torch.randn(3, channels, height, height), torch.tensor([0, 1, turn % 2])
        images = images.contiguous(memory_format=torch.channels_last)
        zeros = [torch.zeros_like(parameter) for parameter in model.parameters()]
        for parameter, zero in zip(model.parameters(), zeros, strict=True):
            parameter.grad = zero
        add(images, labels, 3)
        found = [zero.clone() for zero in zeros]
        model.zero_grad()
        (summed_loss(model(images), labels) / 3).backward()
        assert all(torch.equal(one, parameter.grad) for one, parameter in zip(found, model.parameters(), strict=True))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
