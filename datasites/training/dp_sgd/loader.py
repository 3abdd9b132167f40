"""Reads the pictures of a step as a model takes them. What it yields is private, and stays in the run.

Pictures come out of the memory map as bytes, travel to a GPU as bytes, and are changed and normalised there, in
operations on whole batches. On a GPU one thread reads, another sends, and both are batches ahead of what is computed.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import torch

from datasites.training.dp_sgd.batch_shape import EMPTY
from datasites.training.dp_sgd.engine_contract import Inputs
from datasites.training.dp_sgd.memory import batches_ahead, memory_is_told_of
from datasites.training.pictures.data import LabelledPictures, changed, draw_changes, grey_of, normalised, to_tensor
from datasites.training.pictures.features import pictures_for
from datasites.training.pictures.reading_ahead import ahead, ahead_of_steps
from datasites.training.pictures.reports import texts_for, to_inputs
from datasites.training.pictures.side_stream import Mark, Progress, SideStream, Staging, Streams, told_behind
from datasites.training.randomness.randomness import SecureRandom
from policies.plans.training import TrainingPlan

_READ_AHEAD = 2  # batches of bytes that wait to be sent
_STAGINGS = _READ_AHEAD + 1  # and one that is being sent


@dataclass(frozen=True, eq=False)
class Batch:
    """Pictures that are computed together, on the device.

    Attributes:
        inputs: What the model takes, one row for each look at each picture: all places in one view, then all in the
            next.
        labels: int64, (rows,), classes; or int8, (rows, K), findings.
        counted: bool, (places,): False where a place is empty.
    """

    inputs: Inputs
    labels: torch.Tensor
    counted: torch.Tensor


@dataclass(frozen=True)
class Loader:
    """Reads batches of pictures, changed by the plan's augmentation.

    Empty places hold one public picture, grey and without a word, and pass through everything that the others do.

    Guarantees:
        All that is drawn is drawn by the thread that asks, in an order that hangs on the plan and the device alone.
    """

    plan: TrainingPlan
    pictures: LabelledPictures
    random: SecureRandom
    device: str

    def __call__(self, batches: Iterable[np.ndarray]) -> Iterator[Batch]:
        """Yields each batch of one step alone; see `steps`.

        Args:
            batches: int64, (places, k) each.
        """
        with contextlib.closing(self.steps(iter([np.empty(0)]), lambda _: batches)) as steps:
            for _, step in steps:
                yield from step

    def steps(
        self, samples: Iterator[np.ndarray], batches_of: Callable[[np.ndarray], Iterable[np.ndarray]]
    ) -> Generator[tuple[np.ndarray, Iterator[Batch]], None, None]:
        """Yields each step's sample and its batches, which are to be taken one after the other, and all of them.

        On a GPU a batch is to be used on the stream that was current when the first step was asked for, and is done
        with when the next one is asked for. The first batches of the next step are read while a step is taken. Close
        it where not all is taken: its threads end then.

        Args:
            samples: One for each step; on a GPU the next one is asked for before a step is yielded.
            batches_of: Makes of a sample its batches, int64, (places, k) each: k pictures of the unit at each place,
                or `EMPTY`.
        """
        texts, pictures = texts_for(self.plan.model, self.pictures), pictures_for(self.plan.model, self.pictures)
        stored = _Stored(pictures, self.pictures.labels, texts, self.plan.augmentation_multiplicity, self.device)
        drawn = ((sample, [self._drawn(batch) for batch in batches_of(sample)]) for sample in samples)
        streams = self._streams()
        if streams is None:
            for sample, step in drawn:
                yield sample, map(stored.read, step)
            return
        most = batches_ahead(self.plan, self.plan.run.physical_batch_size)
        yield from ahead_of_steps(drawn, _Ahead(stored, streams, most))

    def in_parts(self, sample: np.ndarray) -> Iterable[np.ndarray]:
        """Returns batches of at most as many places as the plan allows, none of them empty: without privacy.

        Args:
            sample: int64, (B, k).
        """
        size = self.plan.run.physical_batch_size
        return [sample[start : start + size] for start in range(0, len(sample), size)]

    def tells_when_done(self, progress: Progress) -> AbstractContextManager[Progress]:
        """Returns what tells `progress` of steps, in order: of none before the device has done it, at the end of all.

        A GPU is batches behind the thread that takes the steps, which looks after each step how far it has come.

        Args:
            progress: Told (steps done, steps in the round).
        """
        streams = self._streams()
        return contextlib.nullcontext(progress) if streams is None else told_behind(progress, streams.used)

    def _drawn(self, batch: np.ndarray) -> _Drawn:
        rows = batch.size * self.plan.augmentation_multiplicity
        return _Drawn(batch, draw_changes(self.plan.augmentation, rows, self.random))

    def _streams(self) -> Streams | None:
        """Where batches are made ahead; on a processor it would be in the way of what computes."""
        return SideStream(self.device) if self.device.startswith("cuda") else None


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A batch that is still to be read: int64, (places, k), and the changes of its rows, as `draw_changes` has them."""

    batch: np.ndarray
    changes: np.ndarray


