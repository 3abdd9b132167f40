"""The engines that a plan can name. All keep the contract of `dp_sgd.ClippedGradients`."""

from __future__ import annotations

from datasites.training.book_keeping import BookKeeping
from datasites.training.dp_sgd import EngineFactory, OpacusHooks

ENGINES: dict[str, EngineFactory] = {"book_keeping": BookKeeping, "opacus": OpacusHooks}
