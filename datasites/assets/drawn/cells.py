"""Drawn blood cells for the demo: no person's data, so anything here may cross the hospital's boundary.

A picture is drawn as a microscope sees a stained smear. Every cell adds to two maps, how much eosin (pink, red cells)
and how much azure (violet, nuclei and granules) the light passes through; what is left of the lamp's light after
that is the picture (Beer-Lambert). Hospitals differ in lamp, stain, magnification, focus and class mix.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasites.assets.drawn.shapes import AXIS, SIZE, Floats, blob, grain, normal, per_picture, spread, uniform
from policies.errors import DataError

Pictures = NDArray[np.uint8]
Labels = NDArray[np.int64]
RGB = tuple[float, float, float]

CLASS_NAMES = ("platelet", "red_cell", "white_cell")
PART = 256  # pictures drawn at once; larger parts leave the processor's cache

# How hard the pictures are: the spread between pictures of one class at one hospital. Raise to make it harder.
STAIN_SPREAD = 0.12  # standard deviation of the log of each dye's strength
ZOOM_SPREAD = 0.09  # standard deviation of the log of the magnification
CENTRE_SPREAD_PIXELS = 1.8  # standard deviation of the cell's position, on each axis
NEIGHBOURS = 2  # most red cells beside the cell
CLOSENESS = 1.0  # least distance of a neighbour's centre, over the sum of both radii
MIN_BLUR, MAX_BLUR = -0.2, 0.6  # share of the blurred picture in the picture, added to the hospital's own


@dataclass(frozen=True)
class Stain:
    """A hospital's staining bench and lamp.

    Attributes:
        eosin: Absorbance of eosin in red, green and blue light, at full strength.
        azure: The same of azure.
        light: Colour of the empty background, each in [0, 1].
        brightness: Factor on the light.
        contrast: Factor on both absorbances.
    """

    eosin: RGB
    azure: RGB
    light: RGB
    brightness: float = 1.0
    contrast: float = 1.0


@dataclass(frozen=True)
class HospitalStyle:
    """What a hospital's pictures look like.

    Attributes:
        name: Name of the hospital.
        stain: Its colours.
        class_mix: Share of each of `CLASS_NAMES`; the shares sum to 1.
        magnification: Factor on all sizes.
        blur: Share of the out-of-focus picture in every picture, in [0, 1].
        noise: Standard deviation of the camera's noise, in grey levels of 255.
    """

    name: str
    stain: Stain
    class_mix: tuple[float, float, float]
    magnification: float = 1.0
    blur: float = 0.2
    noise: float = 4.0


DEMO_HOSPITALS = (
    HospitalStyle(
        name="hospital_a",  # a warm lamp; mostly red cells
        stain=Stain(eosin=(0.12, 0.42, 0.36), azure=(0.80, 1.02, 0.26), light=(0.95, 0.92, 0.87), brightness=0.94),
        class_mix=(0.14, 0.72, 0.14),
    ),
    HospitalStyle(
        name="hospital_b",  # a dim, bluish lamp and a heavy hand with eosin; mostly platelets
        stain=Stain(eosin=(0.19, 0.60, 0.38), azure=(0.92, 0.96, 0.30), light=(0.86, 0.93, 0.97), brightness=0.80),
        class_mix=(0.72, 0.14, 0.14),
        magnification=0.9,
        blur=0.35,
        noise=5.0,
    ),
    HospitalStyle(
        name="hospital_c",  # a pale stain in which azure turns purple; mostly white cells
        stain=Stain(
            eosin=(0.16, 0.45, 0.27),
            azure=(0.60, 1.00, 0.42),
            light=(0.95, 0.98, 0.86),
            brightness=0.86,
            contrast=0.82,
        ),
        class_mix=(0.14, 0.14, 0.72),
        magnification=1.1,
        noise=6.0,
    ),
)


def draw(style: HospitalStyle, count: int, seed: int) -> tuple[Pictures, Labels]:
    """Draws `count` pictures of one hospital, classes as likely as its class mix.

    Returns:
        images: uint8, (count, 32, 32, 3).
        labels: int64, (count,), indices into `CLASS_NAMES`.

    Raises:
        DataError: `count` or `seed` is not a whole number in range, or the class mix is not one.
    """
    rng = _generator(count, seed, style.name)
    mix = np.asarray(style.class_mix, dtype=np.float64)
    if mix.shape != (len(CLASS_NAMES),) or mix.min() < 0 or not np.isclose(mix.sum(), 1.0):
        raise DataError(
            f"class_mix of {style.name} must be {len(CLASS_NAMES)} shares that sum to 1, got {style.class_mix!r}."
        )
    labels = rng.choice(len(CLASS_NAMES), size=count, p=mix).astype(np.int64)
    return _draw(rng, style, labels), labels


def draw_hold_out(count: int, seed: int) -> tuple[Pictures, Labels]:
    """Draws a hold-out in which every demo hospital and every class is equally frequent.

    Its random numbers are not those of `draw` at any seed, so it repeats no training picture.

    Returns:
        images: uint8, (count, 32, 32, 3).
        labels: int64, (count,), indices into `CLASS_NAMES`.

    Raises:
        DataError: `count` or `seed` is not a whole number in range.
    """
    rng = _generator(count, seed, "hold-out")
    cell = rng.permutation(count)
    labels = (cell % len(CLASS_NAMES)).astype(np.int64)
    hospital = cell // len(CLASS_NAMES) % len(DEMO_HOSPITALS)
    images = np.empty((count, SIZE, SIZE, 3), dtype=np.uint8)
    for index, style in enumerate(DEMO_HOSPITALS):
        chosen = hospital == index
        images[chosen] = _draw(rng, style, labels[chosen])
    return images, labels


def _generator(count: int, seed: int, stream: str) -> np.random.Generator:
    for field, value in (("count", count), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise DataError(f"{field} must be a whole number of at least 0, got {value!r}.")
    return np.random.default_rng([seed, zlib.crc32(stream.encode())])


def _draw(rng: np.random.Generator, style: HospitalStyle, labels: Labels) -> Pictures:
    images = np.empty((len(labels), SIZE, SIZE, 3), dtype=np.uint8)
    for start in range(0, len(labels), PART):
        part = slice(start, start + PART)
        images[part] = _expose(rng, style, *_smear(rng, style.magnification, labels[part]))
    return images


# --- cells: each returns eosin and azure, float32 (n, 32, 32), and the cells' radius in pixels, float32 (n,) ---


@dataclass(frozen=True)
class _Place:
    """Where cells lie, in pixels from the picture's middle, and how large they are: float32, (n,) each."""

    x: Floats
    y: Floats
    zoom: Floats

    def __getitem__(self, chosen: NDArray[np.bool_]) -> _Place:
        return _Place(self.x[chosen], self.y[chosen], self.zoom[chosen])


