"""A linear head on scattering features: a strong start without public weights. Only the head is trained, and travels.

Public code; the features that it reads are as private as pictures.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

from datasites.training.models.options import check_size
from datasites.training.models.public.reference_pictures import reference_pictures
from datasites.training.models.resizing import Resizing
from datasites.training.models.scattering.real_numbers import RealScattering
from datasites.training.models.scattering.transform import WIDTH, Scattering
from datasites.training.pictures.data import PIXEL_UNIT, PIXEL_ZERO, to_tensor
from datasites.training.pictures.placed_batches import placed_batches
from policies.errors import InputRefused
from policies.plans.features import SCATTERING_MODEL, ScatteringSpec
from policies.plans.model_options import options_of
from policies.plans.training import ModelSpec

_REFERENCES = 256
_FAINT = 1e-4  # features under this are taken as they are, larger ones by their square root
_FARTHEST = 4.0  # standard deviations of the reference pictures; what lies beyond is cut
_RIDGE = 1.0  # added to the variances before they are evened out
_AT_ONCE = 16  # pictures transformed together; more leave the processor's cache
_SLOTS = 32  # places of a batch of pictures whose features are kept


def scattering_linear(spec: ModelSpec) -> nn.Module:
    """Softmax regression on scattering features, from weights of zero. Options: size (32, pixels to which pictures are
    scaled before the transform)."""
    size = options_of(spec)["size"]
    check_size(spec, low=16, high=512)
    channels = spec.image_shape[2]
    head = nn.Linear(WIDTH * channels, spec.num_classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return nn.Sequential(OrderedDict(features=ScatteringFeatures(size), head=head))


def features_of(spec: ScatteringSpec, images: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields indices of pictures with what the head of `scattering_linear` reads of them, float32, (B, width).

    Guarantees:
        A picture's features follow from its own bytes and public numbers alone, to the last bit: batches have one size,
        and a picture's place in its batch follows from its bytes.

    Args:
        spec: Which features.
        images: uint8 or uint16, (N, H, W, C); may be a memory map.

    Raises:
        PlanError: The transform does not take pictures of this size.
        InputRefused: They have another number of channels.
    """
    if images.shape[3] != spec.channels:
        raise InputRefused(f"Features of {spec.channels} channels were asked for, pictures have {images.shape[3]}.")
    height, width, channels = (int(one) for one in images.shape[1:])
    model = ModelSpec(SCATTERING_MODEL, (height, width, channels), 2, {"size": spec.input_size})
    transform = scattering_linear(model).get_submodule("features")
    for rows, places in placed_batches(images, np.arange(len(images)), _SLOTS):
        batch = np.zeros((_SLOTS, *images.shape[1:]), dtype=images.dtype)
        batch[places] = images[rows]
        with torch.inference_mode():
            found = transform(to_tensor(batch)).numpy()[places]
        yield rows, found


class ScatteringFeatures(nn.Module):
    """Pictures to features, without a parameter: each picture's have mean 0 and variance 1 over themselves.

    A feature's usual size, and how features go together, are read off drawn reference pictures: linear heads learn in
    few noisy steps only from features that vary alike and apart from each other. Tramèr and Boneh measure this on the
    private pictures, with noise; here it costs no privacy.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns (B, WIDTH * C), of the dtype of `images`, (B, C, H, W)."""
        if images.is_meta:  # where only shapes are asked for
            return images.new_empty(len(images), WIDTH * images.shape[1])
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            parts = images.float().split(_AT_ONCE if images.device.type == "cpu" else 16 * _AT_ONCE)
            found = torch.cat([self._features(part) for part in parts])
        return found.to(images.dtype)

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        transform, middle, evening = _fitted(self._size, images.device)
        size = (self._size, self._size)
        pictures = (images * PIXEL_UNIT + PIXEL_ZERO) / 255
        if pictures.shape[2:] != size:
            pictures = F.interpolate(pictures, size=size, mode="bilinear", antialias=True, align_corners=False)
        return _standing(pictures, transform, middle, lambda standing: standing @ evening)

    def in_real_numbers(self, image_shape: tuple[int, int, int]) -> nn.Module:
        """The same features for pictures of (height, width, channels), by a module whose graph other programs take."""
        return _RealFeatures(self._size, image_shape)


class _RealFeatures(nn.Module):
    """`ScatteringFeatures` without complex numbers, and without a size that depends on how many pictures come."""

    def __init__(self, size: int, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        transform, middle, evening = _fitted(size, torch.device("cpu"))
        self._transform = RealScattering(transform, size)
        self._resize = Resizing(image_shape[:2], (size, size))
        self.register_buffer("_middle", middle)
        # One triangle of the symmetric matrix, read in both directions: a graph then carries half of its numbers.
        self.register_buffer("_triangle", evening.triu(1))
        self.register_buffer("_diagonal", evening.diagonal().clone())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns (B, WIDTH * C), from float32, (B, C, H, W)."""
        pictures = self._resize((images * PIXEL_UNIT + PIXEL_ZERO) / 255)
        return _standing(pictures, self._transform, self.get_buffer("_middle"), self._evened)

    def _evened(self, standing: torch.Tensor) -> torch.Tensor:
        triangle = self.get_buffer("_triangle")
        return standing @ triangle + F.linear(standing, triangle) + standing * self.get_buffer("_diagonal")


def _standing(
    pictures: torch.Tensor,
    transform: Callable[[torch.Tensor], torch.Tensor],
    middle: torch.Tensor,
    evened: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    channels = _colours(pictures)
    found = _compressed(transform(channels.flatten(0, 1)))
    standing = evened(((found - middle[0]) / middle[1]).clamp(-_FARTHEST, _FARTHEST))
    width = WIDTH * channels.shape[1]
    return F.layer_norm(standing.reshape(-1, width), (width,))


def _colours(pictures: torch.Tensor) -> torch.Tensor:
    """Red, green and blue as lightness and two differences of colours; other channels as they are."""
    if pictures.shape[1] != 3:
        return pictures
    red, green, blue = pictures.unbind(1)
    return torch.stack([(red + green + blue) / 3, (red - green) / 2, (red + green) / 4 - blue / 2], dim=1)


def _compressed(features: torch.Tensor) -> torch.Tensor:
    return features / (features.abs() + _FAINT).sqrt()


@lru_cache(maxsize=4)
def _fitted(size: int, device: torch.device) -> tuple[Scattering, torch.Tensor, torch.Tensor]:
    """The transform; mean and spread of each feature, (2, WIDTH); the matrix that evens them out, (WIDTH, WIDTH).

    The matrix is the inverse root of the reference pictures' correlations, symmetric, so that rounding cannot turn it:
    every hospital's features must mean the same.
    """
    with _disable_current_modes():  # whoever counts what a picture takes would count this with the first one
        transform = Scattering(size, torch.device("cpu"))
        found = torch.cat([transform(part) for part in reference_pictures(_REFERENCES, size).split(_AT_ONCE)])
        found = _compressed(found).double()
        middle = torch.stack([found.mean(0), found.std(0) + _FAINT])
        standing = ((found - middle[0]) / middle[1]).clamp(-_FARTHEST, _FARTHEST)
        variances, directions = torch.linalg.eigh(standing.T @ standing / len(standing))
        evening = directions * (variances.clamp(min=0) + _RIDGE).rsqrt() @ directions.T
        if device.type != "cpu":
            transform = Scattering(size, device)
        return transform, middle.float().to(device), evening.float().to(device)
