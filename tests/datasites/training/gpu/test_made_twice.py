"""What a GPU without kernels computes, on a processor: against torch's own gradients, and in how many parts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.clipping_oracle import distance, norm_of
from torch import nn

from datasites.training.book_keeping import BookKeeping, convolution, linear, made_twice

LAYERS: dict[str, Callable[[], tuple[nn.Module, tuple[int, ...]]]] = {
    "3 x 3": lambda: (nn.Conv2d(3, 8, 3, padding=1), (3, 5, 6)),
    "strided, dilated": lambda: (nn.Conv2d(4, 6, (2, 3), stride=(1, 2), padding=(1, 0), dilation=(2, 1)), (4, 5, 7)),
    "depthwise": lambda: (nn.Conv2d(4, 8, 3, groups=4), (4, 5, 6)),
    "one axis": lambda: (nn.Conv1d(4, 6, 3, stride=2), (4, 9)),
    "three axes": lambda: (nn.Conv3d(2, 4, 2), (2, 3, 4, 3)),
    "positions": lambda: (nn.Linear(5, 4), (7, 5)),
}


@pytest.fixture(params=LAYERS)
def model(request: pytest.FixtureRequest) -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(2)
    layer, shape = LAYERS[request.param]()
    outputs = layer(torch.zeros(1, *shape)).numel()
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(outputs, 3)), shape


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("memory", [0, 4])
def test_norms_and_sums_are_those_of_the_processors_rules(
    model: tuple[nn.Module, tuple[int, ...]], views: int, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, shape = model
    images, labels = torch.randn(4 * views, *shape), torch.tensor([0, 1, 2, 0])
    images[2] = torch.nan
    counted = torch.tensor([True, True, False, True])
    want = BookKeeping(network, 1.0).norms_and_sum(images, labels, counted)
    for rule in (convolution, linear):
        monkeypatch.setattr(rule, "on_gpu", lambda inputs: True)
    monkeypatch.setattr(made_twice, "_MEMORY", memory)
    found = BookKeeping(network, 1.0).norms_and_sum(images, labels, counted)
    torch.testing.assert_close(found[0], want[0], rtol=1e-5, atol=0, equal_nan=True)
    assert distance(found[1], want[1]) < 1e-5 * norm_of(want[1])


def test_pictures_are_made_together_as_memory_allows_and_not_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_twice, "_NUMBERS_AT_ONCE", 40 * 20)
    sizes = []

    def product(rows: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        sizes.append(len(rows))
        return gradients[:, :, None] * rows[:, None, :]

    rows, gradients = torch.randn(100, 5), torch.randn(100, 4)
    gradient = made_twice.MadeTwice((rows, gradients), product, (4, 5), pictures=100, each=0)
    norms = gradient.square_norms()
    assert sizes == [40, 40, 20]
    torch.testing.assert_close(norms, (rows.square().sum(1) * gradients.square().sum(1)).double(), rtol=1e-5, atol=0)
