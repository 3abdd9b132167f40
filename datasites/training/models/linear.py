"""Softmax regression. Public code; nothing private passes."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from policies.plans.model_options import options_of
from policies.plans.training import ModelSpec


def linear(spec: ModelSpec) -> nn.Module:
    """Softmax regression on pixels. Options: bias (true)."""
    height, width, channels = spec.image_shape
    head = nn.Linear(height * width * channels, spec.num_classes, bias=options_of(spec)["bias"])
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), head=head))