_Cell = tuple[Floats, Floats, Floats]


def _platelet(rng: np.random.Generator, place: _Place) -> _Cell:
    n = len(place.x)
    radius: Floats = np.clip(3.3 * place.zoom * spread(rng, n, 0.35), 1.6, 8.5)
    first, _ = blob(rng, place.x, place.y, radius, wobble=0.12, soft=2.0)
    reach = radius * uniform(rng, n, 0.6, 1.4)
    turn = uniform(rng, n, 0, 2 * np.pi)
    x, y = place.x + reach * np.cos(turn), place.y + reach * np.sin(turn)
    second, _ = blob(rng, x, y, radius * 0.8, wobble=0.12, soft=2.0)
    clump: Floats = np.maximum(first, second * per_picture(uniform(rng, n, 0, 1) < 0.35))
    azure = clump * (per_picture(uniform(rng, n, 0.25, 0.65)) + 0.5 * grain(rng, n, 12))
    return 0.15 * clump, azure, radius


def _red_cell(rng: np.random.Generator, place: _Place) -> _Cell:
    n = len(place.x)
    radius = 8.4 * place.zoom * spread(rng, n, 0.14)
    body, rim = blob(rng, place.x, place.y, radius, stretch=0.10)
    width = per_picture(uniform(rng, n, 0.35, 0.65))
    pallor = per_picture(uniform(rng, n, 0.0, 1.0)) * np.exp(-np.square(rim / width))
    young = per_picture(np.square(uniform(rng, n, 0.0, 0.5)))  # young red cells still take some azure
    return body * (1 - pallor), body * young, radius


