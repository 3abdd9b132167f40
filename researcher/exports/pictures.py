"""Pictures that an export is held against and calibrated on: public ones, or drawn ones of nobody. Never private."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.training.models.public.reference_pictures import reference_pictures
from policies.errors import DataError
from policies.plans.model_spec import ModelSpec
from policies.plans.tokeniser import TextForm, text_form, tokens
from researcher.evaluation.hold_out import HoldOut

DRAWN = "drawn pictures of nobody"
COMPARED = 500
_SEED = 20


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures for an export.

    Attributes:
        images: uint8 or uint16, (N, H, W, C).
        tokens: int32, (N, length), where the model takes reports, else None.
        labels: As of a hold-out, (N,) or (N, K); None where nobody knows them.
        source: Where they came from, in words.
    """

    images: NDArray[Any]
    tokens: NDArray[np.int32] | None
    labels: NDArray[Any] | None
    source: str

    def first(self, count: int) -> Pictures:
        """The first of them."""
        tokens = None if self.tokens is None else self.tokens[:count]
        return Pictures(self.images[:count], tokens, None if self.labels is None else self.labels[:count], self.source)


def drawn(spec: ModelSpec, bits: int, count: int = COMPARED) -> Pictures:
    """Drawn pictures of the shape that a model takes, the same each time: the first is black, the second white.

    Args:
        spec: The model.
        bits: Of each value, 8 or 16.
        count: How many.
    """
    height, width, channels = spec.image_shape
    side = max(height, width)
    greys = reference_pictures(count, side)[:, :height, :width, None]
    tints = np.random.default_rng(_SEED).uniform(0.5, 1, (count, 1, 1, channels))
    top = 2**bits - 1
    kind: Any = np.uint16 if bits == 16 else np.uint8
    images = (greys.numpy() * tints * top + 0.5).astype(kind)
    images[:1], images[1:2] = 0, top
    form = text_form(spec)
    return Pictures(images, None if form is None else _drawn_tokens(form, count), None, DRAWN)


def of_hold_out(spec: ModelSpec, hold_out: HoldOut, source: str) -> Pictures:
    """The pictures of a public hold-out, with its labels and reports.

    Raises:
        DataError: It has other pictures or classes than the model, or no reports where that takes some.
    """
    if hold_out.images.shape[1:] != spec.image_shape or len(hold_out.class_names) != spec.num_classes:
        raise DataError(
            f"The model takes {spec.image_shape} pictures of {spec.num_classes} classes, these are "
            f"{hold_out.images.shape[1:]} of {len(hold_out.class_names)}."
        )
    form = text_form(spec)
    if form is not None and hold_out.reports is None:
        raise DataError("The model takes a report beside each picture, these are pictures alone.")
    read = None if form is None or hold_out.reports is None else tokens(hold_out.reports, form)
    return Pictures(hold_out.images, read, hold_out.labels, source)


def _drawn_tokens(form: TextForm, count: int) -> NDArray[np.int32]:
    """Reports of any length, the first of them empty."""
    random = np.random.default_rng(_SEED)
    found = random.integers(1, form.vocabulary, (count, form.length)).astype(np.int32)
    lengths = random.integers(0, form.length + 1, count)
    lengths[:1] = 0
    found[np.arange(form.length) >= lengths[:, None]] = 0
    return found
