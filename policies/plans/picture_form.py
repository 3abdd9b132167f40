"""The form of pictures: how a file becomes the numbers that a model sees, by one public rule at every hospital.

A form is declared, never measured, and is part of a dataset's schema: hospitals whose forms differ do not show a model
the same thing, and a hold-out or a served model reads pictures by the study's form too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

from policies import validate
from policies.errors import PlanError

RESIZES = ("stretch", "fit", "fill")
WINDOWS = ("file", "percentile", "full")
STORE_BITS = (8, 16)
MAX_SIDE = 4096
LABEL_KINDS = ("single", "multi")
MODALITIES = (
    "other",
    "photograph",
    "microscopy",
    "fundus",
    "endoscopy",
    "xray",
    "mammography",
    "ct",
    "mr",
    "ultrasound",
)


def _size(checks: validate.Checks, field: str, value: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(value, tuple) or len(value) != 2:
        raise checks.refusal(f"{field} must be (height, width), got {validate.shown(repr(value))}.")
    for side in value:
        checks.integer(field, side, low=1, high=MAX_SIDE)
    return value


def _one_of_numbers(*numbers: int) -> validate.Check:
    def check(checks: validate.Checks, field: str, value: int) -> int:
        if isinstance(value, bool) or value not in numbers:
            wanted = ", ".join(map(str, numbers))
            raise checks.refusal(f"{field} must be one of {wanted}, got {validate.shown(repr(value))}.")
        return value

    return check


@dataclass(frozen=True)
class PictureForm:
    """How a picture file becomes an array of (height, width, channels).

    Attributes:
        size: (height, width) in pixels.
        channels: 1 (grey) or 3 (red, green, blue).
        resize: `stretch` takes both sides to the size; `fit` keeps the shape and pads with black; `fill` keeps the
            shape and crops the middle. Making smaller is antialiased in each.
        bits: Significant bits of files of more than 8 bits that do not say so themselves; 0 refuses those whose largest
            values leave the scale in doubt.
        window: Which values of DICOM and NIfTI become black and white: `file` takes the file's own VOI window or table,
            `percentile` the picture's or volume's 0.5th and 99.5th percentile, `full` all that stored bits can hold.
        window_number: Which of the file's windows, from 0.
        square_pixels: Whether pixels that are not square in the patient are made so before resizing.
        store_bits: 8 or 16 bits of each value that is kept; colour keeps 8.
    """

    size: Annotated[tuple[int, int], _size]
    channels: Annotated[int, _one_of_numbers(1, 3)]
    resize: Annotated[str, validate.one_of(*RESIZES)] = "stretch"
    bits: Annotated[int, validate.whole(0, 16)] = 0
    window: Annotated[str, validate.one_of(*WINDOWS)] = "file"
    window_number: Annotated[int, validate.whole(0, 15)] = 0
    square_pixels: bool = False
    store_bits: Annotated[int, _one_of_numbers(*STORE_BITS)] = 8

    def __post_init__(self) -> None:
        if isinstance(self.size, list):
            object.__setattr__(self, "size", tuple(self.size))
        validate.declared(self)
        validate.boolean("square_pixels", self.square_pixels)
        if self.store_bits == 16 and self.channels != 1:
            raise PlanError(f"store_bits 16 needs grey pictures (channels 1), got channels {self.channels}.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> Self | None:
        """Reads what `to_dict` gives; None for a dataset whose form was not declared.

        Raises:
            PlanError: Another field, a missing one, or a value out of range.
        """
        if values is None:
            return None
        try:
            return cls(**values)
        except TypeError as error:
            raise PlanError("A dataset's picture form must have a size and channels, and its known fields.") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def __str__(self) -> str:
        """For people: `256x256, fit, window file, 8 bits`, and what differs from the usual."""
        height, width = self.size
        told = [f"{height}x{width}", self.resize, f"window {self.window}"]
        told += [f"number {self.window_number}"] if self.window_number else []
        told += ["square pixels"] if self.square_pixels else []
        told += [f"grey files of {self.bits} bits"] if self.bits else []
        return ", ".join([*told, f"{self.store_bits} bits"])
