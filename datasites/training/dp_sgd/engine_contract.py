"""The contract of all engines of private gradients. Sums that are clipped, not yet noised, stay in the process.

DP-SGD of Abadi et al. ("Deep Learning with Differential Privacy", CCS 2016), in two parts that meet in
`local_round`: an engine turns pictures into the sum of their clipped gradients, and `NoisyOptimizer` (in
`noise.py`) turns a sum into a step. Engines are interchangeable: all pass the same contract tests.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from datasites.training.losses import Loss, summed_loss

# The bound must hold in floating point as it does in exact arithmetic, so gradients are clipped to a little less. What
# it covers is in docs/explanation-floating-point.md.
CLIP_MARGIN = 2.0**-8
# A gradient that is longer than the bound by more than the inverse of this counts as not finite: float32 cannot hold
# smaller factors to their last place.
_LEAST_FACTOR = 2.0**-100

Inputs = torch.Tensor | tuple[torch.Tensor, ...]


class ClippedGradients(Protocol):
    """An engine: the sum of clipped per-picture gradients over one physical batch."""

    def clipped_sum(
        self, images: Inputs, labels: torch.Tensor, counted: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """Returns the sum over the pictures of each one's gradient, clipped over all parameters together.

        Guarantees:
            One place that is counted or not moves the result by at most `max_grad_norm` in L2 norm, whatever the
            picture, the weights, the memory format and the other places. A picture whose gradient is not finite,
            or longer than 2^100 times the bound, contributes nothing, and neither does a place that is not counted,
            whatever stands there. No pictures give zeros. Nothing is left behind for the next call. Which functions
            are called does not hang on what the pictures hold.

        Args:
            images: float32, (B, C, H, W); or a tuple of such inputs, where the model takes one. With V views of each
                picture, (V * B, C, H, W): all pictures in one view, then all in the next. A picture's gradient is
                then the mean over its views.
            labels: int64, (B,), classes, or int8, (B, K), findings, as `losses.summed_loss` takes them; or of V * B
                rows, where `counted` says what B is.
            counted: bool, (B,), which places hold a picture that counts; None: all.

        Returns:
            float64, or float32 where that holds the same number, so that whoever adds to it makes it float64 before;
            one tensor for each parameter that is trained, in the order of `model.parameters()`.
        """

    def norms_and_sum(
        self, images: Inputs, labels: torch.Tensor, counted: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Returns what `norms` and `clipped_sum` do, bit by bit, from one pass.

        Args:
            images: As `clipped_sum` takes them.
            labels: Likewise.
            counted: Likewise; norms are of all pictures.

        Returns:
            Norms, float64, (B,), and the sums, as `clipped_sum` returns them.
        """

    def norms(self, images: Inputs, labels: torch.Tensor, views: int = 1) -> torch.Tensor:
        """Returns each picture's gradient norm over all parameters, as this engine measures it before it clips.

        Args:
            images: As `clipped_sum` takes them.
            labels: As `clipped_sum` takes them.
            views: V.

        Returns:
            float64, (B,).
        """


def clipping_factors(norms: torch.Tensor, max_grad_norm: float, counted: torch.Tensor | None = None) -> torch.Tensor:
    """Returns by how much each picture's gradient is multiplied.

    Guarantees:
        A gradient of length `norms` times its factor is at most `max_grad_norm * (1 - CLIP_MARGIN)` long. The factor is
        0 for a place that is not counted, and for a gradient that is not finite or longer than 2^100 times that.

    Args:
        norms: float64, (B,), each picture's gradient norm over all parameters.
        max_grad_norm: L2 bound C.
        counted: bool, (B,), which places count; None: all.

    Returns:
        float64, (B,).
    """
    bound = max_grad_norm * (1 - CLIP_MARGIN)
    factors = bound / norms.clamp(min=bound)
    usable = factors >= _LEAST_FACTOR  # which NaN is not
    return torch.where(usable if counted is None else usable & counted, factors, 0.0)


def pictures_and_views(images: Inputs, labels: torch.Tensor, counted: torch.Tensor | None) -> tuple[int, int]:
    """Returns B and V of a batch that `ClippedGradients.clipped_sum` is given.

    Args:
        images: (V * B, ...), or a tuple of such.
        labels: One row for each picture, or for each row of `images`.
        counted: (B,), or None.
    """
    pictures = len(labels if counted is None else counted)
    rows = len(images[0] if isinstance(images, tuple) else images)
    return pictures, rows // max(1, pictures)


def for_each_row(labels: torch.Tensor, pictures: int, views: int) -> torch.Tensor:
    """The labels of each row of a batch, (V * B,) or (V * B, K)."""
    return labels if len(labels) == pictures * views else labels.repeat(views, *[1] * (labels.dim() - 1))


class EngineFactory(Protocol):
    """Makes an engine."""

    def __call__(self, model: nn.Module, max_grad_norm: float, loss: Loss = summed_loss, /) -> ClippedGradients:
        """Returns an engine.

        Args:
            model: In train mode.
            max_grad_norm: L2 bound C.
            loss: Whose gradients are clipped; that of a plan that names none by default.
        """


def takes_the_batchs_statistics(layer: nn.Module) -> bool:
    """Whether a picture's output depends on the other pictures, also where the layer has nothing to train."""
    is_batch_norm = isinstance(layer, nn.modules.batchnorm._BatchNorm)
    return is_batch_norm and (layer.training or layer.running_mean is None)
