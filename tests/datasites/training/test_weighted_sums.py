"""Lengths and weighted sums of many pictures' gradients: whatever their number and width, and how they are read."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from datasites.training.book_keeping.product_sums import SumOfOuterProducts
from datasites.training.dp_sgd.weighted_sums import TOGETHER, parts_together, square_norms, weighted_sum

MANY = (1, TOGETHER - 1, TOGETHER, TOGETHER + 1, 2 * TOGETHER, 3 * TOGETHER + 7, 5000)


def _drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def _factors(pictures: int) -> torch.Tensor:
    factors = torch.rand(pictures, dtype=torch.float64, generator=torch.Generator().manual_seed(pictures)) + 0.1
    factors[::3] = 0.0
    return factors


@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (130, 3, 700), (70_000, 3), (400, 1025), (5, 0)])
def test_square_norms_are_those_in_float64(shape: tuple[int, ...]) -> None:
    rows = _drawn(*shape)
    rows.view(-1)[:2] = torch.tensor([1e30, 1e-30])[: rows.numel()]
    expected = rows.flatten(1).double().square().sum(dim=1)
    assert torch.allclose(square_norms(rows), expected, rtol=1e-13, atol=0.0)


def test_rows_are_read_in_long_pieces_however_many_there_are() -> None:
    """Four numbers of each of 32768 rows at a time took ten times as long as whole rows."""
    read: list[tuple[int, ...]] = []

    class Reading(TorchDispatchMode):
        def __torch_dispatch__(self, call: Any, types: Any, arguments: Any = (), settings: Any = None) -> Any:
            if "_to_copy" in str(call):
                read.append(tuple(arguments[0].shape))
            return call(*arguments, **(settings or {}))

    with Reading():
        square_norms(torch.ones(8192, 1024))
    assert {width for _, width in read} == {1024}
    assert max(rows for rows, _ in read) * 1024 * 8 <= 1 << 20  # bytes that stay in a processor's cache


@pytest.mark.parametrize("pictures", MANY)
@pytest.mark.parametrize("width", [1, 9, 3000])
def test_weighted_sums_are_those_in_float64(pictures: int, width: int) -> None:
    rows, factors = _drawn(pictures, width), _factors(pictures)
    exact = (factors[:, None] * rows.double()).sum(dim=0)
    rows[::3] = float("nan")  # those whose factor is 0
    found = weighted_sum(rows, factors)
    assert found.dtype == torch.float64
    assert torch.allclose(found, exact, rtol=0.0, atol=1e-6 * pictures**0.5)


@pytest.mark.parametrize("pictures", MANY)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (700, 9), (30, TOGETHER + 1), (5000, 2)])
def test_sums_of_single_products_are_those_in_float64(pictures: int, width: int, height: int) -> None:
    inputs, outputs, factors = _drawn(pictures, 1, width), _drawn(pictures, 1, height), _factors(pictures)
    exact = (factors[:, None] * outputs.double()[:, 0]).t() @ inputs.double()[:, 0]
    inputs[::3], outputs[::3] = float("nan"), float("inf")
    found = SumOfOuterProducts(inputs, outputs).weighted_sum(factors)
    assert found.dtype == torch.float64 or pictures <= TOGETHER * parts_together(TOGETHER)
    assert torch.allclose(found.double(), exact, rtol=0.0, atol=1e-6 * pictures**0.5)


@pytest.mark.parametrize("pictures", [TOGETHER - 1, TOGETHER + 1, 3 * TOGETHER])
@pytest.mark.parametrize("positions", [2, 65])
def test_sums_over_positions_of_many_pictures_are_those_in_float64(pictures: int, positions: int) -> None:
    inputs, outputs, factors = _drawn(pictures, positions, 7), _drawn(pictures, positions, 3), _factors(pictures)
    exact = torch.einsum("b,btp,btd->pd", factors, outputs.double(), inputs.double())
    inputs[::3], outputs[::3] = float("nan"), float("inf")
    found = SumOfOuterProducts(inputs, outputs).weighted_sum(factors)
    assert torch.allclose(found.double(), exact, rtol=0.0, atol=1e-5 * (pictures * positions) ** 0.5)


@pytest.mark.parametrize("by_rows", [True, False])
@pytest.mark.parametrize("large", [2.0**24, 2.0**31])
def test_no_more_pictures_than_stated_are_added_in_float32(by_rows: bool, large: float) -> None:
    """Of the ones beside 2^24 float32 loses each that is added to it: at most those of the same group are lost.

    Beside 2^31 it would lose the sums of the other groups as well.
    """
    pictures = 1000
    rows = torch.ones(pictures, 1)
    rows[0] = large
    factors = torch.ones(pictures, dtype=torch.float64)
    if by_rows:
        found = weighted_sum(rows, factors)
    else:
        found = SumOfOuterProducts(rows[:, None], torch.ones(pictures, 1, 1)).weighted_sum(factors)
    assert large + pictures - TOGETHER <= found.item() <= large + pictures - 1
