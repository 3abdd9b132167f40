"""The engines that a plan can name, and whether one can train a model. All keep `dp_sgd.ClippedGradients`' contract."""

from __future__ import annotations

import torch
from torch import nn

from datasites.training.book_keeping import BookKeeping
from datasites.training.dp_sgd.engine_contract import ClippedGradients, EngineFactory
from datasites.training.losses import Loss, summed_loss
from datasites.training.models import build_model
from datasites.training.pictures.reports import empty_inputs
from policies.plans.training import ModelSpec


def _opacus_hooks(model: nn.Module, max_grad_norm: float, loss: Loss = summed_loss) -> ClippedGradients:
    from datasites.training.dp_sgd.opacus_hooks import OpacusHooks  # late: Opacus takes as long to import as torch

    return OpacusHooks(model, max_grad_norm, loss)


ENGINES: dict[str, EngineFactory] = {"book_keeping": BookKeeping, "opacus": _opacus_hooks}
"""The engines by the names that a plan gives them."""


def check_trainable(spec: ModelSpec, engine: str) -> None:
    """Refuses a model that an engine cannot train. Reads no picture: model and inputs have shapes alone.

    Args:
        spec: The plan's model.
        engine: One of `ENGINES`.

    Raises:
        PlanError: The layer's name, why it has no per-picture gradient, and what to use instead; or as `build_model`.
    """
    with torch.device("meta"):
        model = build_model(spec).train()
    trainer = ENGINES[engine](model, 1.0)
    if isinstance(trainer, BookKeeping):
        trainer.check(empty_inputs(spec))
