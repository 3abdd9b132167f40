"""Faults that real implementations have had, to show that the audit finds them. No plan and no setting
reaches them.

They enter `train_round` only through the arguments that the audit passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from datasites.training.dp_sgd import EngineFactory, Inputs
from datasites.training.randomness import SecureRandom
from policies import validate

FAULTS = ("noise_off", "half_noise", "noise_over_batch", "no_clip", "batch_clip", "reseed")

_Change = Callable[[SecureRandom, tuple[int, ...]], np.ndarray]


def with_fault(
    broken: str, random: SecureRandom, engine: EngineFactory, *, batch: float
) -> tuple[SecureRandom, EngineFactory]:
    """Returns a generator and an engine of which one has the fault.

    Args:
        broken: One of `FAULTS`.
        random: The sound generator.
        engine: The sound engine.
        batch: Expected batch size, by which `noise_over_batch` wrongly divides the noise.

    Raises:
        PlanError: An unknown fault.
    """
    validate.choice("broken", broken, FAULTS)
    changes: dict[str, _Change] = {
        "noise_off": lambda sound, shape: np.zeros(shape),
        "half_noise": lambda sound, shape: sound.normal(shape) / 2,
        "noise_over_batch": lambda sound, shape: sound.normal(shape) / batch,
        "reseed": lambda sound, shape: SecureRandom.for_tests(0).normal(shape),
    }
    if broken in changes:
        return _WrongNoise(random, changes[broken]), engine
    return random, lambda model, bound: _WrongClipping(model, bound, clip_mean=broken == "batch_clip")


class _WrongNoise(SecureRandom):
    """Draws the sample soundly and the noise as `change` says."""

    def __init__(self, sound: SecureRandom, change: _Change) -> None:
        self._sound, self._change = sound, change

    def uniform(self, count: int) -> np.ndarray:
        return self._sound.uniform(count)

    def normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return self._change(self._sound, shape)


class _WrongClipping:
    """Sums raw gradients, or clips the mean of the batch in place of each picture's gradient."""

    def __init__(self, model: nn.Module, max_grad_norm: float, *, clip_mean: bool) -> None:
        self._model, self._bound, self._clip_mean = model, max_grad_norm, clip_mean

    def clipped_sum(
        self, images: Inputs, labels: torch.Tensor, counted: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """The sum over the batch, wrongly clipped."""
        losses = F.cross_entropy(self._model(images), labels, reduction="none")
        loss = losses.sum() if counted is None else losses[counted].sum()
        found = torch.autograd.grad(loss, list(self._model.parameters()))
        sums = [gradient.to(torch.float64) for gradient in found]
        if not self._clip_mean:
            return sums
        mean_norm = math.sqrt(sum(float(s.square().sum()) for s in sums)) / len(labels)
        return [s * min(1.0, self._bound / mean_norm) for s in sums]

    def norms(self, images: Inputs, labels: torch.Tensor, views: int = 1) -> torch.Tensor:
        """Nothing is measured here."""
        return torch.zeros(len(labels) // views, dtype=torch.float64)
