#!/usr/bin/env bash
# onnxruntime 1.32.0: quantize_static given a model in memory takes the weights out of the caller's own object.
#
# Tried: the same model, one MatMul with weights of 64 x 64, given once as a ModelProto, once as the path of its file.
# Expected: the caller's model is as it was; only the output file is written.
# Seen: the quantiser saves it with external data, so that its initializers point at a file in a temporary folder that is
#   gone when it returns: they hold no bytes, and the model can no longer be run. Given a path, nothing of this happens.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet onnxruntime==1.32.0 onnx==1.21.0
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
from importlib.metadata import version

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static


class Reader(CalibrationDataReader):
    def __init__(self) -> None:
        self.left = [{"x": np.ones((1, 64), np.float32)}]

    def get_next(self):
        return self.left.pop() if self.left else None


weights = numpy_helper.from_array(np.eye(64, dtype=np.float32), "w")
edges = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in ("x", "y")]
graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"], "n")], "g", edges[:1], edges[1:], [weights])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
onnx.save(model, "float.onnx")


def bytes_after(given) -> int:
    quantize_static(given, "int8.onnx", Reader(), quant_format=QuantFormat.QDQ)
    return len(model.graph.initializer[0].raw_data)


print("onnxruntime", version("onnxruntime"))
print("bytes of weights at first:", before := len(model.graph.initializer[0].raw_data))
print("given a path:             ", by_path := bytes_after("float.onnx"))
print("given the model:          ", in_memory := bytes_after(model))
held = before == by_path == 64 * 64 * 4 and in_memory == 0
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
