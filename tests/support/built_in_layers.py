"""The layers of built-in models as an own model is held against them, written anew from the models themselves.

PYTHONPATH=.:tests python tests/support/built_in_layers.py        writes the file that the hospital reads
"""

from __future__ import annotations

import json

from torch import nn

from datasites.training.models import build_model
from policies.graphs.overview.nearest import LAYERS_FILE, layers_of
from policies.graphs.proof import prove
from policies.plans.model_spec import ModelSpec
from researcher.captures.capture import capture

SIDES = {
    "efficientnet_lite0": 64,
    "mobilenet_v3_large": 64,
    "mobilenet_v3_small": 64,
    "resnet18": 64,
    "resnet50": 64,
    "small_cnn": 64,
    "vit_small": 224,
}
"""Each model that is compared, with a side of its pictures: only a table of positions has another shape for others."""
CLASSES = 9


def network(name: str) -> nn.Module:
    """A built-in model."""
    return build_model(ModelSpec(name, (SIDES[name], SIDES[name], 3), CLASSES))


def layers(name: str) -> list[str]:
    """Its layers, by capturing it."""
    side = SIDES[name]
    return list(layers_of(prove(capture(network(name), image_shape=(side, side, 3), num_classes=CLASSES).graph)))


if __name__ == "__main__":
    LAYERS_FILE.write_text(json.dumps({name: layers(name) for name in SIDES}, indent=1) + "\n")
