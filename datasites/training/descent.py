"""The optimiser of a round's steps: descent along gradients that are noised already, or of a plan without privacy.

On a processor it is a class of its own. torch's optimisers import the half of torch that compiles programs when they
are made, which takes as long as torch itself, and what they do around a step takes longer than the step of a small
model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict, cast

import torch
from torch import nn

from datasites.training.dp_sgd.loader import Loader
from datasites.training.dp_sgd.noise import NoisyOptimizer
from datasites.training.gpu.step import Recorder
from policies.plans.training import PrivacySpec, TrainingPlan


class _Group(TypedDict):
    """Parameters, and the learning rate of their next step."""

    params: list[nn.Parameter]
    lr: float


class Descent:
    """Stochastic gradient descent with momentum and weight decay: to the last bit what `torch.optim.SGD` does.

    Args:
        parameters: Whose `grad` is followed; one without is left as it is.
        lr: Learning rate, which may be changed in `param_groups`.
        momentum: Share of the last step's direction that is kept.
        weight_decay: Share of the weights that is added to their gradients.
    """

    def __init__(self, parameters: list[nn.Parameter], *, lr: float, momentum: float, weight_decay: float) -> None:
        self.param_groups: list[_Group] = [{"params": parameters, "lr": lr}]
        self._momentum, self._weight_decay = momentum, weight_decay
        self._directions: dict[torch.Tensor, torch.Tensor] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Takes one step."""
        (group,) = self.param_groups
        parameters: list[torch.Tensor] = [parameter for parameter in group["params"] if parameter.grad is not None]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not parameters:
            return
        if self._weight_decay:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=self._weight_decay))
        if self._momentum:
            gradients = self._directions_from(parameters, gradients)
        torch._foreach_add_(parameters, gradients, alpha=-group["lr"])

    def _directions_from(self, parameters: list[torch.Tensor], gradients: list[torch.Tensor]) -> list[torch.Tensor]:
        """This step's directions, of which the next step's are made."""
        for parameter, gradient in zip(parameters, gradients, strict=True):
            kept = self._directions.get(parameter)
            if kept is None:
                self._directions[parameter] = gradient.clone()
            else:
                kept.mul_(self._momentum).add_(gradient)
        return [self._directions[parameter] for parameter in parameters]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients, or makes zeros of them."""
        for parameter in self.param_groups[0]["params"]:
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()


def descent_of(plan: TrainingPlan, model: nn.Module, device: str) -> torch.optim.Optimizer:
    """Returns what takes the steps; on a GPU in one launch, with a rate in its memory, so that a step can be recorded.

    Args:
        plan: Says how.
        model: On its device.
        device: As torch names it.
    """
    rate, momentum, decay = plan.learning_rate, plan.momentum, plan.weight_decay
    if not device.startswith("cuda"):
        own = Descent(list(model.parameters()), lr=rate, momentum=momentum, weight_decay=decay)
        return cast(torch.optim.Optimizer, own)  # all that is asked of one is what it has
    lr = torch.tensor(rate, device=device)
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum, weight_decay=decay, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Gives an optimiser of `descent_of` the learning rate of its next step."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def with_noise(
    optimizer: torch.optim.Optimizer,
    privacy: PrivacySpec,
    load: Loader,
    *,
    after_noise: Callable[[], None],
    recorder: Recorder | None,
) -> NoisyOptimizer:
    """Returns what takes private steps with the noise that a plan says, scaled by what is public.

    Args:
        optimizer: From `descent_of`.
        privacy: The plan's.
        load: Reads the hospital's pictures; has the plan, their public size, and where noise comes from.
        after_noise: As `NoisyOptimizer`.
        recorder: Likewise.
    """
    return NoisyOptimizer(
        optimizer,
        noise_multiplier=privacy.noise_multiplier,
        max_grad_norm=privacy.max_grad_norm,
        expected_batch=load.plan.sample_rate * load.pictures.public_size,
        random=load.random,
        after_noise=after_noise,
        recorder=recorder,
    )
