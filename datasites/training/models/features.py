"""A linear head on features that a hospital keeps: the head alone is trained, and travels.

Public code; the features that it reads are as private as pictures.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from policies.errors import PlanError
from policies.plans.features import features_read
from policies.plans.training import ModelSpec


def features(spec: ModelSpec) -> nn.Module:
    """Softmax regression on features, from weights of zero. Options: see `policies.plans.features.FeatureSpec`.

    It takes features as pictures of one pixel: float32, (B, width, 1, 1).
    """
    reads = features_read(spec)
    if reads is None:
        raise PlanError(f"Model {spec.name!r} reads pictures, not features.")
    head = nn.Linear(reads.width, spec.num_classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), head=head))
