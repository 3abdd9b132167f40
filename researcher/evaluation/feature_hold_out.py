"""Features of a public hold-out, computed on the researcher's side with the backbone that the hospitals use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from policies.errors import ConfigError
from policies.plans.features import FeatureSpec
from policies.plans.training import ModelSpec
from researcher.evaluation.hold_out import HoldOut
from researcher.planning.initial_weights import Download, Source


def with_features(
    hold_out: HoldOut, model: ModelSpec, backbone_weights: str | None, *, download: Download | None = None
) -> HoldOut:
    """Returns the hold-out with what the model reads: features, or as it is where the model reads pictures.

    Args:
        hold_out: Public pictures.
        model: The plan's model; for `features` it names the backbone and its weights' SHA-256.
        backbone_weights: Where these weights are, as `researcher.planning.initial_weights.Source` reads it.
        download: Gets a named source's file; from the library's own server if None.

    Raises:
        ConfigError: The model reads features and no weights were given, or these have another digest.
        InputRefused: They are not the backbone's.
    """
    spec = FeatureSpec.of(model)
    if spec is None:
        return hold_out
    if not backbone_weights:
        raise ConfigError(
            f"The model reads features of {spec.backbone!r}. Give its public weights, with SHA-256 "
            f"{spec.weights_sha256}: --backbone_weights."
        )
    from datasites.training.models.public import backbone, public_weights

    file = Source.parse(backbone_weights).get(download)
    network = backbone.load_backbone(spec, public_weights.read_public_weights(file, sha256=spec.weights_sha256))
    found = np.empty((len(hold_out.images), spec.width), dtype=np.float32)
    for rows, values in backbone.features_of(network, spec, hold_out.images):
        found[rows] = values
    return replace(hold_out, features=found)
