"""Pictures that a public hold-out holds more than once, by their pixels. Private ones are compared by ingest."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from policies.errors import DataError

TWO_CLASSES = "same_picture_in_two_classes"
"""The code by which it is taken all the same, as at a hospital's ingest."""


@dataclass(frozen=True)
class Copies:
    """How many pictures have exactly the pixels of an earlier one.

    Attributes:
        same: With its label.
        two_classes: With another label.
        example: Two that have one picture in two classes, by their places; empty where there are none.
    """

    same: int = 0
    two_classes: int = 0
    example: str = ""

    def told(self) -> Iterator[str]:
        """Sentences on what they do to scores."""
        if self.same:
            yield (
                f"{_counted(self.same)} exactly the pixels and the label of another one: copies count again in every "
                "score, and intervals take them for different pictures."
            )
        if self.two_classes:
            yield (
                f"{_counted(self.two_classes)} exactly the pixels of another one and another label, so no model can "
                "be right on both."
            )


def copies_in(images: np.ndarray, labels: np.ndarray, places: Sequence[str] = ()) -> Copies:
    """Compares each picture's pixels with those of all before it, as a hospital's ingest does.

    Args:
        images: uint8 or uint16, (N, H, W, C).
        labels: int64, (N,), of classes, or int8, (N, K), of findings.
        places: Where each picture is, (N,); empty where nobody says.
    """
    first: dict[bytes, int] = {}
    same = two_classes = 0
    example = ""
    for row, digest in enumerate(digests(images)):
        earlier = first.setdefault(digest, row)
        if earlier == row:
            continue
        if np.array_equal(labels[earlier], labels[row]):
            same += 1
        else:
            two_classes += 1
            example = example or " and ".join(places[one] if places else f"number {one}" for one in (earlier, row))
    return Copies(same, two_classes, example)


def digests(images: np.ndarray) -> Iterator[bytes]:
    """SHA-256 of the pixels of each of some images, (N, H, W, C)."""
    return (hashlib.sha256(picture.tobytes()).digest() for picture in images)


def trained_on_too(scored: np.ndarray, trained: np.ndarray) -> str:
    """A sentence on pictures that are scored on and trained on; empty where there is none.

    Args:
        scored: uint8 or uint16, (N, H, W, C), what models are scored on.
        trained: Of the same type and shape but for N, what they are trained on.
    """
    seen = set(digests(trained))
    count = sum(digest in seen for digest in digests(scored))
    if not count:
        return ""
    has = "has" if count == 1 else "have"
    return (
        f"{count:,} of the {len(scored):,} pictures that are scored on {has} exactly the pixels of one that is trained "
        "on, so scores say less of new pictures"
    )


def refuse_two_classes(copies: Copies, source: str, accepted: Collection[str]) -> None:
    """Refuses one picture in two classes, as a hospital's ingest does.

    Raises:
        DataError: There is one, and it is not accepted.
    """
    if copies.two_classes and TWO_CLASSES not in accepted:
        raise DataError(
            f"{source}: {_counted(copies.two_classes)} exactly the pixels of another one and another label, such as "
            f"{copies.example}. Find out which label is right and remove the other picture, or take both with "
            f"--accept {TWO_CLASSES} (in Python accept={TWO_CLASSES!r} in a list)."
        )


def _counted(count: int) -> str:
    return f"{count} picture has" if count == 1 else f"{count} pictures have"
