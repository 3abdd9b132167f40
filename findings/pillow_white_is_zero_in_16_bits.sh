#!/usr/bin/env bash
# Pillow 13.0.0: a grey TIFF whose zero is white (PhotometricInterpretation 0, WhiteIsZero) is turned round where it has 8
# bits, and left as it is where it has 16: the same picture comes out as its negative, without an error.
#
# Tried: TIFFs of three grey values, black, 3/4 and white, in 8 and in 16 bits, with WhiteIsZero and with BlackIsZero, in both
#   byte orders.
# Expected: black is 0 and white the largest value in each, as the values of 8 bits are.
# Seen: so in 8 bits. In 16 bits and little-endian, WhiteIsZero comes as it is stored: black is 65535, white 0. In 16 bits and
#   big-endian it cannot be opened at all (UnidentifiedImageError).
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet pillow==13.0.0
"$folder/venv/bin/python" - <<'PY'
import io
import struct

import PIL
from PIL import Image, UnidentifiedImageError


def tiff(greys: list[int], bits: int, photometric: int, order: str) -> bytes:
    """One row of grey values."""
    values = struct.pack(f"{order}{len(greys)}{'B' if bits == 8 else 'H'}", *greys)
    tags = {256: len(greys), 257: 1, 258: bits, 259: 1, 262: photometric, 273: 8 + 2 + 9 * 12 + 4, 277: 1, 278: 1, 279: len(values)}
    table = b"".join(struct.pack(order + "HHII", tag, 4, 1, number) for tag, number in tags.items())
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags)) + table + bytes(4) + values


print("Pillow", PIL.__version__)
found = {}
for bits, white in ((8, 255), (16, 65535)):
    seen = [0, white * 3 // 4, white]
    for photometric, stored in ((0, [white - grey for grey in seen]), (1, seen)):
        for order in "<>":
            try:
                picture = Image.open(io.BytesIO(tiff(stored, bits, photometric, order)))
                came = [picture.getpixel((x, 0)) for x in range(3)]
                told = "right" if came == seen else "as stored" if came == stored else "otherwise"
            except UnidentifiedImageError:
                came, told = [], "not opened"
            found[bits, photometric, order] = told
            print(f"{bits} bits, photometric {photometric}, {order}: {came} {told}")
expected = dict.fromkeys(found, "right") | {(16, 0, "<"): "as stored", (16, 0, ">"): "not opened"}
print("as described" if found == expected else "changed: read this file again")
raise SystemExit(0 if found == expected else 1)
PY
