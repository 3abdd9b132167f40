"""Antialiased resizing as two matrices, for graphs of other programs: the same numbers as torch's own. Public code."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


class Resizing(nn.Module):
    """Brings pictures of one size to another, bilinear and antialiased where they become smaller.

    Args:
        before: (height, width) of what comes in.
        after: Of what comes out.
    """

    def __init__(self, before: tuple[int, int], after: tuple[int, int]) -> None:
        super().__init__()
        self._is_needed = before != after
        for name, old, new in zip(("_down", "_right"), before, after, strict=True):
            self.register_buffer(name, _matrix(old, new))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Returns float32, (B, C, *after), from float32, (B, C, *before)."""
        if not self._is_needed:
            return pictures
        return self.get_buffer("_down") @ pictures @ self.get_buffer("_right").T


def _matrix(before: int, after: int) -> torch.Tensor:
    """(after, before): what each new row takes of each old one."""
    units = torch.eye(before)[None, None]
    size = (after, before)
    return F.interpolate(units, size=size, mode="bilinear", antialias=True, align_corners=False)[0, 0]
