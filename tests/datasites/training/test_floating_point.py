"""The bound over the whole range of floating-point numbers: what underflows, overflows, cancels or meets in a sum."""

from __future__ import annotations

import copy
import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from support.clipping_oracle import distance, norm_of
from torch import nn
from torch.nn.grad import conv2d_weight

from datasites.training.book_keeping import BookKeeping, patches, product_sums
from datasites.training.book_keeping.book import Book
from datasites.training.book_keeping.gram import MOST_CANCELLATION
from datasites.training.book_keeping.patches import ConvolutionCall, Patches
from datasites.training.book_keeping.product_sums import SumOfOuterProducts, pictures_together
from datasites.training.dp_sgd import opacus_hooks
from datasites.training.dp_sgd.engine_contract import clipping_factors
from datasites.training.dp_sgd.weighted_sums import (
    JoinedParts,
    full_precision,
    parts_together,
    square_norms,
    weighted_sum,
)
from datasites.training.engines import ENGINES

CLASSES = 3
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, values):
        return self.function(values)


class StandardisedConv2d(nn.Conv2d):
    def forward(self, values):
        flat = self.weight.flatten(1)
        centred = (flat - flat.mean(1, keepdim=True)) / (flat.std(1, keepdim=True) + 1e-5)
        return F.conv2d(values, centred.view_as(self.weight), self.bias)


