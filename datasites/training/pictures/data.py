"""Labelled pictures, with or without reports, as a run takes them. None of this crosses the hospital's boundary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from datasites.training.pictures.unit_index import UnitIndex
from datasites.training.randomness.randomness import SecureRandom
from policies import validate
from policies.errors import DataError, PlanError
from policies.plans.tokeniser import TextForm

# Public and the same for every hospital: a mean and spread measured on private pictures would be a release.
PIXEL_ZERO = 128.0
PIXEL_UNIT = 64.0
DEEP_UNIT = 257.0  # of 16 bits: 65,535 is what 255 is of 8
_CHANGES = {"none": 0, "flips": 2, "flips_and_turns": 3}


@dataclass(frozen=True, eq=False)
class LabelledPictures:
    """The pictures of one dataset.

    Attributes:
        images: uint8 or uint16, (N, H, W, C), from 0 (black) to all that the type holds (white); may be a memory map.
        labels: int64, (N,), class of each picture, from 0; or int8, (N, K), for each of K findings 1 where the picture
            has it, 0 where it has not, -1 where nobody knows.
        units: int64, (N,), privacy unit of each picture, 0 .. U-1; every unit has a picture.
        public_size: The number of units that the hospital declares. N and U themselves are private.
        texts: int32, (N, length), the words of each picture's report as numbers; may be a memory map. None where
            there are no reports.
        text_form: What `texts` are; None where there are none.
        features: float32, (N, width), what a frozen public backbone says of each picture; may be a memory map. None
            where the model reads the pictures themselves.
        unit_index: `UnitIndex.of` of the units, where somebody has made it and checked it against them; then nothing
            here reads all units. None where nobody has.
    """

    images: np.ndarray
    labels: np.ndarray
    units: np.ndarray
    public_size: int
    texts: np.ndarray | None = None
    text_form: TextForm | None = None
    features: np.ndarray | None = None
    unit_index: UnitIndex | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype not in (np.uint8, np.uint16):
            raise DataError(
                "Pictures must be uint8 or uint16 of shape (N, H, W, C), got "
                f"{self.images.dtype} with {self.images.ndim} axes."
            )
        if self.labels.ndim != 2:
            _check_one_each("labels", self.labels, len(self.images))
        elif self.labels.dtype != np.int8 or len(self.labels) != len(self.images) or self.labels.shape[1] < 2:
            raise DataError("Findings must be int8 of shape (N, K), a row for each picture, of at least two findings.")
        _check_one_each("units", self.units, len(self.images))
        if len(self.images) == 0:
            raise DataError("A dataset must hold at least one picture.")
        if self.labels.ndim == 1 and self.labels.min() < 0:
            raise DataError("Labels must be class numbers from 0.")
        if self.labels.ndim == 2 and (self.labels.min() < -1 or self.labels.max() > 1):
            raise DataError("Each finding of a picture must be 0, 1, or -1 where it is unknown.")
        if self.unit_index is None and not _are_numbered(self.units):
            raise DataError("Units must be numbered 0 to U-1, each with at least one picture.")
        validate.integer("public_size", self.public_size, low=1, high=10**12)
        if (self.texts is None) != (self.text_form is None):
            raise DataError("Reports come with their form, and a form with its reports.")
        if self.texts is not None and self.text_form is not None:
            wanted = (len(self.images), self.text_form.length)
            if self.texts.dtype != np.int32 or self.texts.shape != wanted:
                raise DataError("There must be one row of int32 for each picture's report, as long as its form says.")
        if self.features is not None and (
            self.features.dtype != np.float32 or self.features.ndim != 2 or len(self.features) != len(self.images)
        ):
            raise DataError("There must be one row of float32 features for each picture.")

    @property
    def label_kind(self) -> str:
        """`single`, or `multi` where labels are findings. Public."""
        return "multi" if self.labels.ndim == 2 else "single"

    @property
    def num_units(self) -> int:
        """The true number of privacy units. Private: never in a reply, a scale or a message."""
        return int(self.units.max()) + 1 if self.unit_index is None else self.unit_index.num_units


def _are_numbered(units: np.ndarray) -> bool:
    """Whether units are 0 to U-1, each with a picture."""
    return bool(units.min() >= 0 and units.max() < len(units) and np.bincount(units).all())


def _check_one_each(name: str, values: np.ndarray, count: int) -> None:
    if values.dtype != np.int64 or values.shape != (count,):
        raise DataError(f"There must be one int64 of {name} for each picture.")


def to_tensor(images: np.ndarray, device: str = "cpu") -> torch.Tensor:
    """Returns pictures as a model takes them: float32, (B, C, H, W), contiguous, (byte - 128) / 64.

    Args:
        images: uint8, (B, H, W, C); or uint16, whose values are divided by 257 to lie on the same scale; or float32,
            features, which stay as they are.
        device: Where they are wanted; they travel as they are and are normalised there.
    """
    is_features = images.dtype == np.float32
    if images.dtype == np.uint16:
        images = images.astype(np.float32) / np.float32(DEEP_UNIT)
    if device == "cpu":
        pictures = torch.from_numpy(np.array(images.transpose(0, 3, 1, 2), order="C")).to(torch.float32)
    else:
        travelling = torch.from_numpy(np.array(images)).pin_memory().to(device, non_blocking=True)
        pictures = travelling.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    if is_features:
        return pictures
    return pictures.sub_(PIXEL_ZERO).div_(PIXEL_UNIT)


def normalised(stored: torch.Tensor) -> torch.Tensor:
    """Returns what `to_tensor` does, of pictures that lie on their device already.

    Args:
        stored: uint8, (B, C, H, W), in any memory format; or int16, the bits of uint16; or float32, features.
    """
    if stored.dtype == torch.float32:
        return stored.contiguous()
    out = torch.empty(stored.shape, dtype=torch.float32, device=stored.device)
    if stored.dtype == torch.int16:
        values = stored.to(torch.int32).bitwise_and_(0xFFFF).to(torch.float32)
        # Divided by a tensor: for a number torch multiplies by its inverse on a GPU, which rounds otherwise.
        torch.div(values, torch.full((), DEEP_UNIT, device=stored.device), out=out).sub_(PIXEL_ZERO)
    else:
        torch.sub(stored, PIXEL_ZERO, out=out)
    return out.div_(PIXEL_UNIT)


def grey_of(dtype: np.dtype) -> int:
    """What stands in an empty place: the grey that `to_tensor` makes 0; of features 0 itself."""
    if dtype == np.float32:
        return 0
    return int(PIXEL_ZERO * DEEP_UNIT) if dtype == np.uint16 else int(PIXEL_ZERO)


def draw_changes(kind: str, count: int, random: SecureRandom) -> np.ndarray:
    """Returns for each kind of change which pictures take it: bool, (changes, count), for `changed`.

    Each picture is changed at random and independently of the others.

    Args:
        kind: `none`; `flips`: left-right and up-down, each with probability 1/2; `flips_and_turns`: one of
            the eight symmetries of a square. Checked by `check_augmentation`.
        count: How many pictures.
        random: Decides.
    """
    chosen = np.empty((_CHANGES[kind], count), dtype=bool)
    for row in chosen:
        row[:] = random.bernoulli(0.5, count)
    return chosen


def changed(batch: torch.Tensor, changes: torch.Tensor) -> torch.Tensor:
    """Returns pictures of which each took the changes that were drawn for it.

    Args:
        batch: (B, C, H, W), of any type and memory format, which stay.
        changes: bool, (changes, B), as `draw_changes` drew them, on the same device.
    """
    others: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (
        lambda pictures: pictures.flip(3),
        lambda pictures: pictures.flip(2),
        lambda pictures: pictures.transpose(2, 3),
    )
    for chosen, other in zip(changes, others, strict=False):
        batch = torch.where(chosen[:, None, None, None], other(batch), batch)
    return batch


def check_augmentation(kind: str, *, height: int, width: int) -> None:
    """Refuses an augmentation that pictures of this size cannot take.

    Raises:
        PlanError: With what to use instead.
    """
    if kind not in _CHANGES:
        raise PlanError(f"augmentation must be one of none, flips, flips_and_turns, got {kind!r}.")
    if kind == "flips_and_turns" and height != width:
        raise PlanError(
            f"augmentation 'flips_and_turns' needs square pictures, these are {height} x {width}. Use 'flips'."
        )
