"""Samples at places of each picture's own, whole numbers, angles and gammas are captured, with their gradients."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.captures import SHAPE, Line, captured_and_left_as_it_is, check_each_picture, refusable, tokens
from torch import nn
from torchvision.ops import DeformConv2d, deform_conv2d

from datasites.training.book_keeping import BookKeeping
from policies.errors import GraphError
from researcher.captures.capture import capture


def grid_of(m: torch.Tensor) -> torch.Tensor:
    """Places within a map and beyond it on each side, (B, 8, 6, 2)."""
    return (3 * m[:, :2].tanh()).permute(0, 2, 3, 1)


def sampled(m: torch.Tensor, **settings: Any) -> torch.Tensor:
    return F.grid_sample(m, grid_of(m), **settings)


def turned(n: Any, m: torch.Tensor, corners: bool) -> torch.Tensor:
    theta = n.head_of_turns(m.mean((2, 3))).view(-1, 2, 3)
    return F.grid_sample(m, F.affine_grid(theta, list(m.shape), align_corners=corners), align_corners=corners)


def with_turns(n: Any, m: torch.Tensor, corners: bool) -> torch.Tensor:
    if not hasattr(n, "head_of_turns"):
        n.head_of_turns = nn.Linear(4, 6)
    return turned(n, m, corners)


def deformed(n: Any, m: torch.Tensor, **settings: Any) -> torch.Tensor:
    weight = n.turned.weight[:, :4, :, :2]
    rows, columns = sizes(settings)
    offset = 0.7 * F.pad(m, (0, 2, 0, 2)).repeat(1, 3, 1, 1)[:, :, :rows, :columns]
    return deform_conv2d(m, offset, weight, n.matrix[0, :4], **settings)


def sizes(settings: dict[str, Any]) -> tuple[int, int]:
    (high, wide), (up, along) = settings.get("padding", (0, 0)), settings.get("stride", (1, 1))
    apart = settings.get("dilation", (1, 1))
    return (8 + 2 * high - 2 * apart[0] - 1) // up + 1, (6 + 2 * wide - apart[1] - 1) // along + 1


def masked(n: Any, m: torch.Tensor) -> torch.Tensor:
    offset, mask = m.repeat(1, 3, 1, 1)[:, :, :6, :5], m.repeat(1, 2, 1, 1)[:, :6, :6, :5].sigmoid()
    return deform_conv2d(m, offset, n.turned.weight[:, :4, :, :2], mask=mask)


def quantised(m: torch.Tensor) -> torch.Tensor:
    scaled = 3.5 * m.tanh()
    return scaled + (scaled.round() - scaled).detach()


def mixed_kernels(n: Any, m: torch.Tensor, **settings: Any) -> torch.Tensor:
    """Two kernels, mixed for each picture, of all pictures' channels in as many groups."""
    both = torch.stack([n.far.weight[:4, :2], n.far.weight[2:, :2]])
    kernels = torch.einsum("bk,koihw->boihw", m.mean((2, 3))[:, :2].softmax(1), both)
    kernels = torch.cat([kernels, kernels.tanh()], 2).flatten(0, 1)
    found = F.conv2d(m.reshape(1, -1, 8, 6), kernels, groups=m.shape[0], **settings)
    return found.view(m.shape[0], 4, *found.shape[2:])


def kernels_of_channels(n: Any, m: torch.Tensor) -> torch.Tensor:
    """A kernel for each channel of each picture, and a bias."""
    kernels, bias = n.state(m.mean((2, 3))).view(-1, 1, 2, 2).repeat_interleave(4, 0), m.mean((2, 3)).flatten()
    return F.conv2d(m.reshape(1, -1, 8, 6), kernels, bias, groups=m.shape[0] * 4).view(m.shape[0], 4, 7, 5)


