"""Slices of volumes are turned to how a radiologist looks at them, and their values are those that the file means."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from datasites.picture_files.decode import decode, probe
from datasites.picture_files.picture_refused import PictureRefused
from policies.plans.picture_form import PictureForm

SAGITTAL, CORONAL, AXIAL = 0, 1, 2
# A volume of 2 x 3 x 4 voxels, (left to right, back to front, feet to head), whose voxels say where they are.
PLACES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) * 11


def saved(path: Path, voxels: Any, affine: Any = None, **header: Any) -> Path:
    affine = np.diag([1.0, 1.0, 1.0, 1.0]) if affine is None else affine
    kind = header.pop("kind", nibabel.Nifti1Image)
    image = kind(voxels, affine)
    for name, value in header.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


def slice_of(path: Path, number: int, axis: int = AXIAL, **form: Any) -> np.ndarray:
    size = probe(path, axis=axis).size
    return decode(path, PictureForm(size, 1, window=form.pop("window", "full"), **form), number, axis=axis)[:, :, 0]


def refused(path: Path, **form: Any) -> str:
    with pytest.raises(PictureRefused) as caught:
        decode(path, PictureForm((2, 2), 1, **form))
    return caught.value.reason.code


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "second.nii"])
def test_slices_are_turned_to_a_radiologist_s_view(tmp_path: Path, name: str) -> None:
    kind = nibabel.Nifti2Image if name == "second.nii" else nibabel.Nifti1Image
    path = saved(tmp_path / name, PLACES, kind=kind)
    axial, coronal, sagittal = (probe(path, axis=axis) for axis in (AXIAL, CORONAL, SAGITTAL))
    assert (axial.kind, axial.frames, coronal.frames, sagittal.frames) == ("nifti", 4, 3, 2)
    assert (axial.size, coronal.size, sagittal.size) == ((3, 2), (4, 2), (4, 3))
    front_first = [[PLACES[x, y, 1] for x in (1, 0)] for y in (2, 1, 0)]  # the patient's right is at the left
    assert slice_of(path, 1).tolist() == front_first
    head_first = [[PLACES[x, 2, z] for x in (1, 0)] for z in (3, 2, 1, 0)]
    assert slice_of(path, 2, CORONAL).tolist() == head_first
    nose_left = [[PLACES[0, y, z] for y in (2, 1, 0)] for z in (3, 2, 1, 0)]
    assert slice_of(path, 0, SAGITTAL).tolist() == nose_left


def test_a_volume_that_was_stored_another_way_round_gives_the_same_slices(tmp_path: Path) -> None:
    plain = saved(tmp_path / "a.nii", PLACES, np.diag([1.0, 2.0, 3.0, 1.0]))
    # Stored as (head to feet, left to right, front to back): columns of the matrix say where each axis goes.
    turned = PLACES.transpose(2, 0, 1)[::-1, :, ::-1]
    affine = np.array([[0, 1, 0, 0], [0, 0, -2, 4], [-3, 0, 0, 9], [0, 0, 0, 1.0]])
    other = saved(tmp_path / "b.nii", np.ascontiguousarray(turned), affine)
    for axis in (SAGITTAL, CORONAL, AXIAL):
        assert probe(other, axis=axis) == probe(plain, axis=axis)
        assert slice_of(other, 1, axis).tolist() == slice_of(plain, 1, axis).tolist()


def test_the_shape_of_a_voxel_is_told_in_the_slice(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", PLACES, np.diag([2.0, 1.0, 5.0, 1.0]))
    assert [probe(path, axis=axis).aspect for axis in (SAGITTAL, CORONAL, AXIAL)] == [5.0, 2.5, 0.5]


def test_slope_and_intercept_are_applied_before_the_window(tmp_path: Path) -> None:
    voxels = np.array([0, 100, 200], dtype=np.int16).reshape(3, 1, 1)
    image = nibabel.Nifti1Image(voxels, np.eye(4))
    image.header.set_slope_inter(-2, 300)  # 300, 100, -100
    image.header["cal_min"], image.header["cal_max"] = 0, 200
    path = tmp_path / "a.nii"
    nibabel.save(image, path)
    stored = nibabel.load(path)
    assert (stored.dataobj.slope, stored.dataobj.inter) != (1.0, 0.0)
    shown = np.clip(stored.get_fdata()[::-1, 0, 0] / 200, 0, 1) * 255
    assert slice_of(path, 0, window="file")[0].tolist() == np.floor(shown + 0.5).tolist()


def test_a_negative_slope_leaves_black_below_white(tmp_path: Path) -> None:
    path = _with_slope(tmp_path / "a.nii", np.array([0, 255], dtype=np.uint8), -1.0, 10.0)
    assert slice_of(path, 0)[0].tolist() == [0, 255]  # the second voxel, -245, is at the patient's right
    assert slice_of(path, 0, window="percentile")[0].tolist() == [0, 255]


def _with_slope(path: Path, line: np.ndarray, slope: float, intercept: float) -> Path:
    image = nibabel.Nifti1Image(line.reshape(-1, 1, 1), np.eye(4))
    nibabel.save(image, path)
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([slope, intercept], dtype="<f4").tobytes()  # scl_slope and scl_inter
    path.write_bytes(bytes(content))
    return path


def test_a_window_of_percentiles_is_one_for_the_volume(tmp_path: Path) -> None:
    voxels = np.zeros((10, 10, 10), dtype=np.float32)
    voxels[:, :, 1:] = np.linspace(1, 2, 900).reshape(10, 10, 9)
    voxels[0, 0, 0] = np.nan
    path = saved(tmp_path / "a.nii.gz", voxels)
    low, high = np.percentile(voxels[np.isfinite(voxels)], (0.5, 99.5))
    wanted = np.clip((voxels[:, :, 4] - low) / (high - low), 0, 1)[::-1, ::-1].T * 255
    assert np.abs(slice_of(path, 4, window="percentile") - wanted).max() <= 0.51
    assert slice_of(path, 0, window="percentile").max() == 0  # of this slice alone nothing would be seen
    deep = slice_of(path, 4, window="percentile", store_bits=16)
    assert np.abs(deep - wanted * 257).max() <= 1


def test_what_the_stored_bits_can_hold_is_a_window_of_whole_numbers_alone(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", np.array([-32768, 0, 32767], dtype=np.int16).reshape(3, 1, 1))
    assert slice_of(path, 0)[0].tolist() == [255, 128, 0]
    assert refused(saved(tmp_path / "b.nii", np.zeros((2, 2, 2), dtype=np.float32)), window="full") == "no_window"


def test_a_volume_without_a_window_of_its_own_is_refused_where_that_is_wanted(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", PLACES)
    assert refused(path) == "no_window"
    assert refused(saved(tmp_path / "nan.nii", np.full((2, 2, 2), np.nan, np.float32)), window="percentile") == (
        "no_window"
    )


def test_a_constant_volume_is_black(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", np.full((2, 2, 2), 7, dtype=np.int16))
    assert slice_of(path, 0, window="percentile").tolist() == [[0, 0], [0, 0]]


def test_volumes_that_are_not_one_of_plain_numbers_are_refused_by_name(tmp_path: Path) -> None:
    colours = np.zeros((2, 2, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    files = {
        "several_volumes": np.zeros((2, 2, 2, 3), dtype=np.int16),
        "voxel_kind": colours,
    }
    for code, voxels in files.items():
        path = saved(tmp_path / f"{code}.nii", voxels)
        assert refused(path, window="percentile") == code
        with pytest.raises(PictureRefused):
            probe(path)
    complex_numbers = saved(tmp_path / "c.nii", np.zeros((2, 2, 2), dtype=np.complex64))
    assert refused(complex_numbers, window="percentile") == "voxel_kind"
    assert refused(saved(tmp_path / "flat.nii", np.zeros((4, 4), dtype=np.int16))) == "several_volumes"
    one = saved(tmp_path / "one.nii", PLACES[..., None])
    assert slice_of(one, 1).tolist() == slice_of(saved(tmp_path / "a.nii", PLACES), 1).tolist()


def test_a_volume_that_does_not_say_how_it_lies_is_refused(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(PLACES, np.eye(4))
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    nibabel.save(image, tmp_path / "a.nii")
    assert refused(tmp_path / "a.nii", window="full") == "no_orientation"
    image.set_sform(np.diag([1.0, 1, 1, 1]), code=1)
    image.set_qform(np.diag([-1.0, 1, 1, 1]), code=1)  # which says that right is left
    nibabel.save(image, tmp_path / "b.nii")
    assert refused(tmp_path / "b.nii", window="full") == "no_orientation"


def test_slices_that_are_not_there_and_volumes_that_are_too_large_or_cut_short_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", PLACES)
    for number in (-1, 4):
        with pytest.raises(PictureRefused) as caught:
            slice_of(path, number)
        assert caught.value.reason.code == "no_such_frame"
    content = bytearray(path.read_bytes())
    (tmp_path / "cut.nii").write_bytes(bytes(content[:360]))
    assert refused(tmp_path / "cut.nii", window="full") == "damaged"
    content[42:48] = np.array([32000, 32000, 32000], dtype="<i2").tobytes()
    (tmp_path / "large.nii").write_bytes(bytes(content))
    assert refused(tmp_path / "large.nii", window="full") == "too_large"
    content[42:48] = np.array([7000, 7000, 5], dtype="<i2").tobytes()
    long = tmp_path / "long.nii"
    long.write_bytes(bytes(content))
    (tmp_path / "long.nii.gz").write_bytes(gzip.compress(bytes(content)))
    tracemalloc.start()
    try:
        assert refused(long, window="full") == refused(tmp_path / "long.nii.gz", window="full") == "damaged"
        assert tracemalloc.get_traced_memory()[1] < 1 << 24  # nothing is made as large as the header says
    finally:
        tracemalloc.stop()
    packed = saved(tmp_path / "a.nii.gz", PLACES)
    packed.write_bytes(packed.read_bytes()[:-20])
    assert refused(packed, window="full") == "damaged"


@pytest.mark.parametrize("step", [np.inf, np.nan])
def test_a_volume_whose_voxels_have_no_size_is_refused(tmp_path: Path, step: float) -> None:
    path = saved(tmp_path / "a.nii", PLACES)
    content = bytearray(path.read_bytes())
    content[80:84] = np.float32(step).tobytes()  # pixdim[1]
    path.write_bytes(bytes(content))
    assert refused(path, window="full") == "no_orientation"
    assert refused(path, window="full", square_pixels=True, resize="fill") == "no_orientation"


def test_a_window_that_no_number_tells_is_none(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", PLACES, cal_min=0.0, cal_max=np.inf)
    assert refused(path) == "no_window"


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_volume_that_is_replaced_is_read_anew(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / name, PLACES)
    first = slice_of(path, 0)
    saved(path, PLACES + 1)
    assert slice_of(path, 0).tolist() == (first + 1).tolist()


def test_a_packed_volume_that_changed_is_told_by_its_checksum(tmp_path: Path) -> None:
    """Which stands behind the voxels, where a reader that wants them alone never comes."""
    voxels = np.random.default_rng(2).integers(0, 3000, (16, 16, 8)).astype(np.int16)
    path = saved(tmp_path / "a.nii.gz", voxels)
    content = path.read_bytes()
    assert slice_of(path, 7, window="full").shape == (16, 16)
    for at in range(1000, len(content) - 8, 97):
        path.write_bytes(content[:at] + bytes([content[at] ^ 8]) + content[at + 1 :])
        assert refused(path, window="full") == "damaged"
