"""EfficientNet-Lite of timm with GroupNorm: EfficientNet (Tan and Le, ICML 2019) without squeeze-and-excitation.

Public code; nothing private passes.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Any

from timm.models import efficientnet
from torch import nn

from datasites.training.models.layers import group_norm, keep_inputs, with_first_convolution
from datasites.training.models.options import check_size, has_small_stem
from policies.plans.model_options import options_of
from policies.plans.training import ModelSpec

_GROUPS = 8  # divides every layer's channels, at every width
# Repeats, kernel size, stride, expansion and channels of each stage, in timm's notation.
_STAGES = (
    "ds_r1_k3_s1_e1_c16",
    "ir_r2_k3_s2_e6_c24",
    "ir_r2_k5_s2_e6_c40",
    "ir_r3_k3_s2_e6_c80",
    "ir_r3_k5_s1_e6_c112",
    "ir_r4_k5_s2_e6_c192",
    "ir_r1_k3_s1_e6_c320",
)


def efficientnet_lite0(spec: ModelSpec) -> nn.Module:
    """3.4 M parameters at width 1. Options: width (1.0), stem (`auto`, `standard`, `small`)."""
    options = options_of(spec)
    check_size(spec, low=28, high=512)
    model = efficientnet.EfficientNet(
        efficientnet.decode_arch_def([[stage] for stage in _STAGES]),
        num_classes=spec.num_classes,
        in_chans=spec.image_shape[2],
        fix_stem=True,
        round_chs_fn=partial(efficientnet.round_channels, multiplier=options["width"]),
        act_layer=nn.ReLU6,
        norm_layer=_norm_then_activation,
    )
    model.classifier.reset_parameters()  # timm's grows with fewer classes: logits of a spread of 5 for five
    small = has_small_stem(spec, options["stem"])
    model.conv_stem = with_first_convolution(model.conv_stem, spec.image_shape[2], small=small)
    return keep_inputs(model)


def _norm_then_activation(channels: int, apply_act: bool = True, **ignored: Any) -> nn.Module:
    """What timm's blocks take for normalisation and activation in one, as two layers that engines know."""
    activation = nn.ReLU6() if apply_act else nn.Identity()
    return nn.Sequential(OrderedDict(norm=group_norm(channels, _GROUPS), activation=activation))
