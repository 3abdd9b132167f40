"""Small exported models without training: a linear layer on each channel's mean, in an ONNX file that says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from policies.plans.picture_form import PictureForm
from researcher.exported.about import ExportedModel, Likeness, PrivacyCost
from researcher.exported.session import PICTURES, PROBABILITIES

SIDE = 16
ABOUT = ExportedModel(
    format="onnx",
    name="linear",
    options={},
    image_shape=(SIDE, SIDE, 1),
    label_kind="single",
    class_names=("dark", "bright"),
    form=PictureForm((SIDE, SIDE), 1, "fit"),
    round=3,
    model_sha256="1" * 64,
    plan_digest="2" * 64,
    receipts=("3" * 64, "4" * 64),
    privacy=(PrivacyCost(2.5, 1e-5, "patient"), PrivacyCost(1.25, 1e-5, "patient")),
    without_privacy=0,
    written_by="wanwu 0.1.0",
    likeness=Likeness(1e-6, 1.0, 500, "drawn pictures"),
)


def graph(about: ExportedModel) -> onnx.ModelProto:
    """Probabilities by a picture's mean value: the brighter, the later class."""
    height, width, channels = about.image_shape
    classes = len(about.class_names)
    weights = np.tile(np.linspace(-8, 8, classes, dtype=np.float32) / 255, (channels, 1))
    bias = -weights.sum(axis=0) * 127.5
    kind = TensorProto.UINT16 if about.bits == 16 else TensorProto.UINT8
    last = "Sigmoid" if about.label_kind == "multi" else "Softmax"
    made = helper.make_graph(
        [
            helper.make_node("Cast", [PICTURES], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["numbers", "axes"], ["means"], keepdims=0),
            helper.make_node("Gemm", ["means", "weights", "bias"], ["logits"]),
            helper.make_node(last, ["logits"], [PROBABILITIES]),
        ],
        "small",
        [helper.make_tensor_value_info(PICTURES, kind, ["batch", height, width, channels])],
        [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["batch", classes])],
        [
            numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes"),
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(bias, "bias"),
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    helper.set_model_props(model, about.to_properties())
    return model


def write_model(path: Path, about: ExportedModel = ABOUT, **changes: object) -> Path:
    """Writes a model's file that says `about`, with these changes, of itself."""
    path.write_bytes(graph(replace(about, **changes)).SerializeToString())  # type: ignore[arg-type]
    return path


def grey_pictures(*values: int, side: int = SIDE) -> NDArray[np.uint8]:
    """uint8, (N, side, side, 1): a picture of one grey for each value."""
    pictures: NDArray[np.uint8] = np.zeros((len(values), side, side, 1), dtype=np.uint8)
    pictures += np.array(values, dtype=np.uint8)[:, None, None, None]
    return pictures
