"""Products of layers of drawn shapes: the numbers of float64, and the same bits measured and summed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.layer_geometries import as_rows, by_autograd, operands, shape
from support.triton_interpreter import DEVICE
from torch import nn

from datasites.training.book_keeping.book import Book, PerSampleGradient
from datasites.training.book_keeping.gpu_gradients import of_convolution, of_linear
from datasites.training.book_keeping.patches import ConvolutionCall
from datasites.training.gpu.packing import packed
from datasites.training.gpu.plan import Geometry, plan_of
from datasites.training.gpu.products import Products

SOME = settings(max_examples=5, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(SOME, max_examples=120, derandomize=False)
# Blocks of positions, over all tiles and pictures, that the interpreter is given.
LITTLE_WORK, MORE_WORK = 6, 24
# Of the terms that are added up, which may cancel: what two halves of bfloat16 leave out of two factors, and the
# product of their lower halves. The interpreter cuts off where a GPU rounds, so it leaves out four times as much.
PRECISION = 2.0**-15 if DEVICE == "cuda" else 2.0**-13
CHANNELS = st.sampled_from([1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 20, 31, 32, 33, 40])


@pytest.fixture(autouse=True)
def _numbers_may_overflow() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


@st.composite
def geometries(draw: st.DrawFn, work: int) -> Geometry:
    """Layers of one to three axes, of which some positions lie outside of the picture altogether."""
    axes = draw(st.sampled_from([1, 2, 2, 3]))
    most = {1: 70, 2: 8, 3: 4}[axes]
    size, kernel, stride, padding, dilation = ([value] * (3 - axes) for value in (1, 1, 1, 0, 1))
    for _ in range(axes):
        size.append(draw(st.integers(1, most)))
        kernel.append(draw(st.integers(1, 3)))
        stride.append(draw(st.integers(1, 3)))
        padding.append(draw(st.integers(0, 2)))
        dilation.append(draw(st.integers(1, 2)))
        assume(size[-1] + 2 * padding[-1] > dilation[-1] * (kernel[-1] - 1))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    found = shape(
        groups * draw(CHANNELS),
        groups * draw(CHANNELS),
        _three(size),
        _three(kernel),
        stride=_three(stride),
        padding=_three(padding),
        dilation=_three(dilation),
        groups=groups,
        views=draw(st.integers(1, 3)),
        pictures=draw(st.integers(1, 5)),
    )
    plans = [plan_of(found, halves=halves) for halves in (1, 2)]
    assume(max(plan.tiles * plan.blocks for plan in plans) * groups * found.views * found.pictures <= work)
    return found


def _three(values: list[int]) -> tuple[int, int, int]:
    z, y, x = values
    return z, y, x


def check_products(geometry: Geometry, halves: int, empty: int, per: int, number: int) -> None:
    """Products of one layer, with one place that does not count, `per` pictures to a program."""
    inputs, grad_output = operands(geometry, halves)
    want = as_rows(by_autograd(geometry, inputs, grad_output)).to(DEVICE)
    packed_inputs, packed_gradients = (packed(part, halves=halves).clone() for part in (inputs, grad_output))
    products = Products(geometry, packed_inputs, packed_gradients)
    products.__dict__["_plan"] = replace(products._plan, per_norm=per, per_sum=per)

    written, norms = products.written()
    assert torch.linalg.vector_norm(written - want) <= PRECISION * length_of_terms(geometry, inputs, grad_output)
    assert torch.equal(products.square_norms(), norms)
    torch.testing.assert_close(norms.sum(0), written.double().square().sum((1, 2)), rtol=1e-6, atol=0)

    made = torch.Generator().manual_seed(number)
    # Powers of two, whose products are exact however a device multiplies and adds.
    factors = 2.0 ** torch.randint(-40, 3, (geometry.pictures,), generator=made).to(DEVICE, torch.float32)
    factors[empty] = 0.0
    packed_inputs[:, empty :: geometry.pictures] = torch.nan
    packed_gradients[:, empty :: geometry.pictures] = torch.inf
    assert torch.equal(products.weighted_sum(factors), added_up(products, written, factors, empty))
    beside = products.square_norms()
    assert not beside[:, empty].sum().isfinite()
    counted = torch.arange(geometry.pictures, device=DEVICE) != empty
    assert torch.equal(beside[:, counted], norms[:, counted])


def length_of_terms(geometry: Geometry, inputs: torch.Tensor, grad_output: torch.Tensor) -> torch.Tensor:
    """How long the gradients would be, all pictures' together, if nothing cancelled."""
    return torch.linalg.vector_norm(by_autograd(geometry, inputs.abs(), grad_output.abs())).to(DEVICE)


def added_up(products: Products, written: torch.Tensor, factors: torch.Tensor, empty: int) -> torch.Tensor:
    """What was written, times its factor, added in float32 part by part and then in float64."""
    counted = [number for number in range(len(written)) if number != empty]
    total = torch.zeros(written.shape[1:], dtype=torch.float64, device=written.device)
    per = products._plan.per_sum
    for start in range(0, len(written), per):
        part = torch.zeros(written.shape[1:], device=written.device)
        for number in counted:
            if start <= number < start + per:
                part += factors[number] * written[number]
        total += part
    return total


