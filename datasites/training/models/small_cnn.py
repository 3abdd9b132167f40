"""A small convolutional network for small pictures and tight budgets. Public code; nothing private passes."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from datasites.training.models.layers import HalvingPool, PoolTo
from datasites.training.models.options import check_size
from policies.plans.model_options import options_of
from policies.plans.training import ModelSpec

_ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}


def small_cnn(spec: ModelSpec) -> nn.Module:
    """Three convolutions with GroupNorm; 17 k parameters at width 16 and six classes.

    Options: activation (`tanh`, which suits clipped gradients, or `relu`), width (16; channels of the first
    layer).
    """
    options = options_of(spec)
    activation, width = _ACTIVATIONS[options["activation"]], options["width"]
    check_size(spec, low=16, high=224)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    incoming = spec.image_shape[2]
    for number, outgoing in enumerate((width, 2 * width, 2 * width), start=1):
        layers[f"convolution_{number}"] = nn.Conv2d(incoming, outgoing, kernel_size=3, padding=1)
        layers[f"norm_{number}"] = nn.GroupNorm(4, outgoing)
        layers[f"activation_{number}"] = activation()
        layers[f"pool_{number}"] = HalvingPool() if number < 3 else PoolTo(4)
        incoming = outgoing
    layers["flatten"] = nn.Flatten()
    layers["head"] = nn.Linear(incoming * 4 * 4, spec.num_classes)
    return nn.Sequential(layers)
