"""The kernels against float64, by Triton's interpreter where there is no GPU."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from support.layer_geometries import as_rows, by_autograd, operands, shape
from support.triton_interpreter import DEVICE

from datasites.training.gpu import affine, rows, self_test
from datasites.training.gpu.packing import packed, turned
from datasites.training.gpu.plan import APART, BEHIND, GATHER, POINT, TAPS, WHOLE, Geometry, plan_of
from datasites.training.gpu.products import Products


@pytest.fixture(autouse=True)
def _numbers_may_overflow() -> Iterator[None]:
    """The interpreter computes with numpy, which warns of what a GPU does in silence."""
    with np.errstate(all="ignore"):
        yield


SHAPES = {
    "linear": shape(20, 24, (1, 1, 19)),
    "linear, views": shape(16, 40, (1, 1, 5), views=2),
    "3 x 3": shape(16, 8, (1, 5, 4), (1, 3, 3), padding=(0, 1, 1)),
    "strided 1 x 1": shape(17, 8, (1, 5, 5), stride=(1, 2, 2)),
    "dilated, uneven": shape(16, 8, (1, 7, 5), (1, 2, 3), stride=(1, 2, 1), padding=(0, 0, 2), dilation=(1, 1, 2)),
    "few channels": shape(3, 8, (1, 6, 5), (1, 3, 2), stride=(1, 2, 2), padding=(0, 1, 0), views=2),
    "one axis": shape(18, 8, (1, 1, 9), (1, 1, 3), stride=(1, 1, 2)),
    "three axes": shape(4, 8, (3, 3, 4), (2, 2, 1), stride=(1, 2, 1), padding=(1, 0, 0)),
    "three axes, many channels": shape(16, 8, (3, 2, 3), (2, 1, 2), padding=(1, 0, 1)),
    "three axes, one plane beyond its border": shape(16, 8, (1, 3, 2), (1, 2, 1), padding=(1, 0, 0)),
    "three axes, a step over the only plane": shape(3, 8, (1, 2, 2), stride=(3, 1, 1), padding=(1, 0, 0)),
    "few positions": shape(16, 8, (1, 2, 2), (1, 3, 3), padding=(0, 1, 1)),
    "nine positions, views": shape(20, 24, (1, 3, 3), views=2),
    "groups": shape(32, 40, (1, 3, 3), (1, 2, 2), groups=2),
    "linear, a block and a tail": shape(18, 24, (1, 1, 70)),
    "3 x 3, a block and a tail": shape(16, 8, (1, 9, 10), (1, 3, 3), padding=(0, 1, 1)),
    "several blocks": shape(16, 8, (1, 1, 140)),
}


@pytest.mark.parametrize(
    ("name", "halves"),
    [
        ("3 x 3", 1),
        ("few positions", 1),
        ("few positions", 2),
        ("3 x 3, a block and a tail", 1),
        *((name, 1 + number % 2) for number, name in enumerate(SHAPES, start=1) if name != "few positions"),
    ],
)
def test_products_norms_and_sums_are_those_of_float64_and_of_each_other(name: str, halves: int) -> None:
    geometry = SHAPES[name]
    inputs, grad_output = operands(geometry, halves)
    want = as_rows(by_autograd(geometry, inputs, grad_output))
    packed_inputs = packed(inputs, halves=halves)
    products = Products(geometry, packed_inputs, packed(grad_output, halves=halves))

    written, norms = products.written()
    assert torch.linalg.vector_norm(written.cpu() - want) <= 5e-5 * torch.linalg.vector_norm(want)
    assert torch.equal(products.square_norms(), norms)
    torch.testing.assert_close(norms.sum(0), written.double().square().sum((1, 2)), rtol=1e-6, atol=0)

    packed_inputs[:, 0] = torch.nan  # an empty place, or a picture that is not finite
    found = products.weighted_sum(torch.tensor([0.0, 1.0], device=DEVICE))
    assert torch.equal(found, written[1].double())


def test_products_of_halves_lie_behind_each_other_where_positions_are_few() -> None:
    few, more, many = (
        plan_of(shape(512, 512, (1, side, side), (1, 3, 3), padding=(0, 1, 1)), halves=2) for side in (2, 4, 14)
    )
    assert (few.products, few.steps, few.blocks) == (BEHIND, 16, 1)  # in place of three times 16 of which 4 are filled
    assert (more.products, more.steps, more.blocks) == (APART, 16, 1)
    assert (many.products, many.steps, many.blocks) == (APART, 32, 7)


def test_positions_behind_a_single_block_are_its_tail_where_a_second_block_would_be_half_empty() -> None:
    def of(places: int, *, halves: int = 1, views: int = 1) -> tuple[int, int, int]:
        plan = plan_of(shape(32, 24, (1, 1, places), views=views), halves=halves)
        return plan.steps, plan.blocks, plan.tail

    assert [of(places) for places in (64, 65, 80, 81, 96, 97)] == [
        (64, 1, 0),
        (64, 1, 16),
        (64, 1, 16),
        (64, 1, 32),
        (64, 1, 32),
        (64, 2, 0),
    ]
    assert of(65, views=2) == (64, 2, 0)  # each view would have a tail
    assert of(65, halves=2) == (32, 3, 0)


@pytest.mark.parametrize("size", [1e-38, 1e-25, 1e-22, 1e-21, 1e-20, 1e-18, 1e-12, 1e-6, 1.0, 1e15])
def test_no_length_is_lost_because_its_square_is_no_float32_number(size: float) -> None:
    geometry = shape(16, 8, (1, 1, 2), pictures=1)
    inputs, grad_output = operands(geometry, 1)
    products = Products(geometry, packed(inputs, halves=1), packed(grad_output * size, halves=1))

    written, norms = products.written()
    # Below 2^-112, a tile of numbers below 2^-63, squares may be lost: no bound that a plan can name is below 2^-20.
    want = written.double().square().sum((1, 2))
    torch.testing.assert_close(norms.sum(0), want, rtol=1e-5, atol=2.0**-112)
    # What is measured at all is exact: its one tile is squared again, enlarged.
    torch.testing.assert_close(norms, torch.where(norms > 0, want, norms), rtol=1e-5, atol=0)
    assert norms.sum() > 0 or size < (1e-21 if DEVICE == "cpu" else 1e-19)


def test_channels_that_lie_together_are_packed_without_a_copy_and_missing_ones_are_zero() -> None:
    made = torch.randn(2, 3, 5, device=DEVICE)
    together = made.to(torch.bfloat16).transpose(1, 2).contiguous().transpose(1, 2)
    assert packed(together, halves=1).data_ptr() == together.data_ptr()
    found = packed(made, halves=2, width=4)
    torch.testing.assert_close(found.float().sum(0)[..., :3].transpose(1, 2), made, rtol=2**-15, atol=0)
    assert not found[..., 3].any()


def test_rows_are_measured_exactly_and_one_that_does_not_count_adds_nothing() -> None:
    made = torch.Generator().manual_seed(3)
    values, others, factors = (torch.randn(n, generator=made).to(DEVICE) for n in ((70, 201), (70, 9), (70,)))
    factors = factors.abs()
    factors[3], values[3], values[4] = 0.0, torch.nan, 1e-30
    sound = values.nan_to_num().double()

    norms = rows.square_norms(values)
    assert norms[3].isnan()
    torch.testing.assert_close(norms[4:], sound.square().sum(1)[4:], rtol=1e-14, atol=0)
    torch.testing.assert_close(rows.weighted_sum(values, factors), factors.double() @ sound, rtol=1e-5, atol=1e-5)
    outer = rows.weighted_outer(values, others, factors)
    torch.testing.assert_close(outer, sound.t() @ (others.double() * factors.double()[:, None]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parts_are_added_in_float64_and_none_is_left_out(dtype: torch.dtype) -> None:
    large = torch.tensor([2.0**24, 1.0, 1.0, 1.0, -(2.0**24)], dtype=dtype, device=DEVICE)
    found = rows.added(large[:, None, None].repeat(1, 7, 101))  # in float32 ones beside 2^24 are lost
    assert found.dtype == torch.float64 and torch.equal(found, torch.full_like(found, 3.0))
    assert found.shape == (7, 101)


@pytest.mark.parametrize(
    "geometry",
    [
        shape(5, 10, (1, 6, 7), (1, 3, 5), stride=(1, 2, 1), padding=(0, 1, 2), groups=5, views=2),
        shape(6, 4, (3, 3, 4), (2, 2, 3), stride=(1, 2, 1), padding=(1, 0, 1), groups=2),
    ],
    ids=["depthwise", "three axes"],
)
def test_a_grouped_convolutions_gradients_are_those_of_float64(geometry: Geometry) -> None:
    inputs, grad_output = operands(geometry, 2)
    want = by_autograd(geometry, inputs, grad_output)
    found = affine.grouped(turned(inputs), turned(grad_output), geometry)
    torch.testing.assert_close(found.cpu().double(), want, rtol=1e-4, atol=1e-5)


def test_layer_norms_scale_and_shift_are_those_of_float64() -> None:
    made = torch.Generator().manual_seed(5)
    values, grad_output = (torch.randn(3, 5, 20, generator=made).to(DEVICE) for _ in range(2))
    means, scales = values.mean(2), values.std(2, unbiased=False).reciprocal()
    found = affine.layer_norm(values, grad_output, means, scales).double()
    normalised = (values.double() - means[..., None]) * scales[..., None]
    torch.testing.assert_close(found[:, 0], (normalised * grad_output).sum(1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[:, 1], grad_output.double().sum(1), rtol=1e-5, atol=1e-5)


def test_the_self_test_takes_several_pictures_in_a_program_and_products_of_every_kind() -> None:
    for halves, products in ((1, {WHOLE}), (2, {APART, BEHIND})):
        plans = [(shape.pictures, plan_of(shape, halves=halves)) for shape in self_test._shapes()]
        assert {plan.kind for _, plan in plans} == {POINT, TAPS, GATHER}
        assert {plan.products for _, plan in plans} == products
        uneven = [plan for pictures, plan in plans if pictures % plan.per_norm and pictures % plan.per_sum]
        assert {plan.products for plan in uneven} == products


def test_the_self_test_passes_and_finds_a_sum_that_is_not_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "_shapes", lambda: [shape(20, 8, (1, 1, 3), pictures=3)])
    assert self_test.fault(torch.device(DEVICE)) is None

    sound = Products.weighted_sum
    monkeypatch.setattr(Products, "weighted_sum", lambda *given: sound(*given) * (1 + 2**-24))
    assert "measured" in str(self_test.fault(torch.device(DEVICE)))
