"""Scores on parts of public test data: one hospital's pictures, or those of one value of a column."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from policies.errors import DataError
from policies.untrusted_text import shown
from researcher.judgement.bootstrap import Bootstrap
from researcher.judgement.judgement import Group
from researcher.judgement.measures import measures_of
from researcher.judgement.test_data import TestData

MOST_VALUES = 50
NOT_GIVEN = "not given"


def groups_of(data: TestData, probabilities: np.ndarray, bootstrap: Bootstrap) -> Iterator[Group]:
    """Each part that a column divides the test data into, with its scores.

    Args:
        data: With its columns.
        probabilities: float64, (N, K).
        bootstrap: How intervals are drawn, over the patients of each part alone.

    Raises:
        DataError: A column has more than `MOST_VALUES` values.
    """
    labels, units = data.hold_out.labels, data.units
    for column, values in data.columns.items():
        found = np.array([value.strip() or NOT_GIVEN for value in values])
        different = sorted(set(found.tolist()))
        if len(different) > MOST_VALUES:
            raise DataError(
                f"Column {column!r} has {len(different)} different values, such as {shown(different[0])!r}: no groups. "
                f"Give one of at most {MOST_VALUES}, such as age in ranges."
            )
        for value in different:
            rows = found == value
            own = np.unique(units[rows], return_inverse=True)[1].reshape(-1)
            measures = measures_of(labels[rows], probabilities[rows])
            scores = bootstrap.intervals(measures, own)
            yield Group(
                column=column,
                value=value,
                pictures=int(rows.sum()),
                units=int(own.max()) + 1,
                scores={name: score for (name, place), score in scores.items() if place is None},
                absent=_absent(labels[rows], data.hold_out.class_names),
            )


def _absent(labels: np.ndarray, names: tuple[str, ...]) -> tuple[str, ...]:
    there = (labels == 1).any(axis=0) if labels.ndim == 2 else np.isin(np.arange(len(names)), labels)
    return tuple(name for name, some in zip(names, there, strict=True) if not some)
