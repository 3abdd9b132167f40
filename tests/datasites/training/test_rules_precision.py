"""What the book-keeping rules of norms and affines add to float32's own error: next to nothing, beside plain autograd.

A network of many norms can be ill-conditioned: its forward pass in float32 is then far from that in float64 before any
rule is asked. So the rules are held against plain autograd through the same forward pass, and both against float64.
"""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from support.clipping_oracle import distance, norm_of
from torch import nn

from datasites.training.book_keeping import BookKeeping
from datasites.training.book_keeping.book import Book
from datasites.training.book_keeping.embedding import _Rows
from datasites.training.book_keeping.gram import (
    GhostNorms,
    square_lengths,
    square_norms_together,
    writing_out_is_better,
)
from datasites.training.book_keeping.patches import ConvolutionCall, Patches
from datasites.training.book_keeping.product_sums import ProductsBeside, SumOfOuterProducts

FAR = 1e9
PICTURES = 3


class Tokens(nn.Module):
    """Maps as tokens, with LayerNorm over their channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.norm(maps.flatten(2).transpose(1, 2)).mean(dim=1)


def network(shift: float) -> nn.Module:
    """Norms of many and of few positions; `shift` moves what they are given away from 0, where sums cancel."""
    torch.manual_seed(5)
    blocks: list[nn.Module] = []
    for inputs, outputs in ((3, 32), (32, 32), (32, 32)):
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        nn.init.constant_(convolution.bias, shift)
        blocks += [convolution, nn.GroupNorm(16, outputs), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*blocks, Tokens(32), nn.Linear(32, 4))


def through_one_forward(
    model: nn.Module, pictures: torch.Tensor, labels: torch.Tensor
) -> list[tuple[torch.Tensor, ...]]:
    """Each picture's gradient by plain autograd, through the forward pass of the whole batch."""
    losses = F.cross_entropy(model(pictures), labels, reduction="none")
    return [torch.autograd.grad(loss, list(model.parameters()), retain_graph=True) for loss in losses]


def added_up(gradients: list[tuple[torch.Tensor, ...]]) -> list[torch.Tensor]:
    return [torch.stack(one).double().sum(dim=0) for one in zip(*gradients, strict=True)]


@pytest.mark.parametrize("shift", [0.0, 3.0, 30.0])
def test_the_rules_are_plain_autograd_to_a_millionth_and_no_farther_from_float64_than_it_is(shift: float) -> None:
    model = network(shift)
    made = torch.Generator().manual_seed(6)
    pictures, labels = torch.randn(PICTURES, 3, 32, 32, generator=made), torch.arange(PICTURES) % 4
    norms, sums = BookKeeping(model, FAR).norms_and_sum(pictures, labels, torch.ones(PICTURES, dtype=torch.bool))
    plain = through_one_forward(model, pictures, labels)
    exact = through_one_forward(model.double(), pictures.double(), labels)
    assert distance(sums, added_up(plain)) <= 1e-6 * norm_of(added_up(plain))
    for norm, gradient in zip(norms.tolist(), plain, strict=True):
        assert (1 - 1e-6) * norm_of(gradient) <= norm <= (1 + 1e-6) * norm_of(gradient)
    own, its = (distance(found, added_up(exact)) / norm_of(added_up(exact)) for found in (sums, added_up(plain)))
    assert own <= 1.1 * its + 1e-7


def test_what_float32_makes_of_many_norms_is_seen_and_is_not_the_rules() -> None:
    model = network(30.0)
    pictures, labels = torch.randn(PICTURES, 3, 32, 32), torch.arange(PICTURES) % 4
    plain = added_up(through_one_forward(model, pictures, labels))
    exact = added_up(through_one_forward(model.double(), pictures.double(), labels))
    assert distance(plain, exact) > 1e-6 * norm_of(exact)  # an order above float32's last place


def test_maps_of_one_pixel_are_normed_alike_in_every_memory_format_to_the_last_bit() -> None:
    torch.manual_seed(12)
    model = nn.Sequential(nn.GroupNorm(32, 64), nn.Tanh(), nn.Flatten(), nn.Linear(64, 4))
    pictures, labels = torch.randn(PICTURES, 64, 1, 1), torch.arange(PICTURES) % 4
    beside = pictures.to(memory_format=torch.channels_last)
    assert pictures.stride() != beside.stride() and pictures.is_contiguous() and beside.is_contiguous()
    expected, got = (BookKeeping(model, FAR).clipped_sum(one, labels) for one in (pictures, beside))
    assert all(torch.equal(one, other) for one, other in zip(expected, got, strict=True))
    exact = BookKeeping(model.double(), FAR).clipped_sum(beside.double(), labels)
    assert distance(got, exact) <= 1e-5 * norm_of(exact)


