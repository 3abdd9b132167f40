"""The step that makes a sum of gradients private: its result may leave the hospital, its input may not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from opacus.optimizers import DPOptimizerFastGradientClipping

from datasites.training.randomness.gaussian import noised
from datasites.training.randomness.randomness import SecureRandom

_TOGETHER = {"cpu": 1 << 16, "cuda": 1 << 23}  # numbers that get their noise at once


class NoisyOptimizer(DPOptimizerFastGradientClipping):
    """Opacus' optimiser for sums that are clipped already, with noise from the hospital's own generator.

    Momentum, weight decay and FedProx's pull come after the noise, so they cost no privacy.

    Guarantees:
        A step's gradient is (sum + N(0, (noise_multiplier * max_grad_norm)^2)) / expected_batch, with fresh
        noise on every parameter in every step, also when the batch was empty. `expected_batch` is public:
        the true batch size never enters.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        noise_multiplier: float,
        max_grad_norm: float,
        expected_batch: float,
        random: SecureRandom,
        after_noise: Callable[[], None],
    ) -> None:
        """Wraps `optimizer`.

        Args:
            optimizer: Takes the step; fresh in each round.
            noise_multiplier: Standard deviation of the noise over `max_grad_norm`.
            max_grad_norm: L2 bound C of what one unit adds to the sum.
            expected_batch: L = q times the public size, in pictures.
            random: Where the noise comes from.
            after_noise: Called between the noise and the step; may change each parameter's `grad`.
        """
        settings: dict[str, Any] = {"expected_batch_size": expected_batch, "loss_reduction": "mean"}
        super().__init__(optimizer, noise_multiplier=noise_multiplier, max_grad_norm=max_grad_norm, **settings)
        self._random = random
        self.attach_step_hook(lambda _: after_noise())

    def step_with(self, sums: Sequence[torch.Tensor]) -> None:
        """Adds noise to the sums of a whole logical batch and takes one step.

        Until the noise is on it, a sum never lies in a parameter's `grad`, where another optimiser would
        find it.

        Args:
            sums: One of each parameter's shape, in order, clipped by an engine; float64 keeps the sum exact.
        """
        self.zero_grad(set_to_none=True)
        for parameter, clipped in zip(self.params, sums, strict=True):
            parameter.summed_grad = clipped
        self.step()
        self.zero_grad(set_to_none=True)

    def accumulate(self) -> None:
        """Does nothing: `step_with` is given whole sums, and Opacus' method would read them from `grad`."""

    def add_noise(self) -> None:
        """Replaces Opacus' noise, which anyone who seeds torch's global generator can predict."""
        spread = self.noise_multiplier * self.max_grad_norm
        for group in _grouped(self.params):
            sums = [parameter.__dict__["summed_grad"].reshape(-1) for parameter in group]
            together = torch.cat(sums) if len(sums) > 1 else sums[0]
            parts = noised(together, spread, self._random).split([len(part) for part in sums])
            for parameter, part in zip(group, parts, strict=True):
                parameter.grad = part.view(parameter.shape).to(parameter.dtype)


def _grouped(parameters: list[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    """Neighbours of one device that are small: noise for a thousand numbers takes hardly less time than for many."""
    group: list[torch.nn.Parameter] = []
    for parameter in parameters:
        enough = _TOGETHER.get(parameter.device.type, 1)
        if group and (sum(p.numel() for p in group) >= enough or parameter.device != group[0].device):
            yield group
            group = []
        group.append(parameter)
    if group:
        yield group
