#!/usr/bin/env bash
# opacus 1.6.0: gradients per sample of a convolution whose border is reflected, repeated or goes round are those of one
# whose border is zeros.
#
# Tried: Conv1d and Conv2d with each padding_mode, three samples in float64; each sample's gradient of the weights by
#   GradSampleModule, held against the gradient that torch computes of that sample alone.
# Expected: the same to rounding in every mode, or a refusal of the module.
# Seen: with zeros they agree to 1e-12. With reflect, replicate and circular they differ by a twentieth to a half of the
#   largest gradient, and no validator objects. Clipping still bounds what each sample adds, so privacy holds; what is
#   trained is another gradient than the network's.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet opacus==1.6.0 torch==2.14.1 numpy==1.26.4
"$folder/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from opacus import GradSampleModule
from opacus.validators import ModuleValidator
from torch import nn

print("opacus", version("opacus"), "torch", torch.__version__)
held = True
for kind, shape in ((nn.Conv1d, (3, 2, 9)), (nn.Conv2d, (3, 2, 6, 6))):
    for mode in ("zeros", "reflect", "replicate", "circular"):
        torch.manual_seed(0)
        layer = kind(2, 2, 3, padding=1, padding_mode=mode).double()
        samples = torch.randn(shape, dtype=torch.float64)
        alone = []
        for number in range(len(samples)):
            layer.zero_grad()
            layer(samples[number : number + 1]).pow(2).sum().backward()
            alone.append(layer.weight.grad.clone())
        right = torch.stack(alone)
        layer.zero_grad()
        assert not ModuleValidator.validate(layer)
        wrapped = GradSampleModule(layer, loss_reduction="sum")
        wrapped(samples).pow(2).sum().backward()
        off = ((layer.weight.grad_sample - right).abs().max() / right.abs().max()).item()
        print(f"{kind.__name__}, {mode}: off by {off:.2g} of the largest")
        held &= off < 1e-12 if mode == "zeros" else off > 0.02
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
