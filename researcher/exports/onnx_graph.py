"""A torch module as an ONNX graph for CPUs. Of the researcher's machine nothing stays in it: no path, no code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.overrides import TorchFunctionMode

from policies.plans.model_spec import ModelSpec
from policies.plans.tokeniser import text_form
from researcher.exported.session import PICTURES, PROBABILITIES, TOKENS
from researcher.exports.whole_model import WholeModel

# Later ones write GroupNormalization, which onnxruntime takes apart at each start: 1.4 times slower on a CPU.
OPSET = 20
_PRODUCER = "wanwu"
# As a module's author writes it, and as it stands in a traced program.
_POOLS = (nn.functional.adaptive_avg_pool2d, torch.ops.aten.adaptive_avg_pool2d.default)


def example(spec: ModelSpec, bits: int, count: int = 2) -> tuple[torch.Tensor, ...]:
    """Inputs of a whole model, all 0: pictures, (count, H, W, C), and tokens, (count, length), if it takes reports."""
    kind = torch.uint16 if bits == 16 else torch.uint8
    pictures = torch.zeros((count, *spec.image_shape), dtype=kind)
    form = text_form(spec)
    return (pictures,) if form is None else (pictures, torch.zeros((count, form.length), dtype=torch.int64))


def to_graph(model: WholeModel, spec: ModelSpec, bits: int) -> onnx.ModelProto:
    """Returns the graph, for any number of pictures at once; what it says of itself is still to be added.

    Args:
        model: What it computes.
        spec: Says what goes in.
        bits: Likewise.
    """
    inputs = example(spec, bits)
    with _MeansOfMaps():
        program = torch.onnx.export(
            model,
            inputs,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=tuple({0: torch.export.Dim.DYNAMIC} for _ in inputs),
            input_names=[PICTURES, TOKENS][: len(inputs)],
            output_names=[PROBABILITIES],
            verbose=False,
        )
    if program is None:
        raise TypeError("torch.onnx gave no program")
    proto: onnx.ModelProto = program.model_proto
    _name_anew(proto.graph)
    _state_shapes(proto.graph)
    _strip(proto)
    onnx.checker.check_model(proto)
    return proto


class _MeansOfMaps(TorchFunctionMode):
    """Pools a map to one number by its mean, which is what torch computes there.

    Left to itself the exporter writes eight nodes for it, of which seven look up where each picture's numbers lie.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _POOLS and not kwargs and args[1] in (1, (1, 1), [1, 1]):
            return args[0].mean((-2, -1), keepdim=True)
        return func(*args, **(kwargs or {}))


def _name_anew(graph: onnx.GraphProto) -> None:
    """Numbers every tensor and node: no name of one is then the beginning of another's.

    onnxruntime's quantiser makes names by adding to a tensor's, and so met those of others. Weights keep the name that
    the safetensors file has for them.
    """
    edges = {one.name for one in (*graph.input, *graph.output)}
    names = {one.name: f"w{number}_{_of_module(one.name)}" for number, one in enumerate(graph.initializer)}
    for number, node in enumerate(graph.node):
        weights = [one for one in node.input if one in names and one.endswith(".weight")]
        node.name = f"n{number}_{_of_module(weights[0]).removesuffix('.weight') if weights else node.op_type}"
        for part, output in enumerate(node.output):
            if output and output not in edges:
                names[output] = f"t{number}_{part}_"
    for one in graph.initializer:
        one.name = names[one.name]
    for one in graph.value_info:
        one.name = names.get(one.name, one.name)
    for node in graph.node:
        for tensors in (node.input, node.output):
            for place, name in enumerate(tensors):
                tensors[place] = names.get(name, name)


def _of_module(name: str) -> str:
    return name.removeprefix("_model.")


def _state_shapes(graph: onnx.GraphProto) -> None:
    """Writes down the shapes that the exporter has the graph compute at every call: only the first axis is open."""
    known = {one.name: _shape(one) for one in (*graph.value_info, *graph.output)}
    asked = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Shape"}
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        shape = known.get(asked.get(node.input[1], node.output[0]))
        if shape and all(isinstance(side, int) for side in shape[1:]):
            name = f"{node.name}_shape"
            sides = np.array([-1, *shape[1:]] if isinstance(shape[0], str) else shape, dtype=np.int64)
            graph.initializer.append(numpy_helper.from_array(sides, name))
            node.input[1] = name
            for attribute in [one for one in node.attribute if one.name == "allowzero"]:
                node.attribute.remove(attribute)
    _drop_unused(graph)


def _drop_unused(graph: onnx.GraphProto) -> None:
    wanted = {one.name for one in graph.output}
    kept = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    weights = [one for one in graph.initializer if one.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(weights)


def _shape(value: onnx.ValueInfoProto) -> list[int | str]:
    sides = value.type.tensor_type.shape.dim
    return [side.dim_value if side.HasField("dim_value") else side.dim_param for side in sides]


def _strip(proto: onnx.ModelProto) -> None:
    """Takes out what an exporter notes: stack traces with paths, names of classes, versions of libraries."""
    graph = proto.graph
    for one in _noted(proto):
        one.ClearField("doc_string")
        del one.metadata_props[:]
    del graph.value_info[:]
    del proto.functions[:]
    graph.name, proto.producer_name, proto.producer_version = "model", _PRODUCER, ""
    for edge in (*graph.input, *graph.output):
        edge.type.tensor_type.shape.dim[0].dim_param = "batch"


def _noted(proto: onnx.ModelProto) -> Iterator[Any]:
    graph = proto.graph
    parts: Sequence[Any] = (graph.node, graph.input, graph.output, graph.initializer)
    yield from (proto, graph)
    for part in parts:
        yield from part
