"""Layers by which pictures meet, as networks really have them, are refused with their place and quickly."""

from __future__ import annotations

import time

import pytest
import torch
import torch.nn.functional as F
from support.captures import SHAPE, Line, Network, tokens

from policies.errors import GraphError
from researcher.captures.capture import capture

_ROWS = 12
_MOST_SECONDS = 5.0  # half a second where the machine has nothing else to do


def second(m: torch.Tensor) -> torch.Tensor:
    """Maps with the pictures where channels are, (4, B, 8, 6)."""
    return m.transpose(0, 1)


def last(m: torch.Tensor) -> torch.Tensor:
    """Means with the pictures as the last axis, (1, 4, B)."""
    return m.mean((2, 3)).t()[None]


def scattered(m: torch.Tensor) -> torch.Tensor:
    index = torch.arange(m.shape[0]).flip(0)
    return torch.zeros_like(m).index_add(0, index, m)


def places(m: torch.Tensor) -> torch.Tensor:
    return torch.arange(m.shape[0])[:, None, None, None]


def strided(m: torch.Tensor) -> torch.Tensor:
    return m.contiguous().as_strided((m.shape[0], 192), (192, 1), 0).flip(0)


# `n` is the network, `m` its maps, (B, 4, 8, 6); B is 12 where a line is looked at.
LINES: dict[str, Line] = {
    "attention with the axes mixed up": lambda n, m: n.second.out_proj(
        n.second(m[:, 0, :, :4], m[:, 1], m[:, 2, :, :3], need_weights=False)[0]
    ),
    "attention of pictures to pictures": lambda n, m: n.first(*[m.mean((2, 3))[None]] * 3)[0][0],
    "attention of a picture to the first": lambda n, m: n.first(
        tokens(m), *[tokens(m)[:1].expand(m.shape[0], -1, -1)] * 2
    )[0],
    "an encoder's layer over pictures": lambda n, m: n.encoder(m.mean((2, 3))[None])[0],
    "an encoder's layer over pairs": lambda n, m: n.encoder(m.mean((2, 3)).reshape(-1, 2, 4)).reshape(-1, 4),
    "einsum with another letter": lambda n, m: torch.einsum("bchw,achw->bc", m, m),
    "einsum of a Gram matrix": lambda n, m: torch.einsum(
        "ac,bc,bd->ad", m.mean((2, 3)), m.amax((2, 3)), m.mean((2, 3))
    ),
    "einsum with dots over pictures": lambda n, m: m + torch.einsum("b...->...", m),
    "einsum without an arrow": lambda n, m: m.mean((2, 3)) * torch.einsum("bchw,bchw", m, m),
    "tensordot over pictures": lambda n, m: m.mean((2, 3)) @ torch.tensordot(m, m, dims=([0, 2, 3], [0, 2, 3])),
    "products of batches added up": lambda n, m: (
        torch.addbmm(torch.zeros(8, 8), m[:, 0], m[:, 1].transpose(1, 2)) + m[:, :1, :, :1]
    ),
    "a matrix times its turn": lambda n, m: (m.mean((2, 3)) @ m.mean((2, 3)).t()) @ m.mean((2, 3)),
    "a vector of pictures": lambda n, m: m.mean((2, 3)) + m.mean((1, 2, 3)) @ m.mean((2, 3)),
    "a bilinear layer with the next": lambda n, m: F.bilinear(
        m.mean((2, 3)), m.mean((2, 3)).roll(1, 0), torch.ones(4, 4, 4)
    ),
    "a convolution along pictures": lambda n, m: F.conv1d(last(m), torch.ones(4, 4, 3), padding=1)[0].t(),
    "a convolution with pictures as channels": lambda n, m: (
        F.conv2d(second(m)[:, :4], torch.ones(4, 4, 1, 1)).transpose(0, 1) + m[:4]
    ),
    "a transposed convolution along pictures": lambda n, m: F.conv_transpose2d(
        last(m)[..., None], torch.ones(4, 4, 3, 1), padding=(1, 0)
    )[0, :, :, 0].t(),
    "a pool along pictures": lambda n, m: F.avg_pool1d(last(m), 3, 1, 1)[0].t(),
    "a pool of pictures as width": lambda n, m: F.max_pool2d(second(m).permute(0, 2, 3, 1), (1, 3), 1, (0, 1)).permute(
        3, 0, 1, 2
    ),
    "the largest of all pictures": lambda n, m: m - F.adaptive_max_pool1d(last(m), 1)[0, :, 0].view(1, 4, 1, 1),
    "a border of pictures": lambda n, m: F.pad(last(m), (1, 0), mode="replicate")[0, :, :-1].t(),
    "a border of zeros, then cut": lambda n, m: F.pad(m, (0, 0, 0, 0, 0, 0, 1, 0))[:-1],
    "windows of neighbours": lambda n, m: torch.cat([m, m[:1]]).unfold(0, 2, 1).mean(-1),
    "channels of pictures shuffled": lambda n, m: F.channel_shuffle(second(m), 2).transpose(0, 1),
    "pixels of pictures shuffled": lambda n, m: (
        F.pixel_shuffle(m.permute(1, 0, 2, 3), 2).permute(1, 0, 2, 3).reshape(-1, 192)
    ),
    "each channel normalised over pictures": lambda n, m: (
        F.instance_norm(second(m).reshape(1, 4, -1)).reshape(4, -1, 48).transpose(0, 1)
    ),
    "a norm over the pictures' axis": lambda n, m: F.layer_norm(last(m), (12,))[0].t(),
    "a group of all pictures": lambda n, m: F.group_norm(m.reshape(1, -1, 6), 1).reshape(-1, 192),
    "a root of mean squares over pictures": lambda n, m: m * m.square().mean(0, keepdim=True).add(1).rsqrt(),
    "a batch norm by hand": lambda n, m: F.batch_norm(m, None, None, training=True),
    "a batch norm of rows": lambda n, m: F.batch_norm(m.reshape(-1, 6), None, None, training=True).reshape(-1, 192),
    "the largest of pictures, with its place": lambda n, m: m - m.max(dim=0, keepdim=True)[0],
    "the least of all numbers": lambda n, m: m - m.min(),
    "the place of the largest picture": lambda n, m: m + m[m.mean((1, 2, 3)).argmax()],
    "the best pictures": lambda n, m: m + m.mean((1, 2, 3)).topk(2)[0].sum(),
    "pictures in an order": lambda n, m: m.sort(dim=0)[0],
    "products of pictures so far": lambda n, m: m.tanh().logcumsumexp(0),
    "sums so far, turned": lambda n, m: m.flip(0).cumsum(0).flip(0),
    "rows added elsewhere": lambda n, m: scattered(m),
    "rows at other strides": lambda n, m: strided(m),
    "a triangle of pictures": lambda n, m: torch.tril(torch.ones(_ROWS, _ROWS)) @ m.mean((2, 3)),
    "differences of pictures, as many": lambda n, m: m.diff(dim=0, prepend=m[:1]),
    "a gate of the other half": lambda n, m: m * torch.cat([m, m.flip(0)]).chunk(2)[1].sigmoid(),
    "parts taken and put back": lambda n, m: torch.cat(torch.tensor_split(m, 3, dim=0)[::-1]),
    "picked pairwise": lambda n, m: m[torch.arange(m.shape[0]).flip(0), :],
    "truth of a place in the batch": lambda n, m: torch.where(places(m) == 0, m, 2 * m),
    "a number of pictures": lambda n, m: m * torch.full((m.shape[0], 1, 1, 1), 1.0 / m.shape[0]),
    "a number of pictures, of ones": lambda n, m: m / torch.ones(m.shape[0]).sum(),
    "a number of pictures, of what is like them": lambda n, m: m / torch.ones_like(m).sum(0, keepdim=True),
    "a mean that keeps its axis": lambda n, m: m - m.mean((0, 2, 3), keepdim=True),
    "similarities of all": lambda n, m: (
        F.cosine_similarity(m.flatten(1)[:, None], m.flatten(1)[None], -1) @ m.mean((2, 3))
    ),
    "distances of all": lambda n, m: torch.cdist(m.flatten(1), m.flatten(1)).mean(1, keepdim=True) + m.flatten(1),
    "what is repeated, then summed": lambda n, m: m.repeat_interleave(2, 0).reshape(2, -1, 192).mean(0),
    "what is expanded, then summed": lambda n, m: m[None].expand(3, -1, -1, -1, -1).reshape(-1, 3, 192).sum(1),
    "turns of the batch": lambda n, m: torch.rot90(m, 2, [0, 1]),
    "gathered from the next": lambda n, m: torch.gather(m, 0, places(m).roll(1, 0).expand(m.shape)),
}


