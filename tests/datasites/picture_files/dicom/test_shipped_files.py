"""Every file with pixels that pydicom ships comes in right or is refused by name, and dcmtk sees the same."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import JPEGLSTransferSyntaxes
from support.shipped_dicom import FOLDER, FORM, with_pixels

from datasites.picture_files import reasons as of_all_formats
from datasites.picture_files.dicom import reasons
from datasites.picture_files.dicom.header import Header
from datasites.picture_files.dicom.pixels import pixels
from datasites.picture_files.picture_refused import PictureRefused
from policies.plans.picture_form import WINDOWS

DCMTK = shutil.which("dcmj2pnm")
# dcmtk cuts off what this library rounds: (x + 0.5) against x after the window.
LARGEST_DIFFERENCE = 1


@pytest.mark.parametrize("window", WINDOWS)
def test_every_file_with_pixels_is_seen_or_has_a_reason(window: str) -> None:
    known = {*reasons.REASONS, *of_all_formats.REASONS}
    seen: Counter[str] = Counter()
    for place in with_pixels():
        try:
            found = pixels(FOLDER / place, replace(FORM, window=window))
            seen["seen"] += 1
            assert found.levels.dtype == np.uint8, place
        except PictureRefused as refused:
            assert refused.reason in known, place
            seen[refused.reason.code] += 1
    assert seen.total() >= 107
    assert seen["seen"] >= 84, seen


def test_a_picture_is_the_same_whatever_way_it_was_sent() -> None:
    ways = ("", "_RLE", "_bigendian", "_expb", "_implicit", "_jp2klossless", "_padded")
    pictures = {way: pixels(FOLDER / "test_files" / f"MR_small{way}.dcm", FORM).levels.tobytes() for way in ways}
    assert len(set(pictures.values())) == 1


@pytest.mark.skipif(DCMTK is None, reason="dcmtk is not installed")
def test_dcmtk_sees_the_same_in_every_file_that_both_read(tmp_path: Path) -> None:
    differences = {}
    for place, header in with_pixels().items():
        window = "file" if header is not None and "WindowCenter" in header.dataset else "full"
        ours = _ours(place, window)
        theirs = None if ours is None else _theirs(place, header, window, tmp_path / "seen.ppm")
        if ours is None or theirs is None:
            continue
        assert ours.shape == theirs.shape, place
        differences[place] = int(np.abs(ours.astype(int) - theirs.astype(int)).max())
    assert len(differences) >= 82
    assert {place: difference for place, difference in differences.items() if difference > LARGEST_DIFFERENCE} == {}


def _ours(place: str, window: str) -> NDArray[np.uint8] | NDArray[np.uint16] | None:
    try:
        return pixels(FOLDER / place, replace(FORM, window=window)).levels
    except PictureRefused:
        return None


def _theirs(place: str, header: Header | None, window: str, out: Path) -> NDArray[np.uint8] | None:
    """The same by dcmtk; None where it cannot read the file, as of JPEG 2000."""
    if header is None:
        return None
    out.unlink(missing_ok=True)
    source = FOLDER / place
    if header.syntax in JPEGLSTransferSyntaxes:  # which dcmtk decodes with another program
        source = out.with_suffix(".dcm")
        subprocess.run(["dcmdjpls", str(FOLDER / place), str(source)], check=True, capture_output=True)
    windowed = window == "file" and header.dataset.get("SamplesPerPixel") == 1
    shown = ["+Wi", "1"] if windowed else ["-W"]
    subprocess.run([str(DCMTK), "+op", "-O", *shown, str(source), str(out)], check=False, capture_output=True)
    return np.asarray(Image.open(out)) if out.exists() else None
