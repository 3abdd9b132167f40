"""One round of a study at one hospital. What it returns, the client update, is all that may leave.

The update is made of the declared parameters alone. The loss, the batches, the optimiser's state and the
random keys end with the call. A round is prepared first, without its pictures: an unfit device is found then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from datasites.training.descent import descent_of, set_learning_rate, with_noise
from datasites.training.dp_sgd.device_look import NOTHING_KEPT, KeptLook
from datasites.training.dp_sgd.engine_contract import EngineFactory, Inputs
from datasites.training.dp_sgd.loader import Batch, Loader
from datasites.training.dp_sgd.private_step import PrivateStep, Shaped, find_shape, recorder_on
from datasites.training.dp_sgd.step_engine import StepEngine
from datasites.training.engines import ENGINES
from datasites.training.gpu.step import Recorder, has_gpu
from datasites.training.losses import Loss, loss_of
from datasites.training.models import build_undrawn, check_weights, put_weights, read_weights
from datasites.training.pictures.data import LabelledPictures, check_augmentation
from datasites.training.pictures.fitting import check_fit
from datasites.training.pictures.sampler import allocated_steps, poisson_steps
from datasites.training.process_group.process_group import SINGLE_PROCESS, ProcessGroup
from datasites.training.randomness.randomness import SecureRandom
from datasites.training.strategy_terms import strategy_terms
from policies.errors import PlanError, RoundRefused
from policies.plans.model_options import check_features
from policies.plans.server.beside import apart, word_of
from policies.plans.training import TrainingPlan

Progress = Callable[[int, int], None]
AddGradients = Callable[[Inputs, torch.Tensor, int], None]
"""Adds to each parameter's `grad` that of the loss of a batch's inputs and labels, over a number of pictures."""
_Step = Callable[[np.ndarray, Iterator[Batch]], None]


def train_round(
    plan: TrainingPlan,
    round_index: int,
    global_weights: Mapping[str, np.ndarray],
    pictures: LabelledPictures,
    *,
    progress: Progress = lambda done, total: None,
    random: SecureRandom | None = None,
    engine: EngineFactory | None = None,
    process_group: ProcessGroup = SINGLE_PROCESS,
) -> dict[str, np.ndarray]:
    """Trains the global weights on the hospital's pictures for `plan.steps_per_round` steps.

    Guarantees:
        With `plan.privacy`, the returned update is the outcome of exactly `plan.steps_per_round` Gaussian steps at
        (noise_multiplier, sample_rate), per privacy unit of `pictures`, whose units are drawn as `plan.sampling` says,
        for each step or into one step of each epoch: each drawn unit adds one
        gradient, the mean over the pictures and views that the plan looks at, clipped to at most max_grad_norm, to a
        sum that is noised before anything else reads it. Scale and number of steps depend on the plan and the public
        size alone. What is computed has one shape, found on made-up pictures, so that no picture's gradient depends on
        the others; a device on which it would is refused before a picture is read. Nothing is kept from one call to the
        next. Without `plan.privacy` there is no guarantee.

    Args:
        plan: What was approved.
        round_index: From 0 to plan.rounds - 1.
        global_weights: float32 by name, exactly what the round takes in, each of its parameter's shape.
        pictures: The hospital's pictures, their classes and their privacy units.
        progress: Told (steps done, steps in the round) after each step; of steps on a GPU once they are done there.
        random: Draws the sample and the noise; a fresh generator keyed by the operating system if None.
            Anything else is for tests and the audit.
        engine: Computes clipped sums in place of the plan's engine; for tests, the audit and benchmarks.
        process_group: The processes that take this round's steps together. All call this with the same plan, weights
            and pictures; the first one's update is the round's.

    Returns:
        The client update: trained minus global weights, float32 by name, each of its parameter's shape.

    Raises:
        PlanError: The model does not exist, or does not fit the pictures, their reports or the kind of their labels; or
            several processes train without differential privacy.
        DataError: The dataset has classes that the model does not know.
        RoundRefused: `round_index` is not a round of the plan.
        InputRefused: The global weights are not the model's.
        NotRepeatable: The device computes a made-up picture's gradient differently beside others, or in another pass.
        OutOfMemory: Memory does not hold a part of a private step.
    """
    prepared = prepare_training(
        plan, round_index, global_weights, public_size=pictures.public_size, engine=engine, process_group=process_group
    )
    return prepared.train(pictures, progress=progress, random=random)


def prepare_training(
    plan: TrainingPlan,
    round_index: int,
    global_weights: Mapping[str, np.ndarray],
    *,
    public_size: int,
    engine: EngineFactory | None = None,
    process_group: ProcessGroup = SINGLE_PROCESS,
    slower: Callable[[str], None] = lambda name: None,
    kept: KeptLook = NOTHING_KEPT,
) -> PreparedTraining:
    """Does all of a round that needs no picture: builds the model and, for private steps, finds their batches' shape.

    Guarantees:
        It is given nothing of the pictures: what it does, how long it takes and whether it fails follow from its
        arguments and the device. With `plan.privacy`, it returns only if the device kept made-up pictures apart, now
        or in the look that `kept` holds. Weights are read after that.

    Args:
        plan: As `train_round`, like all of these.
        round_index: Likewise.
        global_weights: Likewise.
        public_size: The number of units that the hospital declares.
        engine: As `train_round`.
        process_group: Likewise; all of its processes prepare the round, and then train it.
        slower: Told the name of what a GPU does in a slower way than there is for it, when that is found.
        kept: What such a call found earlier, and where this one's look is told.

    Raises:
        PlanError, RoundRefused, InputRefused, NotRepeatable, OutOfMemory: As `train_round`.
    """
    if not 0 <= round_index < plan.rounds:
        raise RoundRefused(f"The study has rounds 1 to {plan.rounds}, got round {round_index + 1}.")
    if plan.privacy is None and process_group.size > 1:
        raise PlanError("Training without differential privacy takes one process. Start one.")
    check_features(plan)
    height, width, _ = plan.model.image_shape
    check_augmentation(plan.augmentation, height=height, width=width)
    on_gpu = plan.run.device == "auto" and has_gpu()
    device = (process_group.device or "cuda") if on_gpu else "cpu"
    model = build_undrawn(plan.model).to(device).train()
    private, recorder = None, recorder_on(device, slower)
    if plan.privacy is not None:
        factory = engine or ENGINES[plan.run.engine]
        made = factory(model, plan.privacy.max_grad_norm, loss_of(plan.objective))
        gradients = StepEngine(made, device, plan.run.precision)
        private = find_shape(
            plan, model, gradients, public_size=public_size, process_group=process_group, recorder=recorder, kept=kept
        )
    weights, beside = apart(plan, round_index, global_weights)
    check_weights(model, weights)
    if beside or word_of(plan, round_index):
        check_weights(model, beside)
    return PreparedTraining(plan, round_index, weights, beside, model, device, private, process_group, recorder)


@dataclass(frozen=True)
class PreparedTraining:
    """A round that lacks nothing but its pictures.

    Attributes:
        plan: What was approved.
        round_index: From 0.
        global_weights: float32 by name; the model gets them when it is trained.
        beside: Likewise, what the plan's strategy sent this hospital beside them; empty where it sends nothing.
        model: On the device.
        device: Where, as torch names it.
        private: With `plan.privacy`, the shape of a step's batches, and what adds them up.
        process_group: The processes that take the steps.
        recorder: On a GPU, what records its work, and knows what it could not record.
        add_gradients: Without `plan.privacy`, in place of torch's way; None: in that.
    """

    plan: TrainingPlan
    round_index: int
    global_weights: Mapping[str, np.ndarray]
    beside: Mapping[str, np.ndarray]
    model: nn.Module
    device: str
    private: Shaped | None
    process_group: ProcessGroup
    recorder: Recorder | None
    add_gradients: AddGradients | None = None

    def train(
        self,
        pictures: LabelledPictures,
        *,
        progress: Progress = lambda done, total: None,
        random: SecureRandom | None = None,
    ) -> dict[str, np.ndarray]:
        """Trains the global weights on the hospital's pictures.

        Guarantees:
            As `train_round`, for pictures of the public size that the round was prepared for.

        Args:
            pictures: As `train_round`, like all of these.
            progress: Likewise.
            random: Likewise.

        Raises:
            PlanError, DataError, OutOfMemory: As `train_round`.
        """
        plan, model = self.plan, self.model
        check_fit(plan.model, pictures)
        put_weights(model, self.global_weights)
        random = SecureRandom() if random is None else random
        optimizer = descent_of(plan, model, self.device)
        load = Loader(plan, pictures, random, self.device)
        samples = _samples(plan, pictures, random)
        if self.private is None or plan.privacy is None:
            step, batches_of = _plain_step(self, optimizer), load.in_parts
        else:
            terms = strategy_terms(plan, model, self.beside)
            noisy = with_noise(optimizer, plan.privacy, load, after_noise=terms, recorder=self.recorder)
            private = PrivateStep(self.private.shape, self.private.sums, random, noisy, model, self.process_group)
            step, batches_of = (lambda _, batches: private.take(batches)), private.batches_of
            samples = partial(private.seated, samples)
        drawn = self.process_group.samples(samples, steps=plan.steps_per_round)
        with closing(load.steps(drawn, batches_of)) as steps, load.tells_when_done(progress) as tell:
            for number, (sample, batches) in enumerate(steps):
                set_learning_rate(optimizer, plan.learning_rate_at(self.round_index * plan.steps_per_round + number))
                step(sample, batches)
                tell(number + 1, plan.steps_per_round)
        trained = read_weights(model)
        for name, array in trained.items():
            np.subtract(array, np.asarray(self.global_weights[name]), out=array)
        return trained


def _samples(
    plan: TrainingPlan, pictures: LabelledPictures, random: SecureRandom
) -> Callable[[], Iterator[np.ndarray]]:
    """What draws the pictures of each step, as the plan says."""
    draw: Callable[..., Iterator[np.ndarray]] = partial(poisson_steps, sample_rate=plan.sample_rate)
    if plan.allocated_over:
        draw = partial(allocated_steps, steps_of_epoch=plan.allocated_over)
    return partial(
        draw,
        pictures.units,
        steps=plan.steps_per_round,
        random=random,
        pictures_each=plan.pictures_per_patient,
        index=pictures.unit_index,
    )


def _plain_step(prepared: PreparedTraining, optimizer: torch.optim.Optimizer) -> _Step:
    """A step of SGD on the mean gradient of a logical batch; an empty one has gradient zero.

    On a processor a built-in model is given pictures with their channels side by side, which its convolutions and
    pools take less time for. A private step would not.
    """
    plan, model = prepared.plan, prepared.model
    add_terms = strategy_terms(plan, model, prepared.beside)
    add_gradients = prepared.add_gradients or _in_torchs_way(model, loss_of(plan.objective))
    by_channel = prepared.device == "cpu" and not plan.model.is_own
    gradients = [torch.zeros_like(parameter) for parameter in model.parameters()]
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        parameter.grad = gradient

    def step(chosen: np.ndarray, batches: Iterator[Batch]) -> None:
        torch._foreach_zero_(gradients)
        for batch in batches:
            inputs = _channels_beside(batch.inputs) if by_channel else batch.inputs
            add_gradients(inputs, batch.labels, plan.augmentation_multiplicity * chosen.size)
        add_terms()
        optimizer.step()

    return step


def _in_torchs_way(model: nn.Module, loss: Loss) -> AddGradients:
    def add(inputs: Inputs, labels: torch.Tensor, pictures: int) -> None:
        (loss(model(inputs), labels) / pictures).backward()

    return add


def _channels_beside(inputs: Inputs) -> Inputs:
    """The same pictures, (B, C, H, W), with the channels of a pixel side by side; what comes with them as it is."""
    if isinstance(inputs, tuple):
        pictures, *others = inputs
        return (pictures.contiguous(memory_format=torch.channels_last), *others)
    return inputs.contiguous(memory_format=torch.channels_last)
