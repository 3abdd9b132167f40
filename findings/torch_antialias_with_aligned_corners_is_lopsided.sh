#!/usr/bin/env bash
# torch 2.14.1: resizing with antialias and align_corners=True moves a picture to one side.
#
# Tried: interpolate of a row of 13 values, all 0 but the one in the middle, to 7 values, which both have a middle; of
#   random rows and of the same rows mirrored; bilinear and bicubic, antialias=True, align_corners False and True.
# Expected: with both, the middle stays in the middle, and a mirrored row gives the mirrored result, to rounding.
# Seen: with align_corners=False so. With True the middle's value is shared with the neighbour on one side only
#   (bilinear: 1/8 and 3/8), and mirrored rows differ by more than a tenth. The step between centres is that of aligned
#   corners, the first centre that of unaligned ones. Exported to ONNX, it is another function than here.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.14.1 numpy==1.26.4
"$folder/venv/bin/python" - <<'PY'
import torch
from torch.nn.functional import interpolate

print("torch", torch.__version__)
torch.manual_seed(0)
middle = torch.zeros(1, 1, 1, 13, dtype=torch.float64)
middle[..., 6] = 1
rows = torch.rand(1, 1, 8, 13, dtype=torch.float64)
held = True
for mode in ("bilinear", "bicubic"):
    for aligned in (False, True):

        def smaller(x: torch.Tensor) -> torch.Tensor:
            return interpolate(x, size=(x.shape[2], 7), mode=mode, antialias=True, align_corners=aligned)

        came = smaller(middle).flatten()
        lopsided = (came[2] - came[4]).abs().item()
        mirrored = (smaller(rows.flip(3)).flip(3) - smaller(rows)).abs().max().item()
        print(f"{mode}, align_corners={aligned}: {[round(one, 3) for one in came.tolist()]}, mirrored off by {mirrored:.2g}")
        held &= (lopsided > 0.1 and mirrored > 0.1) if aligned else (lopsided < 1e-6 and mirrored < 1e-6)
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
