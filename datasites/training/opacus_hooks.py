"""The reference engine: per-picture gradients by Opacus' hooks. They stay in the process, as their sums do."""

from __future__ import annotations

import warnings
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from opacus import GradSampleModule
from opacus.grad_sample.conv import compute_conv_grad_sample
from opacus.validators import ModuleValidator
from torch import nn

from datasites.training.dp_sgd import Inputs, clipping_factors, takes_the_batchs_statistics
from policies.errors import PlanError


class OpacusHooks:
    """The reference engine: Opacus stores each picture's gradient, then they are clipped and summed.

    Args:
        model: In train mode, without buffers; its weights are read, its `grad` left None.
        max_grad_norm: L2 bound C.

    Raises:
        PlanError: A layer that Opacus does not train, with its name and what Opacus says of it.
    """

    def __init__(self, model: nn.Module, max_grad_norm: float) -> None:
        _check_layers(model)
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


def _check_layers(model: nn.Module) -> None:
    """Asks Opacus' own validator, layer by layer, and refuses what would take the batch's statistics."""
    for name, module in model.named_modules():
        found = ModuleValidator.VALIDATORS.get(type(module), lambda layer: [])(module)
        if found or takes_the_batchs_statistics(module):
            why = found[0] if found else "It mixes the pictures of a batch. Use GroupNorm in its place."
            raise PlanError(f"Layer {name!r} ({type(module).__name__}) cannot be trained by engine 'opacus': {why}")


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
