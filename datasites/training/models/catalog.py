"""The catalogue of models: a plan's name to the function that builds it. Public code; nothing private passes.

A model's own module is imported when it is first built: timm and torchvision take a second, which a sum that
needs only shapes of a small model should not pay.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

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


def build_undrawn(spec: ModelSpec) -> nn.Module:
    """Builds the model that a plan names for somebody who gives it all its weights: what would be drawn is zero.

    Drawing some ten million numbers takes as long as reading them.

    Args:
        spec: As `build_model`.

    Raises:
        PlanError, GraphError: As `build_model`.
    """
    with _Undrawn():
        return build_model(spec)


class _Undrawn(TorchFunctionMode):
    """Draws zeros. They are in every range that a truncated distribution's draws are repeated for."""

    _DRAWING = frozenset(
        (
            nn.init.kaiming_uniform_,
            nn.init.normal_,
            nn.init.uniform_,
            torch.Tensor.normal_,
            torch.Tensor.uniform_,
        )
    )

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if func in self._DRAWING:
            drawn: torch.Tensor = args[0] if args else named["tensor"]
            with torch.no_grad():
                return drawn.zero_()
        return func(*args, **named)


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
