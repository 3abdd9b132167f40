"""What no rule allows, or cannot be taken as a graph at all, is refused with its line and what to use instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.captures import SHAPE, Line, Network, of_itself
from torch import nn
from torch.nn.utils import parametrizations

from policies.errors import GraphError
from researcher.captures.capture import capture

HERE = "captures.py:"  # the line that calls the one that is refused


REFUSED: dict[str, tuple[Line, str]] = {
    "another precision": (lambda n, m: with_autocast(m), "another precision"),
    "bytes": (lambda n, m: m * m.to(torch.uint8), "whole numbers of others"),
    "numbers of the batch size": (lambda n, m: m + m.new_full((m.shape[0], 1, 1, 1), m.shape[0]), "batch size"),
    "numbers of the batch size, of nothing": (lambda n, m: m + torch.full((m.shape[0], 1, 1, 1), m.shape[0]), "rows"),
    "other rows for each picture": (
        lambda n, m: m + torch.arange(m.shape[0])[:, None, None, None] * 1.0,
        "numbers the pictures",
    ),
    "random rows": (lambda n, m: m * m.new_empty(m.shape[0], 1, 1, 1).bernoulli_(0.5), "something else fills"),
    "a mask for each picture": (
        lambda n, m: of_itself(n, m, key_padding_mask=m[:, 0].flatten(1) > 0)[0],
        "same for all",
    ),
    "a diagonal": (lambda n, m: torch.einsum("bchh->bc", m[..., :6, :]), "different letters"),
    "products of all pictures": (
        lambda n, m: torch.einsum("bchw,achw->ba", m, m)[:, :1],
        "batch size in another way|every picture of the other",
    ),
    "a sum over pictures": (
        lambda n, m: m + torch.einsum("bchw,kc->khw", m, n.matrix.t()[:4])[None, :4],
        "sums over the pictures",
    ),
    "einsum of sums over pictures": (lambda n, m: m + torch.einsum("bchw->chw", m), "sums over the pictures"),
    "windows over pictures": (lambda n, m: m.unfold(0, 2, 1)[..., 0], "works over the pictures|cannot be traced"),
    "differences of pictures": (lambda n, m: m + m.diff(dim=0).mean(), "works over the pictures|cannot be traced"),
    "a border of pictures": (
        lambda n, m: F.pad(m.flatten(1).t()[None], (1, 1), mode="circular")[0, :, 2:].t(),
        "batch size in another way",
    ),
    "a gate of pictures": (lambda n, m: F.glu(torch.cat([m, m]), dim=0), "batch size|pictures"),
    "compared over pictures": (lambda n, m: m * F.cosine_similarity(m, m.flip(3), dim=0), "over the pictures"),
    "the greatest of pictures": (lambda n, m: m - m.max(dim=0)[0], "reduces over axis 0"),
    "a triangle of pictures": (lambda n, m: m.permute(1, 2, 0, 3).triu().permute(2, 0, 1, 3), "some of the pictures"),
    "channels of pictures shuffled": (
        lambda n, m: F.channel_shuffle(m.transpose(0, 1), 2).transpose(0, 1),
        "works over the pictures|cannot be traced|cannot compute 3 pictures",
    ),
    "transforms over pictures": (lambda n, m: torch.fft.fft(m, dim=0).abs(), "transforms over the pictures"),
    "transforms over all axes": (lambda n, m: torch.fft.fftn(m).abs(), "transforms over the pictures"),
    "moved round with pictures": (lambda n, m: torch.fft.fftshift(m), "moves the pictures of a batch round"),
    "complex tangents": (lambda n, m: torch.fft.fft(m).tanh().abs(), "compute the rest of their real and imaginary"),
    "complex numbers of other precision": (lambda n, m: m * m.to(torch.complex128).real.float(), "complex128"),
    "the middle of what is a number": (lambda n, m: m.flatten(2).nanmedian(-1)[0], "Use sort, topk, median"),
    "picked over pictures": (lambda n, m: m + m[[0, 1], [1, 0]].mean(), "over the pictures"),
}


def with_autocast(m: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return (m @ m.transpose(2, 3)).float()


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_rule_allows_is_refused_with_its_line_and_a_way_out(name: str) -> None:
    line, why = REFUSED[name]
    with pytest.raises(GraphError, match=why) as refused:
        capture(Network(line), image_shape=SHAPE, num_classes=4)
    assert HERE in refused.value.public, refused.value.public


class Steps(nn.Module):
    """The rows of a picture's first channel, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.LSTM(SHAPE[1], 4)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.steps(pictures[:, 0])[0][:, -1]