@pytest.mark.parametrize("shape", [(64, 1, 1), (64, 4, 4), (64, 5)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
def test_what_was_normed_may_be_changed_in_place(shape: tuple[int, ...], order: torch.memory_format) -> None:
    torch.manual_seed(13)
    pictures, labels = torch.randn(PICTURES, *shape), torch.arange(PICTURES) % 4
    pictures = pictures.to(memory_format=order) if pictures.dim() == 4 else pictures
    model = nn.Sequential(nn.GroupNorm(16, 64), nn.ReLU(), nn.Flatten(), nn.Linear(pictures[0].numel(), 4))
    expected = BookKeeping(model, FAR).clipped_sum(pictures, labels)
    model[1] = nn.ReLU(inplace=True)
    got = BookKeeping(model, FAR).clipped_sum(pictures, labels)
    assert all(torch.equal(one, other) for one, other in zip(expected, got, strict=True))


def cancelling(positions: int, outputs: int, times: int) -> torch.Tensor:
    """Gradients of outputs that are alike but for signs, `times` as long together as their sum: (B, T, outputs)."""
    signs = torch.where(torch.arange(positions) < positions // 2, 1.0, -1.0) + 1 / times
    return (signs[:, None] * (torch.rand(PICTURES, 1, outputs) + 0.1)).contiguous()


def of_linear(width: int, positions: int, outputs: int, times: int) -> SumOfOuterProducts:
    inputs = (torch.rand(PICTURES, 1, width) + 0.1).expand(-1, positions, -1).contiguous()
    return SumOfOuterProducts(inputs, cancelling(positions, outputs, times))


def of_convolution(kernel: int, stride: int, side: int, times: int) -> Patches:
    """Pictures of one colour, without padding: all patches are alike."""
    inputs = (torch.rand(PICTURES, 24, 1, 1) + 0.1).expand(-1, -1, side, side).contiguous()
    across = (side - kernel) // stride + 1
    grad_output = cancelling(across**2, 40, times).transpose(1, 2).reshape(PICTURES, 40, across, across)
    weight = nn.Parameter(torch.zeros(40, 24, kernel, kernel))
    book = Book({"weight": weight}, pictures=PICTURES, views=1)
    return Patches(ConvolutionCall(book, weight, None, (stride, stride), (0, 0), (1, 1), 1), inputs, grad_output)


USES = {
    "linear of few numbers": lambda times: of_linear(40, 64, 24, times),
    "linear of many numbers": lambda times: of_linear(1537, 16, 1000, times),
    "many positions": lambda times: of_linear(30, 1024, 20, times),
    "embedding": lambda times: _Rows(torch.full((PICTURES, 60), 3), cancelling(60, 48, times), (5, 48)),
    "convolution by pixels": lambda times: of_convolution(3, 1, 10, times),
    "convolution by patches": lambda times: of_convolution(2, 2, 16, times),
}


# Nothing is added to a length before its terms are 13 times as long, of wide layers on at most 100 positions, whose
# chains are longer, 10 times; until then it is as exact as float32's products.
@pytest.mark.parametrize(
    ("kind", "times", "allowed"),
    [(kind, 10, 1e-5) for kind in USES] + [(kind, 13, 2e-5) for kind in USES if kind != "linear of many numbers"],
)
def test_nothing_is_added_to_a_norm_because_its_terms_cancel(kind: str, times: int, allowed: float) -> None:
    torch.manual_seed(7)
    use = USES[kind](times)
    found = use.square_norms().sqrt()
    rows = use._grad_output.flatten(2).transpose(1, 2) if isinstance(use, Patches) else use._grad_output
    longer = rows.double().norm(dim=2).sum(dim=1) / rows.double().sum(dim=1).norm(dim=1)
    assert longer == pytest.approx([times] * PICTURES, rel=0.01)
    for operand in {"_inputs", "_grad_output"} & set(vars(use)):
        setattr(use, operand, getattr(use, operand).double())
    true = use.per_picture().flatten(1).norm(dim=1)
    assert ((found - true).abs() <= allowed * true).all()


def test_many_positions_that_have_nothing_to_do_with_each_other_are_written_out_where_memory_lets_them() -> None:
    """256 terms are together 16 times as long as their sum, for any ordinary picture."""
    torch.manual_seed(8)
    layer, head = nn.Linear(800, 800, bias=False), nn.Linear(256 * 800, 3).requires_grad_(False)
    model, pictures, labels = nn.Sequential(layer, nn.Flatten(), head), torch.randn(2, 256, 800), torch.tensor([0, 1])
    norms = BookKeeping(model, FAR).norms(pictures, labels)
    true = [norm_of(gradient) for gradient in through_one_forward_of(layer, model, pictures, labels)]
    assert norms.tolist() == pytest.approx(true, rel=1e-5)
    shapes = {"product": 256 * 800**2, "numbers": 800**2, "ghost": 256**2 * 1600}
    assert writing_out_is_better(positions=256, kept=256 * 1600, **shapes)
    assert not writing_out_is_better(positions=196, kept=256 * 1600, **shapes), "by the time that it takes alone"
    assert not writing_out_is_better(positions=256, kept=800**2 // 5, **shapes)


def through_one_forward_of(
    layer: nn.Linear, model: nn.Module, pictures: torch.Tensor, labels: torch.Tensor
) -> list[list[torch.Tensor]]:
    losses = F.cross_entropy(model(pictures), labels, reduction="none")
    return [[torch.autograd.grad(loss, layer.weight, retain_graph=True)[0].double()] for loss in losses]


@pytest.mark.parametrize("size", [1e-20, 1e-3, 1e17])  # from 2^64 on a factor is too long to be counted
def test_a_single_product_is_as_long_as_its_factors_lengths_say(size):
    inputs, grad_output = torch.randn(PICTURES, 1, 700) * size, torch.randn(PICTURES, 1, 5) * size
    lengths = [rows.double().flatten(1).norm(dim=1) for rows in (inputs, grad_output)]
    found = SumOfOuterProducts(inputs, grad_output).square_norms().sqrt()
    torch.testing.assert_close(found, lengths[0] * lengths[1], rtol=1e-14, atol=0.0)


@pytest.mark.parametrize("size", [1e-12, 1e-3, 1e16])
def test_and_that_of_a_large_layer_to_a_millionth(size):
    inputs, grad_output = torch.randn(PICTURES, 1, 60_000) * size, torch.randn(PICTURES, 1, 5) * size
    layer = SumOfOuterProducts(inputs, grad_output)
    assert not layer.is_one_small_product
    lengths = [rows.double().flatten(1).norm(dim=1) for rows in (inputs, grad_output)]
    torch.testing.assert_close(layer.square_norms().sqrt(), lengths[0] * lengths[1], rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("width", [1, 3, 1024, 1025, 40_000])
def test_a_factor_of_any_size_counts_as_no_shorter_than_it_is(width):
    """Numbers all alike round the same way in every addition; those too small to be squared count as more."""
    for power in range(-149, 128):
        for mantissa in (1.0, 1.0 + 2.0**-23, 1.7, 2.0 - 2.0**-23):
            rows = torch.full((1, width), mantissa * 2.0**power)
            true, found = width * rows[0, 0].item() ** 2, square_lengths(rows).item()
            assert found >= true * (1 - 2.0**-13)
            assert found <= true * (1 + 2.0**-13) + width * 2.0**-125 or (found == math.inf and true >= 2.0**127)
    spread = torch.logspace(-45, 18, 4096, dtype=torch.float64).float().unsqueeze(0)
    assert square_lengths(spread).item() == pytest.approx(spread.double().square().sum().item(), rel=2.0**-13)


@pytest.mark.parametrize("wrong", [torch.inf, torch.nan])
def test_a_single_product_that_is_not_finite_is_infinitely_long(wrong):
    inputs, grad_output = torch.randn(PICTURES, 1, 7), torch.zeros(PICTURES, 1, 5)
    inputs[1, 0, 3] = wrong
    assert SumOfOuterProducts(inputs, grad_output).square_norms().tolist() == [0.0, torch.inf, 0.0]
    wide = SumOfOuterProducts(inputs.repeat(1, 1, 10_000), grad_output)
    assert wide.square_norms().tolist() == pytest.approx([0.0, torch.inf, 0.0], abs=1e-30)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("views", [1, 2])
def test_a_linear_layer_on_pixels_sums_what_its_pictures_add(order, views):
    torch.manual_seed(6)
    weight = nn.Parameter(torch.randn(20, 12, 1, 1))
    call = ConvolutionCall(Book({"w": weight}, pictures=40, views=views), weight, None, (1, 1), (0, 0), (1, 1), 1)
    rows = [torch.randn(views * 40, channels, 4, 3).to(memory_format=order) for channels in (12, 20)]
    factors = torch.rand(40, dtype=torch.float64)
    factors[::7] = 0.0
    patches = Patches(call, *rows)
    expected = (patches.per_picture().double() * factors.view(-1, 1, 1, 1, 1)).sum(dim=0)
    rows[0][7], rows[1][14] = torch.nan, torch.inf
    found = patches.weighted_sum(factors)
    assert found.shape == weight.shape and found.is_contiguous()
    torch.testing.assert_close(found.double(), expected, rtol=0.0, atol=1e-6 * float(expected.norm()))


def weights_of(uses: list[SumOfOuterProducts]) -> Book:
    """A book in which each of these is of a weight of its own."""
    weights = {str(number): nn.Parameter(torch.zeros(1)) for number in range(len(uses))}
    book = Book(weights, pictures=PICTURES, views=1)
    for weight, use in zip(weights.values(), uses, strict=True):
        book.announce(weight)
        book.enter(weight, use)
    return book


@pytest.mark.parametrize("times", [1, 13, 15, 200, 10**6])
def test_layers_that_are_measured_together_keep_each_their_own_guard(times: int) -> None:
    torch.manual_seed(10)
    uses: list[GhostNorms] = [
        of_linear(width, 64, outputs, times) for width, outputs in ((3, 2), (700, 90), (1537, 2000))
    ]
    uses.append(of_convolution(3, 1, 10, times))
    products = [use.inner_products() for use in uses]
    assert len({found.rounded for found in products if found is not None}) == 4
    together = square_norms_together([found for found in products if found is not None])
    assert torch.equal(together, torch.stack([use.square_norms() for use in uses]))


def test_a_layer_in_float32_keeps_its_guard_beside_one_in_float64() -> None:
    torch.manual_seed(11)
    single, double = of_linear(1537, 64, 2000, 15), of_linear(40, 64, 24, 2)
    double = SumOfOuterProducts(double._inputs.double(), double._grad_output.double())
    both = single.square_norms() + double.square_norms()
    assert torch.allclose(weights_of([single, double]).square_norms(), both, rtol=1e-14)
    assert (weights_of([double, single]).square_norms() > double.square_norms()).all()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_factor_beyond_what_float32_can_clip_makes_a_length_infinite_beside_other_layers_too(place: int) -> None:
    sizes = [(1.0, 1.0)] * 3
    for huge in ((3e19, 1e-30), (1e-30, 3e19), (torch.nan, 1.0)):
        layers = [
            SumOfOuterProducts(torch.full((PICTURES, 1, 4), first), torch.full((PICTURES, 1, 5), second))
            for first, second in [*sizes[:place], huge, *sizes[place:]]
        ]
        layers[place]._inputs[1:] = layers[place]._grad_output[1:] = 1.0
        beside, book = ProductsBeside(layers), weights_of(layers)
        assert torch.equal(beside.square_norms(), torch.stack([layer.square_norms() for layer in layers]))
        norms = book.square_norms().sqrt()
        assert norms.tolist() == [torch.inf] + [pytest.approx(80**0.5)] * (PICTURES - 1)
        factors = torch.tensor([0.0, 1.0, 0.5], dtype=torch.float64)
        assert all(torch.equal(part, torch.full((5, 4), 1.5)) for part in beside.weighted_sums(factors))


@pytest.mark.parametrize("kind", ["convolution", "linear layer"])
def test_biases_of_layers_in_half_precision_are_added_up_in_float32(kind: str) -> None:
    torch.manual_seed(12)
    layer = nn.Conv2d(2, 5, 1) if kind == "convolution" else nn.Linear(6, 5)
    layer.weight.requires_grad_(False)
    model = nn.Sequential(layer, nn.Tanh(), nn.Flatten(), nn.LazyLinear(3))
    picture = torch.randn(1, 2, 30, 6)
    model(picture)
    model[3].requires_grad_(False)
    pictures, labels = picture.expand(48, -1, -1, -1).contiguous(), torch.zeros(48, dtype=torch.int64)
    with torch.autocast("cpu", torch.bfloat16):
        one, all_of_them = (BookKeeping(model, 1e-3).clipped_sum(pictures[:many], labels[:many]) for many in (2, 48))
    assert distance([24 * part for part in one], all_of_them) <= 1e-5 * norm_of(all_of_them)
