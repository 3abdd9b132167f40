#!/usr/bin/env bash
# pydicom 3.0.2: of a segmented palette of 16 bits, the offset of an indirect segment is taken for words; it is in bytes.
#
# Tried: a table of three segments: 10, 20, 30, 40; then 50, 60; then a copy of the one segment at byte 12, which is the
#   second (PS3.3 table C.7-27: "byte offset to first segment to copy").
# Expected: 10, 20, 30, 40, 50, 60, 50, 60.
# Seen: ValueError "unknown segment type '12'", from the twelfth word on. With offset 6, which is no segment's first byte,
#   the table comes out as expected; where the wrong place happens to look like a segment, other colours do.
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
from pydicom.dataset import FileMetaDataset
from pydicom.pixels import apply_color_lut
from pydicom.uid import ExplicitVRLittleEndian


def reds(offset: int) -> list[int] | str:
    segments = np.array([0, 4, 10, 20, 30, 40, 0, 2, 50, 60, 2, 1, offset, 0], "<u2").tobytes()
    palette = Dataset()
    palette.file_meta = FileMetaDataset()
    palette.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for colour in ("Red", "Green", "Blue"):
        palette.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [8, 0, 16])
        palette.add_new(f"Segmented{colour}PaletteColorLookupTableData", "OW", segments)
    try:
        return apply_color_lut(np.arange(8, dtype=np.uint8), palette)[:, 0].tolist()
    except ValueError as error:
        return str(error)


print("pydicom", version("pydicom"))
print("offset 12 bytes:", reds(12))
print("offset 6 words: ", reds(6))
held = reds(12) != [10, 20, 30, 40, 50, 60, 50, 60] == reds(6)
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
