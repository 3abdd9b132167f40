"""Pieces that several models share, each sound for gradients that are clipped picture by picture."""

from __future__ import annotations

import math

from torch import nn


def group_norm(channels: int, most: int) -> nn.GroupNorm:
    """GroupNorm (Wu and He, ECCV 2018), which stands where a library's model has BatchNorm.

    The number of groups is the greatest common divisor of `channels` and `most`, so it always divides the
    channels; half of it where that would make every channel a group, whose value on a map of one pixel is lost.
    """
    groups = math.gcd(channels, most)
    return nn.GroupNorm(groups if groups < channels else max(1, channels // 2), channels)


def keep_inputs(model: nn.Module) -> nn.Module:
    """Returns the model with every activation made to leave its input as it is, which Opacus' hooks still need."""
    for module in model.modules():
        if hasattr(module, "inplace"):
            setattr(module, "inplace", False)  # noqa: B010 - a module's attributes have no types
    return model


def with_first_convolution(old: nn.Conv2d, channels: int, *, small: bool) -> nn.Conv2d:
    """A first convolution for pictures of so many channels, which keeps their size if `small`."""
    if channels == old.in_channels and not small:
        return old
    return nn.Conv2d(
        channels,
        old.out_channels,
        kernel_size=3 if small else old.kernel_size[0],
        stride=1 if small else old.stride[0],
        padding=1 if small else int(old.padding[0]),
        bias=old.bias is not None,
    )
