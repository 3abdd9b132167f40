"""What every engine of private gradients keeps to. Sums that are clipped but not yet noised stay in the process.

DP-SGD of Abadi et al. ("Deep Learning with Differential Privacy", CCS 2016), in two parts that meet in
`local_round`: an engine turns pictures into the sum of their clipped gradients, and `NoisyOptimizer` (in
`noise.py`) turns a sum into a step. Engines are interchangeable: all pass the same contract tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn

# The bound must hold in float32 as it does in exact arithmetic, so gradients are clipped to a little less.
CLIP_MARGIN = 1e-3


Inputs = torch.Tensor | tuple[torch.Tensor, ...]


class ClippedGradients(Protocol):
    """An engine: the sum of clipped per-picture gradients over one physical batch."""

    def clipped_sum(self, images: Inputs, labels: torch.Tensor) -> list[torch.Tensor]:
        """Returns the sum over the pictures of each one's gradient, clipped over all parameters together.

        Guarantees:
            One picture more or less moves the result by at most `max_grad_norm` in L2 norm, whatever the
            picture, the weights, the memory format and the other pictures. A picture whose gradient is not
            finite contributes nothing. No pictures give zeros. Nothing is left behind for the next call.

        Args:
            images: float32, (B, C, H, W); or a tuple of such inputs, where the model takes one. With V views of each
                picture, (V * B, C, H, W): all pictures in one view, then all in the next. A picture's gradient is
                then the mean over its views.
            labels: int64, (B,).

        Returns:
            float32, one tensor for each parameter that is trained, in the order of `model.parameters()`.
        """


def clipping_factors(norms: torch.Tensor, max_grad_norm: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns by how much each picture's gradient is multiplied, and which gradients are not finite.

    Guarantees:
        A gradient of length `norms` times its factor is at most `max_grad_norm * (1 - CLIP_MARGIN)` long; the factor of
        one that is not finite is 0.

    Args:
        norms: float32, (B,), each picture's gradient norm over all parameters.
        max_grad_norm: L2 bound C.

    Returns:
        (float, (B,); bool, (B,)).
    """
    bound = max_grad_norm * (1 - CLIP_MARGIN)
    broken = ~torch.isfinite(norms)
    return (bound / norms.clamp(min=bound)).masked_fill(broken, 0.0), broken


EngineFactory = Callable[[nn.Module, float], ClippedGradients]


def takes_the_batchs_statistics(layer: nn.Module) -> bool:
    """Whether a picture's output depends on the other pictures, also where the layer has nothing to train."""
    is_batch_norm = isinstance(layer, nn.modules.batchnorm._BatchNorm)
    return is_batch_norm and (layer.training or layer.running_mean is None)
