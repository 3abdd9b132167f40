"""MobileNetV3 (Howard et al., "Searching for MobileNetV3", ICCV 2019) of torchvision with GroupNorm.

Public code; nothing private passes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torchvision.models import mobilenetv3

from datasites.training.models.layers import group_norm, keep_inputs, with_first_convolution
from datasites.training.models.options import check_size, has_small_stem
from policies.plans.model_options import options_of
from policies.plans.training import ModelSpec

_GROUPS = 8  # divides every layer's channels, at every width


def mobilenet_v3_small(spec: ModelSpec) -> nn.Module:
    """1.5 M parameters at width 1. Options: width (1.0), stem (`auto`, `standard`, `small`)."""
    return _mobilenet_v3(spec, mobilenetv3.mobilenet_v3_small)


def mobilenet_v3_large(spec: ModelSpec) -> nn.Module:
    """4.2 M parameters at width 1. Options: width (1.0), stem (`auto`, `standard`, `small`)."""
    return _mobilenet_v3(spec, mobilenetv3.mobilenet_v3_large)


def _mobilenet_v3(spec: ModelSpec, library: Callable[..., mobilenetv3.MobileNetV3]) -> nn.Module:
    options = options_of(spec)
    check_size(spec, low=28, high=512)
    model = library(
        weights=None,
        width_mult=options["width"],
        num_classes=spec.num_classes,
        block=_ResidualOutOfPlace,
        norm_layer=partial(group_norm, most=_GROUPS),
        dropout=0.0,
    )
    model.classifier[2] = nn.Identity()  # the dropout
    small = has_small_stem(spec, options["stem"])
    model.features[0][0] = with_first_convolution(model.features[0][0], spec.image_shape[2], small=small)
    return keep_inputs(model)


class _ResidualOutOfPlace(mobilenetv3.InvertedResidual):
    """torchvision's block, whose own addition writes into the output that Opacus' hooks still need."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        result = self.block(input)
        return input + result if self.use_res_connect else result
