#!/usr/bin/env bash
# onnxruntime 1.32.0: whether a maximum over numbers one of which is NaN is NaN depends on where that one stands.
#
# Tried: MaxPool, GlobalMaxPool and ReduceMax over four numbers, one of which is NaN, at each of the four places, on a CPU;
#   beside them GlobalAveragePool.
# Expected: one answer for all four places: NaN, as the mean has it, and as torch's maxima have it.
# Seen: each of the three gives NaN where it stands at one of the places, and a number where it stands at the others, at
#   some of them not even the largest of the three that are left. So a network that has overflowed gives probabilities
#   that look like any others.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet onnxruntime==1.32.0 onnx==1.21.0 numpy==1.26.4
"$folder/venv/bin/python" - <<'PY'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper


def run(window: np.ndarray, node: onnx.NodeProto) -> float:
    edges = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, side, side])
        for name, side in (("x", 2), ("y", 1))
    ]
    graph = helper.make_graph([node], "g", edges[:1], edges[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return float(session.run(None, {"x": window})[0].item())


nodes = {
    "MaxPool": helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2]),
    "GlobalMaxPool": helper.make_node("GlobalMaxPool", ["x"], ["y"]),
    "ReduceMax": helper.make_node("ReduceMax", ["x"], ["y"], axes=[2, 3]),
    "GlobalAveragePool": helper.make_node("GlobalAveragePool", ["x"], ["y"]),
}
print("onnxruntime", onnxruntime.__version__)
found: dict[str, list[float]] = {name: [] for name in nodes}
for place in range(4):
    window = np.array([4, 3, 2, 1], np.float32)
    window[place] = np.nan
    for name, node in nodes.items():
        found[name].append(run(window.reshape(1, 1, 2, 2), node))
    print(window.tolist(), {name: came[-1] for name, came in found.items()})
are_nan = {name: int(np.isnan(came).sum()) for name, came in found.items()}
held = are_nan.pop("GlobalAveragePool") == 4 and all(0 < count < 4 for count in are_nan.values())
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
