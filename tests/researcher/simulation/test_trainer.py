"""Places of a batch that nobody was drawn for: a simulation leaves them out, of each view and of each kind of input."""

from __future__ import annotations

import pytest
import torch

from datasites.training.dp_sgd.loader import Batch
from researcher.simulation.trainer import _drawn


def test_of_each_view_the_drawn_places_are_computed_in_their_order() -> None:
    """Three places in two views; rows say view and place."""
    rows = torch.tensor([[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]])
    found = _drawn(Batch((rows, rows[:, 1]), rows.sum(1), torch.tensor([True, False, True])))
    assert isinstance(found.inputs, tuple)
    assert found.inputs[0].tolist() == [[0, 0], [0, 2], [1, 0], [1, 2]]
    assert found.inputs[1].tolist() == [0, 2, 0, 2]
    assert found.labels.tolist() == [0, 2, 1, 3] and found.counted.tolist() == [True, True]
    (alone,) = (_drawn(Batch(rows, rows.sum(1), torch.tensor([False, True, False]))),)
    assert isinstance(alone.inputs, torch.Tensor)
    assert alone.inputs.tolist() == [[0, 1], [1, 1]]


@pytest.mark.parametrize("taken", [[True, True], [False, False]], ids=["all", "none"])
def test_a_batch_of_which_all_places_or_none_are_drawn_stays_as_it_is(taken: list[bool]) -> None:
    batch = Batch(torch.zeros(2, 1), torch.zeros(2), torch.tensor(taken))
    assert _drawn(batch) is batch
