"""Terms that a plan's strategy adds to each gradient at the hospital: after the noise, from what is public to the run.

No picture is read here, so it costs no privacy: FedProx's pull (Li et al., MLSys 2020), SCAFFOLD's correction
(Karimireddy et al., ICML 2020), and MR-MTL's pull to the mean of all hospitals' models (Liu et al., NeurIPS 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from policies.plans.server.server_spec import PERSONAL
from policies.plans.training import TrainingPlan


def strategy_terms(plan: TrainingPlan, model: nn.Module, beside: Mapping[str, np.ndarray]) -> Callable[[], None]:
    """Returns what adds the terms to the gradients that the model's parameters hold.

    FedProx: proximal_mu times the way from the weights that the round starts from. MR-MTL: mean_pull times the way from
    the mean that came in, in the first round from where it starts. SCAFFOLD: the correction that came in, as it is.

    Args:
        plan: Says which terms.
        model: On its device, with the round's global weights.
        beside: Name → float32 array of each parameter's shape, as the strategy sent them; empty where it sent none.
    """
    named = dict(model.named_parameters())
    parameters = list(named.values())
    came = [torch.from_numpy(np.array(beside[name])).to(p.device) for name, p in named.items()] if beside else []
    personal = plan.server.strategy in PERSONAL
    pull, terms = (plan.server.mean_pull, []) if personal else (plan.proximal_mu, came)
    origins = came if personal else []
    if pull and not origins:
        origins = [p.detach().clone() for p in parameters]

    def add() -> None:
        for parameter, origin in zip(parameters, origins, strict=False):
            if parameter.grad is not None:
                parameter.grad.add_(parameter.detach() - origin, alpha=pull)
        for parameter, term in zip(parameters, terms, strict=False):
            if parameter.grad is not None:
                parameter.grad.add_(term)

    return add
