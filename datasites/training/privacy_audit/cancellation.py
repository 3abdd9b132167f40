"""Layers whose terms cancel: a picture's gradient is then far shorter than what it is summed from.

Norms of sums that are never written out lose such a gradient to rounding, and a gradient that seems short leaves
unclipped. The layers stand alone between drawn inputs and a frozen head, at drawn scales.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from datasites.training.privacy_audit.subject import Subject

_WIDTH = 64
_POSITIONS = 4
_WORDS = 16
_CASES = 12  # for each kind of layer
_SMALLEST_PART = (-7.0, -2.0)  # powers of ten: how much of the terms is left of their sum
_SHARE_OF_BOUND = 1e-3  # the bound over the length of a typical gradient, so that all are clipped


class _Alternating(nn.Module):
    """Logits from a layer's outputs at each position, added with signs that take turns.

    Args:
        layer: The only one that is trained.
        words: Whether it is given whole numbers.
    """

    def __init__(self, layer: nn.Module, *, words: bool = False) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(_WIDTH, 2, bias=False).requires_grad_(False)
        self._words = words

    def forward(self, inputs: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Returns logits, (B, 2), of values, (B, width, positions, 1), and weights of positions, (B, positions)."""
        values, weights = inputs
        if self._words:
            outputs = self.layer(torch.zeros_like(weights, dtype=torch.int64))
        elif isinstance(self.layer, nn.Linear):
            outputs = self.layer(values[..., 0].transpose(1, 2))
        else:
            outputs = self.layer(values)[..., 0].transpose(1, 2)
        logits: torch.Tensor = self.head((outputs * weights[..., None]).sum(dim=1))
        return logits


def _layers() -> Iterator[tuple[nn.Module, bool]]:
    yield nn.Linear(_WIDTH, _WIDTH, bias=False), False
    yield nn.Conv2d(_WIDTH, _WIDTH, kernel_size=(1, 1), bias=False), False
    yield nn.Conv2d(_WIDTH, _WIDTH, kernel_size=(3, 3), padding=1, bias=False), False
    yield nn.Embedding(_WORDS, _WIDTH), True


def cancelling_parts(subject: Subject) -> Iterator[float]:
    """How much of the bound one picture takes up, for each of many drawn cases; more than 1 breaks it.

    Args:
        subject: Whose engine is looked at.
    """
    drawn = np.random.default_rng(subject.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(drawn.integers(2**31)))
        for layer, words in _layers():
            model = _Alternating(layer, words=words).to(subject.torch_device).train()
            for left in 10 ** drawn.uniform(*_SMALLEST_PART, _CASES):
                yield _part(subject, model, float(left))


def _part(subject: Subject, model: _Alternating, left: float) -> float:
    """The length of one picture's clipped gradient over the bound."""
    same = torch.randn(1, _WIDTH, 1, 1).expand(1, _WIDTH, _POSITIONS, 1)
    values = same + left * torch.randn(1, _WIDTH, _POSITIONS, 1)
    signs = torch.tensor([1.0, -1.0]).repeat(_POSITIONS // 2)
    weights = signs * (1 + left * torch.randn(_POSITIONS)) if model._words else signs
    inputs = (values.to(subject.torch_device), weights[None].to(subject.torch_device))
    bound = _SHARE_OF_BOUND * left
    engine = subject.engine_factory()(copy.deepcopy(model), bound)
    found = engine.clipped_sum(inputs, torch.zeros(1, dtype=torch.int64, device=subject.torch_device))
    return float(torch.cat([total.detach().flatten() for total in found]).to(torch.float64).norm()) / bound
