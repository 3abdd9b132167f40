"""A step of DP-SGD, in batches of one public shape. The sums stay in the process until they are noised."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from datasites.training.dp_sgd.batch_shape import BatchShape, most_drawn
from datasites.training.dp_sgd.device_look import NOTHING_KEPT, DeviceLook, KeptLook, device_text, most_memory
from datasites.training.dp_sgd.kernel_choice import KernelChoice
from datasites.training.dp_sgd.loader import Batch
from datasites.training.dp_sgd.memory import pictures_that_fit, room_for_batches_ahead
from datasites.training.dp_sgd.noise import NoisyOptimizer
from datasites.training.dp_sgd.self_check import check_places, made_up_batch, make_up_weights
from datasites.training.dp_sgd.step_engine import StepEngine
from datasites.training.dp_sgd.step_sums import CalledSums, RecordedSums, StepSums, in_float64
from datasites.training.gpu.step import Recorder
from datasites.training.pictures.reports import empty_inputs
from datasites.training.pictures.side_stream import GraphBesideThreads
from datasites.training.process_group.process_group import ProcessGroup
from datasites.training.randomness.randomness import SecureRandom
from policies.errors import NotRepeatable, OutOfMemory, WanwuError
from policies.plans.training import TrainingPlan


@dataclass(frozen=True)
class PrivateStep:
    """Takes the steps of a round, in each process of a process group.

    Attributes:
        shape: Of all steps.
        sums: Adds up a step's batches.
        random: Draws the places.
        optimizer: Adds the noise and takes the step, in the first process.
        model: The first one's parameters, everywhere.
        process_group: The processes.
    """

    shape: BatchShape
    sums: StepSums
    random: SecureRandom
    optimizer: NoisyOptimizer
    model: nn.Module
    process_group: ProcessGroup

    def seated(self, samples: Callable[[], Iterator[np.ndarray]]) -> Iterator[np.ndarray]:
        """Gives the drawn units of each step their places; for `batches_of`.

        Args:
            samples: Draws the steps' pictures, int64, (units, pictures_each) each.

        Yields:
            For each step int64, (units, 1 + pictures_each), each unit's place and pictures, as `BatchShape.seat` says.
        """
        for drawn in samples():
            yield self.shape.seat(drawn, self.random)

    def batches_of(self, sample: np.ndarray) -> Iterable[np.ndarray]:
        """The batches that this process computes.

        Args:
            sample: What `seated` returned for a step, the same in all processes.

        Returns:
            int64, (batches, places, k): see `BatchShape.batches_of`.
        """
        return self.shape.batches_of(sample, self.process_group.rank)

    def take(self, batches: Iterable[Batch]) -> None:
        """Takes one step.

        Guarantees:
            Every place of every batch is computed; what is added up is each drawn unit's clipped gradient, once. While
            no more are drawn than the shape has places for, neither the number of batches nor their size, nor a
            unit's place, depends on who else was drawn. Between batches and processes sums are float64.

        Args:
            batches: What `batches_of` gave, read.

        Raises:
            OutOfMemory: Memory no longer holds what it held before the round: nothing is made smaller now.
        """
        sums = self.sums(batches)
        if self.process_group.size > 1:
            sums = self.process_group.reduce(in_float64(sums))
        if self.process_group.is_first:
            self.optimizer.step_with(sums)
        self.process_group.broadcast(self.model)


@dataclass(frozen=True)
class Shaped:
    """What a round's steps are found to be, before a picture is read.

    Attributes:
        shape: Of all batches.
        sums: Adds up a step's batches of that shape.
    """

    shape: BatchShape
    sums: StepSums


def recorder_on(device: str, told: Callable[[str], None]) -> Recorder | None:
    """Returns what records a round's work on a GPU, also while batches are read ahead; None on a processor.

    Args:
        device: As torch names it.
        told: Told the name of what is done in a slower way than there is for it.
    """
    return Recorder(told, GraphBesideThreads) if device.startswith("cuda") else None


def find_shape(
    plan: TrainingPlan,
    model: nn.Module,
    engine: StepEngine,
    *,
    public_size: int,
    process_group: ProcessGroup,
    recorder: Recorder | None = None,
    kept: KeptLook = NOTHING_KEPT,
) -> Shaped:
    """Finds the shape of all steps' batches on made-up pictures, before any other is read.

    Begins with what the plan and the declared size ask for, and takes a quarter off the places while memory does not
    hold them, or a picture's gradient depends on its place. Leaves made-up weights in the model. A kernel that is
    missing or fails shows here: all processes then take torch's operations, from here to the end of the round.

    Guarantees:
        It looks, unless one process, on a processor, is given the look of an earlier run that held there. What it
        found itself is told only if it passed.

    Args:
        plan: As approved.
        model: Of the round.
        engine: Of the model.
        public_size: The number of units that the hospital declares.
        process_group: The processes that take the steps.
        recorder: Records the pass over a batch; None: it is called each time.
        kept: The look of an earlier run of the same kind, and where this one's is told.

    Raises:
        NotRepeatable: A gradient depends on the pass or on the other pictures, or the process group's devices differ.
        OutOfMemory: Memory does not hold a single picture.
    """
    keeps, drawn = process_group.size == 1 and recorder is None, most_drawn(plan, public_size)
    most = plan.run.physical_batch_size
    if keeps and kept.places is not None:
        shape = BatchShape.for_draws(drawn, most_places=min(most, kept.places))
        if kept.holds(engine.device, shape.places):
            return Shaped(shape, CalledSums(engine))
    make_up_weights(model)
    before, choice = most_memory(), KernelChoice(process_group, next(model.parameters()).device, recorder)
    while True:
        shape = BatchShape.for_draws(drawn, most_places=most, processes=process_group.size)
        chosen = choice.with_kernels
        tried, failed = _tried_or_failed(plan, model, engine, shape.places, recorder, catches=chosen)
        choice.go_on(failed)
        if chosen and not choice.with_kernels:
            continue
        if process_group.all_reduce_min(tried is not None):
            break
        most = max(1, shape.places * 3 // 4)
    told = 0 if tried is None else int.from_bytes(hashlib.sha256(tried[0].cpu().numpy().tobytes()).digest()[:6])
    if process_group.all_reduce_min(told) != -process_group.all_reduce_min(-told):
        raise NotRepeatable("The hospital's GPUs do not compute alike. Ask the hospital to train on one of them.")
    if keeps:
        kept.tell(DeviceLook(shape.places, most_memory() - before, device_text(engine.device)).to_text())
    return Shaped(shape, CalledSums(engine) if tried is None else tried[1])


def _tried_or_failed(
    plan: TrainingPlan,
    model: nn.Module,
    engine: StepEngine,
    places: int,
    recorder: Recorder | None,
    *,
    catches: bool,
) -> tuple[tuple[torch.Tensor, StepSums] | None, str | None]:
    """As `_tried`, and why it could not be tried: a kernel that is missing, or whatever Triton or the driver say of it.

    Args:
        plan: As `_tried`, like those that follow.
        model: Likewise.
        engine: Likewise.
        places: Likewise.
        recorder: Likewise.
        catches: Whether there are torch's operations to go on with.
    """
    try:
        return _tried(plan, model, engine, places, recorder), None
    except WanwuError:
        raise
    except Exception as error:
        if not catches:
            raise
        failed = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    torch.cuda.empty_cache()
    return None, failed


def _tried(
    plan: TrainingPlan, model: nn.Module, engine: StepEngine, places: int, recorder: Recorder | None
) -> tuple[torch.Tensor, StepSums] | None:
    """What the device says of made-up pictures, and what adds up such batches; None where it has to be given fewer.

    Raises:
        NotRepeatable: As `check_places`, or a single place does not answer twice alike.
        OutOfMemory: Memory does not hold a single place.
    """
    views = plan.augmentation_multiplicity * plan.pictures_per_patient
    copies = 2 if plan.run.engine == "opacus" else 0
    fitting = pictures_that_fit(model, empty_inputs(plan.model), most=views * places, copies_of_weights=copies)
    if fitting < views * places and places > 1:
        return None
    one, other = (made_up_batch(plan.model, places, views, engine.device, number=number) for number in (0, 1))
    try:
        room = room_for_batches_ahead(plan, places, engine.device)
        norms = check_places(engine, one, other)
        if norms is None:
            return None
        sums = CalledSums(engine) if recorder is None else RecordedSums(engine, recorder, one)
        del room  # there was room for it beside all of this
        return norms, sums
    except OutOfMemory:
        if places == 1:
            raise
    if engine.device.startswith("cuda"):
        torch.cuda.empty_cache()
    return None
