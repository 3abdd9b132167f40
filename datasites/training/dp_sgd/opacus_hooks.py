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

from datasites.training.dp_sgd.engine_contract import (
    Inputs,
    clipping_factors,
    for_each_row,
    pictures_and_views,
    takes_the_batchs_statistics,
)
from datasites.training.dp_sgd.weighted_sums import full_precision, square_norms, weighted_sum
from datasites.training.losses import Loss, summed_loss
from policies.errors import PlanError


class OpacusHooks:
    """The reference engine: Opacus stores each picture's gradient, then they are clipped and summed.

    Args:
        model: In train mode, without buffers; its weights are read, its `grad` left None.
        max_grad_norm: L2 bound C.
        loss: Of the plan.

    Raises:
        PlanError: A layer that Opacus does not train, with its name and what Opacus says of it.
    """

    def __init__(self, model: nn.Module, max_grad_norm: float, loss: Loss = summed_loss) -> None:
        _check_layers(model)
        self._loss = loss
        self._hooked = _PerPictureGradients(model, loss_reduction="sum")
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._max_grad_norm = max_grad_norm

    def clipped_sum(
        self, images: Inputs, labels: torch.Tensor, counted: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """See `ClippedGradients.clipped_sum`."""
        return self.norms_and_sum(images, labels, counted)[1]

    def norms_and_sum(
        self, images: Inputs, labels: torch.Tensor, counted: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """See `ClippedGradients.norms_and_sum`."""
        gradients = self._per_picture(images, labels, *pictures_and_views(images, labels, counted))
        norms = _norms(gradients)
        factors = clipping_factors(norms, self._max_grad_norm, counted)
        with full_precision(labels.device.type):
            return norms, [weighted_sum(gradient, factors) for gradient in gradients]

    def norms(self, images: Inputs, labels: torch.Tensor, views: int = 1) -> torch.Tensor:
        """See `ClippedGradients.norms`."""
        rows = len(images[0] if isinstance(images, tuple) else images)
        return _norms(self._per_picture(images, labels, rows // views, views))

    def _per_picture(self, images: Inputs, labels: torch.Tensor, pictures: int, views: int) -> list[torch.Tensor]:
        """Each parameter's gradient by picture, float32, (B, *shape). Leaves no gradient on the model."""
        if pictures == 0:
            return [torch.zeros(0, *p.shape, device=p.device) for p in self._parameters]
        self._clear()
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Full backward hook is firing", category=UserWarning)
                logits = self._hooked(_contiguous(images))
                (self._loss(logits, for_each_row(labels, pictures, views)) / views).backward()
            found = [p.__dict__["grad_sample"].to(torch.float32) for p in self._parameters]
            return [g.view(views, pictures, *g.shape[1:]).sum(0) for g in found] if views > 1 else found
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


def _norms(gradients: list[torch.Tensor]) -> torch.Tensor:
    """Each picture's gradient norm over all parameters, float64, (B,)."""
    return torch.stack([square_norms(gradient) for gradient in gradients]).sum(0).sqrt()


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
    grad_output = backprops.reshape(pictures, groups, -1, columns.shape[-1])
    gradients: dict[torch.Tensor, torch.Tensor] = {}
    if layer.weight.requires_grad:
        weight = torch.einsum("ngop,ngip->ngoi", grad_output, columns)
        gradients[layer.weight] = weight.reshape(pictures, *layer.weight.shape)
    if layer.bias is not None and layer.bias.requires_grad:
        gradients[layer.bias] = backprops.sum(dim=(2, 3))
    return gradients


class _PerPictureGradients(GradSampleModule):
    """Opacus' hooks, with its rule for convolutions replaced here and nowhere else in the process."""

    GRAD_SAMPLERS = {**GradSampleModule.GRAD_SAMPLERS, nn.Conv2d: _convolution_gradients}  # noqa: RUF012
