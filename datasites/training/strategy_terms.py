"""Terms that a plan's strategy adds to each gradient at the hospital: after the noise, from what is public to the run.

No picture is read here, so it costs no privacy: FedProx's pull (Li et al., MLSys 2020) and SCAFFOLD's correction
(Karimireddy et al., ICML 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from policies.plans.training import TrainingPlan


def strategy_terms(plan: TrainingPlan, model: nn.Module, beside: Mapping[str, np.ndarray]) -> Callable[[], None]:
    """Returns what adds the terms to the gradients that the model's parameters hold.

    FedProx: mu times the way from the round's global weights. SCAFFOLD: the correction that came in, as it is.

    Args:
        plan: Says which terms.
        model: On its device, with the round's global weights.
        beside: Name → float32 array of each parameter's shape, as the strategy sent them; empty where it sent none.
    """
    named = dict(model.named_parameters())
    start = [p.detach().clone() for p in named.values()] if plan.proximal_mu else []
    own = [torch.from_numpy(np.array(beside[name])).to(p.device) for name, p in named.items()] if beside else []
    parameters = list(named.values())

    def add() -> None:
        for parameter, origin in zip(parameters, start, strict=False):
            if parameter.grad is not None:
                parameter.grad.add_(parameter.detach() - origin, alpha=plan.proximal_mu)
        for parameter, term in zip(parameters, own, strict=False):
            if parameter.grad is not None:
                parameter.grad.add_(term)

    return add