def check_convolution(geometry: Geometry, halves: int, axes: int) -> None:
    """A convolution as the engine meets it: channels are padded, and a rule is chosen for it."""
    inputs, grad_output = operands(geometry, halves)
    want = by_autograd(geometry, inputs, grad_output).to(DEVICE)
    taken = slice(3 - axes, None)
    channels = geometry.channels // geometry.groups
    weight = nn.Parameter(torch.zeros(geometry.outputs, channels, *geometry.kernel[taken], device=DEVICE))
    book = Book({"weight": weight}, pictures=geometry.pictures, views=geometry.views, kernels=True)
    book.announce(weight)
    of_call = (geometry.stride[taken], geometry.padding[taken], geometry.dilation[taken], geometry.groups)
    gradient = of_convolution(
        ConvolutionCall(book, weight, None, *of_call),
        inputs.unflatten(2, geometry.size[taken]),
        grad_output.unflatten(2, geometry.positions[taken]),
    )
    terms = length_of_terms(geometry, inputs, grad_output)
    check_gradient(gradient, want.view(geometry.pictures, *weight.shape), terms)


def check_gradient(gradient: PerSampleGradient, want: torch.Tensor, terms: torch.Tensor) -> None:
    """A rule's gradients, norms and sum beside float64; `terms` is how long they would be if nothing cancelled."""
    assert torch.linalg.vector_norm(gradient.per_picture().view(want.shape).double() - want) <= PRECISION * terms
    norms = gradient.square_norms().reshape(-1, len(want)).sum(0).sqrt()
    assert (norms - want.flatten(1).norm(dim=1)).abs().max() <= PRECISION * terms
    factors = torch.linspace(0, 1, len(want), dtype=torch.float64, device=want.device)
    found = gradient.weighted_sum(factors).view(want.shape[1:])
    assert found.dtype == torch.float64
    assert torch.linalg.vector_norm(found - torch.tensordot(factors, want, 1)) <= PRECISION * terms


def axes_of(geometry: Geometry) -> int:
    """The fewest axes that a call of the layer has, all of which the kernel is told of."""
    settings = zip(geometry.size, geometry.kernel, geometry.stride, geometry.padding, strict=True)
    plain = [one == (1, 1, 1, 0) for one in settings]
    return 1 if all(plain[:2]) else 2 if plain[0] else 3


HALVES = st.sampled_from([1, 2])
EACH = (HALVES, st.integers(0, 4), st.integers(1, 5), st.integers(0, 2**16))


@SOME
@given(geometries(LITTLE_WORK), *EACH)
def test_products_of_some_shapes(geometry: Geometry, halves: int, empty: int, per: int, number: int) -> None:
    check_products(geometry, halves, empty % geometry.pictures, min(per, geometry.pictures), number)


@pytest.mark.slow
@MANY
@given(geometries(MORE_WORK), *EACH)
def test_products_of_many_shapes(geometry: Geometry, halves: int, empty: int, per: int, number: int) -> None:
    check_products(geometry, halves, empty % geometry.pictures, min(per, geometry.pictures), number)


@SOME
@given(geometries(LITTLE_WORK), HALVES)
def test_convolutions_of_some_shapes(geometry: Geometry, halves: int) -> None:
    check_convolution(geometry, halves, axes_of(geometry))


@pytest.mark.slow
@MANY
@given(geometries(MORE_WORK), HALVES)
def test_convolutions_of_many_shapes(geometry: Geometry, halves: int) -> None:
    check_convolution(geometry, halves, axes_of(geometry))


@pytest.mark.parametrize("views", [1, 2])
def test_a_step_over_the_only_pixel_of_a_picture_meets_nothing_but_its_border(views: int) -> None:
    geometry = shape(4, 5, (1, 1, 1), stride=(1, 3, 3), padding=(0, 1, 1), views=views)
    assert geometry.places == geometry.pixels == 1
    check_convolution(geometry, 2, axes=2)


@pytest.mark.parametrize("positions", [1, 2, 5, 6, 11, 17, 70, 210])
def test_linear_layers_at_any_number_of_positions(positions: int) -> None:
    made = torch.Generator().manual_seed(positions)
    inputs, grad_output = (torch.randn(3, positions, width, generator=made).to(DEVICE) for width in (7, 5))
    want = torch.einsum("btd,btp->bpd", inputs.double(), grad_output.double())
    terms = torch.einsum("btd,btp->bpd", inputs.double().abs(), grad_output.double().abs()).norm()
    check_gradient(of_linear(inputs, grad_output, pictures=3, views=1, once=True), want, terms)


def test_the_reference_is_that_of_a_linear_layer() -> None:
    geometry = shape(3, 2, (1, 1, 4))
    inputs, grad_output = operands(geometry, 2)
    weight = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    outputs = F.linear(inputs[0].double().cpu().t(), weight)
    found = torch.autograd.grad((outputs * grad_output[0].double().cpu().t()).sum(), weight)[0]
    torch.testing.assert_close(by_autograd(geometry, inputs, grad_output)[0, :, :, 0], found)
