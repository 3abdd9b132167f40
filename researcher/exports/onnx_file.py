"""An ONNX file's bytes: a graph with what it says of itself."""

from __future__ import annotations

import onnx
from onnx import helper

from researcher.exported.about import ExportedModel


def with_about(model: onnx.ModelProto, about: ExportedModel) -> bytes:
    """Returns the file's bytes.

    Args:
        model: Its other properties are replaced.
        about: What the file says of itself.
    """
    del model.metadata_props[:]
    helper.set_model_props(model, about.to_properties())
    content: bytes = model.SerializeToString(deterministic=True)
    return content
