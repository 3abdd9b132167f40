"""Pieces that several models share, each sound for gradients that are clipped picture by picture."""

from __future__ import annotations

import math

import torch
from torch import nn

from datasites.training.graphs.halves import halved, is_plain, unwatched


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


class HalvingPool(nn.AvgPool2d):
    """Means over squares of two by two pixels, to the last bit torch's, in a third to two thirds of its time.

    Where nothing is trained, on another device, in another precision or with channels side by side, it is torch's.
    """

    def __init__(self) -> None:
        super().__init__(2)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, C, H / 2, W / 2), rounded down."""
        found = halved(input) if self.training else None
        return super().forward(input) if found is None else found


class PoolTo(nn.AdaptiveAvgPool2d):
    """torch's pool to a square of so many pixels; on maps twice as high and wide by its quicker kernel of halves."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._twice = (2 * size, 2 * size)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, C, *output_size)."""
        with unwatched():
            twice = self.training and is_plain(input) and input.shape[2:] == self._twice
        if twice:
            return nn.functional.avg_pool2d(input, 2)
        return super().forward(input)
