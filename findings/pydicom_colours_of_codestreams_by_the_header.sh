#!/usr/bin/env bash
# pydicom 3.0.2: colours of a JPEG or JPEG 2000 codestream are mixed up where the header's PlanarConfiguration is 1.
#
# Tried: four fields of one colour each, 8 x 8 pixels, as JPEG Baseline and as JPEG 2000 without loss, in DICOM files whose
#   PlanarConfiguration is 0 and 1. Writers leave 1 there that compress what lay in planes before. How components lie is said
#   by the codestream alone (PS3.5 8.2), whose decoders give them pixel by pixel.
# Expected: the four colours, as SimpleITK 2.5.7 (GDCM) has them of each file, and pydicom itself of JPEG-LS, whose plugin
#   passes the header by.
# Seen: so where it says 0. Where it says 1 the decoded pixels are taken for three planes, with Pillow's plugin as with
#   pylibjpeg's: the picture is scrambled, without a warning.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet pydicom==3.0.2 numpy==1.26.4 pillow==13.0.0 pylibjpeg==2.1.0 pylibjpeg-openjpeg==2.3.0 SimpleITK==2.5.7
"$folder/venv/bin/python" - "$folder" <<'PY'
import io
import sys
from importlib.metadata import version

import numpy as np
import SimpleITK
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, generate_uid

CORNERS = np.array([[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 255, 255)]], np.uint8)
COLOURS = CORNERS.repeat(8, 0).repeat(8, 1)


def file(kind: str, planar: int) -> str:
    stream = io.BytesIO()
    if kind == "JPEG":
        Image.fromarray(COLOURS).save(stream, "JPEG", quality=100, subsampling=0)
    else:
        Image.fromarray(COLOURS).save(stream, "JPEG2000", no_jp2=True, mct=1)
    content = stream.getvalue()
    picture = Dataset()
    picture.file_meta = FileMetaDataset()
    picture.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if kind == "JPEG" else JPEG2000Lossless
    picture.SOPClassUID = picture.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.6.1"
    picture.SOPInstanceUID = picture.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    picture.Rows, picture.Columns, picture.SamplesPerPixel = 16, 16, 3
    picture.PhotometricInterpretation = "YBR_FULL_422" if kind == "JPEG" else "YBR_RCT"
    picture.PlanarConfiguration = planar
    picture.BitsAllocated = picture.BitsStored = 8
    picture.HighBit, picture.PixelRepresentation = 7, 0
    picture.PixelData = encapsulate([content + b"\0" * (len(content) % 2)])
    picture["PixelData"].VR = "OB"
    path = f"{sys.argv[1]}/{kind}{planar}.dcm"
    picture.save_as(path, enforce_file_format=True)
    return path


def right(seen: np.ndarray) -> bool:
    return seen.shape == COLOURS.shape and int(np.abs(seen.astype(int) - COLOURS).max()) <= 3


print("pydicom", version("pydicom"), "SimpleITK", version("SimpleITK"))
found = {}
for kind, plugins in (("JPEG", ("pillow",)), ("JPEG 2000", ("pillow", "pylibjpeg"))):
    for planar in (0, 1):
        path = file(kind, planar)
        for plugin in plugins:
            found[kind, plugin, planar] = right(pixel_array(path, decoding_plugin=plugin))
        found[kind, "SimpleITK", planar] = right(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))[0])
for (kind, reader, planar), is_right in found.items():
    print(f"{kind}, PlanarConfiguration {planar}, {reader}: {'right' if is_right else 'scrambled'}")
held = all(is_right == (reader == "SimpleITK" or planar == 0) for (_, reader, planar), is_right in found.items())
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
