"""A loss's constants are spelled as numpy reads their bytes, and only their first numbers are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from policies.graphs.graph import Constant
from policies.graphs.losses.loss_summary import lines_of

NUMBERS = {
    "float32": np.array([0.1, -3.25, 1e-12, 6.02e23, np.float32(1) / 3, 16777216.0], "<f4"),
    "int64": np.array([0, -1, 2**62, -(2**63)], "<i8"),
    "bool": np.array([True, False, True]),
}


@pytest.mark.parametrize("times", [1, 20])
@pytest.mark.parametrize("kind", NUMBERS)
def test_a_constant_is_spelled_as_its_numbers_are(kind: str, times: int) -> None:
    numbers = np.tile(NUMBERS[kind], times)
    constant = Constant(kind, numbers.shape, numbers.tobytes())
    node = SimpleNamespace(inputs=("constant:1",), operator="add", attributes={})
    loss = SimpleNamespace(nodes=(node,), constants={"1": constant})
    spelled = ", ".join(f"{one:g}" if kind == "float32" else str(one) for one in numbers[:25])
    more = f", ... ({len(numbers)} numbers)" if len(numbers) > 25 else ""
    first, last = lines_of(cast(Any, SimpleNamespace(loss=loss)))
    assert (first, last) == (f"c1 = {kind} [{len(numbers)}]: {spelled}{more}", "v1 = add(c1)")
