#!/usr/bin/env bash
# OpenCV 5.0.0: a colour TIFF of 16 bits whose colours lie in planes is read as if they lay pixel by pixel.
#
# Tried: one picture of 6 x 4 pixels in three colours, 8 and 16 bits, PlanarConfiguration 1 (pixel by pixel) and 2 (planes);
#   `cv2.imread(path, cv2.IMREAD_UNCHANGED)`.
# Expected: the same picture from each, as tifffile 2026.3.3 has it.
# Seen: so of both in 8 bits, and of 16 bits pixel by pixel. Of 16 bits in planes each three neighbours of the first plane
#   become a pixel's blue, green and red: scrambled, without an error.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet opencv-python-headless==5.0.0.93 tifffile==2026.3.3 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys

import cv2
import numpy as np
import tifffile

print("OpenCV", cv2.__version__, "tifffile", tifffile.__version__)
path, found = f"{sys.argv[1]}/planes.tif", {}
for bits, kind in ((8, np.uint8), (16, np.uint16)):
    colours = (np.arange(4 * 6 * 3).reshape(4, 6, 3) * (3 if bits == 8 else 800)).astype(kind)
    for planes in (False, True):
        stored = np.moveaxis(colours, -1, 0) if planes else colours
        tifffile.imwrite(path, stored, photometric="rgb", planarconfig="separate" if planes else "contig")
        peer = tifffile.imread(path)
        assert np.array_equal(np.moveaxis(peer, 0, -1) if planes else peer, colours)
        seen = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        seen = None if seen is None else seen[..., ::-1]
        found[bits, planes] = seen is not None and np.array_equal(seen, colours)
        first = None if seen is None else seen[0, :2].tolist()
        print(f"{bits} bits, {'planes' if planes else 'pixel by pixel'}: {first}, expected {colours[0, :2].tolist()}")
held = found == {(8, False): True, (8, True): True, (16, False): True, (16, True): False} and seen is not None
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
