#!/usr/bin/env bash
# flwr 1.42.0: Krum's squared distances between trained models are below zero, as float32 loses what the models differ in.
#
# Tried: seven models of a million weights as hospitals send them late in a study: the same weights, of size 0.05, each
#   with differences of 1e-5 of its own. Their true squared distances are 2e-4 each, and 0 of each to itself.
# Expected: 0 on the diagonal, 2e-4 elsewhere.
# Seen: values from below -0.001 to above 0.005, on the diagonal too: products of whole models, in float32, are subtracted
#   from squares of whole models. Which update Krum then takes says nothing about which lies closest to others. The updates
#   themselves, or float64, give the right distances.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet flwr==1.42.0
"$folder/venv/bin/python" - <<'PY'
from importlib.metadata import version

import numpy as np
from flwr.app import ArrayRecord
from flwr.common import Array
from flwr.serverapp.strategy.multikrum import compute_distances

random = np.random.default_rng(0)
shared = (0.05 * random.standard_normal(1_000_000)).astype(np.float32)
models = [shared + (1e-5 * random.standard_normal(shared.size)).astype(np.float32) for _ in range(7)]
found = compute_distances([ArrayRecord({"w": Array(model)}) for model in models])
apart = np.stack([model.astype(np.float64) - shared for model in models])
exact = np.square(apart[:, None] - apart[None]).sum(axis=-1)

print("flwr", version("flwr"))
others = ~np.eye(len(models), dtype=bool)
print(f"exact, of different models: {exact[others].min():.6f} to {exact[others].max():.6f}")
print(f"found, of different models: {found[others].min():.6f} to {found[others].max():.6f}")
print(f"found, of each to itself: {np.diagonal(found).min():.6f} to {np.diagonal(found).max():.6f}")
held = bool((found[others] < 0).any()) and float(np.abs(found - exact).max()) > 10 * float(exact.max())
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
