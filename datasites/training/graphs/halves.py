"""Means over two by two pixels, quicker than torch's kernel for a processor, which visits pixels one by one."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, cast

import torch


def halved(pictures: torch.Tensor) -> torch.Tensor | None:
    """Returns means of two by two pixels, to the last bit torch's, in a third to two thirds of its time.

    Whole lines are added.

    Args:
        pictures: (B, C, H, W).

    Returns:
        (B, C, H / 2, W / 2); None where nothing is trained, on another device, in another precision, with channels side
        by side, or of an uneven size: torch's own kernel is for these.
    """
    with unwatched():
        even = torch.is_grad_enabled() and is_plain(pictures) and not any(size % 2 for size in pictures.shape[2:])
        return cast(torch.Tensor, _Halved.apply(pictures)) if even else None


def unwatched() -> AbstractContextManager[object]:
    """What is done without parameters, in several small steps, is shown to nobody who follows what they are used for.

    To be shown each step costs more than the step of a small model.
    """
    return torch._C.DisableTorchFunction()


def is_plain(pictures: torch.Tensor) -> bool:
    """Whether maps are numbers of a processor, float32, (B, C, H, W), line by line; not a stand-in without numbers."""
    of_processor = type(pictures) is torch.Tensor and pictures.device.type == "cpu"
    return of_processor and pictures.dtype == torch.float32 and pictures.dim() == 4 and pictures.is_contiguous()


class _Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pictures: torch.Tensor) -> torch.Tensor:
        ctx.shape = pictures.shape
        *first, height, width = pictures.shape
        upper, lower = pictures.view(-1, height // 2, 2, width // 2, 2).unbind(2)
        (a, b), (c, d) = upper.unbind(3), lower.unbind(3)
        # In the order in which torch's kernel adds; a quarter is exact.
        return torch.add(a, b).add_(c).add_(d).mul_(0.25).view(*first, height // 2, width // 2)

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> torch.Tensor:
        height, width = ctx.shape[2:]
        lines = (grad_output * 0.25).reshape(-1, height // 2, 1, width // 2, 1).expand(-1, -1, -1, -1, 2)
        doubled = lines.reshape(-1, height // 2, 1, width).expand(-1, -1, 2, -1)
        return doubled.reshape(ctx.shape)
