#!/usr/bin/env bash
# flwr 1.42.0: FedAdam corrects its means as if a round more had passed; its first step is 0.74 of Adam's.
#
# Tried: one round of FedAdam with its own defaults (eta 0.1, beta_1 0.9, beta_2 0.99) and tau near zero, one weight whose
#   mean update is 1.
# Expected: 0.1, Adam's first step whatever the update is; or, as in Reddi et al.'s algorithm without correction, 0.1.
# Seen: 0.0742 = 0.1 * sqrt(1 - 0.99^2) / (1 - 0.9^2) * 0.1 / sqrt(0.01): the powers are round + 1, and rounds count from 1.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet flwr==1.42.0
"$folder/venv/bin/python" - <<'PY' 2>/dev/null
from importlib.metadata import version

import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.common import Array
from flwr.serverapp.strategy import FedAdam
from flwr.supercore.task_identity import TaskIdentity

TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
strategy = FedAdam(tau=1e-12)
strategy.current_arrays = {"w": np.zeros(1)}
content = RecordDict({"arrays": ArrayRecord({"w": Array(np.ones(1))}), "metrics": MetricRecord({"num-examples": 1.0})})
asked = Message(content=RecordDict(), dst_node_id=1, message_type="train")
arrays, _ = strategy.aggregate_train(1, [Message(content=content, reply_to=asked)])
step = float(arrays["w"].numpy()[0])

print("flwr", version("flwr"))
print(f"first step: {step:.4f}, Adam's: 0.1000")
held = abs(step - 0.1 * np.sqrt(1 - 0.99**2) / (1 - 0.9**2) * 0.1 / np.sqrt(0.01)) < 1e-6
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
