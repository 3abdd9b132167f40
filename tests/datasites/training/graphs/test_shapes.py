"""Shapes and places of the pictures that the proof tells are those that torch makes, for every setting."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from support.graph_oracle import shapes
from support.graphs import Builder

from policies.graphs.graph import PICTURES
from policies.graphs.layer_rules import _windows
from policies.graphs.values import Refusal

_SETTINGS = list(product(range(1, 10), (1, 2, 3), (1, 2, 3), (0, 1), (1, 2), (False, True)))


def test_as_many_windows_fit_as_torch_makes() -> None:
    for size, kernel, stride, padding, dilation, ceil in _SETTINGS:
        if padding > kernel // 2:  # which pooling refuses
            continue
        try:
            found = _windows(size, kernel, stride, padding, dilation, ceil=ceil)
        except Refusal:
            found = 0
        try:
            made = F.max_pool1d(torch.zeros(1, 1, size), kernel, stride, padding, dilation, ceil).shape[2]
        except RuntimeError:
            made = 0
        if found or not ceil:  # torch takes some windows that reach beyond the last number; those are refused
            assert found == made, (size, kernel, stride, padding, dilation, ceil)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("operator", ["mean", "sum", "largest", "smallest", "norm", "variance"])
def test_pictures_are_where_axes_before_them_leave_them(operator: str, keep: bool) -> None:
    builder = Builder()
    turned = builder.add("permute", PICTURES, axes=[1, 2, 0, 3])  # (3, 8, B, 8)
    more = {"correction": 0} if operator == "variance" else {}
    for axes in ([0], [1], [3], [0, 1], [0, 3], [1, 3], [0, 1, 3]):
        builder.add(operator, turned, axes=axes, keep=keep, **more)
        value, made = shapes(builder)[-1], torch.zeros(3, 8, 5, 8).sum(axes, keepdim=keep)
        assert value.batch is not None and made.shape[value.batch] == 5
        assert tuple(5 if axis == value.batch else size for axis, size in enumerate(value.shape)) == tuple(made.shape)
