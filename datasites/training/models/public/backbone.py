"""Frozen public networks that turn pictures into features. What they say of private pictures stays with these.

Their BatchNorm runs in evaluation mode, by the public statistics that came with the weights: no picture is mixed with
another, and nothing is learnt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from datasites.training.pictures.placed_batches import placed_batches
from policies.errors import InputRefused
from policies.plans.features import NORMALISATIONS, FeatureSpec

_SLOTS = 32


def load_backbone(spec: FeatureSpec, arrays: Mapping[str, torch.Tensor]) -> nn.Module:
    """Returns the network with its public weights, in evaluation mode, without its last layer.

    Args:
        spec: The backbone that the plan names.
        arrays: Name, as timm has it, → array of that parameter's shape.

    Raises:
        InputRefused: The weights are not the network's, or not finite.
    """
    network = bare_backbone(spec)
    head = f"{network.pretrained_cfg['classifier']}."
    kept = {name: array for name, array in arrays.items() if not name.startswith(head)}
    try:
        network.load_state_dict(kept)
    except RuntimeError as error:
        raise InputRefused(
            f"The weights with SHA-256 {spec.weights_sha256} are not those of {spec.backbone!r} as timm names them."
        ) from error
    if not all(torch.isfinite(array).all() for array in network.state_dict().values()):
        raise InputRefused(f"The weights of {spec.backbone!r} hold values that are not finite.")
    return network.eval().requires_grad_(False)


def bare_backbone(spec: FeatureSpec) -> Any:
    """The network without its last layer, with random weights; a vision transformer takes any whole number of patches.

    Raises:
        InputRefused: The network does not take pictures of `spec.input_size`.
    """
    import timm

    resizing: dict[str, Any] = {}
    if spec.backbone.startswith("vit_"):
        resizing = {"dynamic_img_size": True}
        if spec.input_size % 16:
            raise InputRefused(f"{spec.backbone!r} takes sizes of whole patches of 16 pixels, got {spec.input_size}.")
    return timm.create_model(spec.backbone, pretrained=False, num_classes=0, **resizing)


def features_of(
    network: nn.Module, spec: FeatureSpec, images: np.ndarray, *, device: str = "cpu"
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields indices of pictures with their features, float32, (B, width), each picture's with mean 0 and variance 1.

    Guarantees:
        A picture's features follow from its own bytes and the public network alone, to the last bit: batches have one
        size, and a picture's place in its batch follows from its bytes.

    Args:
        network: From `load_backbone`.
        spec: Which features.
        images: uint8 or uint16, (N, H, W, C), C is 1 or 3; may be a memory map.
        device: Where torch computes.

    Raises:
        InputRefused: The network gives something else than finite features.
    """
    network.to(device)
    for rows, places in placed_batches(images, np.arange(len(images)), _SLOTS):
        batch = np.zeros((_SLOTS, *images.shape[1:]), dtype=images.dtype)
        batch[places] = images[rows]
        with torch.inference_mode():
            given = network(_as_the_backbone_takes(batch, spec).to(device))
            found = F.layer_norm(given.float(), given.shape[1:], eps=1e-12).cpu().numpy()[places]
        if found.shape[1:] != (spec.width,) or not np.isfinite(found).all():
            raise InputRefused(f"{spec.backbone!r} gives no {spec.width} finite features for each picture.")
        yield rows, found


def _as_the_backbone_takes(images: np.ndarray, spec: FeatureSpec) -> torch.Tensor:
    """float32, (B, 3, size, size), from uint8 or uint16, (B, H, W, C); grey pictures get three equal channels."""
    white = np.iinfo(images.dtype).max
    pictures = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32, order="C")).div_(white)
    pictures = pictures.expand(-1, 3, -1, -1)
    size = (spec.input_size, spec.input_size)
    if pictures.shape[2:] != size:
        pictures = F.interpolate(pictures, size=size, mode="bilinear", antialias=True, align_corners=False)
    mean, std = (torch.tensor(values)[:, None, None] for values in NORMALISATIONS[spec.normalisation])
    return (pictures - mean) / std
