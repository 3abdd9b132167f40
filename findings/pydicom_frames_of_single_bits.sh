#!/usr/bin/env bash
# pydicom 3.0.2: a frame of single bits that begins late in a byte cannot be had by itself.
#
# Tried: three frames of 3 x 1 pixels with BitsAllocated 1, uncompressed: nine bits in two bytes, since frames follow each
#   other without padding (PS3.5 8.1.1). All of them with `pixel_array(path)`, each with `pixel_array(path, index=...)`, and all in
#   turn with `iter_pixels(path)`.
# Expected: 101, 010 and 110 in each way.
# Seen: so of all at once. The third frame, by its index or in turn, ends in ValueError (cannot reshape): as many bytes are
#   read as its own bits would fill, from the one in which it begins, so its last bit, which is in the next one, is missing.
#   Where frames are whole bytes it works, so that masks of 512 x 512 never show it.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet pydicom==3.0.2 numpy==1.26.4
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys
from importlib.metadata import version

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.pixels import iter_pixels, pixel_array
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

FRAMES = [[1, 0, 1], [0, 1, 0], [1, 1, 0]]
picture = Dataset()
picture.file_meta = FileMetaDataset()
picture.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
picture.SOPClassUID = picture.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7.1"
picture.SOPInstanceUID = picture.file_meta.MediaStorageSOPInstanceUID = generate_uid()
picture.Rows, picture.Columns, picture.SamplesPerPixel, picture.NumberOfFrames = 1, 3, 1, 3
picture.PhotometricInterpretation = "MONOCHROME2"
picture.BitsAllocated = picture.BitsStored = 1
picture.HighBit = picture.PixelRepresentation = 0
picture.PixelData = (0b011_010_101).to_bytes(2, "little")  # the first pixel is the lowest bit
picture["PixelData"].VR = "OB"
path = f"{sys.argv[1]}/bits.dcm"
picture.save_as(path, enforce_file_format=True)


def told(call) -> object:
    try:
        return call()
    except ValueError as error:
        return f"ValueError: {error}"


together = told(lambda: pixel_array(path)[:, 0].tolist())
alone = [told(lambda: pixel_array(path, index=frame)[0].tolist()) for frame in range(3)]
in_turn = told(lambda: [frame[0].tolist() for frame in iter_pixels(path)])
print("pydicom", version("pydicom"))
print("together:", together)
print("alone:", alone)
print("in turn:", in_turn)
held = together == FRAMES and alone[:2] == FRAMES[:2] and str(alone[2]).startswith("ValueError") and str(in_turn).startswith("ValueError")
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
