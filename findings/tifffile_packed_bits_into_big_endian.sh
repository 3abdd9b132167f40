#!/usr/bin/env bash
# tifffile 2026.3.3: what `imwrite` packs in 10, 12 or 14 bits into a big-endian file are other numbers than it was given.
#
# Tried: `imwrite(path, values, bitspersample=bits, byteorder=order)` of 3, 67, 126 and the largest value, for 10, 12 and 14
#   bits and both orders; read back with `imread`. Samples that fill no whole
#   bytes stand bit after bit from the highest on, whatever the order of the file's own numbers (TIFF 6.0, FillOrder 1): the
#   bytes of both files' strips are the same.
# Expected: the numbers that were written.
# Seen: so in little-endian. In big-endian 3, 67, 126, 4095 become 768, 768, 3584, 3855: the bytes of each number are
#   exchanged before its lower bits are packed. No warning; a file of the right bytes is read right in either order, so it is
#   the writer that is wrong.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PY'
import struct
import sys
from pathlib import Path

import numpy as np
import tifffile

path = Path(sys.argv[1], "packed.tif")
print("tifffile", tifffile.__version__)
held = True
for bits in (10, 12, 14):
    values = [3, 67, 126, 2**bits - 1]
    right = int("".join(format(value, f"0{bits}b") for value in values).ljust(-(-4 * bits // 8) * 8, "0"), 2)
    strip = right.to_bytes(-(-4 * bits // 8), "big")
    for order in "<>":
        tifffile.imwrite(path, np.array([values], np.uint16), bitspersample=bits, byteorder=order)
        with tifffile.TiffFile(path) as file:
            start, length = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
        came, is_right = tifffile.imread(path)[0].tolist(), path.read_bytes()[start : start + length] == strip
        tags = {256: 4, 257: 1, 258: bits, 259: 1, 262: 1, 273: 8 + 2 + 9 * 12 + 4, 277: 1, 278: 1, 279: len(strip)}
        table = b"".join(struct.pack(order + "HHII", tag, 4, 1, number) for tag, number in tags.items())
        head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
        path.write_bytes(head + table + bytes(4) + strip)
        by_hand = tifffile.imread(path)[0].tolist()
        print(f"{bits} bits, {order}: written and read {came}; by hand and read {by_hand}; expected {values}")
        held &= by_hand == values and (came == values) == is_right == (order == "<")
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