def alone(line: Line, network: Network, pictures: torch.Tensor) -> torch.Tensor | None:
    """What a line gives for each picture by itself; None where it takes no single one."""
    try:
        return torch.cat([line(network, network.stem(picture[None])).flatten(1) for picture in pictures])
    except (RuntimeError, IndexError):
        return None


@pytest.mark.parametrize("name", LINES)
def test_such_a_layer_does_let_pictures_meet(name: str) -> None:
    torch.manual_seed(1)
    network, pictures = Network(lambda n, m: m).eval(), torch.randn(_ROWS, 3, *SHAPE[:2])
    with torch.no_grad():
        together, each = LINES[name](network, network.stem(pictures)).flatten(1), alone(LINES[name], network, pictures)
    assert each is None or each.shape != together.shape or (together - each).abs().max() > 1e-4


class Headed(Network):
    """The network with a line that takes twelve pictures or more: its head is made for what these give."""

    def __init__(self, line: Line) -> None:
        super().__init__(lambda n, m: m)
        with torch.no_grad():
            found = line(self, self.stem(torch.zeros(_ROWS, 3, *SHAPE[:2]))).flatten(1)
        self.line, self.head = line, torch.nn.Linear(found.shape[1], 4)


@pytest.fixture(scope="module")
def traced_before() -> None:
    """The tracer's own modules are loaded, which takes longer than a refusal."""
    capture(Network(lambda n, m: m), image_shape=SHAPE, num_classes=4)


@pytest.mark.usefixtures("traced_before")
@pytest.mark.parametrize("name", LINES)
def test_a_layer_by_which_pictures_meet_is_refused_with_its_place(name: str) -> None:
    network = Headed(LINES[name])
    began = time.process_time()
    with pytest.raises(GraphError) as refused:
        capture(network, image_shape=SHAPE, num_classes=4)
    assert time.process_time() - began < _MOST_SECONDS
    assert "captures.py:" in refused.value.public, refused.value.public
