"""The step that makes a sum of gradients private: its result may leave the hospital, its input may not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from datasites.training.dp_sgd.opacus_optimizer import DPOptimizerFastGradientClipping
from datasites.training.gpu.step import Recorder
from datasites.training.randomness.device_noise import DeviceKey
from datasites.training.randomness.gaussian import key_on, noised_together, step_of
from datasites.training.randomness.noise_kernel import noise_kernel
from datasites.training.randomness.randomness import SecureRandom


class NoisyOptimizer(DPOptimizerFastGradientClipping):
    """Opacus' optimiser for sums that are clipped already, with noise from the hospital's own generator.

    Momentum, weight decay and FedProx's pull come after the noise, so they cost no privacy.

    Guarantees:
        A step's gradient is (sum + N(0, (noise_multiplier * max_grad_norm)^2)) / expected_batch, with fresh
        noise on every parameter in every step, also when the batch was empty. `expected_batch` is public:
        the true batch size never enters. What was recorded gives NaN where it is launched without a fresh key.
    """

    NAME = "the noisy step"

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        noise_multiplier: float,
        max_grad_norm: float,
        expected_batch: float,
        random: SecureRandom,
        after_noise: Callable[[], None],
        recorder: Recorder | None = None,
    ) -> None:
        """Wraps `optimizer`.

        Args:
            optimizer: Takes the step; fresh in each round.
            noise_multiplier: Standard deviation of the noise over `max_grad_norm`.
            max_grad_norm: L2 bound C of what one unit adds to the sum.
            expected_batch: L = q times the public size, in pictures.
            random: Where the noise comes from.
            after_noise: Called between the noise and the step; may change each parameter's `grad`.
            recorder: Where noise and step are launched as one from the second step on, as long as sums lie in the same
                memory; None: they are called.
        """
        settings: dict[str, Any] = {"expected_batch_size": expected_batch, "loss_reduction": "mean"}
        super().__init__(optimizer, noise_multiplier=noise_multiplier, max_grad_norm=max_grad_norm, **settings)
        self._random = random
        self._recorder = recorder
        self._key: DeviceKey | None = None
        self._recorded: tuple[Sequence[torch.Tensor], Callable[[], None] | None] | None = None
        self.attach_step_hook(lambda _: after_noise())

    def step_with(self, sums: Sequence[torch.Tensor]) -> None:
        """Adds noise to the sums of a whole logical batch and takes one step.

        Until the noise is on it, a sum never lies in a parameter's `grad`, where another optimiser would
        find it.

        Args:
            sums: One of each parameter's shape, in order, clipped by an engine; float64 keeps the sum exact.
        """
        if self._recorder is None:
            self._take(sums)
            return
        if self._key is None:
            self._key = self._made_key(self._recorder)
        self._key.renew(self._random.noise(self._spread), step_of(self._spread))
        if self._recorded is None or self._recorded[0] is not sums:
            self._take(sums)  # the first step makes the optimiser's state
            self._recorded = sums, None
            return
        launch = self._recorded[1] or self._recorder.record(self.NAME, partial(self._take, sums))
        self._recorded = sums, launch
        launch()

    def _made_key(self, recorder: Recorder) -> DeviceKey:
        device = self.params[0].device
        why_not = noise_kernel(device).why_not
        if why_not is not None:
            recorder.is_slower("the noise", why_not)
        return key_on(device)

    def _take(self, sums: Sequence[torch.Tensor]) -> None:
        self.zero_grad(set_to_none=True)
        for parameter, clipped in zip(self.params, sums, strict=True):
            parameter.summed_grad = clipped
        self.step()
        self.zero_grad(set_to_none=True)

    def accumulate(self) -> None:
        """Does nothing: `step_with` is given whole sums, and Opacus' method would read them from `grad`."""

    def add_noise(self) -> None:
        """Replaces Opacus' noise, which anyone who seeds torch's global generator can predict."""
        sums = [parameter.__dict__["summed_grad"] for parameter in self.params]
        for parameter, part in zip(self.params, self._noised(sums), strict=True):
            parameter.grad = part if part.dtype == parameter.dtype else part.to(parameter.dtype)

    def _noised(self, sums: list[torch.Tensor]) -> list[torch.Tensor]:
        if self._key is None:
            return noised_together(sums, self._spread, self._random)
        together = torch.cat([one.reshape(-1) for one in sums])
        out = torch.empty_like(together, dtype=torch.float32)
        self._key.add(together, out)
        parts = out.split([one.numel() for one in sums])
        return [part.view(one.shape) for one, part in zip(sums, parts, strict=True)]

    def scale_grad(self) -> None:
        """Divides all gradients by the public batch, in one call; Opacus' method calls once for each."""
        torch._foreach_div_([parameter.grad for parameter in self.params], self.expected_batch_size)

    @property
    def _spread(self) -> float:
        return float(self.noise_multiplier * self.max_grad_norm)
