"""Layers that cannot train privately, replaced before a network is captured; each replacement is told."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import torch
from torch import nn
from torch.nn.utils import parametrize

from datasites.training.models.layers import group_norm
from datasites.training.models.scattering_linear import ScatteringFeatures
from researcher.captures.composed.attention import PicturesFirst, can_be_pictures_first

_MOST_GROUPS = 32
_DROPPING = (nn.modules.dropout._DropoutNd,)
_DROPPING_NAMES = ("DropPath", "StochasticDepth", "DropBlock2d")


class NormThenActivation(nn.Module):
    """GroupNorm in place of a layer that is BatchNorm and activation in one, under the same parameters' names.

    Args:
        norm: What normalises.
        activation: What follows.
    """

    def __init__(self, norm: nn.GroupNorm, activation: nn.Module) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self._groups, self._eps = norm.num_groups, norm.eps
        self._activation = activation

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Of the shape of `value`, (B, C, ...)."""
        normed = nn.functional.group_norm(value, self._groups, self.weight, self.bias, self._eps)
        return cast(torch.Tensor, self._activation(normed))


def replace_layers(model: nn.Module, image_shape: tuple[int, int, int]) -> tuple[nn.Module, list[str]]:
    """Replaces BatchNorm by GroupNorm and scattering by its real numbers, and takes dropout out, in place.

    Args:
        model: A copy of the researcher's; changed.
        image_shape: (height, width, channels) in pixels, of what the network takes.

    Returns:
        The model, and what was done, for people.
    """
    kinds = Counter[str]()
    model, changed = _replaced(model, image_shape)
    kinds[changed] += 1
    for name, module in list(model.named_modules()):
        for own, child in list(module.named_children()):
            found, kind = _replaced(child, image_shape)
            kinds[kind] += 1
            if found is not child:
                setattr(model.get_submodule(name), own, found)
    weights = _in_real_numbers(model)
    many = "weight is" if weights == 1 else "weights are"
    parts = [f"{weights} complex {many} trained as real and imaginary parts."] if weights else []
    return model, [*_told(kinds), *parts]


class FromParts(nn.Module):
    """A complex weight by its real and imaginary parts, which are trained."""

    def forward(self, parts: torch.Tensor) -> torch.Tensor:
        """Of real numbers, (..., 2), complex ones, (...)."""
        return torch.view_as_complex(parts)

    def right_inverse(self, weight: torch.Tensor) -> tuple[torch.Tensor]:
        """The parts, (..., 2), of complex numbers."""
        return (torch.view_as_real(weight).contiguous(),)


def _in_real_numbers(model: nn.Module) -> int:
    """Complex weights as their parts, in place; how many."""
    count = 0
    for module in list(model.modules()):
        for name, weight in list(module.named_parameters(recurse=False)):
            if weight.is_complex() and weight.requires_grad:
                parametrize.register_parametrization(module, name, FromParts(), unsafe=True)
                count += 1
    return count


def _told(kinds: Counter[str]) -> list[str]:
    """What was done, for people.

    Args:
        kinds: How many modules of each kind of replacement; of dropout by the name of its class.
    """
    norms, fixed, scattering, own = (kinds.pop(kind, 0) for kind in ("norm", "fixed", "scattering", "own"))
    notes = []
    if norms:
        notes.append(
            f"{norms} BatchNorm {'layer was' if norms == 1 else 'layers were'} replaced by GroupNorm of at most "
            f"{_MOST_GROUPS} groups, since BatchNorm mixes the pictures of a batch. Scale and shift were kept; "
            "pretrained running statistics were not: pretrained weights are then only a better start than chance."
        )
    if scattering:
        notes.append("The scattering transform is written in real numbers: a graph has no complex ones.")
    if fixed:
        notes.append(
            f"{fixed} BatchNorm {'layer keeps its' if fixed == 1 else 'layers keep their'} running statistics as fixed "
            "numbers, as nothing of them is trained or they stay in eval mode: no picture meets another there."
        )
    if own:
        notes.append(
            f"{own} InstanceNorm {'layer keeps' if own == 1 else 'layers keep'} no running statistics: each picture is "
            "normalised by its own numbers, in use as in training."
        )
    kinds.pop("", None)
    for kind, count in kinds.items():
        layers = "layer" if count == 1 else "layers"
        notes.append(f"{count} {layers} of {kind} taken out: private training adds noise of its own.")
    return notes


def _replaced(module: nn.Module, image_shape: tuple[int, int, int]) -> tuple[nn.Module, str]:
    """What stands in a module's place, and which kind of replacement it is."""
    if isinstance(module, ScatteringFeatures):
        return module.in_real_numbers(image_shape), "scattering"
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return (module.eval(), "fixed") if _is_fixed(module) else (_norm(module), "norm")
    if isinstance(module, nn.modules.instancenorm._InstanceNorm) and module.training and module.track_running_stats:
        module.track_running_stats, module.num_batches_tracked = False, None
        module.running_mean = module.running_var = None
        return module, "own"
    if isinstance(module, nn.RNNBase):
        kind = "Dropout" if module.dropout else ""
        module.dropout = 0.0
        return module, kind
    if can_be_pictures_first(module):
        kind = "Dropout" if module.dropout else ""
        module.__class__, module.dropout = PicturesFirst, 0.0  # type: ignore[assignment]
        return module, kind
    if isinstance(module, _DROPPING):
        kind = type(module).__name__ if module.p else ""
        module.p = 0.0  # it stays, as some networks read its setting
        return module, kind
    if type(module).__name__ in _DROPPING_NAMES:
        return nn.Identity(), type(module).__name__
    return module, ""


def _is_fixed(norm: nn.modules.batchnorm._BatchNorm) -> bool:
    """Whether it normalises by statistics that no batch changes: it stays in eval mode, or trains nothing."""
    if norm.running_mean is None or norm.running_var is None:
        return False
    own = list(norm.parameters(recurse=False))
    return not norm.training or (bool(own) and not any(parameter.requires_grad for parameter in own))


def _norm(old: nn.modules.batchnorm._BatchNorm) -> nn.Module:
    norm = group_norm(old.num_features, _MOST_GROUPS)
    norm.eps = old.eps
    if old.affine:
        for new, own in ((norm.weight, old.weight), (norm.bias, old.bias)):
            with torch.no_grad():
                new.copy_(own)
    activation: Any = getattr(old, "act", None)
    return norm if activation is None else NormThenActivation(norm, activation)
