"""Options that follow from the pictures' size: whether a model takes them, and its stem. Public code, public sizes."""

from __future__ import annotations

from policies.errors import PlanError
from policies.plans.training import ModelSpec

_SMALL_BELOW = 64  # pixels on the shorter side


def check_size(spec: ModelSpec, *, low: int, high: int) -> None:
    """Refuses pictures that the model does not take.

    Raises:
        PlanError: With the sizes that it takes.
    """
    height, width, _ = spec.image_shape
    if not (low <= height <= high and low <= width <= high):
        raise PlanError(
            f"Model {spec.name!r} takes pictures from {low} x {low} to {high} x {high} pixels, got {height} x {width}."
        )


def has_small_stem(spec: ModelSpec, stem: str) -> bool:
    """Whether the first layers keep the picture's size, so that a small one is not gone before the last layers.

    Networks made for 224 x 224 pixels halve a picture five times: 28 x 28 would end as a single point after
    half of the layers. `auto` takes the small stem when the shorter side is under 64 pixels.
    """
    return stem == "small" or (stem == "auto" and min(spec.image_shape[:2]) < _SMALL_BELOW)
