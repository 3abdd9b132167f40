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


def _farthest(program: Any, held: list[Any]) -> float:
    """How far the farthest of the program's layers' weights is from the nearest constant of its size."""
    worst = 0.0
    for name in program.graph_signature.parameters:  # what is no weight, as a picture's usual mean, may be folded
        array = program.state_dict[name].detach().numpy()
        if array.ndim < 2:  # norms are taken apart, and their constants folded
            continue
        same = [one for one in held if one.size == array.size]
        near = [float(np.abs(one.reshape(array.shape) - array).max()) for one in same]
        near += [float(np.abs(one.reshape(array.T.shape).T - array).max()) for one in same if array.ndim == 2]
        worst = max(worst, min(near, default=float("inf")))
    return worst


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
