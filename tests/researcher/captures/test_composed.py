"""Layers that a graph has no operator for are captured as several, with each picture's own gradient, or refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.captures import SHAPE, Line, Network, captured_and_left_as_it_is, check_each_picture, of_itself, tokens
from torch import nn

from researcher.captures.capture import capture

HERE = "captures.py:"  # the line that calls the one with dropout


def recurrent(n: Any, m: torch.Tensor) -> torch.Tensor:
    state = torch.zeros(m.shape[0], 4)
    for row in range(3):
        state = torch.tanh(n.state(state) + m[:, :, row].mean(-1))
    return state


def beside_coordinates(m: torch.Tensor) -> torch.Tensor:
    height = torch.linspace(-1, 1, 8).view(1, 1, 8, 1)
    width = torch.linspace(-1, 1, 6).view(1, 1, 1, 6)
    more = [height.repeat(m.shape[0], 1, 1, 6), width.expand(m.shape[0], 1, 8, 6), m.new_ones(m.shape[0], 2, 8, 6)]
    return torch.cat([m, *more, torch.zeros_like(m), torch.full_like(m[:, :1], 0.5)], dim=1)


def coordinates() -> torch.Tensor:
    """The same for all pictures, (1, 6, 8, 6)."""
    return torch.linspace(-1, 1, 6 * 8 * 6).view(1, 6, 8, 6).sin()


def in_two_blocks(n: Any, m: torch.Tensor) -> torch.Tensor:
    """Zeros of two rows for each picture, beside rows that are two for each picture."""
    windows = m.view(m.shape[0], 4, 2, 4, 6).transpose(1, 2).reshape(-1, 4, 24)
    return (windows + torch.zeros(2 * m.shape[0], 4, 1)).reshape(m.shape[0], -1)


def in_windows(m: torch.Tensor) -> torch.Tensor:
    """Four windows of each picture as rows, (4B, 4, 4, 3)."""
    return m.view(-1, 4, 2, 4, 2, 3).permute(0, 2, 4, 1, 3, 5).reshape(-1, 4, 4, 3)


def squared(n: Any, m: torch.Tensor) -> torch.Tensor:
    """The upper half of the products of channels."""
    flat = m.flatten(2)
    return (flat @ flat.transpose(1, 2) / 48)[:, n.triangle[0], n.triangle[1]]


# `n` is the network, `m` its maps, (B, 4, 8, 6).
LINES: dict[str, Line] = {
    "a convolution along one axis": lambda n, m: n.rows(m.flatten(2)),
    "a transposed convolution": lambda n, m: n.turned(m),
    "a transposed convolution in groups": lambda n, m: n.grouped(m),
    "a border that is reflected": lambda n, m: F.pad(m, (2, 1, 0, 3), mode="reflect"),
    "a border that is repeated": lambda n, m: F.pad(m, (2, 1, 0, 3), mode="replicate"),
    "a border from the other side": lambda n, m: F.pad(m, (2, 1, 0, 3), mode="circular"),
    "the largest of all places": lambda n, m: F.adaptive_max_pool2d(m, 1),
    "the largest of each quarter": lambda n, m: F.adaptive_max_pool2d(m, (4, 2)),
    "the largest along one axis": lambda n, m: F.adaptive_max_pool1d(m.flatten(2), 1),
    "pools along one axis": lambda n, m: (
        F.max_pool1d(m.flatten(2), 4, 2, 1)
        + F.avg_pool1d(m.flatten(2), 4, 2, 1)
        + F.adaptive_avg_pool1d(m.flatten(2), 24)
    ),
    "the largest with its place": lambda n, m: m.max(dim=1, keepdim=True)[0] - m.min(dim=1, keepdim=True).values,
    "a pool with places": lambda n, m: F.max_pool2d(m, 2, return_indices=True)[0],
    "the greater of two": lambda n, m: torch.max(m, m.flip(3)) - torch.min(m, m.flip(2)),
    "one slope": lambda n, m: n.one(m),
    "a slope for each channel": lambda n, m: n.slopes(m),
    "exponential units": lambda n, m: F.selu(m) + F.celu(m, 0.7) + F.elu(m, 0.4),
    "a gate": lambda n, m: F.glu(m, dim=1),
    "softplus of another slope": lambda n, m: F.softplus(m, beta=3.0),
    "waves and the error function": lambda n, m: torch.sin(3 * m) + torch.cos(m) + m * torch.erf(m / 2**0.5),
    "other logarithms": lambda n, m: torch.log2(m.abs() + 1) + torch.log10(m.square() + 1) + torch.expm1(m / 4),
    "a trained exponent": lambda n, m: m.clamp(min=0.1).pow(n.exponent).mean((2, 3)).pow(1 / n.exponent),
    "a power of two": lambda n, m: 2.0**m,
    "between two": lambda n, m: torch.lerp(m, m.flip(2), 0.3) + torch.lerp(m, m.tanh(), n.vector[:, None, None]),
    "similarities to prototypes": lambda n, m: F.cosine_similarity(m.mean((2, 3))[:, None], n.matrix.t()[None], dim=-1),
    "weight normalisation": lambda n, m: n.normed(m.mean((2, 3))),
    "weight normalisation of another axis": lambda n, m: n.normed_maps(m),
    "each channel normalised": lambda n, m: n.own(m) + F.instance_norm(m),
    "halves of a matrix": lambda n, m: F.linear(
        tokens(m).triu(1), n.matrix[:, :4].tril(-1) + n.matrix[:, :4].triu(1).t()
    ),
    "windows beside each other": lambda n, m: m.unfold(2, 4, 4).unfold(3, 3, 3),
    "windows over each other": lambda n, m: m.unfold(2, 3, 2),
    "windows that leave a rest": lambda n, m: m.unfold(3, 4, 4),
    "channels shuffled": lambda n, m: F.channel_shuffle(m, 2).mul(n.vector[:, None, None]),
    "differences": lambda n, m: m.diff(dim=3),
    "parts of an axis": lambda n, m: torch.tensor_split(m, 3, dim=1)[0] * torch.tensor_split(m, 3, dim=1)[2],
    "two indices at once": squared,
    "an index of truth values": lambda n, m: m[:, torch.tensor([True, False, True, True])],
    "a state that begins with zeros": recurrent,
    "coordinates beside maps": lambda n, m: beside_coordinates(m),
    "zeros of several rows a picture": in_two_blocks,
    "products added": lambda n, m: torch.addmm(
        n.vector[0] * torch.ones(5), m.mean((2, 3)), n.matrix, beta=2, alpha=0.5
    ),
    "products of batches added": lambda n, m: torch.baddbmm(torch.ones(1), m[:, 0], m[:, 1].transpose(1, 2), alpha=3),
    "a product with a vector": lambda n, m: tokens(m) @ n.vector,
    "a weight that is a product": lambda n, m: F.linear(tokens(m), n.matrix @ n.matrix.t()),
    "a layer of constants": lambda n, m: m.mean((2, 3)) + n.state(torch.arange(12.0).view(3, 4) / 12).mean(0),
    "a convolution of a constant": lambda n, m: m + n.turned_back(coordinates()).repeat(m.shape[0], 1, 1, 1),
    "a convolution of a constant with a wide kernel": lambda n, m: (
        n.rows(m.flatten(2))[:, :4]
        + F.conv2d(coordinates()[:, :4], n.stem.weight.repeat(1, 2, 1, 1)[:, :4], padding=1).mean((2, 3))[..., None]
    ),
    "tensordot": lambda n, m: torch.tensordot(m, n.matrix, dims=([1], [0])),
    "einsum with dots": lambda n, m: torch.einsum("...hw,wk->...hk", m, n.matrix.new_ones(6, 2)) + m[..., :2],
    "einsum with a parameter": lambda n, m: torch.einsum("bnd,dk->bkn", tokens(m), n.matrix),
    "einsum over two letters": lambda n, m: torch.einsum("bchw,cdw->bhd", m, n.matrix[..., None].expand(4, 5, 6)),
    "einsum of several rows": lambda n, m: torch.einsum("bchw,bdhv->bhcwdv", m[:, :2, :, :3], m[:, 2:, :, :2]),
    "einsum of a table for each head": lambda n, m: torch.einsum("bgcx,gck->bgxk", m.reshape(-1, 2, 2, 48), n.tables),
    "einsum without a sum": lambda n, m: torch.einsum("bi,bj->bij", m.mean((2, 3)), m.amax((2, 3))),
    "einsum number by number": lambda n, m: torch.einsum("bchw,bchw->bch", m, m.tanh()),
    "einsum with sums of one": lambda n, m: torch.einsum("bchw,kd->bdc", m, n.matrix),
    "einsum of one": lambda n, m: torch.einsum("bchw->bwc", m),
    "einsum without an arrow": lambda n, m: torch.einsum("bchw,wk", m, n.matrix.new_ones(6, 2)),
    "einsum with the pictures second": lambda n, m: torch.einsum("nbd,dk->bkn", tokens(m).transpose(0, 1), n.matrix),
    "einsum of parameters first": lambda n, m: torch.einsum("dk,bnd->bnk", n.matrix, tokens(m)),
    "einsum of parameters alone": lambda n, m: m.mean((2, 3)) @ torch.einsum("ij,kj->ik", n.matrix, n.matrix),
    "a convolution of each channel": lambda n, m: n.alone(m.reshape(-1, 1, 8, 6)).reshape(m.shape[0], -1),
    "a convolution of each window": lambda n, m: n.far(in_windows(m)).reshape(m.shape[0], -1),
    "a convolution of each window, as large": lambda n, m: F.conv2d(
        in_windows(m), n.tables[:, :, None].expand(2, 2, 3, 3), padding="same", groups=2
    ).reshape(m.shape[0], -1),
    "a norm of each window": lambda n, m: n.groups(in_windows(m)).reshape(m.shape[0], -1),
    "a norm of each position": lambda n, m: n.groups(tokens(m).reshape(-1, 4)).reshape(m.shape[0], -1),
    "layers of each window": lambda n, m: n.groups(
        F.max_pool2d(F.relu(n.turned_back(F.relu(n.far(in_windows(m))))), 2, 1)
    ).reshape(m.shape[0], -1),
    "choices between a value and a number": lambda n, m: (
        torch.where(n.inside, m, 0.0) + torch.where(n.inside, 0.5, m.tanh()) + torch.where(n.inside, 1.0, -1.0) * m
    ),
    "a transposed convolution of each window": lambda n, m: n.turned(in_windows(m)).reshape(m.shape[0], -1),
    "a transposed convolution in groups, of each window": lambda n, m: n.grouped(in_windows(m)).reshape(m.shape[0], -1),
    "each channel of each window normalised": lambda n, m: (
        n.own(in_windows(m)) + F.instance_norm(in_windows(m), weight=n.vector)
    ).reshape(m.shape[0], -1),
    "other hyperbolic functions": lambda n, m: torch.sinh(m / 4) + torch.cosh(m / 4) + F.softshrink(m, 0.3),
    "odds": lambda n, m: torch.sigmoid(m).logit(eps=1e-3) + m.tanh().mul(0.4).add(0.5).logit(),
    "windows put in their places": lambda n, m: F.fold(
        F.unfold(m, (4, 3), stride=(4, 3)).tanh(), (8, 6), (4, 3), stride=(4, 3)
    ),
    "a product of two values in a layer": lambda n, m: F.bilinear(
        tokens(m), tokens(m).tanh(), n.tables.reshape(3, 2, 2).repeat(1, 2, 2), n.matrix[0, :3]
    ),
    "a part without gradients": lambda n, m: m + without_gradients(m.shape[0]).to(m.dtype),
}


def without_gradients(rows: int) -> torch.Tensor:
    with torch.no_grad():
        return torch.full((rows, 1, 1, 1), 0.25)


@pytest.mark.parametrize("name", LINES)
def test_a_layer_without_an_operator_is_captured_with_each_pictures_own_gradient(name: str) -> None:
    check_each_picture(*captured_and_left_as_it_is(LINES[name]))


MASK = torch.ones(48, 48).tril() == 0
FAR = torch.zeros(48, 48).masked_fill(MASK, -torch.inf)


ATTENTIONS: dict[str, Line] = {
    "of three values": lambda n, m: n.first(tokens(m), tokens(m).flip(1), tokens(m).tanh(), need_weights=False)[0],
    "of itself": lambda n, m: of_itself(n, m)[0],
    "with its weights": lambda n, m: torch.stack([part.sum(-1) for part in of_itself(n, m)]).sum(0),
    "with weights of each head": lambda n, m: of_itself(n, m, average_attn_weights=False)[1][..., :3],
    "of what is not true": lambda n, m: of_itself(n, m, attn_mask=MASK)[0],
    "weights of what is not true": lambda n, m: of_itself(n, m, attn_mask=MASK)[1],
    "with a mask of numbers": lambda n, m: of_itself(n, m, attn_mask=FAR.to(m.dtype))[0],
    "of other keys, positions first": lambda n, m: n.second(
        tokens(m).transpose(0, 1), m[:, 0].transpose(0, 1), m[:, 0, :, :3].transpose(0, 1)
    )[0].transpose(0, 1),
    "in an encoder's layer": lambda n, m: n.encoder(tokens(m)),
}


@pytest.mark.parametrize("name", ATTENTIONS)
def test_torchs_own_attention_is_captured(name: str) -> None:
    check_each_picture(*captured_and_left_as_it_is(ATTENTIONS[name]))


def test_the_dropout_of_torchs_attention_is_taken_out_and_told() -> None:
    torch.manual_seed(4)
    captured = capture(Network(ATTENTIONS["in an encoder's layer"]), image_shape=SHAPE, num_classes=4)
    assert "5 layers of Dropout taken out" in " ".join(captured.notes)  # of both attentions, and of the encoder's layer
    dropping = Network(lambda n, m: F.scaled_dot_product_attention(tokens(m), tokens(m), tokens(m), None, 0.5))
    captured = capture(dropping, image_shape=SHAPE, num_classes=4)
    assert f"Dropout was taken out at {HERE}" in " ".join(captured.notes)


class Frozen(nn.Module):
    """A frozen backbone with BatchNorm and statistics of its own, and a head.

    Args:
        without: How the backbone is kept out of the training.
    """

    def __init__(self, without: str) -> None:
        super().__init__()
        self.without = without
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.head = nn.Linear(4, 4)
        norm = self.backbone[1]
        with torch.no_grad():
            for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                tensor.uniform_(0.5, 2.0)
        if without != "eval":
            self.backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        if self.without == "eval":
            self.backbone.eval()
        return self

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        if self.without == "no_grad":
            with torch.no_grad():
                maps = self.backbone(pictures)
                maps += 1.0
        else:
            maps = self.backbone(pictures)
        maps = maps.detach() if self.without == "detach" else maps
        return self.head(maps.mean((2, 3)))


@pytest.mark.parametrize("without", ["eval", "requires_grad", "no_grad", "detach"])
def test_a_frozen_norm_keeps_its_statistics_as_fixed_numbers(without: str) -> None:
    torch.manual_seed(5)
    network = Frozen(without)
    captured = capture(network, image_shape=SHAPE, num_classes=4)
    assert "1 BatchNorm layer keeps its running statistics as fixed numbers" in " ".join(captured.notes)
    backbone = {f"backbone.{name}" for name in ("0.weight", "0.bias", "1.weight", "1.bias")}
    assert set(captured.weights) == {"head.weight", "head.bias"} | (backbone if without == "eval" else set())
    network.backbone[1].eval()
    check_each_picture(network, captured)
