"""Values of a file's elements, checked: what is missing or cannot be read is a reason, never a crash."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from math import isfinite
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from datasites.picture_files.dicom.reasons import MISSING_ELEMENT
from datasites.picture_files.picture_refused import PictureRefused


def value(dataset: Dataset, keyword: str) -> Any:
    """An element's value; None where it is absent or empty.

    Raises:
        PictureRefused: It is there and cannot be read.
    """
    tag = tag_of(keyword)
    if tag not in dataset.keys():  # noqa: SIM118 - the data set itself would look for more than the tag
        return None
    try:
        with warnings.catch_warnings():  # which would tell the value
            warnings.simplefilter("ignore")
            found = dataset[tag].value
    except Exception as error:  # pydicom converts when it is asked, with errors of any kind
        raise refused_element(keyword) from error
    return None if found is None or (isinstance(found, str | bytes | Sequence) and len(found) == 0) else found


@cache
def tag_of(keyword: str) -> BaseTag:
    """The tag of a keyword of the DICOM dictionary."""
    return Tag(keyword)


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """All finite numbers of an element; none where it is absent or empty."""
    found = value(dataset, keyword)
    if found is None:
        return ()
    several = found if isinstance(found, MultiValue | list | tuple) else [found]
    try:
        read = tuple(float(one) for one in several)
    except (TypeError, ValueError, OverflowError) as error:
        raise refused_element(keyword) from error
    if not all(map(isfinite, read)):
        raise refused_element(keyword)
    return read


def whole(dataset: Dataset, keyword: str, *, low: int, high: int, absent: int | None = None) -> int:
    """One whole number within bounds.

    Raises:
        PictureRefused: Absent where `absent` is None, several, not whole, or out of bounds.
    """
    read = numbers(dataset, keyword)
    if not read and absent is not None:
        return absent
    if len(read) != 1 or not low <= read[0] <= high or read[0] != int(read[0]):
        raise refused_element(keyword)
    return int(read[0])


def text(dataset: Dataset, keyword: str) -> str:
    """An element's text without the spaces around it; empty where it is absent."""
    found = value(dataset, keyword)
    return "" if found is None else str(found).strip()


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """All texts of an element of several values."""
    found = value(dataset, keyword)
    if found is None:
        return ()
    return tuple(str(one).strip() for one in (found if isinstance(found, MultiValue) else [found]))


def first_item(dataset: Dataset | None, keyword: str) -> Dataset | None:
    """The first item of a sequence; None where there is none."""
    found = None if dataset is None else value(dataset, keyword)
    if found is None:
        return None
    item = found[0]
    if not isinstance(item, Dataset):
        raise refused_element(keyword)
    return item


def refused_element(keyword: str) -> PictureRefused:
    """The refusal of one element, by its name in the private text and without its value."""
    return PictureRefused(MISSING_ELEMENT, private=f"the element is {keyword}")
