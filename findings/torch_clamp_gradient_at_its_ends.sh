#!/usr/bin/env bash
# torch 2.14.1: what goes back through `clamp` at its very ends depends on whether a bound is given as a number or as a
# tensor of the same value.
#
# Tried: the gradient of x.clamp(min=0, max=6) at x = -1, 0, 3, 6 and 7, with bounds as numbers and as tensors of one
#   number; beside it ReLU6 and hardtanh from 0 to 6, which compute the same function.
# Expected: one gradient, as it is one function of x. Any value from 0 to 1 is a subgradient at the ends.
# Seen: at 0 and at 6 it is 0 with numbers, ReLU6 and hardtanh, and 1/2 with tensors. Pictures of 8 bits that are scaled
#   to a range hold such ends in many places, so two networks that give equal outputs have different gradients.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.14.1 numpy==1.26.4
"$folder/venv/bin/python" - <<'PY'
import torch
from torch.nn import functional

low, high = torch.tensor(0.0), torch.tensor(6.0)
ways = {
    "clamp, numbers": lambda x: x.clamp(min=0.0, max=6.0),
    "clamp, tensors": lambda x: x.clamp(min=low, max=high),
    "relu6": functional.relu6,
    "hardtanh": lambda x: functional.hardtanh(x, 0.0, 6.0),
}
print("torch", torch.__version__)
given, gone_back = [-1.0, 0.0, 3.0, 6.0, 7.0], {}
for name, function in ways.items():
    x = torch.tensor(given, requires_grad=True)
    result = function(x)
    assert result.tolist() == [0.0, 0.0, 3.0, 6.0, 6.0], name
    result.sum().backward()
    gone_back[name] = x.grad.tolist()
    print(f"{name}: {gone_back[name]}")
seen = {name: [0.0, 0.0, 1.0, 0.0, 0.0] for name in ways} | {"clamp, tensors": [0.0, 0.5, 1.0, 0.5, 0.0]}
raise SystemExit(0 if gone_back == seen else 1)
PY
