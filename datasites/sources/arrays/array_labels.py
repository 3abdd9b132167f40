"""Labels that come as arrays: numbers, columns of one number, one column for each class or finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.sources.arrays.members import NpzFile
from datasites.sources.folders.levels import one_form
from datasites.sources.listing import UNKNOWN
from policies.errors import DataError

_OTHERS_CALL_THEM = frozenset({"classes", "classnames", "classlabels", "labelnames", "targetnames", "categories"})


def own_class_names(archive: NpzFile, given: Sequence[str] = ()) -> tuple[str, ...] | None:
    """The names that an .npz file gives its classes, in the order of its labels; None where it gives none.

    Args:
        archive: The file.
        given: The names that its labels would have without.

    Raises:
        DataError: They are no text, or in an array of another name: under other names, or in another order, a picture
            would get the label of another class.
    """
    found = archive.array("class_names")
    if found is None:
        _refuse_names_elsewhere(archive, given)
        return None
    if found.dtype.kind != "U" or found.ndim != 1:
        raise DataError("'class_names' must be text of shape (K,), one name for each label.")
    return tuple(map(one_form, found.tolist()))


def _refuse_names_elsewhere(archive: NpzFile, given: Sequence[str]) -> None:
    for key in archive.keys:
        if key.lower().replace("_", "") not in _OTHERS_CALL_THEM:
            continue
        found = archive.array(key)
        if found is None or found.dtype.kind not in "US" or found.ndim != 1:
            continue
        text = [one.decode(errors="replace") if isinstance(one, bytes) else one for one in found.tolist()]
        if list(map(one_form, text)) != list(map(one_form, given)):
            raise DataError(
                f"The .npz file names its classes in '{key}', which is not read. Call that array 'class_names', as "
                "text of shape (K,), one name for each label in their order."
            )


def numbers_of(key: str, labels: NDArray[Any], kind: str) -> NDArray[np.int64]:
    """Labels as a listing has them.

    Args:
        key: What the array is called.
        labels: Whole numbers, (N,) or (N, 1); or (N, K) of 0 and 1, exactly one 1 in each row for kind `single`, and -1
            or nan where nobody knows for kind `multi`.
        kind: `single` or `multi`.

    Returns:
        int64: (N,) for kind `single`, (N, K) for kind `multi`.

    Raises:
        DataError: Not that.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if kind == "multi":
        return _findings(key, labels)
    if labels.ndim == 2 and labels.shape[1] > 1:
        return _one_hot(key, labels)
    if labels.dtype.kind not in "iu" or labels.ndim != 1 or labels.size == 0:
        raise DataError(
            f"'{key}' must be whole numbers of shape (N,) or (N, 1), or (N, K) with one 1 in each row; got "
            f"{labels.dtype} with {labels.ndim} axes."
        )
    return labels.astype(np.int64)


def is_one_hot(labels: NDArray[Any]) -> bool:
    """Whether labels, (N, K), have a column for each of several classes and exactly one 1 in each row."""
    if labels.ndim != 2 or labels.shape[1] < 2 or labels.dtype.kind not in "iufb":
        return False
    return bool(np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all())


def nameless(labels: NDArray[np.int64]) -> list[str]:
    """Names of classes or findings that have none: `class_0` and so on, or `finding_0`.

    Args:
        labels: (N,), or (N, K) of findings.
    """
    if labels.ndim == 2:
        return [f"finding_{number}" for number in range(labels.shape[1])]
    return [f"class_{number}" for number in range(int(labels.max(initial=0)) + 1)]


def _findings(key: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    if labels.ndim != 2 or labels.dtype.kind not in "iufb" or labels.size == 0:
        raise DataError(
            f"'{key}' must be numbers of shape (N, K), a column for each finding, since label_kind is 'multi'; got "
            f"{labels.dtype} with {labels.ndim} axes."
        )
    known = np.nan_to_num(labels.astype(np.float64), nan=UNKNOWN)
    if not np.isin(known, (0, 1, UNKNOWN)).all():
        raise DataError(f"'{key}' must hold 0, 1, and -1 or nan where nobody knows, since label_kind is 'multi'.")
    return known.astype(np.int64)


def _one_hot(key: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    if not is_one_hot(labels):
        raise DataError(
            f"'{key}' has a column for each class, and not exactly one 1 in each row. Set label_kind to 'multi' if a "
            "picture may have several findings or none."
        )
    return labels.argmax(axis=1).astype(np.int64)
