"""The mock twin: pictures and reports made from a schema alone, so it may cross the boundary. No row is read here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.answers.hospital import DatasetSchema
from policies.errors import DataError
from policies.plans.tokeniser import TextForm
from policies.validate import Checks

_KNOTS = 4  # random values along each axis that a blob is interpolated from
# In the two languages of the platform; none of them says anything about a picture.
_WORDS = ("the", "example", "shows", "nothing", "made", "up", "report", "此为", "示例", "报告", "并非", "真实", "记录")
_MOST_WORDS = 40


@dataclass(frozen=True, eq=False)
class MockPictures:
    """Pictures that show nothing.

    Attributes:
        images: uint8, (count, H, W, C).
        labels: int64, (count,), every class at least once; or of findings int8, (count, K), each at least once present,
            absent and unknown.
        reports: Texts that say nothing, one for each picture; None where the dataset has no reports.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | NDArray[np.int8]
    reports: tuple[str, ...] | None = None


def make_mock(schema: DatasetSchema, *, count: int = 32, seed: int = 0) -> MockPictures:
    """Makes smooth random blobs in the shape of a dataset, and random words where it has reports.

    Args:
        schema: The public part of a manifest; only `image_shape`, `class_names`, `label_kind` and `text` are used.
        count: Number of pictures; raised to the number of classes, so that each has one, and for findings to 3.
        seed: Another seed makes other blobs.

    Raises:
        DataError: The count or the seed is out of range.

    Guarantees:
        The result is a function of image shape, number and kind of classes, form of the reports, count and seed, and of
        nothing else.
    """
    height, width, channels = schema.image_shape
    checks = Checks(DataError)
    checks.integer("count", count, low=1, high=100_000)
    checks.integer("seed", seed, low=0, high=2**63)
    rng = np.random.default_rng(seed)
    count = max(count, 3 if schema.label_kind == "multi" else len(schema.class_names))
    labels = _labels(schema, count, rng)
    knots = rng.random((count, channels, _KNOTS, _KNOTS), dtype=np.float32)
    blobs = _interpolation(height) @ knots @ _interpolation(width).T
    images = np.rint(255 * blobs).astype(np.uint8).transpose(0, 2, 3, 1)
    return MockPictures(np.ascontiguousarray(images), labels, _reports(schema.text, count, rng))


def _labels(schema: DatasetSchema, count: int, rng: np.random.Generator) -> NDArray[np.int64] | NDArray[np.int8]:
    """Classes in turn, in a random order; of each finding all three values, in an order of its own."""
    classes = len(schema.class_names)
    if schema.label_kind == "single":
        return rng.permutation(np.arange(count, dtype=np.int64) % classes)
    values = (np.arange(count) % 3 - 1).astype(np.int8)
    return rng.permuted(np.repeat(values[:, None], classes, axis=1), axis=0)


def _reports(form: TextForm | None, count: int, rng: np.random.Generator) -> tuple[str, ...] | None:
    if form is None:
        return None
    lengths = rng.integers(1, min(form.length, _MOST_WORDS) + 1, count)
    return tuple(" ".join(rng.choice(_WORDS, length)) for length in lengths)


def _interpolation(size: int) -> NDArray[np.float32]:
    """Weights of the knots at each of `size` pixels, (size, knots); each row sums to 1."""
    at = np.linspace(0, _KNOTS - 1, size)[:, None] - np.arange(_KNOTS)[None, :]
    return np.maximum(0, 1 - np.abs(at)).astype(np.float32)
