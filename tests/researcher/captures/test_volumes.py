"""Layers of volumes, whose places lie along three axes, are captured as layers of maps, with their gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.captures import SHAPE, Line, captured_and_left_as_it_is, check_each_picture, refusable
from torch import nn

from policies.errors import GraphError
from researcher.captures.capture import capture


def volumes(m: torch.Tensor) -> torch.Tensor:
    """Maps, (B, 4, 8, 6), as volumes, (B, 2, 4, 4, 6)."""
    return m.reshape(m.shape[0], 2, 4, 4, 6)


def kernels(n: Any, outputs: int, inputs: int, *size: int) -> torch.Tensor:
    """A weight of trained numbers, whose places are all unlike."""
    trained = torch.cat([n.turned.weight.flatten(), n.grouped.weight.flatten(), n.far.weight.flatten()])
    shape = (outputs, inputs, *size)
    return trained[: outputs * inputs * torch.Size(size).numel()].reshape(shape)


KEPT: dict[str, Line] = {
    "a convolution": lambda n, m: F.conv3d(volumes(m), kernels(n, 3, 2, 3, 3, 3), n.vector[:3], padding=1),
    "strides, dilation and groups": lambda n, m: F.conv3d(
        volumes(m),
        kernels(n, 4, 1, 3, 2, 3),
        n.vector,
        stride=(2, 1, 2),
        padding=(1, 0, 2),
        dilation=(1, 2, 1),
        groups=2,
    ),
    "as large as before, of an even kernel": lambda n, m: F.conv3d(
        volumes(m), kernels(n, 3, 2, 2, 3, 4), padding="same"
    ),
    "without padding, of one depth": lambda n, m: F.conv3d(volumes(m), kernels(n, 3, 2, 4, 2, 2), padding="valid"),
    "of one depth each": lambda n, m: F.conv3d(volumes(m), kernels(n, 3, 2, 1, 3, 3)),
    "of places of depth alone": lambda n, m: F.conv3d(volumes(m), kernels(n, 3, 2, 3, 1, 1), padding=(1, 0, 0)),
    "several volumes of a picture": lambda n, m: F.conv3d(
        volumes(m).reshape(-1, 1, 4, 4, 6), kernels(n, 3, 1, 3, 3, 3), padding=1
    ).reshape(m.shape[0], -1),
    "several volumes of one depth": lambda n, m: F.conv3d(
        volumes(m).reshape(-1, 1, 4, 4, 6), kernels(n, 3, 1, 4, 3, 3)
    ).reshape(m.shape[0], -1),
    "a transposed convolution": lambda n, m: F.conv_transpose3d(
        volumes(m), kernels(n, 2, 3, 2, 3, 2), n.vector[:3], stride=2
    ),
    "a transposed one of all settings": lambda n, m: F.conv_transpose3d(
        volumes(m), kernels(n, 2, 2, 3, 2, 3), None, (2, 1, 2), (1, 0, 1), (1, 0, 1), 2, (1, 2, 1)
    ),
    "the largest": lambda n, m: F.max_pool3d(volumes(m), (2, 3, 2), (1, 2, 2), (1, 1, 0), (1, 1, 2), ceil_mode=True),
    "the largest of halves": lambda n, m: F.max_pool3d(volumes(m), 2),
    "means": lambda n, m: F.avg_pool3d(volumes(m), (2, 3, 2), (1, 2, 2), (1, 1, 0), ceil_mode=True),
    "means without borders": lambda n, m: F.avg_pool3d(volumes(m), 3, 2, 1, count_include_pad=False),
    "means of a size": lambda n, m: F.adaptive_avg_pool3d(volumes(m), (3, 3, 4)),
    "the largest of a size": lambda n, m: F.adaptive_max_pool3d(volumes(m), (2, 4, 3)),
    "the largest of all": lambda n, m: F.adaptive_max_pool3d(volumes(m), 1),
    "nearest numbers": lambda n, m: F.interpolate(volumes(m), size=(3, 5, 9)),
    "resized": lambda n, m: F.interpolate(volumes(m), size=(6, 3, 9), mode="trilinear"),
    "resized to corners": lambda n, m: F.interpolate(
        volumes(m), scale_factor=(2, 1, 2), mode="trilinear", align_corners=True
    ),
    "repeated borders": lambda n, m: F.pad(volumes(m), (1, 1, 2, 0, 0, 1), mode="replicate"),
    "groups of channels": lambda n, m: F.group_norm(volumes(m), 2, n.vector[:2], n.vector[2:]),
}


@pytest.mark.filterwarnings("ignore:Using padding:UserWarning")  # of an even kernel
@pytest.mark.parametrize("name", KEPT)
def test_a_layer_of_volumes_is_that_of_each_picture_alone(name: str) -> None:
    network, captured = captured_and_left_as_it_is(KEPT[name])
    check_each_picture(network, captured)


def test_norms_and_dropout_of_volumes_are_replaced_as_those_of_maps_are() -> None:
    network = nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4), nn.Dropout3d(0.5))
    network.extend([nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 4)])
    captured = capture(network, image_shape=SHAPE, num_classes=4)
    assert "1 BatchNorm layer was replaced by GroupNorm" in captured.notes[0]
    assert "Dropout3d taken out" in captured.notes[1]
    assert "1 conv3d" in captured.notes[2]


REFUSED: dict[str, tuple[Line, str]] = {
    "depths that are pictures": (
        lambda n, m: F.max_pool3d(volumes(m).permute(1, 2, 0, 3, 4), (3, 1, 1), 1, (1, 0, 0)).permute(2, 0, 1, 3, 4),
        "no batch of volumes",
    ),
    "volumes without a batch": (
        lambda n, m: F.conv3d(m.transpose(0, 1)[None, :2], n.turned.weight[:4, :2, None], padding=(0, 1, 1))[0, :2].mT,
        "no batch of volumes|cannot compute",
    ),
    "windows of different sizes": (lambda n, m: F.adaptive_max_pool3d(volumes(m), (3, 2, 2)), "different sizes"),
    "a factor that shifts": (
        lambda n, m: F.interpolate(volumes(m), scale_factor=1.3, mode="trilinear"),
        "no whole number of pixels",
    ),
    "a padding beyond the kernel": (
        lambda n, m: F.conv_transpose3d(volumes(m), kernels(n, 2, 3, 2, 2, 2), padding=(2, 0, 0), stride=3),
        "more than its kernel reaches",
    ),
    "a divisor": (lambda n, m: F.avg_pool3d(volumes(m), 2, divisor_override=3), "a number of its own"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_volumes_cannot_be_is_refused_with_a_reason(name: str) -> None:
    line, reason = REFUSED[name]
    with pytest.raises(GraphError, match=reason):
        capture(refusable(line), image_shape=SHAPE, num_classes=4)