# `n` is the network, `m` its maps, (B, 4, 8, 6).
LINES: dict[str, Line] = {
    "sampled": lambda n, m: sampled(m, align_corners=False),
    "sampled with corners": lambda n, m: sampled(m, align_corners=True),
    "sampled at the border": lambda n, m: sampled(m, align_corners=False, padding_mode="border"),
    "sampled by reflection": lambda n, m: torch.cat(
        [sampled(2 * m, align_corners=corners, padding_mode="reflection") for corners in (True, False)], 1
    ),
    "sampled of many channels": lambda n, m: F.grid_sample(
        m.repeat(1, 3, 1, 1).sin(), grid_of(m)[:, :3], align_corners=False
    ),
    "sampled windows": lambda n, m: F.grid_sample(
        m.reshape(-1, 2, 8, 6), grid_of(m.reshape(-1, 2, 8, 6)), align_corners=False
    ).view_as(m),
    "turned": lambda n, m: with_turns(n, m, False),
    "turned with corners": lambda n, m: with_turns(n, m, True),
    "deformed": lambda n, m: deformed(n, m),
    "deformed in steps": lambda n, m: deformed(n, m, stride=(2, 1), padding=(1, 1), dilation=(1, 2)),
    "deformed and weighed": masked,
    "kernels of each picture's own": lambda n, m: mixed_kernels(n, m, padding=(1, 0)),
    "kernels of each picture's own, in steps": lambda n, m: mixed_kernels(n, m, stride=2, dilation=(1, 2), padding=1),
    "kernels of each channel's own": kernels_of_channels,
    "whole numbers": lambda n, m: m * (3 * m).floor() + m * (3 * m).ceil() + m * (3 * m).trunc(),
    "nearest numbers": lambda n, m: m * (3 * m).round() + m * (m / 2).round(decimals=1) + m * (9 * m).round(
        decimals=-1
    ),
    "of two the even one": lambda n, m: m + torch.round(torch.sign(m.detach()) * 2.5 + (m.detach() > 0.1) * 1.0),
    "straight through": lambda n, m: quantised(m),
    "what is behind the point": lambda n, m: (3 * m).frac() + torch.fmod(3 * m, 0.7) + torch.remainder(3 * m, -0.7),
    "rests of parameters": lambda n, m: torch.remainder(m, n.vector[:, None, None]) + m.fmod(
        n.vector.exp()[:, None, None]
    ),
    "whole quotients": lambda n, m: m * torch.div(m, 0.3, rounding_mode="floor") + m * torch.div(
        m, n.vector[:, None, None], rounding_mode="trunc"
    ) + m * (m.detach() // 0.4),
    "casts": lambda n, m: m * (3 * m).long() + m * (3 * m).int().float(),
    "rows and columns of a place": lambda n, m: tokens(m).mean(1) * (
        (m.flatten(2).argmax(-1) // 6) + 0.1 * (m.flatten(2).argmax(-1) % 6)
    ),
    "a table by bins": lambda n, m: m[:, 0, ..., None] * n.matrix[((m[:, 0].tanh() + 1) * 2).long()],
    "angles": lambda n, m: torch.atan2(m, m.flip(3)) + m.atan() + m.tanh().asin() + m.tanh().acos(),
    "angles of parameters": lambda n, m: m * torch.atan2(n.vector, n.vector.flip(0) - 1)[:, None, None],
    "angles of signs": lambda n, m: m * m.angle(),
    "gammas": lambda n, m: torch.lgamma(m.square() + 0.3) + torch.digamma(m.square() + 0.3),
    "products of three": lambda n, m: torch.einsum("bchw,bcij,cd->bdhi", m, m, n.matrix),
    "products of four": lambda n, m: torch.einsum("b...c,cd,b...c,bx->bdx", tokens(m), n.matrix, tokens(m), m[:, 0, 0]),
    "taken along an axis": lambda n, m: torch.take_along_dim(m, m.argmax(1, keepdim=True), 1) + torch.take_along_dim(
        m, m[:, :1].argsort(2)[..., :1], dim=2
    ),
    "constants for each row": lambda n, m: tokens(m).reshape(-1, 4) .view(-1, 8, 4).mul(
        torch.linspace(0, 1, 8)[None, :, None].repeat(m.shape[0] * 6, 1, 1)
    ).reshape(len_of(m), -1),
    "rows again and again": lambda n, m: (
        m.repeat_interleave(3, dim=0).view(-1, 3, 4, 48) * n.vector[:3, None, None]
    ).sum(1),
    "differences": lambda n, m: torch.diff(m, n=2, dim=2, prepend=m[:, :, :1], append=m[:, :, :2].sin()),
    "several shares": lambda n, m: m.flatten(2).quantile(
        torch.tensor([0.1, 0.5, 1.0], dtype=m.dtype), dim=2
    ).movedim(0, 1),
    "the largest beside nothing": lambda n, m: F.max_pool2d(F.pad(m, (0, 1, 1, 0), value=-math.inf), 3, 2),
    "a table in another size": lambda n, m: m + F.interpolate(
        n.tables[None], size=(8, 6), mode="bicubic", antialias=True
    ).sum(1, keepdim=True),
}  # fmt: skip


def len_of(m: torch.Tensor) -> Any:
    return m.shape[0]


@pytest.mark.parametrize("name", LINES)
def test_places_and_whole_numbers_are_captured_with_each_pictures_own_gradient(name: str) -> None:
    network, captured = captured_and_left_as_it_is(LINES[name])
    check_each_picture(network, captured)


@pytest.mark.parametrize("align", [True, False])
def test_a_place_on_a_pixel_has_the_gradient_that_torch_gives_it(align: bool) -> None:
    """The slope between a pixel and the next: places on pixels are where a motion that is none begins."""

    class Moved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.by = nn.Parameter(torch.zeros(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            step = 2 / 3 if align else 0.5
            rows = torch.arange(4) * step - (1 if align else 0.75)
            grid = torch.stack(torch.meshgrid(rows, rows, indexing="xy"), -1) + self.by * x.mean((1, 2, 3)).view(
                -1, 1, 1, 1
            )
            return F.grid_sample(x, grid, align_corners=align).flatten(1)[:, :4]

    captured = capture(Moved(), image_shape=(4, 4, 1), num_classes=4)
    assert captured.notes[-1].startswith("Written as several operators")
    model, network = captured.build(), Moved()
    picture = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    wanted = torch.autograd.grad(network(picture).sin().sum(), network.by)[0]
    found = torch.autograd.grad(model(picture).sin().sum(), list(model.parameters()))[0]
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_torchvisions_deformed_convolution_is_captured() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.offset, self.deformed = nn.Conv2d(3, 18, 3, padding=1), DeformConv2d(3, 8, 3, padding=1)
            self.head = nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.deformed(x, self.offset(x)).relu().mean((2, 3)))

    torch.manual_seed(0)
    network = Net()
    check_each_picture(network, capture(network, image_shape=SHAPE, num_classes=4))


class Shared(nn.Module):
    """A module that two blocks share, and another that its maker keeps under a name of its own first."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.common = nn.Conv2d(3, 4, 3), nn.Linear(4, 4)
        self.blocks = nn.ModuleList(nn.ModuleDict({"own": nn.Linear(4, 4), "common": self.common}) for _ in range(2))
        self.head = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.common(self.stem(x).mean((2, 3)))
        for block in self.blocks:
            assert isinstance(block, nn.ModuleDict)
            x = x + block["common"](block["own"](x).tanh())
        return self.head(x)


def test_a_module_under_several_names_is_one_and_has_the_first() -> None:
    torch.manual_seed(0)
    network = Shared()
    captured = capture(network, image_shape=SHAPE, num_classes=4)
    assert set(captured.graph.parameters) == {name for name, _ in network.named_parameters()}
    check_each_picture(network, captured)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (lambda n, m: sampled(m, mode="nearest", align_corners=False), "Use mode='bilinear'"),
        (lambda n, m: sampled(m.flip(0), align_corners=False), "pictures"),
        (lambda n, m: F.grid_sample(m, grid_of(m).mean(0, keepdim=True).expand(m.shape[0], -1, -1, -1)), "pictures"),
        (lambda n, m: m * m.lgamma().round().sum(0), "axis 0, which is that of the pictures"),
        (lambda n, m: F.conv2d(m.transpose(0, 1), m[:, :1].repeat(1, 1, 1, 1), groups=m.shape[0]), "kernels are other"),
        (lambda n, m: m.repeat_interleave(2).view(-1, 4, 8, 12), "repeats the pictures"),
        (lambda n, m: torch.diff(m, dim=0).sum(0, keepdim=True) * m, "pictures"),
        (lambda n, m: m.flatten(1).quantile(torch.tensor([0.5, 0.6]), dim=0)[0] * m.flatten(1), "different pictures"),
        (lambda n, m: torch.einsum("bchw,dchw,cx->bd", m, m, n.matrix), "pictures"),
        (lambda n, m: torch.take_along_dim(m, m.argsort(0), dim=0), "different pictures"),
        (lambda n, m: torch.distributions.Normal(m, m.exp(), validate_args=True).log_prob(m), "validate_args=False"),
    ],
)
def test_places_in_which_pictures_would_meet_are_refused(line: Line, why: str) -> None:
    torch.manual_seed(3)
    with pytest.raises(GraphError, match=why):
        capture(refusable(line), image_shape=SHAPE, num_classes=4)


class Views(Shared):
    """Both views of a picture behind each other, as many pictures then."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        both = self.stem(torch.cat([x, x.flip(3)], 0))
        one, other = torch.chunk(both.relu(), 2, 0)
        return self.head((one - other).abs().mean((2, 3)))


def test_joined_views_are_refused_with_a_way_to_keep_them_beside_each_other() -> None:
    with pytest.raises(GraphError, match=r"torch.chunk.*torch.stack\(\(a, b\), 1\).flatten\(0, 1\)"):
        capture(Views(), image_shape=SHAPE, num_classes=4)


def test_what_is_only_rounded_trains_nothing_and_becomes_a_constant() -> None:
    _, captured = captured_and_left_as_it_is(lambda n, m: m * n.vector.round()[:, None, None] + m)
    assert "vector" not in captured.graph.parameters
    assert any("'vector'" in note and "constant" in note for note in captured.notes)


@pytest.mark.parametrize("made_up", [0.0, 1e30, math.nan, math.inf])
def test_an_empty_place_reaches_no_other_through_samples_and_whole_numbers(made_up: float) -> None:
    _, captured = captured_and_left_as_it_is(LINES["sampled by reflection"])
    model, labels = captured.build(), torch.tensor([0, 2, 1])
    pictures = torch.randn(3, 3, *SHAPE[:2], generator=torch.Generator().manual_seed(2))
    counted = torch.tensor([True, False, True])
    wanted = BookKeeping(model, 0.5).norms_and_sum(pictures, labels, counted)
    pictures[1] = made_up
    norms, sums = BookKeeping(model, 0.5).norms_and_sum(pictures, labels, counted)
    assert all(torch.equal(one, other) for one, other in zip(sums, wanted[1], strict=True))
    assert torch.equal(norms[counted], wanted[0][counted])
