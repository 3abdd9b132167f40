"""What the book-keeping rules of norms and affines add to float32's own error: next to nothing, beside plain autograd.

A network of many norms can be ill-conditioned: its forward pass in float32 is then far from that in float64 before any
rule is asked. So the rules are held against plain autograd through the same forward pass, and both against float64.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from support.clipping_oracle import distance, norm_of
from torch import nn

from datasites.training.book_keeping import BookKeeping

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
        assert (1 - 1e-6) * norm_of(gradient) <= norm <= (1 + 1e-5) * norm_of(gradient)  # it errs upwards
    own, its = (distance(found, added_up(exact)) / norm_of(added_up(exact)) for found in (sums, added_up(plain)))
    assert own <= 1.1 * its + 1e-7


def test_what_float32_makes_of_many_norms_is_seen_and_is_not_the_rules() -> None:
    model = network(30.0)
    pictures, labels = torch.randn(PICTURES, 3, 32, 32), torch.arange(PICTURES) % 4
    plain = added_up(through_one_forward(model, pictures, labels))
    exact = added_up(through_one_forward(model.double(), pictures.double(), labels))
    assert distance(plain, exact) > 1e-6 * norm_of(exact)  # an order above float32's last place
