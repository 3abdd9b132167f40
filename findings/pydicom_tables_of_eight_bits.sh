#!/usr/bin/env bash
# pydicom 3.0.2: lookup tables whose entries have 8 bits are looked up by the low byte of the value.
#
# Tried: a VOI LUT of 4,096 entries of 8 bits (entry n is n // 16) for a picture of 12 bits, through `apply_voi`; and a
#   palette of 512 entries of 8 bits (entry n is n // 2) for indices of 16 bits, through `apply_color_lut`. Both are as
#   PS3.3 C.11.2.1.1 and C.7.6.3.1.5 have them: the width of an entry says nothing of how many entries there are.
# Expected: 0, 15, 16, 62, 255 for the values 0, 255, 256, 1000, 4095; 50, 150, 255 for the indices 100, 300, 511.
# Seen: 0, 15, 0, 14, 15 and 50, 22, 127. Values are put into an array of the entries' type before they are looked up.
#   No warning; a mammogram keeps 16 greys of 256, folded over each other.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet pydicom==3.0.2 numpy==1.26.4
"$folder/venv/bin/python" - <<'PY'
from importlib.metadata import version

import numpy as np
from pydicom import Dataset
from pydicom.pixels import apply_color_lut, apply_voi

entry = Dataset()
entry.add_new("LUTDescriptor", "US", [4096, 0, 8])
entry.add_new("LUTData", "US", [number // 16 for number in range(4096)])
picture = Dataset()
picture.VOILUTSequence = [entry]
voi = apply_voi(np.array([0, 255, 256, 1000, 4095], np.uint16), picture).tolist()

palette = Dataset()
for colour in ("Red", "Green", "Blue"):
    palette.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [512, 0, 8])
    palette.add_new(f"{colour}PaletteColorLookupTableData", "OW", bytes(number // 2 for number in range(512)))
reds = apply_color_lut(np.array([100, 300, 511], np.uint16), palette)[:, 0].tolist()

print("pydicom", version("pydicom"))
print("VOI LUT:", voi, "expected", [0, 15, 16, 62, 255])
print("palette:", reds, "expected", [50, 150, 255])
held = voi == [0, 15, 0, 14, 15] and reds == [50, 22, 127]
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