class Token(nn.Module):
    """Something of the model that each picture gets a copy of."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 4, 8))

    def forward(self, values):
        return values * self.token.expand(len(values), -1, -1)


def headed(*layers, features):
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, CLASSES))


# Each kind of layer: its model, the shape of a picture, and whether Opacus trains it.
KINDS = {
    "linear": (lambda: headed(features=24), (24,), True),
    "positions": (lambda: headed(nn.Linear(48, 40), features=160), (4, 48), True),
    "few_positions": (lambda: headed(nn.Linear(8, 4), features=64), (16, 8), True),
    "conv_1": (lambda: headed(nn.Conv1d(4, 4, 3), features=24), (4, 8), True),
    "conv_2": (lambda: headed(nn.Conv2d(2, 4, 3), features=64), (2, 6, 6), True),
    "conv_ghost": (lambda: headed(nn.Conv2d(32, 32, 3), features=128), (32, 4, 4), True),
    "conv_ghost_stride": (lambda: headed(nn.Conv2d(32, 32, 2, stride=2), features=128), (32, 4, 4), True),
    "conv_ghost_1x1": (lambda: headed(nn.Conv2d(48, 40, 1), features=160), (48, 2, 2), True),
    "conv_3": (lambda: headed(nn.Conv3d(2, 3, 2), features=24), (2, 3, 3, 3), True),
    "depthwise": (lambda: headed(nn.Conv2d(4, 4, 3, groups=4), features=16), (4, 4, 4), True),
    "group_norm": (lambda: headed(nn.GroupNorm(2, 4), features=64), (4, 4, 4), True),
    "layer_norm": (lambda: headed(nn.LayerNorm(8), features=32), (4, 8), True),
    "embedding": (lambda: headed(Lambda(lambda x: (x > 0).long()), nn.Embedding(3, 8), features=96), (12,), True),
    "token": (lambda: headed(Token(), features=32), (4, 8), False),
    "standardised": (lambda: headed(StandardisedConv2d(2, 4, 3), features=64), (2, 6, 6), False),
}
WAYS = [
    *[("book_keeping", kind, half) for kind in KINDS for half in (False, True)],
    *[("opacus", kind, False) for kind, (_, _, trained) in KINDS.items() if trained],
]


def scaled(generator, shape):
    """Numbers of one magnitude, which is ordinary in a third of the draws and anything that float32 has in the rest."""
    power = torch.rand((), generator=generator) * 76 - 38
    ordinary = torch.rand((), generator=generator) < 1 / 3
    return torch.randn(shape, generator=generator) * (1.0 if ordinary else 10.0**power)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "kind", "half"), WAYS)
@pytest.mark.parametrize("draws", [8, pytest.param(16, marks=pytest.mark.slow)])
def test_one_picture_moves_the_sum_by_at_most_the_bound_whatever_the_magnitudes(name, kind, half, device, draws):
    """Bounds, weights, biases and pictures of any magnitude; the head is frozen in half of the models."""
    generator, lengths = torch.Generator().manual_seed(7), []
    build, shape, _ = KINDS[kind]
    model, label = build().to(device), torch.zeros(1, dtype=torch.int64, device=device)
    for turn in range(6):
        bound = 10.0 ** (torch.rand((), generator=generator).item() * 12 - 6)
        own = copy.deepcopy(model)
        own[-1].requires_grad_(turn % 2 == 0 or kind == "linear")
        engine = ENGINES[name](own, bound)
        for _ in range(draws):
            for parameter in own.parameters():
                parameter.data.copy_(scaled(generator, parameter.shape))
            with torch.autocast(device, torch.bfloat16, enabled=half):
                alone = engine.clipped_sum(scaled(generator, (1, *shape)).to(device), label)
            assert all(torch.isfinite(part).all() for part in alone)
            lengths.append(norm_of(alone) / bound)
    assert max(lengths) <= 1
    assert sum(length > 0.99 for length in lengths) >= 5  # or nothing was tried
    assert sum(length > 0 for length in lengths) >= 15


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("kind", ["positions", "conv_ghost", "conv_ghost_stride", "conv_2"])
def test_a_gradient_whose_square_is_too_small_for_float32_is_clipped(name, kind, device):
    """Inputs and the gradients of outputs lie up to 42 orders of magnitude apart; their products are ordinary."""
    build, shape, _ = KINDS[kind]
    torch.manual_seed(4)
    model, image = build().to(device), torch.randn(1, *shape, device=device)
    weight, label = model[-1].weight.detach().clone(), torch.zeros(1, dtype=torch.int64, device=device)
    model[0].bias.requires_grad_(False)
    model[-1].requires_grad_(False)
    models = {bound: copy.deepcopy(model) for bound in (1e-6, 1e-2)}
    engines = {bound: ENGINES[name](own, bound) for bound, own in models.items()}
    for up in (0, 10, 16, 18):
        for down in (8, 18, 20, 22, 24):
            for bound, engine in engines.items():
                models[bound][-1].weight.data.copy_(weight * 10.0**-down)
                assert norm_of(engine.clipped_sum(image * 10.0**up, label)) <= bound


@pytest.mark.parametrize("name", ENGINES)
def test_the_smallest_numbers_of_float32_are_measured(name):
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    nn.init.zeros_(model[1].weight)
    images, labels = torch.tensor([[[3e-30, 4e-30]]]), torch.tensor([0])
    # At zero weights both probabilities are 1/2: the gradient is (-1/2, 1/2) times the picture. Both kinds of norm
    # say it, a ghost norm only as well as inner products can tell.
    norm = ENGINES[name](model, 1.0).norms(images, labels).item()
    assert norm == pytest.approx(5e-30 / math.sqrt(2), rel=1e-6) or (name == "book_keeping" and 0 < norm < 1e-14)
    assert square_norms(torch.tensor([[3e-38, 4e-38], [3e38, 0.0]])).sqrt() == pytest.approx([5e-38, 3e38])


SIGNS = torch.tensor([1.0, -1.0, 1.0, -1.0])
CANCELLING = {
    "linear": (nn.Linear(48, 40), (1, 4, 48), lambda out: out * SIGNS.to(out.device)[:, None]),
    "conv_by_pixels": (nn.Conv2d(64, 64, 3), (1, 64, 4, 4), lambda out: out * SIGNS.to(out.device).view(2, 2)),
    "conv_by_patches": (
        nn.Conv2d(64, 64, 2, stride=2),
        (1, 64, 4, 4),
        lambda out: out * SIGNS.to(out.device).view(2, 2),
    ),
    "conv_1x1": (nn.Conv2d(64, 64, 1), (1, 64, 2, 2), lambda out: out * SIGNS.to(out.device).view(2, 2)),
    "embedding": (nn.Embedding(40, 20), None, lambda out: out * SIGNS.to(out.device)[:, None]),
}


@pytest.mark.parametrize("kind", CANCELLING)
def test_every_rule_adds_what_cancelling_terms_can_hide(kind):
    layer, shape, signs = CANCELLING[kind]
    image = torch.full((1, 4), 3) if shape is None else torch.rand(1, *[1] * (len(shape) - 1)).expand(shape).clone()
    taken: list[torch.Tensor] = []

    def keep(out):
        if out.device.type != "meta":
            taken.append(out)
        return out

    width = signs(layer(image)).numel()
    head = nn.Linear(width, CLASSES).requires_grad_(False)
    with torch.no_grad():
        positions = head.weight.view(CLASSES, *signs(layer(image)).shape[1:])
        along = 1 if kind in ("linear", "embedding") else (2, 3)
        positions.copy_(positions.mean(dim=along, keepdim=True))  # so that all positions pull alike, but for signs
    if getattr(layer, "bias", None) is not None:
        layer.bias.requires_grad_(False)
    model = nn.Sequential(layer, Lambda(keep), Lambda(signs), nn.Flatten(), head)
    found = BookKeeping(model, 1.0).norms(image, torch.tensor([0])).item()
    (grad_output,) = torch.autograd.grad(F.cross_entropy(model(image), torch.tensor([0])), taken[-1])
    lengths = grad_output.flatten(2).norm(dim=1).sum() if along != 1 else grad_output.norm(dim=2).sum()
    weight: torch.Tensor = layer.weight
    own = 1.0 if shape is None else image[0].norm() / math.sqrt(image[0].numel()) * math.sqrt(weight[0].numel())
    assert found >= 0.99 * lengths * own / MOST_CANCELLATION > 0


def test_terms_near_the_end_of_float32_add_at_most_the_bound():
    """Terms along one line, of any signs and sizes: their inner products sum up to more than float32 holds, or less."""
    generator, lengths = torch.Generator().manual_seed(9), []
    for _ in range(300):
        positions = int(torch.randint(2, 200, (), generator=generator))
        powers = 26 + 6 * torch.rand(2, generator=generator)
        sizes = torch.randn(1, positions, 1, generator=generator).mul_(2).exp2()
        signs = torch.where(torch.rand(1, positions, 1, generator=generator) < 0.1, -1.0, 1.0)
        line = torch.ones(1, positions, 1)
        use = SumOfOuterProducts(line * 2.0 ** powers[0], line * signs * sizes * 2.0 ** powers[1])
        lengths.append(norm_of([use.weighted_sum(clipping_factors(use.square_norms().sqrt(), 0.1))]) / 0.1)
    assert max(lengths) <= 1
    assert sum(length > 0.99 for length in lengths) >= 20  # or nothing was tried
    assert sum(length == 0 for length in lengths) >= 20


@pytest.mark.parametrize("many", [1, 17, 300, 4096, 200_000])
@pytest.mark.parametrize("bound", [1e-6, 1e-3])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_single_product_with_a_factor_near_the_end_of_float32_adds_at_most_the_bound(bound, many, swapped):
    """Of the other factor, times what clips it, float32 keeps so few bits that rounding may double each number."""
    lengths = []
    for size in (1e19, 1.8e19, 3e19, 1e30, 1e36, 3.3e38):
        for small in (1e-38, 1e-25, 1e-15):
            rows = torch.full((1, 1, 1), size), torch.full((1, 1, many), small)
            use = SumOfOuterProducts(*(reversed(rows) if swapped else rows))
            lengths.append(norm_of([use.weighted_sum(clipping_factors(use.square_norms().sqrt(), bound))]) / bound)
    assert max(lengths) <= 1
    assert sum(length > 0.99 for length in lengths) >= 2  # or nothing was tried


def cancelling_terms(shape, positions, scale):
    """Inputs alike, and gradients of outputs of which nearly half cancel the others; positions are the last axes."""
    inputs = torch.rand(1, shape[1], *[1] * len(positions)).expand(64, shape[1], *positions)
    noise = torch.rand(64, 1, *positions)
    signs = torch.where(torch.arange(math.prod(positions)) < math.prod(positions) // 2, 1.0, -1.0).view(positions)
    grad_output = torch.rand(1, shape[0], *[1] * len(positions)) * (signs + 0.07)
    return inputs * (1 + scale * noise), grad_output.expand(64, -1, *positions).contiguous()


def rounding_of_one(use, gradient, terms):
    """Of 64 pictures' clipped sum: the largest difference between what one of them moves it by and adds, over C.

    Args:
        use: The layer's use, on its device.
        gradient: One picture's, from its terms in float64.
        terms: Of all pictures.
    """
    bound, most = 0.1, 0.0
    factors = clipping_factors(use.square_norms().sqrt(), bound)
    everyone = use.weighted_sum(factors)
    for one in (0, 63):
        only = torch.where(torch.arange(64, device=factors.device) == one, factors, 0.0)
        moved = (everyone - use.weighted_sum(factors - only)).flatten()
        assert moved.norm() <= bound
        exact = factors[one].item() * gradient([rows[one].double() for rows in terms]).flatten()
        most = max(most, (moved.cpu() - exact).norm().item() / bound)
    return most


def exact_weight(shape, settings, terms):
    grad_output, inputs = (rows[None] for rows in terms)
    return conv2d_weight(inputs, shape, grad_output, *settings)


def on_an_average(pictures):
    """How long, in bounds, what is added up is at most over the additions of a product: in one chain, or in blocks.

    A block begins and ends anywhere; of a picture that it holds in part the terms are together half of 17 bounds at
    most. The first begins with a picture, the last ends with one.
    """
    at_the_end, part = pictures + MOST_CANCELLATION / 2 + 1, (MOST_CANCELLATION + 1) / 2
    longest = pictures / 2 + part
    for blocks in range(2, 65):
        whole = pictures / blocks / 2
        first, others = whole + part, whole + 2 * part
        longest = max(longest, (first + (blocks - 1) * others) / blocks)
    return min(at_the_end, longest + 0.5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("positions", [1, 2, 4, 16, 49, 64, 65, 197, 784, 1024])
def test_rounding_on_the_way_moves_a_sum_of_products_by_a_small_part_of_the_bound(positions, device):
    """One picture more or less among 64 whose terms cancel as far as their norms allow, and are added alike."""
    together = pictures_together(positions)
    on_the_way = together + 1 if positions == 1 else on_an_average(together)
    assert 2.0**-23 * positions * together * on_the_way <= 0.0026
    torch.manual_seed(positions)
    for scale in (0.0, 1e-3):
        inputs, grad_output = (rows.transpose(1, 2) for rows in cancelling_terms((2, 3), (positions,), scale))
        use = SumOfOuterProducts(inputs.to(device), grad_output.to(device))
        assert rounding_of_one(use, lambda pair: torch.einsum("td,tp->dp", *pair), (grad_output, inputs)) <= 0.0026


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("kernel", "size"), [(1, 14), (3, 4), (3, 8), (3, 14), (3, 28), (5, 7)])
def test_and_that_of_a_convolution(kernel, size, device):
    shape, settings = (32, 16, kernel, kernel), ((1, 1), (kernel // 2, kernel // 2), (1, 1))
    for scale in (0.0, 1e-3):
        torch.manual_seed(size)
        inputs, grad_output = cancelling_terms(shape, (size, size), scale)
        weight = nn.Parameter(torch.zeros(shape, device=device))
        call = ConvolutionCall(Book({"weight": weight}, pictures=64, views=1), weight, None, *settings, 1)
        with full_precision(device):
            use = Patches(call, inputs.to(device), grad_output.to(device))
            assert rounding_of_one(use, partial(exact_weight, shape, settings), (grad_output, inputs)) <= 0.0026


@pytest.mark.parametrize(("kernel", "size"), [(1, 2), (3, 2), (3, 3), (3, 4), (5, 4)])
def test_and_that_of_one_whose_taps_are_multiplied_one_by_one(kernel, size, monkeypatch):
    monkeypatch.setattr(product_sums, "_MANY_CHANNELS", 1)
    shape, settings = (32, 16, kernel, kernel), ((1, 1), (kernel // 2, kernel // 2), (1, 1))
    used: list[int] = []
    real = product_sums.products_by_taps
    monkeypatch.setattr(patches, "products_by_taps", lambda *given: (used.append(1), real(*given))[1])
    for scale in (0.0, 1e-3):
        torch.manual_seed(size)
        inputs, grad_output = cancelling_terms(shape, (size, size), scale)
        weight = nn.Parameter(torch.zeros(shape))
        call = ConvolutionCall(Book({"weight": weight}, pictures=64, views=1), weight, None, *settings, 1)
        use = Patches(call, inputs, grad_output)
        assert rounding_of_one(use, partial(exact_weight, shape, settings), (grad_output, inputs)) <= 0.0026
    assert bool(used) == (kernel > 1)  # a kernel of one is a linear layer


@pytest.mark.parametrize("pictures", [1, 4, 14, 32, 64])
def test_parts_are_joined_in_float32_as_long_as_that_moves_the_sum_by_little(pictures):
    """Numbers near the end of a binade, so that each addition rounds as far as it can."""
    many = parts_together(pictures)
    assert 2.0**-23 * pictures * sum(range(2, many + 1)) <= 2.0**-13
    torch.manual_seed(pictures)
    parts = [pictures * F.normalize(torch.rand(1, 10_000) + 0.5).flatten() for _ in range(3 * many + 1)]
    for number in (1, many, many + 1, 3 * many + 1):
        joined = JoinedParts(pictures)
        for part in parts[:number]:
            joined.add(part.clone())
        found, exact = joined.sum(), torch.stack(parts[:number]).double().sum(dim=0)
        assert found.dtype == (torch.float32 if number <= many else torch.float64)
        assert found.is_contiguous()
        assert (found - exact).norm() <= 2.0**-14 * math.ceil(number / many)
        assert number > 1 or torch.equal(found.double(), exact)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("kind", ["linear", "positions", "group_norm", "conv_2"])
def test_a_sum_over_a_thousand_alike_pictures_is_that_many_times_one(name, kind):
    build, shape, _ = KINDS[kind]
    torch.manual_seed(3)
    engine, pictures = ENGINES[name](build(), 0.1), 1024
    images, labels = torch.randn(1, *shape).expand(pictures, *shape).clone(), torch.zeros(pictures, dtype=torch.int64)
    everyone = engine.clipped_sum(images, labels)
    one = engine.clipped_sum(images, labels, torch.arange(pictures) == 0)
    assert distance(everyone, [pictures * part for part in one]) <= 1e-6 * norm_of(everyone)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, 1e30, float("inf"), float("nan")])
def test_a_place_that_is_not_counted_adds_nothing_whatever_stands_there(name, kind, value):
    build, shape, trained = KINDS[kind]
    if name == "opacus" and not trained:
        pytest.skip("Opacus does not train it.")
    torch.manual_seed(5)
    engine, images = ENGINES[name](build(), 0.1), torch.randn(6, *shape)
    labels, counted = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([True, False, True, True, False, True])
    expected = engine.clipped_sum(images, labels, counted)
    images[~counted] = value
    assert all(torch.equal(a, b) for a, b in zip(engine.clipped_sum(images, labels, counted), expected, strict=True))
    assert norm_of(engine.clipped_sum(images, labels, torch.zeros(6, dtype=torch.bool))) == 0


@pytest.mark.parametrize("name", ENGINES)
def test_norms_are_those_that_clip_and_repeat_bit_by_bit(name):
    torch.manual_seed(6)
    engine = ENGINES[name](KINDS["conv_2"][0](), 1e6)
    images, labels = torch.randn(6, 2, 6, 6), torch.tensor([0, 1, 2])
    norms = engine.norms(images, labels, views=2)
    assert norms.dtype == torch.float64 and torch.equal(norms, engine.norms(images, labels, views=2))
    for i in range(3):
        only = torch.arange(3) == i
        alone = engine.clipped_sum(images, labels, only)
        assert norm_of(alone) == pytest.approx(norms[i].item(), rel=1e-6)
        both, sums = engine.norms_and_sum(images, labels, only)
        assert torch.equal(both, norms), "also of pictures that do not count"
        assert all(torch.equal(one, other) for one, other in zip(sums, alone, strict=True))


@pytest.mark.parametrize("name", ENGINES)
def test_each_view_may_have_a_label_of_its_own(name):
    torch.manual_seed(6)
    engine = ENGINES[name](KINDS["conv_2"][0](), 1e6)
    images, labels, everyone = torch.randn(6, 2, 6, 6), torch.tensor([0, 1, 2, 1, 2, 0]), torch.ones(3).bool()
    expected = engine.clipped_sum(images, labels)  # six pictures of one view
    assert distance([2 * part for part in engine.clipped_sum(images, labels, everyone)], expected) < 1e-5
    assert engine.norms(images, labels, views=2).shape == (3,)


def test_factors_that_float32_cannot_hold_to_their_last_place_are_0():
    norms = torch.tensor([0.0, 1.0, 1e20, 2.0**101, math.inf, math.nan, 4.0], dtype=torch.float64)
    counted = torch.tensor([True] * 6 + [False])
    factors = clipping_factors(norms, 1.0, counted)
    assert factors[:3] == pytest.approx([1.0, 1.0, 1e-20], rel=1e-2)
    assert factors[3:].tolist() == [0.0] * 4
    assert weighted_sum(torch.full((7, 2), math.nan), torch.zeros(7).double()).tolist() == [0.0, 0.0]


BACKENDS = {
    "cudnn.conv": torch.backends.cudnn.conv,
    "cuda.matmul": torch.backends.cuda.matmul,
    "mkldnn.conv": torch.backends.mkldnn.conv,
    "mkldnn.matmul": torch.backends.mkldnn.matmul,
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_sums_and_norms_are_taken_without_tf32_and_the_rest_as_before(backend, monkeypatch):
    flags, seen = BACKENDS[backend], []
    before = flags.fp32_precision
    real = patches._backward

    def spy(*arguments):
        seen.append((arguments[-1][1], flags.fp32_precision))
        return real(*arguments)

    monkeypatch.setattr(patches, "_backward", spy)
    flags.fp32_precision = "tf32"
    try:
        model = nn.Sequential(nn.Conv2d(32, 32, 1), nn.Conv2d(32, 32, 3), nn.Flatten(), nn.Linear(128, 3))
        BookKeeping(model, 0.1).clipped_sum(torch.randn(2, 32, 4, 4), torch.tensor([0, 1]))
        assert flags.fp32_precision == "tf32"
    finally:
        flags.fp32_precision = before
    assert set(seen) == {(True, "ieee"), (False, "tf32")}


def test_opacus_sums_are_taken_without_tf32_and_without_autocast(monkeypatch):
    seen = []

    def spy(gradients, factors):
        seen.append((torch.backends.cudnn.conv.fp32_precision, torch.is_autocast_enabled("cpu")))
        return weighted_sum(gradients, factors)

    monkeypatch.setattr(opacus_hooks, "weighted_sum", spy)
    with torch.autocast("cpu", torch.bfloat16):
        ENGINES["opacus"](KINDS["conv_2"][0](), 0.1).clipped_sum(torch.randn(2, 2, 6, 6), torch.tensor([0, 1]))
    assert set(seen) == {("ieee", False)}


def test_full_precision_ends_with_an_error_inside_it():
    before = [backend.fp32_precision for backend in BACKENDS.values()]
    with pytest.raises(KeyError), full_precision("cpu"):
        raise KeyError
    assert [backend.fp32_precision for backend in BACKENDS.values()] == before


@CUDA
@pytest.mark.parametrize("kind", ["conv_ghost", "conv_2", "positions", "linear"])
def test_a_gpus_norms_and_sums_are_as_exact_as_float32(kind):
    build, shape, _ = KINDS[kind]
    torch.manual_seed(8)
    model, images, labels = build(), torch.randn(8, *shape), torch.arange(8) % CLASSES
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # the activations' own precision is not at stake
        got = BookKeeping(model.to("cuda"), 0.1).clipped_sum(images.to("cuda"), labels.to("cuda"))
    expected = BookKeeping(model.cpu().double(), 0.1).clipped_sum(images.double(), labels)
    assert distance([part.cpu() for part in got], expected) < 1e-5 * norm_of(expected)
