#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK): a grey TIFF with an alpha beside each grey comes as half the picture, its columns taken apart.
#
# Tried: a picture of the greys 10, 20, 30, 40 in a row, 8 bits, BlackIsZero, two samples a pixel of which the second is
#   alpha (ExtraSamples 2), all opaque; and the same as PNG.
# Expected: 10, 20, 30, 40, as Pillow 13.0.0 has it of both; or two components a pixel; or a refusal, as of the PNG.
# Seen: of the TIFF one component, 10, 255, 20, 255: greys and alphas take turns as if all were greys, and each row's right
#   half is lost. No warning.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet SimpleITK==2.5.7 pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import SimpleITK
from PIL import Image

GREYS = [10, 20, 30, 40]
values = np.array([[[grey, 255] for grey in GREYS]] * 4, np.uint8)
print("SimpleITK", version("SimpleITK"), "Pillow", version("pillow"))
found = {}
for kind in ("tif", "png"):
    path = f"{sys.argv[1]}/grey.{kind}"
    Image.fromarray(values, "LA").save(path)
    pillow = np.asarray(Image.open(path))[0, :, 0].tolist()
    try:
        picture = SimpleITK.ReadImage(path)
    except RuntimeError:
        print(f"{kind}: {pillow} by Pillow, refused by SimpleITK, expected {GREYS}")
        found[kind] = pillow == GREYS and "refused"
        continue
    components = picture.GetNumberOfComponentsPerPixel()
    seen = SimpleITK.GetArrayFromImage(picture)[0].reshape(len(GREYS), -1)[:, 0].tolist()
    print(f"{kind}: {pillow} by Pillow, {seen} of {components} components by SimpleITK, expected {GREYS}")
    found[kind] = pillow == GREYS and (components, seen)
held = found == {"tif": (1, [10, 255, 20, 255]), "png": "refused"}
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
