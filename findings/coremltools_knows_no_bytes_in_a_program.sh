#!/usr/bin/env bash
# coremltools 9.0: a program of torch.export whose input is uint8 cannot be converted; int32 can.
#
# Tried: a module that divides its input by 255, exported with an example of torch.uint8, the type of pictures; and the
#   same with one of torch.int32.
# Expected: both are converted, or an error that says which types there are.
# Seen: KeyError: torch.uint8, also with inputs=[TensorType(dtype=...)]; of int32 the conversion ends well.
#
# Ends with 0 while this is so, with 1 once it changes. Installs torch, some gigabytes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet coremltools==9.0 torch==2.14.1
"$folder/venv/bin/python" - <<'PY'
import logging
from importlib.metadata import version

import coremltools
import numpy as np
import torch

logging.disable(logging.WARNING)


class Whole(torch.nn.Module):
    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.to(torch.float32) / 255


def converted(kind: torch.dtype) -> str:
    program = torch.export.export(Whole(), (torch.zeros((1, 4, 4, 3), dtype=kind),)).run_decompositions({})
    try:
        coremltools.convert(
            program,
            inputs=[coremltools.TensorType(name="pictures", shape=(1, 4, 4, 3), dtype=np.int32)],
            minimum_deployment_target=coremltools.target.iOS16,
        )
    except KeyError as error:
        return f"KeyError: {error}"
    return "converted"


print("coremltools", version("coremltools"), "torch", version("torch"))
print("uint8:", of_bytes := converted(torch.uint8))
print("int32:", of_whole_numbers := converted(torch.int32))
held = (of_bytes, of_whole_numbers) == ("KeyError: torch.uint8", "converted")
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
