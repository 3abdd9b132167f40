"""Plans that `make bench-kernels` times beside a layer's own compute the same."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))

from kernel_plans import OWN, other_plans

from datasites.training.gpu.packing import packed
from datasites.training.gpu.plan import Geometry
from datasites.training.gpu.products import Products

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize(
    ("geometry", "halves"),
    [
        (Geometry(3, 1, 130, 136, 1, (1, 1, 70), (1, 1, 70)), 1),
        (Geometry(3, 1, 130, 70, 1, (1, 2, 2), (1, 2, 2), (1, 3, 3), padding=(0, 1, 1)), 2),
        (Geometry(3, 1, 4, 70, 1, (1, 9, 8), (1, 9, 8), (1, 5, 5), padding=(0, 2, 2)), 2),
    ],
    ids=["linear", "few positions", "few channels"],
)
def test_every_plan_gives_the_norms_and_the_sum_of_the_layers_own(geometry: Geometry, halves: int) -> None:
    made = torch.Generator().manual_seed(0)
    sizes = ((geometry.channels, geometry.pixels), (geometry.outputs, geometry.places))
    rows = [torch.randn(geometry.pictures, *size, generator=made).to(DEVICE) for size in sizes]
    operands = [packed(part if halves == 2 else part.to(torch.bfloat16), halves=halves) for part in rows]
    factors = torch.tensor([0.5, 0.0, 2.0], device=DEVICE)
    found = {}
    for name, plan in other_plans(geometry, halves).items():
        products = Products(geometry, *operands)
        products.__dict__["_plan"] = plan
        found[name] = products.square_norms().sum(0), products.weighted_sum(factors)
    assert len(found) >= 6
    norms, total = found.pop(OWN)
    for name, (other_norms, other_total) in found.items():
        torch.testing.assert_close(other_norms, norms, rtol=1e-5, atol=0, msg=name)
        torch.testing.assert_close(other_total, total, rtol=1e-4, atol=1e-3, msg=name)
