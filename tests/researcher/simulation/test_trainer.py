"""Places of a batch that nobody was drawn for: a simulation leaves them out, of each view and of each kind of input."""

from __future__ import annotations

import torch

from datasites.training.dp_sgd.loader import Batch
from researcher.simulation.at_work.recorded import drawn


def test_of_each_view_the_drawn_places_are_computed_in_their_order() -> None:
    """Three places in two views; rows say view and place."""
    rows = torch.tensor([[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]])
    found = drawn(Batch((rows, rows[:, 1]), rows.sum(1), torch.tensor([True, False, True])))
    assert isinstance(found.inputs, tuple)
    assert found.inputs[0].tolist() == [[0, 0], [0, 2], [1, 0], [1, 2]]
    assert found.inputs[1].tolist() == [0, 2, 0, 2]
    assert found.labels.tolist() == [0, 2, 1, 3] and found.counted.tolist() == [True, True]
    (alone,) = (drawn(Batch(rows, rows.sum(1), torch.tensor([False, True, False]))),)
    assert isinstance(alone.inputs, torch.Tensor)
    assert alone.inputs.tolist() == [[0, 1], [1, 1]]


def test_a_batch_of_which_all_places_are_drawn_stays_as_it_is_and_one_of_none_is_empty() -> None:
    batch = Batch(torch.zeros(2, 1), torch.zeros(2), torch.tensor([True, True]))
    assert drawn(batch) is batch
    none = drawn(Batch(torch.zeros(2, 1), torch.zeros(2), torch.tensor([False, False])))
    assert [len(part) for part in (none.inputs, none.labels, none.counted)] == [0, 0, 0]
