"""The models that a plan can name. Their code is public; their trained weights leave only as a run's update.

No model has a buffer (running statistics would carry private data past the noise), BatchNorm (it mixes the
pictures of a batch), dropout, or a layer that changes its input in place.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision.models import mobilenetv3

from policies import validate
from policies.errors import InputRefused, PlanError
from policies.plan import ModelSpec

_ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}


def build_model(spec: ModelSpec) -> nn.Module:
    """Builds the model that a plan names, in train mode, with torch's usual random weights.

    It takes float32, (B, C, H, W), as `to_tensor` makes them, and returns logits, float32, (B, num_classes).

    Raises:
        PlanError: An unknown model or option, or a picture size that the model does not take.
    """
    if spec.name not in MODELS:
        raise PlanError(f"Unknown model {spec.name!r}; known are {', '.join(sorted(MODELS))}.")
    return MODELS[spec.name](spec)


def trainable_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each trained parameter by name: all that a run may take in or give out.

    Raises:
        PlanError: As `build_model`.
    """
    with torch.device("meta"):
        model = build_model(spec)
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def initial_weights(spec: ModelSpec, seed: int) -> dict[str, np.ndarray]:
    """Returns the weights that a study starts from, float32 by name; the same for the same spec and seed.

    Raises:
        PlanError: As `build_model`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(spec)
    return read_weights(model)


def read_weights(model: nn.Module) -> dict[str, np.ndarray]:
    """Returns a copy of every parameter, float32 by name."""
    return {
        name: parameter.detach().to("cpu", torch.float32, copy=True).numpy()
        for name, parameter in model.named_parameters()
    }


def load_weights(model: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Puts `weights` into `model`, where they are exactly its parameters.

    Raises:
        InputRefused: A name too many or missing, another shape or dtype, or a value that is not finite.
    """
    parameters = dict(model.named_parameters())
    if wrong := sorted(set(weights) ^ set(parameters)):
        kind = "missing" if wrong[0] in parameters else "unknown"
        raise InputRefused(f"The weights do not fit the plan's model: parameter {wrong[0]!r} is {kind}.")
    for name, parameter in parameters.items():
        array, shape = np.asarray(weights[name]), tuple(parameter.shape)
        if array.dtype != np.float32 or array.shape != shape:
            raise InputRefused(
                f"Parameter {name!r} must be float32 of shape {shape}, got {array.dtype} of shape {array.shape}."
            )
        if not np.isfinite(array).all():
            raise InputRefused(f"Parameter {name!r} holds values that are not finite.")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(torch.from_numpy(np.array(weights[name])))


# --- the models ---------------------------------------------------------------------------------------


def _linear(spec: ModelSpec) -> nn.Module:
    """Softmax regression on pixels. Options: bias (true)."""
    bias = validate.boolean("model.options.bias", _options(spec, bias=True)["bias"])
    height, width, channels = spec.image_shape
    head = nn.Linear(height * width * channels, spec.num_classes, bias=bias)
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), head=head))


def _small_cnn(spec: ModelSpec) -> nn.Module:
    """Three convolutions with GroupNorm; 17 k parameters at width 16 and six classes.

    Options: activation (`tanh`, which suits clipped gradients, or `relu`), width (16; channels of the first
    layer).
    """
    options = _options(spec, activation="tanh", width=16)
    activation = _ACTIVATIONS[validate.choice("model.options.activation", options["activation"], tuple(_ACTIVATIONS))]
    width = validate.integer("model.options.width", options["width"], low=4, high=256)
    if width % 4:
        raise PlanError(f"model.options.width must be a multiple of 4, got {width}.")
    _check_size(spec, low=16, high=224)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    incoming = spec.image_shape[2]
    for number, outgoing in enumerate((width, 2 * width, 2 * width), start=1):
        layers[f"convolution_{number}"] = nn.Conv2d(incoming, outgoing, kernel_size=3, padding=1)
        layers[f"norm_{number}"] = nn.GroupNorm(4, outgoing)
        layers[f"activation_{number}"] = activation()
        layers[f"pool_{number}"] = nn.AvgPool2d(2) if number < 3 else nn.AdaptiveAvgPool2d(4)
        incoming = outgoing
    layers["flatten"] = nn.Flatten()
    layers["head"] = nn.Linear(incoming * 4 * 4, spec.num_classes)
    return nn.Sequential(layers)


def _mobilenet_v3_small(spec: ModelSpec) -> nn.Module:
    """MobileNetV3-small (Howard et al., ICCV 2019) of torchvision with GroupNorm. Options: width (1.0)."""
    width = validate.number("model.options.width", _options(spec, width=1.0)["width"], low=0.5, high=2.0)
    _check_size(spec, low=28, high=512)
    model = mobilenetv3.mobilenet_v3_small(
        weights=None,
        width_mult=width,
        num_classes=spec.num_classes,
        block=_ResidualOutOfPlace,
        norm_layer=lambda channels: nn.GroupNorm(8, channels),
        dropout=0.0,
    )
    model.classifier[2] = nn.Identity()  # the dropout
    stem, channels = model.features[0][0], spec.image_shape[2]
    if channels != stem.in_channels:
        model.features[0][0] = nn.Conv2d(channels, stem.out_channels, kernel_size=3, stride=2, padding=1, bias=False)
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return model


class _ResidualOutOfPlace(mobilenetv3.InvertedResidual):
    """torchvision's block, whose own addition writes into the output that Opacus' hooks still need."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        result = self.block(input)
        return input + result if self.use_res_connect else result


MODELS: dict[str, Callable[[ModelSpec], nn.Module]] = {
    "linear": _linear,
    "mobilenet_v3_small": _mobilenet_v3_small,
    "small_cnn": _small_cnn,
}


def _options(spec: ModelSpec, **defaults: Any) -> dict[str, Any]:
    """The model's settings: `defaults`, with those that the plan names in their place."""
    if unknown := sorted(set(spec.options) - set(defaults)):
        raise PlanError(f"Model {spec.name!r} has no option {unknown[0]!r}; it takes {', '.join(sorted(defaults))}.")
    return {**defaults, **spec.options}


def _check_size(spec: ModelSpec, *, low: int, high: int) -> None:
    height, width, _ = spec.image_shape
    if not (low <= height <= high and low <= width <= high):
        raise PlanError(
            f"Model {spec.name!r} takes pictures from {low} x {low} to {high} x {high} pixels, got {height} x {width}."
        )