def _white_cell(rng: np.random.Generator, place: _Place) -> _Cell:
    n = len(place.x)
    radius = 11.0 * place.zoom * spread(rng, n, 0.16)
    body, _ = blob(rng, place.x, place.y, radius, wobble=0.05)
    lobed = uniform(rng, n, 0, 1) < 0.55
    nucleus, _ = blob(rng, place.x, place.y, radius * uniform(rng, n, 0.66, 0.9), wobble=0.06)
    nucleus *= per_picture(~lobed)
    turn, bend = uniform(rng, n, 0, 2 * np.pi), uniform(rng, n, 1.0, 1.7)
    for lobe in range(4):  # a lobed nucleus: up to four lobes along an arc
        angle = turn + lobe * bend
        x, y = place.x + 0.46 * radius * np.cos(angle), place.y + 0.46 * radius * np.sin(angle)
        part, _ = blob(rng, x, y, radius * uniform(rng, n, 0.32, 0.46), wobble=0.06)
        shown = lobed & ((lobe < 2) | (uniform(rng, n, 0, 1) < 0.6))
        nucleus = np.maximum(nucleus, part * per_picture(shown))
    bare = body * (1 - nucleus)
    eosin = bare * per_picture(np.square(uniform(rng, n, 0, 0.9))) * (0.4 + 1.2 * grain(rng, n, 16))
    azure = bare * per_picture(uniform(rng, n, 0.06, 0.35)) + nucleus * (0.5 + 0.6 * grain(rng, n, 9))
    return eosin, azure, radius


_CELLS = (_platelet, _red_cell, _white_cell)


# --- the smear: the cell, red cells beside it, and what the camera makes of it ---


def _smear(rng: np.random.Generator, magnification: float, labels: Labels) -> tuple[Floats, Floats]:
    """The eosin and azure maps of pictures of the given classes."""
    n = len(labels)
    place = _Place(
        x=CENTRE_SPREAD_PIXELS * normal(rng, n),
        y=CENTRE_SPREAD_PIXELS * normal(rng, n),
        zoom=np.float32(magnification) * spread(rng, n, ZOOM_SPREAD),
    )
    eosin, azure = np.zeros((2, n, SIZE, SIZE), dtype=np.float32)
    radius = np.empty(n, dtype=np.float32)
    for label, cell in enumerate(_CELLS):
        chosen = labels == label
        eosin[chosen], azure[chosen], radius[chosen] = cell(rng, place[chosen])
    for _ in range(NEIGHBOURS):
        turn = uniform(rng, n, 0, 2 * np.pi)
        away = (radius + 8.4 * place.zoom) * uniform(rng, n, CLOSENESS, 1.6)
        beside = _Place(place.x + away * np.cos(turn), place.y + away * np.sin(turn), place.zoom)
        pink, violet, _ = _red_cell(rng, beside)
        shown = per_picture(uniform(rng, n, 0, 1) < 0.5)
        eosin += pink * shown
        azure += violet * shown
    return eosin, azure


def _expose(rng: np.random.Generator, style: HospitalStyle, eosin: Floats, azure: Floats) -> Pictures:
    """The picture of two dye maps under one hospital's lamp, lens and camera: uint8, (n, 32, 32, 3)."""
    n, stain = len(eosin), style.stain
    eosin = eosin * per_picture(stain.contrast * spread(rng, n, STAIN_SPREAD))
    azure = azure * per_picture(stain.contrast * spread(rng, n, STAIN_SPREAD))
    blur = per_picture(np.clip(style.blur + uniform(rng, n, MIN_BLUR, MAX_BLUR), 0, 1))
    lamp = 255 * stain.brightness * spread(rng, n, 0.06)
    slope_x, slope_y = 0.002 * normal(rng, n), 0.002 * normal(rng, n)  # uneven light over the field
    shade = per_picture(lamp) * (1 + per_picture(slope_x) * AXIS + per_picture(slope_y) * AXIS.T)
    images = np.empty((n, SIZE, SIZE, 3), dtype=np.uint8)
    for channel in range(3):
        light = shade * stain.light[channel] * np.exp(-eosin * stain.eosin[channel] - azure * stain.azure[channel])
        light += blur * (_LENS @ light @ _LENS.T - light)
        light += style.noise * rng.standard_normal(light.shape, dtype=np.float32)
        images[..., channel] = np.clip(np.rint(light), 0, 255)
    return images


def _lens() -> Floats:
    """A matrix that blurs along one axis with a binomial kernel of five pixels; each row sums to 1."""
    offset = np.abs(AXIS - AXIS.T).astype(np.int64)
    matrix = np.asarray([6, 4, 1, 0], dtype=np.float32)[np.minimum(offset, 3)]
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True), dtype=np.float32)


_LENS = _lens()
