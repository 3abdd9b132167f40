#!/usr/bin/env bash
# Pillow 13.0.0: the transparent grey of a PNG of 2 or 4 bits is compared with greys that were spread to 8 bits.
#
# Tried: PNGs of the greys 1, 2 and 3 in 2, 4 and 8 bits whose tRNS chunk makes grey 2 transparent; through `convert("RGBA")`.
# Expected: the second pixel has alpha 0, the others 255, in each, as pypng 0.20220715.0 has them, and the PNG
#   specification: the sample is of the picture's own depth.
# Seen: so in 8 bits. In 2 and 4 bits no pixel is transparent: the picture's greys become 85, 170, 255 and 17, 34, 51,
#   `info["transparency"]` stays 2. Of 1 bit Pillow spreads both.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet pillow==13.0.0 pypng==0.20220715.0
"$folder/venv/bin/python" - <<'PY'
import io
import struct
import zlib
from importlib.metadata import version

import PIL
import png as pypng
from PIL import Image


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(bits: int) -> bytes:
    """Greys 1, 2 and 3 in a row, of which 2 is transparent."""
    row = int("".join(format(grey, f"0{bits}b") for grey in (1, 2, 3)).ljust(-(-3 * bits // 8) * 8, "0"), 2)
    data = b"\0" + row.to_bytes(-(-3 * bits // 8), "big")
    head = struct.pack(">IIBBBBB", 3, 1, bits, 0, 0, 0, 0)
    chunks = (b"IHDR", head), (b"tRNS", b"\0\2"), (b"IDAT", zlib.compress(data)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


print("Pillow", PIL.__version__, "pypng", version("pypng"))
held = True
for bits in (2, 4, 8):
    picture = Image.open(io.BytesIO(png(bits)))
    pillow = list(picture.convert("RGBA").getchannel("A").tobytes())
    peer = list(next(iter(pypng.Reader(bytes=png(bits)).asRGBA()[2]))[3::4])
    peer = [0 if alpha == 0 else 255 for alpha in peer]
    print(f"{bits} bits: alpha {pillow} by Pillow, {peer} by pypng, expected [255, 0, 255]")
    held &= peer == [255, 0, 255] and pillow == ([255, 0, 255] if bits == 8 else [255, 255, 255])
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
