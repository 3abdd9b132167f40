#!/usr/bin/env bash
# Pillow 13.0.0: an uncompressed TIFF of one strip whose Orientation is 5 to 8 comes out scrambled when it is opened by its
# name, without an error or a warning; opened as a stream, the same file comes out right.
#
# Tried: a grey TIFF of 2 columns and 3 rows (3 6, 2 5, 1 4) with Orientation 6, which upright is 1 2 3 over 4 5 6; opened
#   by name and as a stream, with and without ImageOps.exif_transpose; and the same file packed with deflate.
# Expected: 3 columns and 2 rows, 1 2 3 over 4 5 6, in each case.
# Seen: by its name, uncompressed, 2 columns and 3 rows: 5 3, 1 6, 4 2. A file that is opened by name is mapped into memory,
#   as wide as the picture will be once it is turned, and then turned. A square one comes out right; streams are not mapped,
#   nor are packed values.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet pillow==13.0.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import struct
import sys
import zlib
from pathlib import Path

import PIL
from PIL import Image, ImageOps


def tiff(values: bytes, compression: int) -> bytes:
    """2 columns, 3 rows, 8 bits, Orientation 6."""
    tags = {256: 2, 257: 3, 258: 8, 259: compression, 262: 1, 273: 8 + 2 + 10 * 12 + 4, 274: 6, 277: 1, 278: 3, 279: len(values)}
    table = b"".join(struct.pack("<HHII", tag, 4, 1, number) for tag, number in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + struct.pack("<I", 0) + values


def rows(picture: Image.Image) -> list:
    pixels = picture.load()
    width, height = picture.size  # which loading changes where the file was mapped
    return [[pixels[x, y] for x in range(width)] for y in range(height)]


print("Pillow", PIL.__version__)
found = {}
for name, compression in (("plain.tif", 1), ("packed.tif", 8)):
    stored = bytes([3, 6, 2, 5, 1, 4])
    file = Path(sys.argv[1], name)
    file.write_bytes(tiff(zlib.compress(stored) if compression == 8 else stored, compression))
    found[name, "name"] = rows(Image.open(file))
    found[name, "name, exif_transpose"] = rows(ImageOps.exif_transpose(Image.open(file)))
    with file.open("rb") as stream:
        found[name, "stream"] = rows(Image.open(stream))
for how, came in found.items():
    print(*how, came)
right = [[1, 2, 3], [4, 5, 6]]
wrong = {how for how, came in found.items() if came != right}
held = wrong == {("plain.tif", "name"), ("plain.tif", "name, exif_transpose")}
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
