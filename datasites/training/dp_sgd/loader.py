"""Reads the pictures of a step as a model takes them. What it yields is private, and stays in the run.

Pictures come out of the memory map as bytes, travel to a GPU as bytes, and are normalised and changed there, in
operations on whole batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from datasites.training.dp_sgd.batch_shape import EMPTY
from datasites.training.dp_sgd.engine_contract import Inputs
from datasites.training.pictures.data import LabelledPictures, augment, grey_of, to_tensor
from datasites.training.pictures.features import pictures_for
from datasites.training.pictures.reports import texts_for, to_inputs
from datasites.training.randomness.randomness import SecureRandom
from policies.plans.training import TrainingPlan

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Batch:
    """Pictures that are computed together, on the device.

    Attributes:
        inputs: What the model takes, one row for each look at each picture: all places in one view, then all in the
            next.
        labels: int64, (rows,).
        counted: bool, (places,): False where a place is empty.
    """

    inputs: Inputs
    labels: torch.Tensor
    counted: torch.Tensor


@dataclass(frozen=True)
class Loader:
    """Reads batches of pictures, changed by the plan's augmentation.

    Empty places hold one public picture, grey and without a word, and pass through everything that the others do.
    """

    plan: TrainingPlan
    pictures: LabelledPictures
    random: SecureRandom
    device: str

    def __call__(self, batches: Iterable[np.ndarray]) -> Iterator[Batch]:
        """Yields each batch.

        Args:
            batches: int64, (places, k) each: k pictures of the unit at each place, or `EMPTY`.
        """
        if not self.device.startswith("cuda"):
            return self._read(batches)
        return one_ahead(self._copied(batches))

    def _read(self, batches: Iterable[np.ndarray]) -> Iterator[Batch]:
        texts, pictures = texts_for(self.plan.model, self.pictures), pictures_for(self.plan.model, self.pictures)
        views, grey = self.plan.augmentation_multiplicity, grey_of(pictures.dtype)
        for batch in batches:
            rows = batch.T.ravel()
            images = to_tensor(_placed(pictures, rows, empty=grey), self.device).repeat(views, 1, 1, 1)
            images = augment(images, self.plan.augmentation, self.random).contiguous()
            words = None if texts is None else np.tile(_placed(texts, rows, empty=0), (views, 1))
            labels = torch.from_numpy(np.tile(_placed(self.pictures.labels, rows, empty=0), views))
            counted = torch.from_numpy(batch[:, 0] != EMPTY)
            yield Batch(to_inputs(images, words, self.device), labels.to(self.device), counted.to(self.device))

    def _copied(self, batches: Iterable[np.ndarray]) -> Iterator[Batch]:
        """The batches, copied and changed on a stream beside the one that computes."""
        side = torch.cuda.Stream(self.device)
        computing = torch.cuda.current_stream(self.device)
        coming = self._read(batches)
        while True:
            with torch.cuda.stream(side):
                batch = next(coming, None)
            if batch is None:
                return
            side.synchronize()  # in the thread that loads: the one that computes goes on
            inputs = batch.inputs if isinstance(batch.inputs, tuple) else (batch.inputs,)
            for tensor in (*inputs, batch.labels, batch.counted):
                tensor.record_stream(computing)
            yield batch


def in_parts(chosen: np.ndarray, size: int) -> list[np.ndarray]:
    """Some pictures in batches of at most `size` places, none of them empty: for training without privacy.

    Args:
        chosen: int64, (B, k).
        size: Most places of a batch.
    """
    return [chosen[start : start + size] for start in range(0, len(chosen), size)]


def one_ahead(items: Iterator[_T]) -> Iterator[_T]:
    """Yields the items in order, each made in another thread while the one before is in use."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def _placed(stored: np.ndarray, rows: np.ndarray, *, empty: int) -> np.ndarray:
    """The rows of what is stored, and `empty` where there is none."""
    taken = np.flatnonzero(rows != EMPTY)
    taken = taken[np.argsort(rows[taken], kind="stable")]  # a memory map is read front to back
    found = np.full((len(rows), *stored.shape[1:]), empty, dtype=stored.dtype)
    found[taken] = stored[rows[taken]]
    return found
