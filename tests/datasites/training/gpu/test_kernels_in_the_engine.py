"""The book-keeping engine with the GPU's kernels, by Triton's interpreter where there is no GPU."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.clipping_oracle import distance, norm_of
from support.triton_interpreter import DEVICE
from torch import nn

from datasites.training.book_keeping import BookKeeping, gpu_gradients
from datasites.training.dp_sgd.engine_contract import clipping_factors
from datasites.training.gpu import readiness

COUNTED = torch.tensor([True, True, False])


class EveryRule(nn.Module):
    """Few channels, depthwise, strided, one pixel, a scale and a shift, positions, one used twice, a copied one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 16, 3, 2, 1), nn.GroupNorm(4, 16)
        self.depthwise, self.strided = nn.Conv2d(16, 16, 3, 1, 1, groups=16), nn.Conv2d(16, 20, 1, 2, bias=False)
        self.squeeze, self.layer_norm = nn.Conv2d(20, 20, 1), nn.LayerNorm(20)
        self.twice, self.head = nn.Linear(20, 20), nn.Linear(20, 3)
        self.copied = nn.Parameter(torch.randn(1, 4, 20))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = F.silu(self.norm(self.first(images)))
        values = self.strided(self.depthwise(values))
        values = values * torch.sigmoid(self.squeeze(values.mean((2, 3), keepdim=True)))
        values = self.layer_norm(values.flatten(2).transpose(1, 2) + self.copied)
        return self.head(self.twice(F.gelu(self.twice(values))).mean(1))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(1)
    return EveryRule().to(DEVICE)


@pytest.fixture(autouse=True)
def _numbers_may_overflow() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize(("views", "precision"), [(1, torch.bfloat16), (2, torch.float32)])
def test_the_kernels_give_the_norms_and_the_sum_that_torchs_operations_give(
    model: nn.Module, views: int, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.randn(3 * views, 3, 8, 8, device=DEVICE)
    images[2] = torch.nan  # at a place that does not count
    labels, counted = torch.tensor([0, 1, 2], device=DEVICE), COUNTED.to(DEVICE)
    engine = BookKeeping(model, 1.0)
    with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == torch.bfloat16):
        monkeypatch.setattr(readiness, "kernels_run_on", lambda device: False)
        norms, sums = engine.norms_and_sum(images, labels, counted)
        monkeypatch.setattr(readiness, "kernels_run_on", lambda device: True)
        found_norms, found = engine.norms_and_sum(images, labels, counted)
        alone = engine.clipped_sum(images, labels, torch.tensor([True, False, False], device=DEVICE))
    torch.testing.assert_close(found_norms, norms, rtol=1e-4, atol=0, equal_nan=True)
    assert distance(found, sums) < 1e-4 * norm_of(sums)
    assert norm_of(alone) <= 1.0
    assert norm_of(alone) == pytest.approx(min(float(found_norms[0]), 1 - 2**-8), rel=1e-6)
    assert all(part.dtype == torch.float64 for part in found)


@pytest.mark.parametrize(("inputs", "grad_output"), [(3.3e38, 1e-38), (1e-38, 3.3e38), (1e-15, 1.8e19), (1e-15, 1e18)])
def test_a_single_product_with_a_factor_near_the_end_of_float32_adds_at_most_the_bound(
    inputs: float, grad_output: float
) -> None:
    """Of the other factor, times what clips it, float32 keeps so few bits that rounding may double each number."""
    pair = (torch.full((1, 17), inputs, device=DEVICE), torch.full((1, 1), grad_output, device=DEVICE))
    found = gpu_gradients.of_linear(*pair, pictures=1, views=1, once=True)
    length = norm_of([found.weighted_sum(clipping_factors(found.square_norms().sqrt(), 1e-6))]) / 1e-6
    assert length <= 1
    assert length > 0.99 or max(inputs, grad_output) > 2.0**64 / 17**0.5
