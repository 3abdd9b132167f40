"""A vision transformer (Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021) of timm's blocks.

Public code; nothing private passes.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from timm.models.vision_transformer import Block
from torch import nn

from datasites.training.models.options import check_size
from policies.plans.model_options import options_of
from policies.plans.training import ModelSpec

_HEAD_WIDTH = 64
_INITIAL_SPREAD = 0.02


def vit_small(spec: ModelSpec) -> nn.Module:
    """ViT-S: 21.5 M parameters at depth 12 and width 384.

    Options: patch_size (0: follows from the picture's longer side: 4 up to 32 pixels, 8 up to 128, else 16),
    depth (12; blocks), width (384; one attention head for 64).
    """
    options = options_of(spec)
    check_size(spec, low=28, high=512)
    return VisionTransformer(
        spec,
        patch_size=options["patch_size"] or patch_size_for(spec.image_shape),
        depth=options["depth"],
        width=options["width"],
    )


def patch_size_for(image_shape: tuple[int, int, int]) -> int:
    """Side of a patch in pixels, which gives 49 to 256 patches for square pictures of 28 to 256 pixels."""
    longer = max(image_shape[:2])
    return 4 if longer <= 32 else 8 if longer <= 128 else 16


class VisionTransformer(nn.Module):
    """timm's ViT with a class token, in layers that every engine knows: no parameter stands outside of one.

    Class token and position embedding are the rows of one table. Row 0 is the class token with its position,
    which timm keeps as two vectors that only ever occur as their sum.

    Args:
        spec: Picture shape and classes.
        patch_size: Side of a patch in pixels. Pictures are padded with zeros, right and below, to whole patches.
        depth: Number of blocks.
        width: Length of a token.
    """

    def __init__(self, spec: ModelSpec, *, patch_size: int, depth: int, width: int) -> None:
        super().__init__()
        height, breadth, channels = spec.image_shape
        self.grid = (math.ceil(height / patch_size), math.ceil(breadth / patch_size))
        self.padding = (0, self.grid[1] * patch_size - breadth, 0, self.grid[0] * patch_size - height)
        norm: Any = partial(nn.LayerNorm, eps=1e-6)
        self.patches = nn.Conv2d(channels, width, kernel_size=patch_size, stride=patch_size)
        self.positions = nn.Embedding(1 + self.grid[0] * self.grid[1], width)
        self.blocks = nn.Sequential(
            *(Block(width, width // _HEAD_WIDTH, qkv_bias=True, norm_layer=norm) for _ in range(depth))
        )
        self.norm = norm(width)
        self.head = nn.Linear(width, spec.num_classes)
        self.apply(_initialise)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Float32, (B, num_classes), from float32, (B, C, H, W)."""
        patches = self.patches(F.pad(images, self.padding)).flatten(2).transpose(1, 2)
        places = torch.arange(self.positions.num_embeddings, device=images.device)
        tokens = F.pad(patches, (0, 0, 1, 0)) + self.positions(places.expand(images.shape[0], -1))
        return self.head(self.norm(self.blocks(tokens))[:, 0])


def _initialise(module: nn.Module) -> None:
    """timm's: small numbers everywhere but in the convolution and the norms."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.trunc_normal_(module.weight, std=_INITIAL_SPREAD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