class Distances(nn.Module):
    """Logits by the distance to each class's prototype; the network is called something else than usual."""

    def __init__(self) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(torch.randn(4, 144))

    def forward(me, pictures: torch.Tensor) -> torch.Tensor:
        self, of = me, pictures.flatten(1)
        return -torch.cdist(of, of + self.prototypes.mean(0))[:, :4]


class Returning(nn.Module):
    """A network that gives its logits within something.

    Args:
        within: Puts them there.
    """

    def __init__(self, within: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.head, self.within = nn.Linear(144, 4), within

    def forward(self, pictures: torch.Tensor) -> Any:
        return self.within(self.head(pictures.flatten(1)))


@pytest.mark.parametrize(
    ("within", "told"),
    [
        (lambda y: {"out": y, "aux": y}, "returns a dictionary of out, aux"),
        (lambda y: (y,), "returns 1 tensors? in a tuple"),
        (lambda y: (y, y), "returns 2 tensors in a tuple"),
    ],
)
def test_a_network_that_returns_anything_but_logits_is_refused(
    within: Callable[[torch.Tensor], Any], told: str
) -> None:
    with pytest.raises(GraphError, match=f"return one tensor.* {told}"):
        capture(Returning(within), image_shape=SHAPE, num_classes=4)


UNFIT = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 4))


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (UNFIT, r"cannot compute 3 pictures of \d+x\d+x3 at layer 3 \(Linear\) \(RuntimeError: mat1 and mat2 shapes"),
        (Network(lambda n, m: m.reshape(8, -1)), r"cannot compute 3 pictures .* m\.reshape\(8, -1\)|captures\.py:\d+"),
        (Network(lambda n, m: m if m.sum() > 0 else -m), "traced .* where what is done depends on the numbers"),
        (Steps(), r"other way for some numbers of pictures\..* Layer 'steps' takes .* batch_first=True"),
        (Distances(), r"torch\.cdist\(of, of .* some numbers of pictures; distances from picture to picture let them"),
        (nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten()), r"Layer '0' \(LazyConv2d\) does not know its size"),
        (
            nn.Sequential(parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)), nn.Flatten()),
            r"Layer '0' is under spectral_norm.*\.weight_norm",
        ),
        (nn.Sequential(nn.utils.spectral_norm(nn.Conv2d(3, 4, 3)), nn.Flatten()), "Layer '0' is under spectral_norm"),
        (Network(lambda n, m: m[torch.randperm(m.shape[0])]), r"^torch's randperm at .*draws random numbers"),
    ],
)
def test_what_stops_a_network_is_told_in_words_and_torch_prints_nothing(
    network: nn.Module, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GraphError, match=told):
        capture(network, image_shape=SHAPE, num_classes=4)
    assert capfd.readouterr() == ("", "")


def test_an_attention_that_takes_the_pictures_for_positions_is_told_what_is_forgotten() -> None:
    class Forgotten(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(SHAPE[1], 1)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            rows = pictures[:, 0]
            return self.attention(rows, rows, rows)[0].mean(dim=1)[:, :4]

    with pytest.raises(GraphError, match=r"shape \(.*B, B\) for B pictures, .* with batch_first=True\."):
        capture(Forgotten(), image_shape=SHAPE, num_classes=4)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`:FutureWarning")
def test_a_network_that_cannot_be_copied_is_refused_with_what_to_use_instead() -> None:
    network = nn.Sequential(nn.Flatten(), nn.utils.weight_norm(nn.Linear(144, 4)))
    with pytest.raises(GraphError, match=r"parametrizations\.weight_norm"):
        capture(network, image_shape=SHAPE, num_classes=4)
    captured = capture(
        nn.Sequential(nn.Flatten(), parametrizations.weight_norm(nn.Linear(144, 4))), image_shape=SHAPE, num_classes=4
    )
    assert len(captured.graph.parameters) == 3


@pytest.mark.parametrize("name", ["_values", "_cuts"])
def test_a_name_that_the_interpreter_keeps_for_itself_is_refused_at_capture_and_not_at_a_hospital(name: str) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(144, 4)
            self.register_parameter(name, nn.Parameter(torch.ones(4)))

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return self.head(pictures.flatten(1)) * getattr(self, name)

    with pytest.raises(GraphError, match=f"Parameter '{name}' has a name .* Rename it in the model"):
        capture(Scaled(), image_shape=SHAPE, num_classes=4)
