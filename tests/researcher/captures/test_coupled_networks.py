"""Lines of today's networks that let pictures meet are refused, each with its place in the network's own source."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from support.clipping_oracle import distance, norm_of, one_by_one
from torch import nn

from datasites.training.book_keeping import BookKeeping
from policies.errors import GraphError
from researcher.captures.capture import capture

SHAPE = (8, 8, 3)
HERE = "test_coupled_networks.py:"
Line = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Network(nn.Module):
    """A linear network with a line of its own, which is given the pictures and their pixels in a row."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self.head = nn.Linear(192, 4)
        self.line = line

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.head(self.line(pictures, pictures.flatten(1)))


def attended(tokens: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(tokens, tokens, tokens)


def moved(x: torch.Tensor) -> torch.Tensor:
    """The pictures as the last of three axes, for what works along it."""
    return x.t()[None]


# `p` are pictures, (B, 3, 8, 8), `x` their pixels, (B, 192).
LINES: dict[str, Line] = {
    "einsum of all with all": lambda p, x: torch.einsum("bi,bj->ij", x, x)[:1] + x,
    "einsum over similarities": lambda p, x: torch.einsum("bi,ci,cj->bj", x, x, x),
    "einsum that drops the pictures": lambda p, x: x - torch.einsum("bi->i", x),
    "unfold along the pictures": lambda p, x: F.pad(x, (0, 0, 1, 0)).unfold(0, 2, 1).sum(-1),
    "patches of pictures as rows": lambda p, x: F.unfold(x[None, None], (3, 3), padding=1).reshape(9, -1, 192)[0],
    "patches of channels of all pictures": lambda p, x: (
        F.unfold(p.reshape(1, -1, 8, 8), 3, padding=1).reshape(9, -1, 192).mean(0)
    ),
    "channels shuffled over the pictures": lambda p, x: p.reshape(3, -1, 8, 8).transpose(0, 1).reshape(-1, 192),
    "channels shuffled over pairs": lambda p, x: x.reshape(-1, 2, 192).transpose(0, 1).reshape(-1, 192),
    "pictures rolled as one row": lambda p, x: p.reshape(-1).roll(192, 0).reshape(-1, 192),
    "pictures turned round as one row": lambda p, x: p.reshape(-1).flip(0).reshape(-1, 192),
    "rows of windows rolled": lambda p, x: p.reshape(-1, 64).roll(1, 0).reshape(-1, 192),
    "rows of windows turned round": lambda p, x: p.reshape(-1, 8).flip(0).reshape(-1, 192),
    "turned in the plane of pictures and rows": lambda p, x: torch.rot90(p, 1, [0, 2]).reshape(-1, 192),
    "sums of one row so far": lambda p, x: p.reshape(-1).cumsum(0).reshape(-1, 192),
    "products over pictures so far": lambda p, x: x.cumprod(0),
    "resized with pictures as height": lambda p, x: F.interpolate(p.reshape(1, 3, -1, 8), size=(8, 8)).flatten(1) + x,
    "resized along pictures": lambda p, x: F.interpolate(moved(x), scale_factor=2, mode="linear")[0, :, ::2].t(),
    "picked by places of the batch": lambda p, x: x[torch.arange(x.shape[0]).flip(0)],
    "picked by the place before": lambda p, x: x[torch.arange(x.shape[0]) - 1],
    "moved by places of the batch": lambda p, x: x + torch.arange(x.shape[0])[:, None] * 1.0,
    "groups of one channel of several pictures": lambda p, x: F.conv2d(
        p.transpose(0, 1).reshape(1, -1, 8, 8), torch.ones(3, 3, 1, 1).repeat(p.shape[0], 1, 1, 1), groups=p.shape[0]
    ).reshape(-1, 192),
    "kernels made of other pictures": lambda p, x: F.conv2d(
        p.reshape(1, -1, 8, 8), p.flip(0)[:, :, :3, :3].reshape(-1, 1, 3, 3), padding=1, groups=3 * p.shape[0]
    ).reshape(-1, 192),
    "groups of four pictures": lambda p, x: F.conv2d(
        p.reshape(-1, 12, 8, 8), torch.ones(12, 1, 3, 3), padding=1, groups=12
    ).reshape(-1, 192),
    "pictures as depth": lambda p, x: (
        F.conv3d(p.transpose(0, 1)[None], torch.ones(3, 3, 3, 1, 1), padding=(1, 0, 0))[0].transpose(0, 1).flatten(1)
    ),
    "pictures as time of a convolution": lambda p, x: F.conv1d(moved(x), torch.ones(192, 1, 3), padding=1, groups=192)[
        0
    ].t(),
    "pictures as time of a pool": lambda p, x: F.max_pool1d(moved(x), 3, 1, 1)[0].t(),
    "pictures as depth of a pool": lambda p, x: (
        F.avg_pool3d(p.transpose(0, 1)[None], 3, 1, 1)[0].transpose(0, 1).flatten(1)
    ),
    "a shift of frames that are pictures": lambda p, x: torch.cat([x[1:], x[:1]], dim=0),
    "a shift of frames in pairs": lambda p, x: x.reshape(-1, 2, 192).flip(1).reshape(-1, 192),
    "differences of neighbours": lambda p, x: F.pad(x.diff(dim=0), (0, 0, 1, 0)),
    "the first picture, narrowed": lambda p, x: x + x.narrow(0, 0, 1),
    "the halves of a batch": lambda p, x: x + x.chunk(2, 0)[0].mean(),
    "pictures in a list": lambda p, x: torch.stack(list(x.unbind(0))[::-1]),
    "ghost batch norm": lambda p, x: (x.reshape(-1, 2, 192) - x.reshape(-1, 2, 192).mean(1, keepdim=True)).reshape(
        -1, 192
    ),
    "deviation of a minibatch": lambda p, x: x + x.var(0, correction=0).mean(),
    "normalised over pictures": lambda p, x: F.normalize(x, dim=0),
    "balanced over pictures": lambda p, x: x.exp() / x.exp().sum(0, keepdim=True),
    "channels weighed by all pictures": lambda p, x: (p * p.mean((0, 2, 3), keepdim=True).sigmoid()).flatten(1),
    "responses of all pictures": lambda p, x: (p / (p.square().sum((0, 2, 3), keepdim=True) + 1).sqrt()).flatten(1),
    "a weight scaled by pictures": lambda p, x: F.linear(x, torch.ones(192, 192) / x.norm()),
    "experts that fill up": lambda p, x: x * (2.0 - x[:, :4].softmax(1).cumsum(0)).clamp(0, 1).sum(1, keepdim=True),
    "attention over pictures": lambda p, x: attended(x[None])[0],
    "attention over pairs": lambda p, x: attended(x.reshape(-1, 2, 192)).reshape(-1, 192),
    "attention in which pictures are tokens": lambda p, x: (
        attended(p.reshape(1, -1, 3, 64).transpose(1, 2)).transpose(1, 2).reshape(-1, 192)
    ),
    "a mixer over pictures": lambda p, x: F.linear(x.t().reshape(-1, 4), torch.ones(4, 4)).reshape(192, -1).t(),
    "similarities of pictures": lambda p, x: torch.cdist(x, x) @ x,
    "a mask over pictures": lambda p, x: torch.ones(64, 64).tril()[: x.shape[0], : x.shape[0]] @ x,
    "a transform along pictures": lambda p, x: torch.fft.fft(x, dim=0).real,
    "repeated, then taken in pairs": lambda p, x: x[None].expand(2, -1, -1).reshape(-1, 2, 192).mean(1),
    "windows of several pictures": lambda p, x: p.permute(2, 0, 1, 3).reshape(-1, 8, 24).mean(1).repeat(1, 8),
    "repeated along pictures": lambda p, x: x.repeat(2, 1).reshape(-1, 2, 192).mean(1),
    "tiled along pictures": lambda p, x: torch.tile(x, (3, 1)).reshape(-1, 3, 192).amax(1),
    "repeated one by one, by as many": lambda p, x: x.t().repeat_interleave(2, 0).reshape(-1, 192)[::2] + x,
    "turned, pictures among pixels": lambda p, x: torch.rot90(p, -1, [0, 3]).reshape(-1, 192),
    "spread over pictures": lambda p, x: x / (x.std(0, correction=0, keepdim=True) + 1),
    "spread and mean over pictures": lambda p, x: torch.std_mean(x, 0, correction=0, keepdim=True)[1] + x,
    "windows over pictures": lambda p, x: (
        F.unfold(p.transpose(0, 2), 3, padding=1).sum((0, 1)).reshape(-1, 8).repeat(1, 24)
    ),
    "windows with pictures as channels": lambda p, x: (
        F.unfold(p.reshape(1, -1, 8, 8), 8).reshape(-1, 2, 192)[:, [1, 0]].reshape(-1, 192)
    ),
    "the batch size by len": lambda p, x: x.sum(0) / len(x) + x,
}


def by_itself(line: Line, pictures: torch.Tensor) -> torch.Tensor | None:
    """What a line gives for each picture alone; None where it takes no single one."""
    try:
        return torch.cat([line(one[None], one[None].flatten(1)) for one in pictures])
    except RuntimeError:
        return None


@pytest.mark.parametrize("name", LINES)
def test_such_a_line_does_let_pictures_meet(name: str) -> None:
    pictures = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    together, alone = LINES[name](pictures, pictures.flatten(1)), by_itself(LINES[name], pictures)
    assert together.shape == (12, 192)
    assert alone is None or alone.shape != together.shape or (together - alone).abs().max() > 1e-3


@pytest.mark.parametrize("name", LINES)
def test_a_line_in_which_pictures_meet_is_refused_with_its_place(name: str) -> None:
    with pytest.raises(GraphError) as refused:
        capture(Network(LINES[name]), image_shape=SHAPE, num_classes=4)
    assert HERE in refused.value.public, refused.value.public


APART: dict[str, Line] = {
    "channels shuffled in a picture": lambda p, x: p.reshape(-1, 3, 1, 8, 8).transpose(1, 2).reshape(-1, 192),
    "resized with all channels side by side": lambda p, x: F.interpolate(p.reshape(1, -1, 8, 8), scale_factor=2)[
        :, :, :8, :8
    ].reshape(-1, 192),
    "repeated beside itself": lambda p, x: x[:, None].expand(-1, 3, -1).mean(1),
    "repeated in a picture": lambda p, x: p.repeat(1, 2, 3, 1)[:, 1:4, 8:16].flatten(1),
    "repeated with axes before": lambda p, x: x[:, :64].repeat(2, 1, 3)[1] + x.flatten(1).repeat(1, 1, 1)[0],
    "tiled in a picture": lambda p, x: torch.tile(p, (1, 1, 2))[..., 3:11].flatten(1),
    "each number repeated": lambda p, x: p.repeat_interleave(3, 2)[:, :, 5:13].flatten(1),
    "turned once": lambda p, x: torch.rot90(p, 1, [2, 3]).flatten(1),
    "turned twice": lambda p, x: torch.rot90(p, 2, [1, 3]).flatten(1),
    "turned back": lambda p, x: torch.rot90(p, -1, [3, 2]).flatten(1),
    "turned four times": lambda p, x: torch.rot90(p, 4, [2, 3]).flatten(1),
    "divided by its deviation": lambda p, x: x / (x.std(1, keepdim=True) + 1),
    "deviations of rows": lambda p, x: (p - p.mean(3, True)).div(p.std((2, 3), correction=0, keepdim=True)).flatten(1),
    "standardised by both": lambda p, x: (x - torch.std_mean(x, 1, keepdim=True)[1]).div(
        torch.var_mean(x, 1, keepdim=True)[0] + 1
    ),
    "windows": lambda p, x: F.unfold(p, 3, padding=1).reshape(-1, 3, 9, 64).amax(2).flatten(1),
    "windows far apart": lambda p, x: F.unfold(p, (2, 3), dilation=(2, 1), padding=(1, 0), stride=(2, 1))[
        :, :8, :24
    ].flatten(1),
    "patches": lambda p, x: F.unfold(p, 4, stride=4).transpose(1, 2).flatten(1),
    "pixels as windows": lambda p, x: F.unfold(p, 1).flatten(1),
    "rolled in a picture": lambda p, x: p.roll((2, -3), (2, 3)).flatten(1),
    "sums so far in a picture": lambda p, x: p.cumsum(3).flatten(1),
    "the logarithm of a sum of exponentials": lambda p, x: (p - p.logsumexp((1, 2), keepdim=True)).flatten(1),
    "pixels shuffled": lambda p, x: F.pixel_shuffle(p.repeat(1, 4, 1, 1), 2)[:, :, 4:12, 4:12].flatten(1),
    "dropout by a function": lambda p, x: F.dropout(x, 0.5),
    "dropout of channels by a function": lambda p, x: F.dropout2d(p, 0.5).flatten(1),
}


@pytest.mark.parametrize("name", APART)
def test_a_line_that_takes_each_picture_alone_is_captured_as_what_it_computes_for_one(name: str) -> None:
    torch.manual_seed(3)
    original = Network(APART[name])
    captured = capture(original, image_shape=SHAPE, num_classes=4)
    assert any("Dropout was taken out" in note and HERE in note for note in captured.notes) == ("dropout" in name)
    network, pictures = captured.build().double(), torch.randn(4, 3, 8, 8).double()
    with torch.no_grad():
        alone = torch.cat([network(picture[None]) for picture in pictures])
        assert (network(pictures) - alone).abs().max() <= 1e-12
        itself = torch.cat([original.eval().double()(picture[None]) for picture in pictures])
        assert "dropout" in name or (itself - alone).abs().max() <= 1e-6


class Token(nn.Module):
    """A parameter that is repeated for each picture, as class tokens are."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 2, 6))
        self.head = nn.Linear(192 + 48, 4)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        tokens = self.token.repeat(pictures.shape[0], 2, 2)
        return self.head(torch.cat([tokens.flatten(1).tanh(), pictures.flatten(1)], dim=1))


def test_a_parameter_that_is_repeated_for_each_picture_has_each_pictures_gradient() -> None:
    torch.manual_seed(2)
    model = capture(Token(), image_shape=SHAPE, num_classes=4).build()
    pictures, labels = torch.randn(5, 3, 8, 8), torch.tensor([0, 1, 2, 3, 0])
    expected = one_by_one(model.double(), pictures.double(), labels, 0.05)
    found = BookKeeping(model.float(), 0.05).norms_and_sum(pictures, labels, torch.ones(5, dtype=torch.bool))[1]
    assert distance(found, expected) <= 1e-5 * norm_of(expected)
