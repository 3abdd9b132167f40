"""A plan that its engine cannot train is refused where it is made, before a hospital's people spend time on it."""

from __future__ import annotations

import warnings

import pytest
from torch import nn

from datasites.training.models import MODELS
from policies.errors import PlanError
from policies.plan import RunSpec

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.hospital import DatasetInfo
    from researcher.planning import Wishes, make_plan

DATASETS = [DatasetInfo("north", "cells", ("a", "b"), (8, 8, 1), "picture", 500, {})]


@pytest.fixture(autouse=True)
def mixing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that mixes the pictures of a batch."""
    layers = (nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 2))
    monkeypatch.setitem(MODELS, "mixing", lambda spec: nn.Sequential(*layers).to("meta"))


@pytest.mark.parametrize("engine", ["book_keeping", "opacus"])
def test_a_model_that_mixes_pictures_gets_no_private_plan(engine: str) -> None:
    with pytest.raises(PlanError, match=r"'0' \(BatchNorm2d\).*GroupNorm"):
        make_plan(Wishes(model="mixing", noise_multiplier=2.0, run=RunSpec(engine=engine)), DATASETS)


def test_without_privacy_no_engine_has_to_train_it() -> None:
    assert make_plan(Wishes(model="mixing", noise_multiplier=None, epsilon=None), DATASETS).privacy is None
