"""Reads the pictures of a step as a model takes them. What it yields is private, and stays in the run.

Pictures come out of the memory map as bytes, travel to a GPU as bytes, and are normalised and changed there, in
operations on whole batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from datasites.training.data import LabelledPictures, augment, to_tensor
from datasites.training.features import pictures_for
from datasites.training.randomness import SecureRandom
from datasites.training.reports import ModelInputs, texts_for, to_inputs
from policies.plan import TrainingPlan

Part = tuple[ModelInputs, torch.Tensor]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Loader:
    """Reads a logical batch in physical batches, changed by the plan's augmentation.

    With several views of each picture, all pictures come in one view, then all in the next.
    """

    plan: TrainingPlan
    pictures: LabelledPictures
    random: SecureRandom
    device: str

    def __call__(self, chosen: np.ndarray) -> Iterator[Part]:
        """Yields inputs and labels of some pictures, on the device.

        Args:
            chosen: int64, (B,), indices of pictures.
        """
        if not self.device.startswith("cuda"):
            return self._parts(chosen)
        return one_ahead(self._copied(chosen))

    def _parts(self, chosen: np.ndarray) -> Iterator[Part]:
        texts, pictures = texts_for(self.plan.model, self.pictures), pictures_for(self.plan.model, self.pictures)
        size = self.plan.run.physical_batch_size
        for start in range(0, len(chosen), size):
            part = np.sort(chosen[start : start + size])  # a memory map is read front to back
            views = self.plan.augmentation_multiplicity
            images = to_tensor(pictures[part], self.device)
            images = augment(images.repeat(views, 1, 1, 1), self.plan.augmentation, self.random)
            words = None if texts is None else np.tile(texts[part], (views, 1))
            labels = torch.from_numpy(self.pictures.labels[part])
            yield to_inputs(images, words, self.device), labels.to(self.device)

    def _copied(self, chosen: np.ndarray) -> Iterator[Part]:
        """The parts, copied and changed on a stream beside the one that computes."""
        side = torch.cuda.Stream(self.device)
        computing = torch.cuda.current_stream(self.device)
        parts = self._parts(chosen)
        while True:
            with torch.cuda.stream(side):
                part = next(parts, None)
            if part is None:
                return
            side.synchronize()  # in the thread that loads: the one that computes goes on
            inputs, labels = part
            for tensor in (*inputs, labels) if isinstance(inputs, tuple) else (inputs, labels):
                tensor.record_stream(computing)
            yield part


def one_ahead(items: Iterator[_T]) -> Iterator[_T]:
    """Yields the items in order, each made in another thread while the one before is in use."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
