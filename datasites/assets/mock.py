"""The mock twin: pictures and reports made from a schema alone, so it may cross the boundary. No row is read here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasites.assets.drawn.modalities import draw_modality
from policies.answers.hospital import DatasetSchema
from policies.errors import DataError
from policies.plans.tokeniser import TextForm
from policies.validate import Checks

# In the two languages of the platform; none of them says anything about a picture.
_WORDS = ("the", "example", "shows", "nothing", "made", "up", "report", "此为", "示例", "报告", "并非", "真实", "记录")
_MOST_WORDS = 40


@dataclass(frozen=True, eq=False)
class MockPictures:
    """Pictures that look like a dataset's modality and show nobody.

    Attributes:
        images: uint8, or uint16 where the dataset keeps 16 bits, (count, H, W, C).
        labels: int64, (count,), every class at least once; or of findings int8, (count, K), each at least once present,
            absent and unknown.
        reports: Texts that say nothing, one for each picture; None where the dataset has no reports.
    """

    images: NDArray[np.uint8] | NDArray[np.uint16]
    labels: NDArray[np.int64] | NDArray[np.int8]
    reports: tuple[str, ...] | None = None


def make_mock(schema: DatasetSchema, *, count: int = 32, seed: int = 0) -> MockPictures:
    """Draws pictures that look like a dataset's modality, in its shape, and random words where it has reports.

    Args:
        schema: The public part of a manifest; of it `modality`, `image_shape`, `form`, `class_names`, `label_kind` and
            `text` are used.
        count: Number of pictures; raised to the number of classes, so that each has one, and for findings to 3.
        seed: Another seed makes other pictures.

    Raises:
        DataError: The count or the seed is out of range.

    Guarantees:
        The result is a function of modality, image shape, bits of a value, number and kind of classes, form of the
        reports, count and seed, and of nothing else.
    """
    checks = Checks(DataError)
    checks.integer("count", count, low=1, high=100_000)
    checks.integer("seed", seed, low=0, high=2**63)
    rng = np.random.default_rng(seed)
    count = max(count, 3 if schema.label_kind == "multi" else len(schema.class_names))
    labels = _labels(schema, count, rng)
    bits = 8 if schema.form is None else schema.form.store_bits
    images = draw_modality(schema.modality, rng, count, schema.image_shape, bits=bits)
    return MockPictures(images, labels, _reports(schema.text, count, rng))


def _labels(schema: DatasetSchema, count: int, rng: np.random.Generator) -> NDArray[np.int64] | NDArray[np.int8]:
    """Classes in turn, in a random order, since how frequent each is is private; of each finding all three values."""
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
