"""The catalogue of models: a plan's name to the function that builds it. Public code; nothing private passes.

A model's own module is imported when it is first built: timm and torchvision take a second, which a sum that
needs only shapes of a small model should not pay.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import torch
from torch import nn

from datasites.training.graphs import GraphModel
from policies.errors import PlanError
from policies.graphs.own_model import proof_of
from policies.plans.training import ModelSpec

Builder = Callable[[ModelSpec], nn.Module]

# name → (module of this package, function in it)
_PLACES = {
    "efficientnet_lite0": ("efficientnet_lite", "efficientnet_lite0"),
    "features": ("features", "features"),
    "image_text": ("image_text", "image_text"),
    "linear": ("linear", "linear"),
    "mobilenet_v3_large": ("mobilenet_v3", "mobilenet_v3_large"),
    "mobilenet_v3_small": ("mobilenet_v3", "mobilenet_v3_small"),
    "resnet18": ("resnet", "resnet18"),
    "resnet50": ("resnet", "resnet50"),
    "scattering_linear": ("scattering_linear", "scattering_linear"),
    "small_cnn": ("small_cnn", "small_cnn"),
    "vit_small": ("vision_transformer", "vit_small"),
}


def _builder(name: str) -> Builder:
    module, function = _PLACES[name]

    def build(spec: ModelSpec) -> nn.Module:
        model: nn.Module = getattr(importlib.import_module(f"{__package__}.{module}"), function)(spec)
        return model

    return build


MODELS: dict[str, Builder] = {name: _builder(name) for name in _PLACES}
"""The functions that build models, by the names that a plan gives them."""


def build_model(spec: ModelSpec) -> nn.Module:
    """Builds the model that a plan names, in train mode, with its usual random weights.

    It takes float32, (B, C, H, W), as `to_tensor` makes them, and returns logits, float32, (B, num_classes). A model of
    pictures and reports (`image_text`) takes a tuple of these and tokens, whole numbers, (B, length).

    Args:
        spec: Name, options or graph, and the shape of pictures and classes. A graph is proved again each time.

    Raises:
        PlanError: An unknown model or option, or a picture size that the model does not take.
        GraphError: A graph that does not read or cannot be proved, or is for other pictures or classes.
    """
    if spec.is_own:
        return GraphModel(proof_of(spec))
    if spec.name not in MODELS:
        raise PlanError(f"Unknown model {spec.name!r}; known are {', '.join(sorted(MODELS))}.")
    return MODELS[spec.name](spec)


def trainable_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each trained parameter by name: all that a run may take in or give out.

    Args:
        spec: The model.

    Raises:
        PlanError: As `build_model`.
    """
    with torch.device("meta"):
        model = build_model(spec)
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def import_every_model() -> None:
    """Imports the libraries of every model, for a process that soon can open no file."""
    for module, _ in _PLACES.values():
        importlib.import_module(f"{__package__}.{module}")
