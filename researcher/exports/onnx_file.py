"""An ONNX file's bytes: a graph with what it says of itself."""

from __future__ import annotations

import onnx
from onnx import helper

from researcher.exported.about import ExportedModel
from researcher.exported.seal import sealed


def with_about(model: onnx.ModelProto, about: ExportedModel) -> bytes:
    """Returns the file's bytes, sealed.

    Args:
        model: Its other properties are replaced, and the text about it is taken out.
        about: What the file says of itself.
    """
    del model.metadata_props[:]
    model.ClearField("doc_string")
    helper.set_model_props(model, about.to_properties())
    return sealed(model.SerializeToString(deterministic=True))
