"""Every operator computes what its name says, with each of its settings: held against definitions written out here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import nn

from datasites.training.graphs.functions import FUNCTIONS

Numbers = torch.Tensor
X = torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(0)).double()
Y = torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(1)).double()
POSITIVE = X.abs() + 0.1
W = torch.randn(6, 2, 3, 2, generator=torch.Generator().manual_seed(2)).double()
INDEX = torch.tensor([[3, 0], [1, 1]])
MASK = torch.randn(6, 6, generator=torch.Generator().manual_seed(3)).double()
SCALE, SHIFT = torch.rand(4).double() + 0.5, torch.rand(4).double()


def windows(x: Numbers, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], fill: float) -> Any:
    """The numbers of each window of maps, (..., oh, ow, kh kw); windows that begin behind the padding are none."""
    high, wide = x.shape[-2:]
    full = torch.full((*x.shape[:-2], high + 2 * padding[0] + 9, wide + 2 * padding[1] + 9), fill, dtype=x.dtype)
    full[..., padding[0] : padding[0] + high, padding[1] : padding[1] + wide] = x
    return full.unfold(-2, kernel[0], stride[0]).unfold(-2, kernel[1], stride[1]).flatten(-2)


def convolved(x: Numbers, weight: Numbers, bias: Numbers | None = None) -> Numbers:
    """Of stride (2, 1), padding (1, 2), dilation (1, 2), in two groups: number by number."""
    full = torch.zeros(2, 4, 6 + 2, 5 + 4).double()
    full[:, :, 1:7, 2:7] = x
    made = torch.zeros(2, 6, 3, 7).double()
    for out in range(6):
        for row in range(3):
            for column in range(7):
                seen = full[:, out // 3 * 2 : out // 3 * 2 + 2, 2 * row : 2 * row + 3, column : column + 3 : 2]
                made[:, out, row, column] = (seen * weight[out]).sum((1, 2, 3)) + (0 if bias is None else bias[out])
    return made


def attended(query: Numbers, key: Numbers, value: Numbers, mask: Numbers | None, scale: float) -> Numbers:
    scores = query @ key.transpose(-2, -1) * scale + (0 if mask is None else mask)
    terms = (scores - scores.amax(-1, keepdim=True)).exp()
    return terms / terms.sum(-1, keepdim=True) @ value


def bilinear(x: Numbers, size: Sequence[int], corners: bool) -> Numbers:
    for axis, new in ((2, size[0]), (3, size[1])):
        old, places = x.shape[axis], torch.arange(new).double()
        at = places * (old - 1) / (new - 1) if corners else ((places + 0.5) * old / new - 0.5).clamp(min=0)
        low = at.floor().long().clamp(max=old - 1)
        part = (at - low).view([-1 if a == axis else 1 for a in range(4)])
        x = x.index_select(axis, low) * (1 - part) + x.index_select(axis, (low + 1).clamp(max=old - 1)) * part
    return x


def normed(x: Numbers, axes: tuple[int, ...], eps: float) -> Numbers:
    mean = x.mean(axes, keepdim=True)
    return (x - mean) / ((x - mean).square().mean(axes, keepdim=True) + eps).sqrt()


def erf(x: Numbers) -> Numbers:
    return torch.tensor([math.erf(number) for number in x.flatten().tolist()]).double().view_as(x)


POOL: dict[str, Any] = {"kernel": (3, 2), "stride": (2, 2), "padding": (1, 0)}
# Operator, attributes, inputs, and what it must give.
CASES: list[tuple[str, dict[str, Any], tuple[Numbers, ...], Numbers]] = [
    ("absolute", {}, (X,), torch.where(X < 0, -X, X)),
    ("add", {}, (X, Y), X + Y),
    ("affine", {"factor": 0.5, "offset": 2.0}, (X,), X / 2 + 2),
    ("affine", {"factor": 1.0, "offset": -2.0}, (X,), X - 2),
    ("clamp", {"low": -0.5, "high": 0.25}, (X,), torch.where(X < -0.5, -0.5, torch.where(X > 0.25, 0.25, X))),
    ("at_least", {}, (X, X.clamp(min=0)), torch.where(X < 0, 0.0, 1.0).double()),
    ("equal", {}, (X, X.clamp(min=0)), torch.where(X < 0, 0.0, 1.0).double()),
    ("greater", {}, (X, Y), torch.where(X - Y > 0, 1.0, 0.0).double()),
    ("greater", {}, (X, X), X * 0),
    ("choose", {}, (POSITIVE.round(), X, Y), torch.where(POSITIVE >= 0.5, X, Y)),
    ("concatenate", {"axis": 1}, (X, Y[:, :1]), torch.stack([*X.unbind(1), Y[:, 0]], dim=1)),
    ("cosine", {}, (X,), (X + math.pi / 2).sin()),
    ("cumulative_sum", {"axis": 2}, (X,), torch.stack([X[:, :, : i + 1].sum(2) for i in range(6)], dim=2)),
    ("divide", {}, (X, POSITIVE), X * POSITIVE**-1),
    ("elu", {"alpha": 0.7}, (X,), torch.where(X > 0, X, 0.7 * (X.exp() - 1))),
    ("error_function", {}, (X,), erf(X)),
    ("exponential", {}, (X,), math.e**X),
    ("flip", {"axes": (1, 3)}, (X,), X[:, [3, 2, 1, 0]][..., [4, 3, 2, 1, 0]]),
    ("floor", {}, (X,), (X.int() - (X.int() > X).int()).to(X.dtype)),
    ("gelu", {"tanh": False}, (X,), X * (1 + erf(X / 2**0.5)) / 2),
    ("gelu", {"tanh": True}, (X,), X * (1 + torch.tanh((2 / math.pi) ** 0.5 * (X + 0.044715 * X**3))) / 2),
    ("hard_sigmoid", {}, (4 * X,), ((4 * X + 3) / 6).clamp(0, 1)),
    ("hard_swish", {}, (4 * X,), 4 * X * ((4 * X + 3) / 6).clamp(0, 1)),
    ("largest", {"axes": (1, 2), "keep": False}, (X,), X.flatten(1, 2).sort(1).values[:, -1]),
    ("smallest", {"axes": (3,), "keep": True}, (X,), X.sort(3).values[..., :1]),
    ("leaky_relu", {"slope": 0.3}, (X,), torch.where(X > 0, X, 0.3 * X)),
    ("linear", {}, (X, Y[0, 0]), X @ Y[0, 0].t()),
    ("linear", {}, (X, Y[0, 0], SHIFT[[0, 1, 2, 3, 0, 1]]), X @ Y[0, 0].t() + SHIFT[[0, 1, 2, 3, 0, 1]]),
    ("log_softmax", {"axis": 2}, (X,), X - X.exp().sum(2, keepdim=True).log()),
    ("softmax", {"axis": 1}, (X,), X.exp() / X.exp().sum(1, keepdim=True)),
    ("logarithm", {}, (POSITIVE,), torch.log2(POSITIVE) * math.log(2)),
    ("matmul", {}, (X, Y.transpose(2, 3)), (X[..., :, None, :] * Y[..., None, :, :]).sum(-1)),
    ("maximum", {}, (X, Y), torch.where(X > Y, X, Y)),
    ("minimum", {}, (X, Y), torch.where(X < Y, X, Y)),
    ("mean", {"axes": (1, 3), "keep": False}, (X,), X.sum((1, 3)) / 20),
    ("mish", {}, (X,), X * torch.tanh((1 + X.exp()).log())),
    ("multiply", {}, (X, Y), X * Y),
    ("norm", {"axes": (2, 3), "keep": True}, (X,), (X * X).sum((2, 3), keepdim=True) ** 0.5),
    ("permute", {"axes": (2, 0, 3, 1)}, (X,), X.movedim((2, 0, 3, 1), (0, 1, 2, 3))),
    ("pixel_shuffle", {"factor": 2}, (X,), X.view(2, 1, 2, 2, 6, 5).permute(0, 1, 4, 2, 5, 3).reshape(2, 1, 12, 10)),
    (
        "pixel_unshuffle",
        {"factor": 2},
        (X[..., :4],),
        X[..., :4].reshape(2, 4, 3, 2, 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(2, 16, 3, 2),
    ),
    ("power", {"exponent": 2.5}, (POSITIVE,), (2.5 * POSITIVE.log()).exp()),
    ("reciprocal", {}, (POSITIVE,), 1 / POSITIVE),
    ("relu", {}, (X,), torch.where(X > 0, X, 0.0)),
    ("roll", {"axes": (2, 3), "shifts": (1, 2)}, (X,), X[:, :, [5, 0, 1, 2, 3, 4]][..., [3, 4, 0, 1, 2]]),
    ("sigmoid", {}, (X,), 1 / (1 + (-X).exp())),
    ("silu", {}, (X,), X / (1 + (-X).exp())),
    ("sine", {}, (X,), (X - math.pi / 2).cos()),
    ("slice", {"axis": 2, "start": 1, "stop": 6, "step": 2}, (X,), X[:, :, [1, 3, 5]]),
    ("softplus", {}, (X,), (1 + X.exp()).log()),
    ("square_root", {}, (POSITIVE,), POSITIVE**0.5),
    ("standardise", {"axes": (1, 2), "eps": 0.3}, (X,), normed(X, (1, 2), 0.3)),
    ("subtract", {}, (X, Y), X - Y),
    ("sum", {"axes": (2,), "keep": True}, (X,), torch.stack(X.unbind(2)).sum(0).unsqueeze(2)),
    ("take", {"axis": 1}, (X, INDEX), torch.stack([torch.stack([X[:, i] for i in r], 1) for r in INDEX.tolist()], 1)),
    ("take", {"axis": 1}, (X, torch.tensor(2)), X[:, 2]),
    ("without_gradient", {}, (X,), X),
    ("tanh", {}, (X,), 2 / (1 + (-2 * X).exp()) - 1),
    (
        "where",
        {},
        (X[0, 0] > 0, X, Y),
        torch.stack(
            [torch.stack([torch.where(X[0, 0] > 0, *p) for p in zip(*b, strict=True)]) for b in zip(X, Y, strict=True)]
        ),
    ),
    (
        "variance",
        {"axes": (1, 3), "keep": False, "correction": 0},
        (X,),
        (X - X.mean((1, 3), True)).square().sum((1, 3)) / 20,
    ),
    (
        "variance",
        {"axes": (1, 3), "keep": False, "correction": 1},
        (X,),
        (X - X.mean((1, 3), True)).square().sum((1, 3)) / 19,
    ),
    ("group_norm", {"groups": 2, "eps": 0.3}, (X,), normed(X.view(2, 2, 60), (2,), 0.3).view_as(X)),
    (
        "group_norm",
        {"groups": 2, "eps": 0.3},
        (X, SCALE, SHIFT),
        normed(X.view(2, 2, 60), (2,), 0.3).view_as(X) * SCALE.view(4, 1, 1) + SHIFT.view(4, 1, 1),
    ),
    ("layer_norm", {"axes": 2, "eps": 0.3}, (X, Y[0, 0], Y[0, 1]), normed(X, (2, 3), 0.3) * Y[0, 0] + Y[0, 1]),
    (
        "pad",
        {"before": (0, 1, 0, 2), "after": (0, 0, 3, 1), "number": 0.5},
        (X,),
        torch.cat(
            [
                torch.full((2, 1, 9, 8), 0.5).double(),
                torch.cat(
                    [
                        torch.cat(
                            [torch.full((2, 4, 6, 2), 0.5).double(), X, torch.full((2, 4, 6, 1), 0.5).double()], 3
                        ),
                        torch.full((2, 4, 3, 8), 0.5).double(),
                    ],
                    2,
                ),
            ],
            1,
        ),
    ),
    ("conv2d", {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}, (X, W), convolved(X, W)),
    (
        "conv2d",
        {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2},
        (X, W, Y[0, 0, :, 0]),
        convolved(X, W, Y[0, 0, :, 0]),
    ),
    ("attention", {"scale": 1.7, "causal": False}, (X, Y, X.tanh()), attended(X, Y, X.tanh(), None, 1.7)),
    ("attention", {"scale": 0.3, "causal": False}, (X, Y, X.tanh(), MASK), attended(X, Y, X.tanh(), MASK, 0.3)),
    (
        "attention",
        {"scale": 0.3, "causal": True},
        (X, Y, X.tanh()),
        attended(X, Y, X.tanh(), torch.full((6, 6), -math.inf).double().triu(1), 0.3),
    ),
    (
        "max_pool2d",
        {**POOL, "dilation": (1, 1), "ceil": False},
        (X,),
        windows(X, (3, 2), (2, 2), (1, 0), -math.inf).amax(-1)[:, :, :3, :2],
    ),
    (
        "max_pool2d",
        {**POOL, "dilation": (1, 1), "ceil": True},
        (X,),
        windows(X, (3, 2), (2, 2), (1, 0), -math.inf).amax(-1)[:, :, :4, :3],
    ),
    (
        "max_pool2d",
        {"kernel": (2, 2), "stride": (1, 1), "padding": (0, 0), "dilation": (3, 2), "ceil": False},
        (X,),
        torch.stack([X[:, :, r : r + 3, c : c + 3] for r in (0, 3) for c in (0, 2)]).amax(0),
    ),
    (
        "average_pool2d",
        {**POOL, "ceil": False, "count_padding": True},
        (X,),
        windows(X, (3, 2), (2, 2), (1, 0), 0).sum(-1)[:, :, :3, :2] / 6,
    ),
    (
        "average_pool2d",
        {**POOL, "ceil": False, "count_padding": False},
        (X,),
        (
            windows(X, (3, 2), (2, 2), (1, 0), 0).sum(-1)
            / windows(torch.ones_like(X), (3, 2), (2, 2), (1, 0), 0).sum(-1)
        )[:, :, :3, :2],
    ),
    (
        "average_pool2d",
        {**POOL, "ceil": True, "count_padding": False},
        (X,),
        (
            windows(X, (3, 2), (2, 2), (1, 0), 0).sum(-1)
            / windows(torch.ones_like(X), (3, 2), (2, 2), (1, 0), 0).sum(-1)
        )[:, :, :4, :3],
    ),
    (
        "adaptive_average_pool2d",
        {"size": (3, 2)},
        (X,),
        torch.stack(
            [
                torch.stack([X[:, :, 2 * r : 2 * r + 2, s].mean((2, 3)) for s in (slice(0, 3), slice(2, 5))], -1)
                for r in range(3)
            ],
            2,
        ),
    ),
    ("resize_nearest", {"size": (3, 10)}, (X,), X[:, :, ::2].repeat_interleave(2, 3)),
    ("resize_bilinear", {"size": (4, 7), "align_corners": False}, (X,), bilinear(X, (4, 7), False)),
    ("resize_bilinear", {"size": (4, 7), "align_corners": True}, (X,), bilinear(X, (4, 7), True)),
]


@pytest.mark.parametrize(
    ("operator", "attributes", "inputs", "wanted"), CASES, ids=lambda one: one if isinstance(one, str) else ""
)
def test_an_operator_computes_what_it_says(
    operator: str, attributes: dict[str, Any], inputs: tuple[Numbers, ...], wanted: Numbers
) -> None:
    function: Callable[..., Numbers] = FUNCTIONS[operator]
    torch.testing.assert_close(function(attributes, inputs), wanted, rtol=1e-6, atol=1e-6)


def test_every_function_is_among_them() -> None:
    assert {operator for operator, *_ in CASES} == set(FUNCTIONS)


POOLS: list[tuple[str, dict[str, Any], tuple[int, int], str, Callable[[Numbers], Numbers]]] = [
    ("average_pool2d", {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)}, (8, 6), "Halved", nn.AvgPool2d(2)),
    ("average_pool2d", {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)}, (8, 5), "AvgPool", nn.AvgPool2d(2)),
    (
        "average_pool2d",
        {"kernel": (2, 2), "stride": (1, 2), "padding": (0, 0)},
        (8, 6),
        "AvgPool",
        nn.AvgPool2d(2, (1, 2)),
    ),
    (
        "average_pool2d",
        {"kernel": (2, 2), "stride": (2, 2), "padding": (1, 0)},
        (8, 6),
        "AvgPool",
        nn.AvgPool2d(2, 2, (1, 0)),
    ),
    ("adaptive_average_pool2d", {"size": (4, 3)}, (8, 6), "AvgPool2D", nn.AdaptiveAvgPool2d((4, 3))),
    ("adaptive_average_pool2d", {"size": (4, 3)}, (8, 7), "Adaptive", nn.AdaptiveAvgPool2d((4, 3))),
]


@pytest.mark.parametrize(("operator", "attributes", "size", "kernel", "pool"), POOLS)
def test_a_pool_of_halves_is_quick_and_has_torchs_bits_both_ways(
    operator: str, attributes: dict[str, Any], size: tuple[int, int], kernel: str, pool: Callable[[Numbers], Numbers]
) -> None:
    settings = {"ceil": False, "count_padding": True, **attributes}
    pictures = torch.randn(3, 5, *size, generator=torch.Generator().manual_seed(6)).requires_grad_()
    quick, plain = FUNCTIONS[operator](settings, (pictures,)), pool(pictures)
    made_by = quick.grad_fn
    assert made_by is not None and kernel in made_by.name()
    assert torch.equal(quick, plain)
    gradient = torch.randn_like(plain)
    found, expected = (torch.autograd.grad(one, pictures, gradient)[0] for one in (quick, plain))
    assert torch.equal(found, expected)
