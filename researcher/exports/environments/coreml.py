"""Converts a whole model to Core ML, in the converter's own environment. Nothing can run the result on Linux.

Called as `python coreml.py FOLDER`: the folder holds `program.pt2`, `inputs.npz` and `about.json`, and gets
`model.mlpackage`, and `checked.json` with what the package says of its inputs and outputs, and how far the weights of
the program's layers are from the package's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import coremltools
import numpy as np
import torch


def convert(folder: Path) -> None:
    """Converts, and looks at what came out."""
    program = torch.export.load(folder / "program.pt2").run_decompositions({})
    with np.load(folder / "inputs.npz", allow_pickle=False) as given:
        shapes = {name: (1, *given[name].shape[1:]) for name in given.files}
    # A convolution and the norm behind it stay two: as one they have other weights, which nothing here could compare.
    passes = coremltools.PassPipeline.DEFAULT
    passes.remove_passes({"common::fuse_conv_batchnorm"})
    made = coremltools.convert(
        program,
        inputs=[coremltools.TensorType(name=name, shape=shape, dtype=np.int32) for name, shape in shapes.items()],
        outputs=[coremltools.TensorType(name="probabilities", dtype=np.float32)],
        convert_to="mlprogram",
        compute_precision=coremltools.precision.FLOAT32,
        minimum_deployment_target=coremltools.target.iOS16,
        pass_pipeline=passes,
    )
    made.user_defined_metadata.update(json.loads((folder / "about.json").read_text()))
    made.save(str(folder / "model.mlpackage"))
    description = made.get_spec().description
    edges = {one.name: list(one.type.multiArrayType.shape) for one in (*description.input, *description.output)}
    told = {"edges": edges, "farthest": _farthest(program, _constants(made))}
    (folder / "checked.json").write_text(json.dumps(told))


def _constants(made: Any) -> list[Any]:
    """The package's constants, as arrays."""
    operations = [one for function in made._mil_program.functions.values() for one in function.operations]
    held = [np.asarray(one.outputs[0].val) for one in operations if one.op_type == "const"]
    return [one for one in held if one.dtype == np.float32]


def _weights(program: Any) -> list[Any]:
    """The program's weights as its layers read them: turned, masked or normed before, where the program does that."""
    signature = program.graph_signature
    known = {node: program.state_dict[name].detach() for node, name in signature.inputs_to_parameters.items()}
    fixed = dict(_fixed(program))
    found: dict[str, torch.Tensor] = {}
    for node in program.graph_module.graph.nodes:
        names = [one.name for one in node.all_input_nodes]
        if node.op != "call_function" or not any(name in known for name in names):
            continue
        if all(name in known or name in fixed for name in names) and "getitem" not in node.name:
            given = torch.fx.node.map_arg((node.args, node.kwargs), lambda one: {**fixed, **known}[one.name])
            made = node.target(*given[0], **given[1])
            if isinstance(made, torch.Tensor):  # else it only looks
                known[node.name] = made
            continue
        found |= {name: known[name] for name in names if name in known}
    return [one.numpy() for one in found.values() if one.dim() > 1]  # norms are taken apart, and their constants folded


def _fixed(program: Any) -> Any:
    """The program's other constants, by their nodes."""
    signature = program.graph_signature
    for names in (signature.inputs_to_buffers, signature.inputs_to_lifted_tensor_constants):
        for node, name in names.items():
            yield node, program.constants[name] if name in program.constants else program.state_dict[name]


def _farthest(program: Any, held: list[Any]) -> float:
    """How far the farthest of the program's layers' weights is from the nearest constant of its size."""
    worst = 0.0
    for array in _weights(program):
        same = [one for one in held if one.size == array.size]
        near = [float(np.abs(one.reshape(array.shape) - array).max()) for one in same]
        near += [float(np.abs(one.reshape(array.T.shape).T - array).max()) for one in same if array.ndim == 2]
        worst = max(worst, min(near, default=float("inf")))
    return worst


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