@dataclass(frozen=True, eq=False)
class _Stored:
    """Where batches are read from, and what is made of them."""

    pictures: np.ndarray
    labels: np.ndarray
    texts: np.ndarray | None
    views: int
    device: str

    def read(self, drawn: _Drawn) -> Batch:
        """The batch, in this thread."""
        rows, grey = drawn.batch.T.ravel(), grey_of(self.pictures.dtype)
        images = to_tensor(_placed(self.pictures, rows, empty=grey), self.device)
        images = images if self.views == 1 else images.repeat(self.views, 1, 1, 1)
        images = changed(images, torch.from_numpy(drawn.changes)).contiguous()
        words = None if self.texts is None else np.tile(_placed(self.texts, rows, empty=0), (self.views, 1))
        labels = torch.from_numpy(self._labels_of(rows))
        counted = torch.from_numpy(drawn.batch[:, 0] != EMPTY)
        return Batch(to_inputs(images, words, self.device), labels.to(self.device), counted.to(self.device))

    def fill(self, drawn: _Drawn, staging: Staging) -> None:
        """Reads the batch into memory from which the device takes it: each picture once, in the order of the store.

        As many bytes travel whoever is drawn. Behind the pictures that were read, what a batch before left stands
        there, which no place takes.
        """
        rows, shape = drawn.batch.T.ravel(), self.pictures.shape[1:]
        taken = _in_order(rows)
        images = staging.place("images", (len(rows) + 1, *shape), _TRAVELS_AS[self.pictures.dtype.str[1:]])
        bytes_of = images.numpy().view(self.pictures.dtype)
        _take(self.pictures, rows[taken], out=bytes_of[: len(taken)])
        bytes_of[-1] = grey_of(self.pictures.dtype)
        found_at = np.full(len(rows), len(rows))
        found_at[taken] = np.arange(len(taken))
        small = {
            "found_at": np.tile(found_at, self.views),
            "changes": drawn.changes,
            "labels": self._labels_of(rows),
            "counted": drawn.batch[:, 0] != EMPTY,
        }
        if self.texts is not None:
            small["words"] = _placed(self.texts, rows, empty=0)
        for name, values in small.items():
            part = torch.from_numpy(values)
            staging.place(name, tuple(part.shape), part.dtype).copy_(part)

    def send(self, staging: Staging) -> Batch:
        """The batch on its device, launched and not waited for."""
        sent = {
            name: torch.empty(part.shape, dtype=part.dtype, device=self.device).copy_(part, non_blocking=True)
            for name, part in staging.parts.items()
        }
        pictures = sent["images"].index_select(0, sent["found_at"])
        images = normalised(changed(pictures.permute(0, 3, 1, 2), sent["changes"]))
        if "words" in sent:
            return Batch((images, sent["words"].long().repeat(self.views, 1)), sent["labels"], sent["counted"])
        return Batch(images, sent["labels"], sent["counted"])

    def _labels_of(self, rows: np.ndarray) -> np.ndarray:
        return np.concatenate([_placed(self.labels, rows, empty=0)] * self.views)


# By what is stored, without its byte order; torch knows too little of uint16 on a GPU.
_TRAVELS_AS = {"u1": torch.uint8, "u2": torch.int16, "f4": torch.float32}


@dataclass(eq=False)
class _Ready:
    """A batch on the device, a mark behind its making and, once it was used, one behind that."""

    batch: Batch
    made: Mark
    used: Mark | None = None


@dataclass(frozen=True, eq=False)
class _Ahead:
    """Reads batches in one thread and sends them in another, `most` ahead of the one that is in use."""

    stored: _Stored
    streams: Streams
    most: int

    def __call__(self, tasks: Iterator[_Drawn], reads: Executor, sends: Executor) -> Generator[Batch, None, None]:
        last: _Ready | None = None
        coming = ahead(self._sent(ahead(self._read(tasks), _READ_AHEAD, reads)), self.most, sends)
        try:
            for last in coming:
                self.streams.wait_for(last.made)
                try:
                    yield last.batch
                finally:
                    last.used = self.streams.used()
        finally:
            coming.close()
            if last is not None and last.used is not None:
                last.used.synchronize()  # only then others may have its memory

    def _read(self, tasks: Iterator[_Drawn]) -> Iterator[Staging]:
        """In the first thread: what is read into a staging was sent `_STAGINGS` batches ago, or is waited for."""
        stagings = cycle([Staging(pinned=self.streams.pinned) for _ in range(_STAGINGS)])
        for drawn, staging in zip(tasks, stagings, strict=False):
            staging.begin()
            with memory_is_told_of():
                self.stored.fill(drawn, staging)
            yield staging

    def _sent(self, filled: Iterator[Staging]) -> Iterator[_Ready]:
        """In the second thread: keeps each batch until the device has used it, and no more of them than it may.

        When a batch is asked for, the one `most` before it has been handed out, so the one before that was used.
        """
        kept: deque[_Ready] = deque()
        for staging in filled:
            while len(kept) > self.most:
                used = kept.popleft().used
                if used is not None:
                    used.synchronize()
            with self.streams.beside(), memory_is_told_of():
                batch = self.stored.send(staging)
                staging.read = made = self.streams.told()
            kept.append(_Ready(batch, made))
            yield kept[-1]


def _in_order(rows: np.ndarray) -> np.ndarray:
    """Where rows of pictures are taken, in the order of the store: a memory map is read front to back."""
    taken = np.flatnonzero(rows != EMPTY)
    return taken[np.argsort(rows[taken], kind="stable")]


def _placed(stored: np.ndarray, rows: np.ndarray, *, empty: int) -> np.ndarray:
    """The rows of what is stored, and `empty` where there is none."""
    taken = _in_order(rows)
    found = np.full((len(rows), *stored.shape[1:]), empty, dtype=stored.dtype)
    found[taken] = stored[rows[taken]]
    return found


def _take(stored: np.ndarray, rows: np.ndarray, *, out: np.ndarray) -> None:
    """Copies rows, int64 and rising, straight to where they are wanted; other threads go on meanwhile."""
    if len(rows) and not (rows[0] >= 0 and rows[-1] < len(stored)):
        raise IndexError("A picture was drawn that there is not.")
    if stored.flags.c_contiguous:
        np.take(stored, rows, axis=0, out=out, mode="clip")  # by any other mode numpy copies twice
    else:
        out[...] = stored[rows]
