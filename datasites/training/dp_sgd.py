"""Differentially private gradients by Opacus' hooks. Sums that are clipped but not yet noised stay in the
process.

DP-SGD of Abadi et al. ("Deep Learning with Differential Privacy", CCS 2016), in two parts that meet in
`local_round`: an engine turns pictures into the sum of their clipped gradients, and `NoisyOptimizer` (in
`noise.py`) turns a sum into a step. Engines are interchangeable: all pass the same contract tests.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Protocol, cast

import torch
import torch.nn.functional as F  # noqa: N812
from opacus import GradSampleModule
from opacus.grad_sample.conv import compute_conv_grad_sample
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


class OpacusHooks:
    """The reference engine: Opacus stores each picture's gradient, then they are clipped and summed.

    Args:
        model: In train mode, without buffers; its weights are read, its `grad` left None.
        max_grad_norm: L2 bound C.
    """

    def __init__(self, model: nn.Module, max_grad_norm: float) -> None:
        self._hooked = _PerPictureGradients(model, loss_reduction="sum")
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._max_grad_norm = max_grad_norm

    def clipped_sum(self, images: Inputs, labels: torch.Tensor) -> list[torch.Tensor]:
        """See `ClippedGradients.clipped_sum`."""
        if len(labels) == 0:
            return [torch.zeros_like(p) for p in self._parameters]
        gradients = self._per_picture(images, labels)
        norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients], dim=1).norm(dim=1)
        factors, broken = clipping_factors(norms, self._max_grad_norm)
        sums = []
        for gradient in gradients:
            gradient[broken] = 0.0  # a factor of 0 is not enough: 0 times NaN is NaN
            sums.append(torch.einsum("b,b...->...", factors, gradient))
        return sums

    def _per_picture(self, images: Inputs, labels: torch.Tensor) -> list[torch.Tensor]:
        """Each parameter's gradient by picture, float32, (B, *shape). Leaves no gradient on the model."""
        self._clear()
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Full backward hook is firing", category=UserWarning)
                logits = self._hooked(_contiguous(images))
                views = len(logits) // len(labels)
                (F.cross_entropy(logits.float(), labels.repeat(views), reduction="sum") / views).backward()
            found = [p.__dict__["grad_sample"].to(torch.float32) for p in self._parameters]
            return [g.view(views, len(labels), *g.shape[1:]).sum(0) for g in found] if views > 1 else found
        finally:
            self._clear()

    def _clear(self) -> None:
        """Forgets everything that a forward or backward pass left, also one that was interrupted."""
        for module in self._hooked.modules():
            module.__dict__.pop("activations", None)
            module.__dict__.pop("max_batch_len", None)
        for parameter in self._parameters:
            parameter.grad = None
            parameter.__dict__.pop("_current_grad_sample", None)
            parameter.__dict__.update(grad_sample=None, _forward_counter=0)  # Opacus' own marks


def _contiguous(images: Inputs) -> Inputs:
    """Opacus' rules read memory as if it were in the usual order."""
    return tuple(part.contiguous() for part in images) if isinstance(images, tuple) else images.contiguous()


def _convolution_gradients(
    layer: nn.Conv2d, activations: list[torch.Tensor], backprops: torch.Tensor
) -> dict[torch.Tensor, torch.Tensor]:
    """Per-picture gradients of a 2d convolution: right for every memory format, and cheap for groups.

    Opacus' own reads strides as if inputs were contiguous, and builds the product of all pairs of groups
    before it keeps the diagonal.
    """
    inputs, backprops = activations[0].contiguous(), backprops.contiguous()
    if layer.groups == 1:
        return compute_conv_grad_sample(layer, [inputs], backprops)
    pictures, groups = len(inputs), layer.groups
    padding = cast(tuple[int, ...], layer.padding)
    columns = F.unfold(inputs, layer.kernel_size, layer.dilation, padding, layer.stride)
    columns = columns.reshape(pictures, groups, -1, columns.shape[-1])
    outgoing = backprops.reshape(pictures, groups, -1, columns.shape[-1])
    gradients: dict[torch.Tensor, torch.Tensor] = {}
    if layer.weight.requires_grad:
        weight = torch.einsum("ngop,ngip->ngoi", outgoing, columns)
        gradients[layer.weight] = weight.reshape(pictures, *layer.weight.shape)
    if layer.bias is not None and layer.bias.requires_grad:
        gradients[layer.bias] = backprops.sum(dim=(2, 3))
    return gradients


class _PerPictureGradients(GradSampleModule):
    """Opacus' hooks, with its rule for convolutions replaced here and nowhere else in the process."""

    GRAD_SAMPLERS = {**GradSampleModule.GRAD_SAMPLERS, nn.Conv2d: _convolution_gradients}  # noqa: RUF012
