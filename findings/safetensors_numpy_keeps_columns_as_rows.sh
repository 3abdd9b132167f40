#!/usr/bin/env bash
# safetensors 0.8.0: an array of numpy whose columns lie in memory before its rows is saved with its numbers in other
# places, without an error.
#
# Tried: one array of 2 x 3 numbers, by rows (C) and by columns (Fortran, what a transposed array or pandas gives), saved
#   and loaded by safetensors.numpy.
# Expected: what was saved, or a refusal, as safetensors.torch refuses a tensor whose strides are not those of its shape.
# Seen: by rows it comes back. By columns the six numbers come back in memory's order: [[0, 1, 2], [3, 4, 5]] becomes
#   [[0, 3, 1], [4, 2, 5]]. The documentation says that arrays need to be contiguous; one by columns is, by numpy's flags.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet safetensors==0.8.0 numpy==1.26.4
"$folder/venv/bin/python" - <<'PY'
from importlib.metadata import version

import numpy as np
from safetensors.numpy import load, save

by_rows = np.arange(6.0).reshape(2, 3)
by_columns = np.asfortranarray(by_rows)
assert np.array_equal(by_rows, by_columns)
assert by_columns.flags.f_contiguous
print("safetensors", version("safetensors"))
came = {}
for name, array in (("by rows", by_rows), ("by columns", by_columns)):
    came[name] = load(save({"a": array}))["a"].tolist()
    print(f"{name}: {array.tolist()} comes back as {came[name]}")
held = came == {"by rows": by_rows.tolist(), "by columns": [[0, 3, 1], [4, 2, 5]]}
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
