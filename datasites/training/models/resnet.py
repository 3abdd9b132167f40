"""ResNet (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016) of timm with GroupNorm.

Public code; nothing private passes.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.models import resnet
from torch import nn

from datasites.training.models.layers import group_norm, keep_inputs, with_first_convolution
from datasites.training.models.options import check_size, has_small_stem
from policies.plans.model_options import options_of
from policies.plans.training import ModelSpec

_GROUPS = 32  # as in Wu and He's ResNets, whose public weights therefore fit


def resnet18(spec: ModelSpec) -> nn.Module:
    """11.2 M parameters at width 64. Options: width (64), stem (`auto`, `standard`, `small`)."""
    return _resnet(spec, _BasicOutOfPlace, (2, 2, 2, 2))


def resnet50(spec: ModelSpec) -> nn.Module:
    """23.5 M parameters at width 64. Options: width (64), stem (`auto`, `standard`, `small`)."""
    return _resnet(spec, _BottleneckOutOfPlace, (3, 4, 6, 3))


def _resnet(spec: ModelSpec, block: Any, repeats: tuple[int, ...]) -> nn.Module:
    """`width` is the first stage's; the small stem is a 3 x 3 convolution at stride 1, without pooling."""
    options = options_of(spec)
    width = options["width"]
    check_size(spec, low=28, high=512)
    model: Any = resnet.ResNet(
        block,
        repeats,
        num_classes=spec.num_classes,
        in_chans=spec.image_shape[2],
        channels=(width, 2 * width, 4 * width, 8 * width),
        norm_layer=_norm,
        zero_init_last=False,
    )
    if has_small_stem(spec, options["stem"]):
        model.conv1 = with_first_convolution(model.conv1, spec.image_shape[2], small=True)
        model.maxpool = nn.Identity()
    return keep_inputs(model)


def _norm(channels: int, **ignored: Any) -> nn.GroupNorm:
    return group_norm(channels, _GROUPS)


class _BasicOutOfPlace(resnet.BasicBlock):
    """timm's block, whose own addition writes into the output that Opacus' hooks still need."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.act1(self.bn1(self.conv1(x)))
        return self.act2(self.bn2(self.conv2(x)) + shortcut)


class _BottleneckOutOfPlace(resnet.Bottleneck):
    """Likewise."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.act1(self.bn1(self.conv1(x)))
        x = self.act2(self.bn2(self.conv2(x)))
        return self.act3(self.bn3(self.conv3(x)) + shortcut)
