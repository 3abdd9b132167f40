#!/usr/bin/env bash
# torch 2.14.1 with onnxscript 0.7.2: the exporter of ONNX stops at attention whose inputs have another number of axes
# than four, which torch itself computes and its older exporter exports.
#
# Tried: one call of scaled_dot_product_attention, of queries with one, two and three axes before the last two, exported
#   with dynamo=True (the default) and with dynamo=False, and run by onnxruntime.
# Expected: three models that give what torch gives, as the function takes any number of axes there.
# Seen: with dynamo=True only two axes (batch and heads) are exported; with one or three it raises a ConversionError at
#   that node. With dynamo=False all three are exported and give what torch gives. Windows of pictures have three such
#   axes, one head has one.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet \
  torch==2.14.1 numpy==1.26.4 onnx==1.21.0 onnxscript==0.7.2 onnxruntime==1.32.0
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PY'
import contextlib
import io
from importlib.metadata import version

import onnxruntime
import torch
from torch.nn.functional import scaled_dot_product_attention


class Attention(torch.nn.Module):
    def forward(self, x):
        return scaled_dot_product_attention(x, x, x)


def exported(shape, dynamo):
    x = torch.randn(shape)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            torch.onnx.export(Attention().eval(), (x,), "out.onnx", dynamo=dynamo, opset_version=18)
    except torch.onnx.OnnxExporterError as error:
        return type(error).__name__
    session = onnxruntime.InferenceSession("out.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    return "equal" if abs(found - Attention()(x).numpy()).max() < 1e-5 else "other numbers"


print("torch", version("torch"), "onnxscript", version("onnxscript"), "onnxruntime", version("onnxruntime"))
seen = {}
for shape in ((2, 5, 8), (2, 3, 5, 8), (2, 3, 4, 5, 8)):
    seen[len(shape)] = [exported(shape, dynamo) for dynamo in (True, False)]
    print(len(shape), "axes: dynamo=True", seen[len(shape)][0], "| dynamo=False", seen[len(shape)][1])
refused = ["ConversionError", "equal"]
held = seen == {3: refused, 4: ["equal", "equal"], 5: refused}
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
