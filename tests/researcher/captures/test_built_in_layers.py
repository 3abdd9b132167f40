"""The file of built-in models' layers says what capturing these models says."""

from __future__ import annotations

import json

import pytest
from support.built_in_layers import SIDES, layers

from policies.graphs.overview.nearest import LAYERS_FILE

KNOWN = json.loads(LAYERS_FILE.read_text())


@pytest.mark.parametrize(
    "name", [one if one == "small_cnn" else pytest.param(one, marks=pytest.mark.slow) for one in SIDES]
)
def test_the_layers_of_a_built_in_model_are_those_of_its_capture(name: str) -> None:
    assert KNOWN[name] == layers(name)


def test_every_model_that_is_compared_is_in_the_file() -> None:
    assert set(KNOWN) == set(SIDES)
