"""Static quantisation to 8 bits: ranges from public or drawn pictures, and layers left in float where it costs much."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from researcher.exported.session import PICTURES, TOKENS
from researcher.exports.pictures import Pictures

CALIBRATED = 128
_AT_ONCE = 8
_PRODUCTS = ("Conv", "Gemm", "MatMul")
_LEAST_NUMBERS = 256  # of weights that are worth being kept in 8 bits
_LEAST_SHARE = 0.005  # of a file that factors take before they are kept in 8 bits: scales of norms are none
_PARTS = 4
# What these nodes mean without a word, in every operator set since 13.
_WITHOUT_A_WORD: Mapping[str, Mapping[str, Any]] = {
    "Conv": {"auto_pad": b"NOTSET", "dilations": [1, 1], "group": 1, "pads": [0, 0, 0, 0], "strides": [1, 1]},
    "AveragePool": {
        "auto_pad": b"NOTSET",
        "ceil_mode": 0,
        "count_include_pad": 0,
        "dilations": [1, 1],
        "pads": [0] * 4,
    },
    "InstanceNormalization": {"epsilon": float(np.float32(1e-5))},
    "Gemm": {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0},
    "Softmax": {"axis": -1},
}
_WORTH = 24  # products for each number in or out, from which 8 bits saved time on a processor with AVX-512 VNNI


@dataclass(frozen=True)
class Layers:
    """The layers of a graph whose products can be of whole numbers, by name, and groups of them.

    Attributes:
        all: Every one, in the graph's order.
        worth: Those of them whose products are many for the numbers that go in and out, so that a processor gains time.
        groups: Name of a group → its layers. Depthwise convolutions, those on maps of one pixel (squeeze-and-excite),
            the first, the last, and quarters of the rest.
    """

    all: tuple[str, ...]
    worth: tuple[str, ...]
    groups: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, graph: onnx.GraphProto) -> Layers:
        """Finds them: nodes that multiply with weights of the graph's own."""
        weights = {one.name: tuple(one.dims) for one in graph.initializer}
        nodes = [node for node in graph.node if node.op_type in _PRODUCTS and node.input[1] in weights]
        names = tuple(node.name for node in nodes)
        pooled = {
            name for node in graph.node if node.op_type in ("ReduceMean", "GlobalAveragePool") for name in node.output
        }
        depthwise = {node.name for node in nodes if _groups(node) > 1}
        squeeze = set()
        for node in graph.node:  # what is computed of a pooled map, up to where it meets the map again
            if node.op_type in ("Conv", "Relu", "HardSigmoid", "Sigmoid") and node.input[0] in pooled:
                pooled.update(node.output)
                squeeze |= {node.name} & set(names)
        rest = [name for name in names[1:-1] if name not in depthwise | squeeze]
        groups = {
            "depthwise": depthwise,
            "squeeze-and-excite": squeeze,
            "first": set(names[:1]),
            "last": set(names[-1:]),
        }
        for part in range(_PARTS):
            here = rest[part * len(rest) // _PARTS : (part + 1) * len(rest) // _PARTS]
            groups[f"quarter {part + 1}"] = set(here)
        worth = tuple(node.name for node in nodes if node.name not in squeeze and _products(node, weights) >= _WORTH)
        return cls(names, worth, {name: frozenset(found) for name, found in groups.items() if found})


def _groups(node: onnx.NodeProto) -> int:
    return next((one.i for one in node.attribute if one.name == "group"), 1)


def _products(node: onnx.NodeProto, weights: Mapping[str, tuple[int, ...]]) -> float:
    """Products of a layer for each number that goes in or out."""
    shape = weights[node.input[1]]
    return float(np.prod(shape)) / (shape[0] + shape[1] * _groups(node))


def quantise(model: onnx.ModelProto, pictures: Pictures, layers: Sequence[str]) -> onnx.ModelProto:
    """Returns the model with the products of some layers in whole numbers of 8 bits.

    Of layers that stay in float, large weights are kept in 8 bits, one scale for each channel, and become floats when
    the model is opened: they cost space, and no time.

    Args:
        model: In float, without what it says of itself.
        pictures: Their ranges become those of the activations.
        layers: Names of those that are quantised.
    """
    logging.getLogger().setLevel(max(logging.getLogger().level, logging.ERROR))
    made = onnx.ModelProto()
    made.CopyFrom(model)
    if layers:
        with tempfile.TemporaryDirectory() as folder:
            whole, file = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
            onnx.save(model, whole)  # one in memory would lose its weights to a file of the quantiser's
            quantize_static(
                whole,
                file,
                _Reader(pictures),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(_PRODUCTS),
                nodes_to_quantize=list(layers),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            made = onnx.load(file)
    _drop_zero_points(made.graph)
    _shrink_weights(made.graph)
    del made.metadata_props[:]
    made.producer_name, made.producer_version = model.producer_name, ""
    del made.graph.value_info[:]
    _shorten_names(made.graph)
    onnx.checker.check_model(made)
    return made


class _Reader(CalibrationDataReader):
    """Hands pictures to the quantiser, a few at a time."""

    def __init__(self, pictures: Pictures) -> None:
        self._batches = self._inputs(pictures)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next inputs: pictures, (B, H, W, C), and tokens, (B, length); None after the last."""
        return next(self._batches, None)

    @staticmethod
    def _inputs(pictures: Pictures) -> Iterator[dict[str, NDArray[Any]]]:
        for start in range(0, min(CALIBRATED, len(pictures.images)), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            given: dict[str, NDArray[Any]] = {PICTURES: pictures.images[part]}
            if pictures.tokens is not None:
                given[TOKENS] = pictures.tokens[part].astype(np.int64)
            yield given


def _shrink_weights(graph: onnx.GraphProto) -> None:
    """Keeps what large arrays hold as smaller whole numbers, made what they were by what opens the model.

    Weights of layers in float get scales, one for each output channel, factors that are a good part of the file get
    one; places to read from stay exactly what they are.
    """
    held = {one.name: one for one in graph.initializer}
    file_bytes = sum(one.ByteSize() for one in graph.initializer)
    before: list[onnx.NodeProto] = []
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name not in held or int(np.prod(held[name].dims)) < _LEAST_NUMBERS:
                continue
            values = numpy_helper.to_array(held[name])
            is_factor = node.op_type == "Mul" and values.nbytes > _LEAST_SHARE * file_bytes
            is_multiplied = is_factor or (node.op_type in _PRODUCTS and place < 2)
            if values.dtype == np.float32 and is_multiplied:
                axis = _channel_axis(node, values) if node.op_type in _PRODUCTS and place == 1 else None
                before += _in_8_bits(graph, name, values, axis)
            elif (node.op_type, place) == ("Gather", 1) and 0 <= values.min() <= values.max() < 1 << 16:
                graph.initializer.append(numpy_helper.from_array(values.astype(np.uint16), f"{name}_whole"))
                kind = helper.np_dtype_to_tensor_dtype(values.dtype)
                before.append(helper.make_node("Cast", [f"{name}_whole"], [name], f"{name}_as_before", to=kind))
            else:
                continue
            graph.initializer.remove(held.pop(name))
    nodes = [*before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _drop_zero_points(graph: onnx.GraphProto) -> None:
    """Takes the zeros away that signed weights and biases are said to be off by: without a word they are."""
    held = {one.name: one for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and len(node.input) > 2 and node.input[0] in held:
            zeros = held.get(node.input[2])
            if zeros is not None and not numpy_helper.to_array(zeros).any():
                del node.input[2]
    used = {name for node in graph.node for name in node.input}
    kept = [one for one in graph.initializer if one.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _in_8_bits(graph: onnx.GraphProto, name: str, values: NDArray[Any], axis: int | None) -> list[onnx.NodeProto]:
    """Adds whole numbers and a scale, for each place on an axis or for all; returns the nodes that make them floats."""
    others = tuple(place for place in range(values.ndim) if place != axis)
    scales = np.maximum(np.abs(values).max(axis=others, keepdims=True), 1e-30).astype(np.float32) / 127
    whole = np.clip(np.rint(values / scales), -127, 127).astype(np.int8)
    graph.initializer.append(numpy_helper.from_array(whole, f"{name}_whole"))
    graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scales"))
    return [
        helper.make_node("Cast", [f"{name}_whole"], [f"{name}_cast"], f"{name}_to_float", to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}_cast", f"{name}_scales"], [name], f"{name}_scaled"),
    ]


def _follows_from_the_rest(node: onnx.NodeProto) -> tuple[str, ...]:
    """Names of settings that say nothing: a kernel's sides, which its weights have, and how no padding counts."""
    if node.op_type == "Conv":
        return ("kernel_shape",)
    padded = {one.name for one in node.attribute} & {"pads", "auto_pad", "ceil_mode"}
    return ("count_include_pad",) if node.op_type == "AveragePool" and not padded else ()


def _shorten_names(graph: onnx.GraphProto) -> None:
    """Numbers tensors, and takes the names of all nodes but layers, and what nodes mean without it: in a small model's
    file they are a sixth."""
    edges = {one.name for one in (*graph.input, *graph.output)}
    names: dict[str, str] = {}

    def short(name: str) -> str:
        return name if not name or name in edges else names.setdefault(name, f"{len(names):x}")

    for one in graph.initializer:
        one.name = short(one.name)
    for node in graph.node:
        if node.op_type not in _PRODUCTS:
            node.ClearField("name")
        usual = _WITHOUT_A_WORD.get(node.op_type, {})
        for one in [one for one in node.attribute if one.name in usual]:
            if helper.get_attribute_value(one) == usual[one.name]:
                node.attribute.remove(one)
        for one in [one for one in node.attribute if one.name in _follows_from_the_rest(node)]:
            node.attribute.remove(one)
        for tensors in (node.input, node.output):
            for place, name in enumerate(tensors):
                tensors[place] = short(name)


def _channel_axis(node: onnx.NodeProto, values: NDArray[Any]) -> int:
    """The axis of the outputs of a layer's weights."""
    if node.op_type == "Conv":
        return 0
    transposed = any(one.name == "transB" and one.i for one in node.attribute)
    return 0 if transposed else values.ndim - 1
