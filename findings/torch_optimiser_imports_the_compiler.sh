#!/usr/bin/env bash
# torch 2.14.1: making an optimiser imports the compiler of programs, though nothing is to be compiled.
#
# Tried: import torch, then torch.optim.SGD over one number, in a process that calls nothing of torch.compile.
# Expected: the optimiser's own module and little else.
# Seen: torch._dynamo and torch._inductor are imported with it, some 870 modules, in nearly the processor time of
#   `import torch` itself. Each worker of a simulation that takes a few short steps pays that before its first one.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.14.1 numpy==1.26.4
"$folder/venv/bin/python" - <<'PY'
import sys
import time

begun = time.process_time()
import torch  # noqa: E402

torch_seconds, at_first = time.process_time() - begun, set(sys.modules)
begun = time.process_time()
torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
seconds, new = time.process_time() - begun, set(sys.modules) - at_first

compiler = {"torch._dynamo", "torch._inductor"}
print("torch", torch.__version__)
print(f"import torch: {len(at_first)} modules, {torch_seconds:.1f} s of processor time")
print(f"torch.optim.SGD: {len(new)} more, {seconds:.1f} s; of the compiler: {sorted(compiler & new)}")
held = not compiler & at_first and compiler <= new and len(new) > 500
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
