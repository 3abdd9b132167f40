"""Pictures as a run and a model take them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datasites.training.pictures.data import (
    LabelledPictures,
    changed,
    check_augmentation,
    draw_changes,
    grey_of,
    normalised,
    to_tensor,
)
from datasites.training.randomness.randomness import SecureRandom
from policies.errors import DataError, PlanError


def pictures(**changes):
    values = {
        "images": np.zeros((4, 2, 3, 1), np.uint8),
        "labels": np.array([0, 1, 0, 2]),
        "units": np.array([0, 1, 1, 2]),
        "public_size": 3,
    }
    return LabelledPictures(**{**values, **changes})


def test_units_are_counted_not_pictures():
    assert pictures().num_units == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"images": np.zeros((4, 2, 3, 1), np.float32)},
        {"images": np.zeros((4, 2, 3), np.uint8)},
        {"labels": np.array([0, 1, 0])},
        {"labels": np.array([0, 1, 0, 2], np.int32)},
        {"labels": np.array([0, 1, 0, -7])},
        {"units": np.array([0, 1, 1, 3])},
        {"units": np.array([1, 1, 2, 2])},
        {"units": np.array([-1, 0, 1, 2])},
        {"units": np.array([0.0, 1, 1, 2])},
        {
            "images": np.zeros((0, 2, 3, 1), np.uint8),
            "labels": np.zeros(0, np.int64),
            "units": np.zeros(0, np.int64),
        },
    ],
)
def test_malformed_pictures_are_refused(changes):
    with pytest.raises(DataError):
        pictures(**changes)


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_the_public_size_must_be_a_count(size):
    with pytest.raises(PlanError, match="public_size"):
        pictures(public_size=size)


def test_sixteen_bits_lie_on_the_scale_of_eight():
    bytes_ = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    deep = bytes_.astype(np.uint16) * 257
    assert torch.equal(to_tensor(deep), to_tensor(bytes_))
    between = to_tensor(np.full((1, 1, 1, 1), 32_768, np.uint16))
    assert to_tensor(bytes_).flatten()[127] < between < to_tensor(bytes_).flatten()[128]
    assert pictures(images=np.zeros((4, 2, 3, 1), np.uint16)).num_units == 3


def test_bytes_become_numbers_around_zero_with_channels_first():
    images = np.array([[[[0, 64], [128, 192]]]], np.uint8)  # one picture, 1 x 2 pixels, 2 channels
    tensor = to_tensor(images)
    assert tensor.dtype == torch.float32 and tensor.is_contiguous()
    assert tensor.tolist() == [[[[-2.0, 0.0]], [[-1.0, 1.0]]]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_pictures_on_their_device_become_the_same_numbers_bit_by_bit(dtype):
    most = {np.uint8: 256, np.uint16: 65536, np.float32: 256}[dtype]
    images = np.arange(most).reshape(4, -1, 8, 2).astype(dtype)
    images[0, 0, 0] = grey_of(np.dtype(dtype))
    stored = torch.from_numpy(images.view(np.int16) if dtype == np.uint16 else images).permute(0, 3, 1, 2)
    found = normalised(stored)
    assert torch.equal(found, to_tensor(images)) and found.dtype == torch.float32 and found.is_contiguous()
    assert found[0, :, 0, 0].tolist() == [0.0, 0.0]


def test_a_read_only_memory_map_is_read_and_left_alone(tmp_path):
    np.save(tmp_path / "images.npy", np.full((3, 2, 2, 1), 128, np.uint8))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert to_tensor(images).abs().max() == 0
    assert to_tensor(images[np.array([2, 0])]).shape == (2, 1, 2, 2)
    assert (images == 128).all()


CORNERS = torch.arange(4.0).reshape(1, 1, 2, 2)


def augment(batch, kind, random):
    """Pictures changed at random, as a run does it with a batch."""
    check_augmentation(kind, height=batch.shape[2], width=batch.shape[3])
    return changed(batch, torch.from_numpy(draw_changes(kind, len(batch), random)))


def variants(kind, count=8000):
    """How often each picture comes out of augmenting [[0, 1], [2, 3]]."""
    found = augment(CORNERS.repeat(count, 1, 1, 1), kind, SecureRandom.for_tests(1))
    rows, counts = np.unique(found.reshape(count, 4).numpy(), axis=0, return_counts=True)
    return {tuple(int(v) for v in row): int(n) for row, n in zip(rows, counts, strict=True)}


def test_no_augmentation_changes_nothing():
    assert variants("none") == {(0, 1, 2, 3): 8000}


def test_flips_give_four_pictures_equally_often():
    found = variants("flips")
    assert set(found) == {(0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)}
    assert all(abs(n - 2000) < 5 * np.sqrt(8000 * 0.25 * 0.75) for n in found.values())


def test_flips_and_turns_give_the_eight_symmetries_equally_often():
    turned = [torch.rot90(CORNERS, k, (2, 3)) for k in range(4)]
    symmetries = {tuple(int(v) for v in t.flatten()) for t in turned + [t.flip(3) for t in turned]}
    found = variants("flips_and_turns")
    assert set(found) == symmetries and len(symmetries) == 8
    assert all(abs(n - 1000) < 5 * np.sqrt(8000 / 8 * 7 / 8) for n in found.values())


@pytest.mark.parametrize("kind", ["none", "flips", "flips_and_turns"])
def test_changes_of_bytes_are_those_of_numbers_whatever_the_memory_format(kind):
    images = np.random.default_rng(0).integers(0, 256, (50, 5, 5, 3), dtype=np.uint8)
    in_turn = augment(to_tensor(images), kind, SecureRandom.for_tests(1))
    changes = torch.from_numpy(draw_changes(kind, 50, SecureRandom.for_tests(1)))
    assert changes.shape == ({"none": 0, "flips": 2, "flips_and_turns": 3}[kind], 50)
    bytes_ = changed(torch.from_numpy(images).permute(0, 3, 1, 2), changes)
    assert bytes_.dtype == torch.uint8 and torch.equal(normalised(bytes_), in_turn)


def test_turns_of_pictures_that_are_not_square_are_refused():
    with pytest.raises(PlanError, match="Use 'flips'"):
        augment(torch.zeros(1, 1, 2, 3), "flips_and_turns", SecureRandom())


def test_an_empty_batch_stays_empty():
    assert augment(torch.zeros(0, 3, 4, 4), "flips_and_turns", SecureRandom()).shape == (0, 3, 4, 4)
