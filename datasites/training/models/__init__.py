"""The models that a plan can name. Their code is public; their trained weights leave only as a run's update.

No model has a buffer (running statistics would carry private data past the noise), BatchNorm (it mixes the
pictures of a batch), dropout, stochastic depth, or a layer that changes its input in place. The first axis is
that of the pictures wherever a layer with parameters is called.
"""

from datasites.training.models.catalog import MODELS, build_model, build_undrawn, import_every_model, trainable_shapes
from datasites.training.models.weights import check_weights, initial_weights, load_weights, put_weights, read_weights

__all__ = [
    "MODELS",
    "build_model",
    "build_undrawn",
    "check_weights",
    "import_every_model",
    "initial_weights",
    "load_weights",
    "put_weights",
    "read_weights",
    "trainable_shapes",
]
