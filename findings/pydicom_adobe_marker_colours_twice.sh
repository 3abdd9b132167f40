#!/usr/bin/env bash
# pydicom 3.0.2 with Pillow 13.0.0: a JPEG with Adobe's marker becomes RGB twice where the header says YBR_FULL or
# YBR_FULL_422.
#
# Tried: one colour, (200, 30, 60), as JPEG Baseline with the JFIF marker, with none, and with Adobe's APP14 marker whose
#   transform is 1 (the components are YCbCr); each in a DICOM file whose PhotometricInterpretation is YBR_FULL_422,
#   which is what such a codestream is. `pixel_array` returns RGB for these.
# Expected: (200, 30, 60), within rounding, for all three, as dcmtk's dcmj2pnm 3.6.7 has it.
# Seen: so for the first two, and (103, 255, 26) with Adobe's marker. Pillow obeys the marker and gives RGB; pydicom goes
#   by the header and converts once more. No warning.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet pydicom==3.0.2 numpy==1.26.4 pillow==13.0.0
"$folder/venv/bin/python" - <<'PY'
import io
from importlib.metadata import version

from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

COLOUR = (200, 30, 60)
stream = io.BytesIO()
Image.new("RGB", (16, 16), COLOUR).save(stream, "JPEG", quality=95, subsampling=0)
jfif = stream.getvalue()
rest = jfif[4 + int.from_bytes(jfif[4:6], "big") :]
adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x01"
seen = {}
for name, coded in (("JFIF", jfif), ("none", b"\xff\xd8" + rest), ("Adobe", b"\xff\xd8" + adobe + rest)):
    picture = Dataset()
    picture.file_meta = FileMetaDataset()
    picture.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    picture.SamplesPerPixel, picture.PhotometricInterpretation, picture.PlanarConfiguration = 3, "YBR_FULL_422", 0
    picture.Rows = picture.Columns = 16
    picture.BitsAllocated, picture.BitsStored, picture.HighBit, picture.PixelRepresentation = 8, 8, 7, 0
    picture.PixelData = encapsulate([coded + b"\0" * (len(coded) % 2)])
    picture["PixelData"].VR = "OB"
    seen[name] = tuple(int(value) for value in picture.pixel_array[0, 0])
print("pydicom", version("pydicom"), "pillow", version("pillow"))
print(seen)
near = {name: all(abs(a - b) <= 2 for a, b in zip(values, COLOUR, strict=True)) for name, values in seen.items()}
held = near["JFIF"] and near["none"] and max(abs(a - b) for a, b in zip(seen["Adobe"], COLOUR, strict=True)) > 50
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
