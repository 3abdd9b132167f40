"""What a plan may say about a model: options, picture sizes, the stem that follows from a size."""

from __future__ import annotations

from typing import Any

from policies import validate
from policies.errors import PlanError
from policies.plan import ModelSpec

STEMS = ("auto", "standard", "small")
_SMALL_BELOW = 64  # pixels on the shorter side


def options_of(spec: ModelSpec, **defaults: Any) -> dict[str, Any]:
    """The model's settings: `defaults`, with those that the plan names in their place.

    Raises:
        PlanError: The plan names an option that the model does not have.
    """
    if unknown := sorted(set(spec.options) - set(defaults)):
        raise PlanError(f"Model {spec.name!r} has no option {unknown[0]!r}; it takes {', '.join(sorted(defaults))}.")
    return {**defaults, **spec.options}


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


def has_small_stem(spec: ModelSpec, stem: Any) -> bool:
    """Whether the first layers keep the picture's size, so that a small one is not gone before the last layers.

    Networks made for 224 x 224 pixels halve a picture five times: 28 x 28 would end as a single point after
    half of the layers. `auto` takes the small stem when the shorter side is under 64 pixels.

    Raises:
        PlanError: `stem` is none of `STEMS`.
    """
    validate.choice("model.options.stem", stem, STEMS)
    return stem == "small" or (stem == "auto" and min(spec.image_shape[:2]) < _SMALL_BELOW)


def multiple_of(option: str, value: Any, *, step: int, low: int, high: int) -> int:
    """A whole-number option that must be a multiple of `step`.

    Raises:
        PlanError: Not a whole number, out of range, or no multiple.
    """
    number = validate.integer(f"model.options.{option}", value, low=low, high=high)
    if number % step:
        raise PlanError(f"model.options.{option} must be a multiple of {step}, got {number}.")
    return number
