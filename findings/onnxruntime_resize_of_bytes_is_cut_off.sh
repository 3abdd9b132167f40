#!/usr/bin/env bash
# onnxruntime 1.32.0: pictures of 8 bits that its Resize makes larger are half a grey darker than ONNX's own reference has
# them; with antialias, which changes nothing where a picture grows, they are not.
#
# Tried: Resize, linear, of uint8, opset 20: a row of four greys to eight, and a random picture of 64 x 64 to 96 x 96, with
#   antialias 0 and 1, by onnxruntime on a CPU and by onnx.reference; beside it the same in float32.
# Expected: float32's values rounded, whatever antialias says: a picture that grows has nothing to smooth.
# Seen: without antialias fractions are cut off: 63.75 becomes 63, and of the random picture the mean is about 0.5 lower
#   than in float32. With antialias 63.75 becomes 64, as in the reference both times.
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
from onnx.reference import ReferenceEvaluator


def larger(picture: np.ndarray, size: tuple[int, int], antialias: int) -> onnx.ModelProto:
    kind = helper.np_dtype_to_tensor_dtype(picture.dtype)
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear", antialias=antialias)
    edges = [
        helper.make_tensor_value_info("x", kind, picture.shape),
        helper.make_tensor_value_info("y", kind, (1, 1, *size)),
    ]
    sizes = helper.make_tensor("sizes", TensorProto.INT64, [4], [1, 1, *size])
    graph = helper.make_graph([node], "g", edges[:1], edges[1:], [sizes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def run(picture: np.ndarray, size: tuple[int, int], antialias: int) -> np.ndarray:
    content = larger(picture, size, antialias).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": picture})[0]


print("onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__)
row = np.array([[[[0, 255, 0, 255]]]], np.uint8)
random = np.random.default_rng(0).integers(0, 256, (1, 1, 64, 64), dtype=np.uint8)
exact = run(random.astype(np.float32), (96, 96), 0)
held = True
for antialias in (0, 1):
    told = run(row, (1, 8), antialias)[0, 0, 0, 1]
    reference = ReferenceEvaluator(larger(row, (1, 8), antialias)).run(None, {"x": row})[0][0, 0, 0, 1]
    darker = float(exact.mean() - run(random, (96, 96), antialias).mean())
    print(f"antialias {antialias}: 63.75 becomes {told}, by the reference {reference}; the mean is {darker:.3f} lower")
    held &= reference == 64 and (told, darker > 0.4) == ((63, True) if antialias == 0 else (64, False))
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
