"""Networks of tests that are captured, and what a graph of one must compute: each picture's own gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from support.clipping_oracle import clipped, distance, each_alone, norm_of
from torch import nn
from torch.nn.utils import parametrizations

from datasites.training.book_keeping import BookKeeping
from researcher.captures.capture import CapturedModel, capture

SHAPE = (8, 6, 3)
Line = Callable[[Any, torch.Tensor], torch.Tensor]


class Network(nn.Module):
    """A convolution, a line of its own, and a head; the line is given the network, for its parts, and the maps.

    Args:
        line: From the network and maps, (B, 4, 8, 6), to anything with the pictures first.
    """

    def __init__(self, line: Line) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.rows = nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2)
        self.turned = nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1)
        self.grouped = nn.ConvTranspose2d(4, 6, (2, 4), stride=(1, 3), padding=(0, 1), dilation=(2, 1), groups=2)
        self.one, self.slopes = nn.PReLU(), nn.PReLU(4)
        self.normed = parametrizations.weight_norm(nn.Linear(4, 5))
        self.normed_maps = parametrizations.weight_norm(nn.Conv2d(4, 5, 3), dim=1)
        self.own = nn.InstanceNorm2d(4, affine=True)
        self.first = nn.MultiheadAttention(4, 2, batch_first=True)
        self.second = nn.MultiheadAttention(4, 2, dropout=0.2, kdim=6, vdim=3)
        self.encoder = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, norm_first=True, dropout=0.3)
        self.vector, self.matrix = nn.Parameter(torch.rand(4) + 0.5), nn.Parameter(torch.randn(4, 5))
        self.tables, self.exponent = nn.Parameter(torch.randn(2, 2, 3)), nn.Parameter(torch.tensor([2.5]))
        self.alone, self.groups = nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.GroupNorm(2, 4)
        self.far = nn.Conv2d(4, 6, (3, 2), stride=(3, 1), padding=(2, 1), dilation=(2, 1), groups=2)
        self.turned_back = nn.Conv2d(6, 4, 1)
        self.state = nn.Linear(4, 4)
        self.register_buffer("triangle", torch.triu_indices(4, 4))
        self.register_buffer("inside", torch.arange(48).view(8, 6) % 5 < 3)
        self.line = line
        with torch.no_grad():
            self.head = nn.Linear(line(self, self.stem(torch.zeros(2, 3, *SHAPE[:2]))).flatten(1).shape[1], 4)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.head(self.line(self, self.stem(pictures)).flatten(1))


def refusable(line: Line) -> Network:
    """A network of a line that is carried out while it is traced alone, whatever it makes of a batch."""
    network = Network(lambda n, m: m)
    network.line = lambda n, m: line(n, m).flatten(1)[:, :1].expand(-1, 192)
    return network


def tokens(m: torch.Tensor) -> torch.Tensor:
    """Maps as positions, (B, 48, 4)."""
    return m.flatten(2).transpose(1, 2)


def of_itself(n: Any, m: torch.Tensor, **settings: Any) -> tuple[torch.Tensor, torch.Tensor]:
    t = tokens(m)
    found: tuple[torch.Tensor, torch.Tensor] = n.first(t, t, t, **settings)
    return found


@contextmanager
def in_float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def check_each_picture(network: nn.Module, captured: CapturedModel, shape: tuple[int, int, int] = SHAPE) -> None:
    """A captured graph's logits, norms and clipped sums are those of the network, picture by picture in float64."""
    made = torch.Generator().manual_seed(7)
    pictures, labels = torch.randn(3, shape[2], *shape[:2], generator=made), torch.tensor([0, 2, 1])
    model = captured.build()
    with in_float64():
        network = network.double()
        with torch.no_grad():
            wanted = torch.cat([network(picture[None].double()) for picture in pictures])
        own = {name: place for place, (name, p) in enumerate(network.named_parameters()) if p.requires_grad}
        trained = [place for place, p in enumerate(network.parameters()) if p.requires_grad]
        gradients = each_alone(network, pictures.double(), labels)
    places = [trained.index(own[name]) for name, _ in model.named_parameters()]
    everyone = [[one[place] for place in places] for one in gradients]
    with torch.no_grad():
        found = model(pictures)
        assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    bound = sorted(map(norm_of, everyone))[1]  # above one picture's, below another's
    counted = torch.tensor([True, True, False])
    norms, sums = BookKeeping(model, bound).norms_and_sum(pictures, labels, counted)
    expected = clipped(everyone[:2], bound)
    assert distance(sums, expected) <= 1e-5 * norm_of(expected)
    for norm, alone in zip(norms.tolist()[:2], everyone[:2], strict=True):
        assert norm == pytest.approx(norm_of(alone), rel=1e-4)


def captured_and_left_as_it_is(line: Line) -> tuple[nn.Module, CapturedModel]:
    torch.manual_seed(3)
    network = Network(line)
    for module in network.modules():
        if isinstance(module, nn.Dropout | nn.MultiheadAttention):  # so that the oracle draws no random number
            module.p = module.dropout = 0.0
    return network, capture(network, image_shape=SHAPE, num_classes=4)
