#!/usr/bin/env bash
# torch 2.14.1 on x86-64: which last bits a row of a small linear layer's output has goes by the row's place in the
# batch where the number of inputs is no multiple of four, and no longer once oneMKL is told to be reproducible.
#
# Tried: linear from 704 to 708 inputs to 6 outputs, float32, one thread, 248 rows, and the same rows from last to
#   first; again in a process with MKL_CBWR=AUTO.
# Expected: one layer, one thread and one batch size: a row's output does not depend on which row it is. At most a few
#   rows at the ends, in a kernel's remainder, would differ.
# Seen: with 705, 706 or 707 inputs every one of the 248 rows has other bits, with 704 and 708 none; with MKL_CBWR=AUTO
#   none in either case. float32 rows of 705 numbers begin in the middle of a vector three times out of four. Whoever
#   relies on a picture's gradient being the same wherever it stands, as private training does where batches are padded,
#   has to lengthen such rows or take pictures one by one. (Seen on an AMD EPYC with AVX2 and AVX-512.)
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.14.1 numpy==1.26.4
cat > "$folder/rows.py" <<'PY'
import torch
from torch.nn.functional import linear

torch.set_num_threads(1)
draws = torch.Generator().manual_seed(0)
found = {}
for inputs in range(704, 709):
    rows, weight = (torch.randn(n, inputs, generator=draws) for n in (248, 6))
    turned = linear(rows.flip(0), weight).flip(0)
    found[inputs] = int((linear(rows, weight) != turned).any(1).sum())
print(found)
PY
"$folder/venv/bin/python" -c 'import torch; print("torch", torch.__version__)'
usual=$("$folder/venv/bin/python" "$folder/rows.py")
reproducible=$(MKL_CBWR=AUTO "$folder/venv/bin/python" "$folder/rows.py")
echo "rows of other bits, by inputs: $usual; with MKL_CBWR=AUTO: $reproducible"
[ "$usual" = "{704: 0, 705: 248, 706: 248, 707: 248, 708: 0}" ] &&
  [ "$reproducible" = "{704: 0, 705: 0, 706: 0, 707: 0, 708: 0}" ]
