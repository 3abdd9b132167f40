"""Public weights for tests: a ResNet-18 of timm's, drawn, the same each time; enough to tell dark from bright."""

from __future__ import annotations

import hashlib
from pathlib import Path

import safetensors.torch
import timm
import torch

from policies.plans.features import FeatureSpec


def resnet18_state() -> dict[str, torch.Tensor]:
    """Its state dict, with the layer of a thousand classes that publishers' files have."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        # Not timm's first weights, whose blocks end in a norm of scale 0: a network of no depth, which converters fold.
        return dict(timm.create_model("resnet18", zero_init_last=False).state_dict())


def write_backbone(folder: Path) -> tuple[Path, FeatureSpec]:
    """A file of them, and the features that are computed with it."""
    file = folder / "resnet18.safetensors"
    safetensors.torch.save_file(resnet18_state(), file)
    return file, FeatureSpec("resnet18", hashlib.sha256(file.read_bytes()).hexdigest(), 32)
