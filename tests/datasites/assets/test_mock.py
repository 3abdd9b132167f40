"""The mock is made from the schema and from nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.array_store import SourcePictures, ingest

from datasites.assets.mock import make_mock
from policies.answers.hospital import DatasetSchema
from policies.answers.plain_values import from_plain, to_plain
from policies.errors import DataError

SCHEMA = DatasetSchema("cells", ("a", "b", "c"), (20, 12, 3), "picture", 100, 1)


def source(seed: int, count: int) -> SourcePictures:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count, dtype=np.int64) % 2)
    return SourcePictures(rng.integers(0, 256, (count, 5, 6, 1), dtype=np.uint8), labels, ("x", "y"))


def test_two_datasets_of_one_schema_have_the_same_mock(tmp_path: Path) -> None:
    first = ingest(source(0, 211), tmp_path / "one", name="cells")
    second = ingest(source(1, 219), tmp_path / "two", name="cells")
    assert first.fingerprint != second.fingerprint
    assert first.schema() == second.schema()
    mocks = [make_mock(manifest.public) for manifest in (first, second)]
    assert np.array_equal(mocks[0].images, mocks[1].images)
    assert np.array_equal(mocks[0].labels, mocks[1].labels)


def test_it_has_the_datasets_form_and_every_class() -> None:
    mock = make_mock(SCHEMA, count=7)
    assert (mock.images.dtype, mock.images.shape) == (np.uint8, (7, 20, 12, 3))
    assert (mock.labels.dtype, sorted(mock.labels.tolist())) == (np.int64, [0, 0, 0, 1, 1, 2, 2])


def test_of_findings_each_is_present_absent_and_unknown_and_none_says_anything_of_another() -> None:
    mock = make_mock(replace(SCHEMA, label_kind="multi"), count=300)
    assert (mock.labels.dtype, mock.labels.shape) == (np.int8, (300, 3))
    for column in mock.labels.T:
        assert np.unique(column, return_counts=True)[1].tolist() == [100, 100, 100]
    assert np.abs(np.corrcoef(mock.labels.T) - np.eye(3)).max() < 0.25
    assert sorted(make_mock(replace(SCHEMA, label_kind="multi"), count=1).labels[:, 0].tolist()) == [-1, 0, 1]


def test_there_are_never_fewer_pictures_than_classes() -> None:
    assert sorted(make_mock(SCHEMA, count=1).labels.tolist()) == [0, 1, 2]


def test_neighbouring_pixels_are_alike_and_distant_ones_are_not() -> None:
    images = make_mock(replace(SCHEMA, image_shape=(64, 64, 1), class_names=("a", "b"))).images.astype(int)
    # 4 knots over 63 pixels: a step of one pixel is at most 255 * 3 / 63 = 12.1 and rounding 1
    assert np.abs(np.diff(images, axis=2)).max() <= 13
    assert images.max() - images.min() > 200


def test_another_seed_makes_other_blobs() -> None:
    assert not np.array_equal(make_mock(SCHEMA, seed=0).images, make_mock(SCHEMA, seed=1).images)


@pytest.mark.parametrize(
    "change",
    [
        {"image_shape": None},
        {"image_shape": (2, 2)},
        {"image_shape": (0, 2, 3)},
        {"image_shape": (2, 2, 5)},
        {"image_shape": (2, 5000, 3)},
        {"image_shape": (2.5, 2, 3)},
        {"class_names": ["a"]},
        {"class_names": None},
    ],
)
def test_what_is_no_schema_is_none_of_the_declared_type(change: dict[str, Any]) -> None:
    plain = to_plain(SCHEMA)
    assert from_plain(DatasetSchema, plain, DataError) == SCHEMA
    with pytest.raises(DataError):
        from_plain(DatasetSchema, {**plain, **change}, DataError)


def test_a_count_or_seed_out_of_range_is_refused() -> None:
    with pytest.raises(DataError, match="count must be a whole number from 1"):
        make_mock(SCHEMA, count=0)
    with pytest.raises(DataError, match="seed must be a whole number from 0"):
        make_mock(SCHEMA, seed=-1)
