"""The whole of a model as one torch module: pixels in, probabilities out. Released weights alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from datasites.training.losses import probabilities
from datasites.training.models import build_model, load_weights
from datasites.training.models.public.backbone import load_backbone
from datasites.training.models.resizing import Resizing
from datasites.training.models.scattering_linear import ScatteringFeatures
from datasites.training.models.vision_transformer import VisionTransformer
from datasites.training.pictures.data import DEEP_UNIT, PIXEL_UNIT, PIXEL_ZERO
from policies.errors import ExportRefused
from policies.plans.features import NORMALISATIONS, FeatureSpec
from policies.plans.model_spec import ModelSpec
from policies.plans.tokeniser import text_form

Backbone = Mapping[str, torch.Tensor]
_EPSILON = 1e-12  # of the norm over a picture's features, as `features_of` takes it


class WholeModel(nn.Module):
    """A trained model with all that comes before and after it.

    Args:
        spec: The model.
        weights: Its parameters, float32, each of its parameter's shape.
        bits: Of each value of a picture, 8 or 16.
        backbone: The public weights that a features model's pictures go through; None of every other model.

    Raises:
        ExportRefused: A features model without its backbone's weights.
        InputRefused: The weights are not the model's, or the backbone's not its own.
    """

    def __init__(
        self, spec: ModelSpec, weights: Mapping[str, np.ndarray], *, bits: int = 8, backbone: Backbone | None = None
    ) -> None:
        super().__init__()
        model = build_model(spec)
        load_weights(model, weights)
        self._model = _for_graphs(model, spec)
        self._white, self._label_kind = float(2**bits - 1), spec.label_kind
        self._deep = bits == 16
        reads = FeatureSpec.of(spec)
        self._backbone: nn.Module | None = None
        if reads is not None:
            if backbone is None:
                raise ExportRefused(
                    f"The model reads features of {reads.backbone!r}, which becomes a part of the exported one. Give "
                    "its public weights: --backbone_weights."
                )
            self._backbone = _Features(reads, backbone, spec.image_shape)
        self._takes_reports = text_form(spec) is not None
        self.eval().requires_grad_(False)

    def forward(self, pictures: torch.Tensor, tokens: torch.Tensor | None = None) -> torch.Tensor:
        """Returns probabilities, float32, (B, K).

        Args:
            pictures: uint8 or uint16, (B, H, W, C).
            tokens: int64, (B, length), where the model takes reports.
        """
        values = pictures.permute(0, 3, 1, 2).to(torch.float32)
        if self._backbone is not None:
            inputs: Any = self._backbone(values / self._white)
        else:
            inputs = ((values / DEEP_UNIT if self._deep else values) - PIXEL_ZERO) / PIXEL_UNIT
        return probabilities(self._model((inputs, tokens) if self._takes_reports else inputs), self._label_kind)


class _Features(nn.Module):
    """A frozen public backbone, with how pictures come to it and features leave it, as `features_of` has them."""

    def __init__(self, spec: FeatureSpec, arrays: Backbone, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self._network = load_backbone(spec, arrays)
        if spec.backbone.startswith("vit_"):
            _resize_positions(self._network, spec.input_size)
        self._resize = Resizing(image_shape[:2], (spec.input_size, spec.input_size))
        self._times, self._width = 3 // image_shape[2], spec.width
        mean, std = (torch.tensor(values)[:, None, None] for values in NORMALISATIONS[spec.normalisation])
        self.register_buffer("_mean", mean)
        self.register_buffer("_std", std)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Returns float32, (B, width, 1, 1), from float32 in [0, 1], (B, C, H, W)."""
        colours = torch.cat([pictures] * self._times, dim=1)
        taken = (self._resize(colours) - self.get_buffer("_mean")) / self.get_buffer("_std")
        found = F.layer_norm(self._network(taken), (self._width,), eps=_EPSILON)
        return found.reshape(-1, self._width, 1, 1)


class _Transformer(nn.Module):
    """`VisionTransformer` for any number of pictures: its table of positions is added, not looked up for each."""

    def __init__(self, model: VisionTransformer) -> None:
        super().__init__()
        self._model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns logits, float32, (B, K), from float32, (B, C, H, W)."""
        model = self._model
        patches = model.patches(F.pad(images, model.padding)).flatten(2).transpose(1, 2)
        tokens = F.pad(patches, (0, 0, 1, 0)) + model.positions.weight[None]
        return model.head(model.norm(model.blocks(tokens))[:, 0])


def _for_graphs(model: nn.Module, spec: ModelSpec) -> nn.Module:
    """The same model without what a graph cannot hold: complex numbers, and a number of pictures that is known."""
    for name, module in list(model.named_modules()):
        other: nn.Module
        if isinstance(module, ScatteringFeatures):
            other = module.in_real_numbers(spec.image_shape)
        elif isinstance(module, VisionTransformer):
            other = _Transformer(module)
        else:
            continue
        if not name:
            return other
        model.set_submodule(name, other)
    return model


def _resize_positions(network: Any, size: int) -> None:
    """Brings a public transformer's positions to its pictures' size once, instead of at every call."""
    from timm.layers import resample_abs_pos_embed

    side = size // network.patch_embed.patch_size[0]
    grid = math.isqrt(network.pos_embed.shape[1] - network.num_prefix_tokens)
    if side != grid:
        table = resample_abs_pos_embed(network.pos_embed, [side, side], num_prefix_tokens=network.num_prefix_tokens)
        network.pos_embed = nn.Parameter(table, requires_grad=False)
