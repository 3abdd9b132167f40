"""Faults that real implementations have had, to show that the audit finds them. No plan and no setting
reaches them.

They enter `train_round` only through the arguments that the audit passes, and are the same on a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn

from datasites.training.dp_sgd.engine_contract import EngineFactory, Inputs, for_each_row, pictures_and_views
from datasites.training.losses import Loss, summed_loss
from datasites.training.randomness.randomness import Noise, SecureRandom
from policies import validate

FAULTS = (
    "noise_off",
    "half_noise",
    "short_noise",
    "noise_over_batch",
    "reseed",
    "no_clip",
    "batch_clip",
    "double_bound",
    "double_rate",
)

_SHARES = {"noise_off": 0.0, "half_noise": 0.5, "short_noise": 0.95}


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
    if broken in _SHARES or broken == "noise_over_batch":
        return _WrongNoise(random, share=_SHARES.get(broken, 1 / batch)), engine
    if broken == "reseed":
        return _WrongNoise(random, source=lambda: SecureRandom.for_tests(0)), engine
    if broken == "double_rate":
        return _WrongRate(random), engine
    if broken == "double_bound":
        return random, lambda model, bound, loss=summed_loss: engine(model, 2 * bound, loss)
    return random, partial(_WrongClipping, clip_mean=broken == "batch_clip")


class _WrongNoise(SecureRandom):
    """Draws the sample soundly, and noise from `source`, of a share of the spread asked for."""

    def __init__(
        self, sound: SecureRandom, *, share: float = 1.0, source: Callable[[], SecureRandom] | None = None
    ) -> None:
        self._sound, self._share, self._source = sound, share, source or (lambda: sound)

    def uniform(self, count: int) -> np.ndarray:
        return self._sound.uniform(count)

    def noise(self, spread: float) -> Noise:
        return self._source().noise(spread * self._share)


class _WrongRate(SecureRandom):
    """Draws each unit twice as often."""

    def __init__(self, sound: SecureRandom) -> None:
        self._sound = sound

    def uniform(self, count: int) -> np.ndarray:
        return self._sound.uniform(count)

    def bernoulli(self, probability: float, count: int) -> np.ndarray:
        return self._sound.bernoulli(min(1.0, 2 * probability), count)

    def noise(self, spread: float) -> Noise:
        return self._sound.noise(spread)


class _WrongClipping:
    """Sums raw gradients, or clips the mean of the batch in place of each picture's gradient."""

    def __init__(self, model: nn.Module, max_grad_norm: float, loss: Loss = summed_loss, *, clip_mean: bool) -> None:
        self._loss = loss
        self._model, self._bound, self._clip_mean = model, max_grad_norm, clip_mean
        self._parameters = [p for p in model.parameters() if p.requires_grad]

    def clipped_sum(
        self, images: Inputs, labels: torch.Tensor, counted: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """The sum over the batch, wrongly clipped."""
        pictures, views = pictures_and_views(images, labels, counted)
        logits, rows = self._model(images), for_each_row(labels, pictures, views)
        if counted is not None:
            logits, rows = (part[counted.repeat(views)] for part in (logits, rows))
        loss = self._loss(logits, rows) / views
        sums = [gradient.to(torch.float64) for gradient in torch.autograd.grad(loss, self._parameters)]
        if not self._clip_mean:
            return sums
        mean_norm = math.sqrt(sum(float(s.square().sum()) for s in sums)) / pictures
        return [s * min(1.0, self._bound / mean_norm) if mean_norm else s for s in sums]

    def norms_and_sum(
        self, images: Inputs, labels: torch.Tensor, counted: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Zeros, and the sum over the batch, wrongly clipped."""
        pictures, _ = pictures_and_views(images, labels, counted)
        return torch.zeros(pictures, dtype=torch.float64), self.clipped_sum(images, labels, counted)

    def norms(self, images: Inputs, labels: torch.Tensor, views: int = 1) -> torch.Tensor:
        """Zeros: nothing is measured here."""
        return torch.zeros(len(labels) // views, dtype=torch.float64)
